/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PV_RESERVE_H
#define PV_RESERVE_H

/* reserve.c: arrays that grow. */

#include <stddef.h>
#include <stdint.h>

#include "native_common.h"

/*
 * Make room in `*array` for at least `need` items of `size` bytes; `*room` is the number of items it has room for.  New
 * items are zero.  Return 0 or PV_NO_MEMORY.
 */
int pv_reserve(void **array, int64_t *room, int64_t need, size_t size);

#endif
