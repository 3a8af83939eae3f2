/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PV_EVENTS_H
#define PV_EVENTS_H

/* events.c: declarations for other C files. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libvirt/libvirt.h>

#include "native_events.h"

/*
 * Make an event with one reference and copies of all arguments; NULL: out of memory.  The event takes its own reference
 * to `object`.
 */
pv_event *pv_event_new(int category, int id, void *object, const int64_t *numbers, int nnumbers,
                       const char *const *strings, int nstrings, const virTypedParameter *params, int nparams);

/* Return the number of references, for tests. */
unsigned int pv_event_refs(const pv_event *event);

/* Take and release a reference to the object of an event of that category. */
int pv_object_ref(int category, void *object);
void pv_object_release(int category, void *object);

#endif
