/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PV_STATS_FORK_H
#define PV_STATS_FORK_H

/* stats_fork.c: a fork waits for the locks of all schemas. */

#include "stats_schema.h"

/* Add a schema before the first use of its lock, and remove it after the last use. */
void pv_schema_enlist(pv_schema *schema);
void pv_schema_delist(pv_schema *schema);

#endif
