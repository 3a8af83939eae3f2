/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PV_ERRORS_H
#define PV_ERRORS_H

/* errors.c: declarations for other C files. */

#include "native_errors.h"

/* Record VIR_ERR_NO_SUPPORT with the error domain -1, as pv_error_unsupported does.  `function` may be NULL. */
void pv_error_record_unsupported(const char *function, const char *message);

#endif
