/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PV_EVENTS_H
#define PV_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libvirt/libvirt.h>

#include "native_events.h"

/* A copy of all that is given, with one reference; NULL if there is no memory.  `object` gets a reference more. */
pv_event *pv_event_new(int category, int id, void *object, const int64_t *numbers, int nnumbers,
                       const char *const *strings, int nstrings, const virTypedParameter *params, int nparams);

/* The same, of the source's kind. */
pv_event *pv_source_event(const pv_source *source, void *object, const int64_t *numbers, int nnumbers,
                          const char *const *strings, int nstrings, const virTypedParameter *params, int nparams);

/* Where the callbacks give their events; takes over the reference.  NULL stands for one there was no memory for. */
void pv_source_deliver(pv_source *source, pv_event *event);

/* Whether nobody listens, so that nothing has to be copied. */
bool pv_source_idle(pv_source *source);

/* A lifecycle event of a domain: such as come again and again are made once. */
void pv_source_lifecycle(pv_source *source, virDomainPtr domain, int event, int detail);

void pv_queue_ref(pv_queue *queue);
void pv_queue_unref(pv_queue *queue);

/* Put it in, or count it as lost; `event` may be NULL, and is then lost.  False if the queue has ended. */
bool pv_queue_push(pv_queue *queue, pv_event *event, int64_t tag);

/* Around what may put many events into queues in one go, in this thread. */
void pv_queues_gather(void);
void pv_queues_tell(void);

void pv_source_ref(void *source);

/* The source's part of what libvirt calls when it forgets a callback. */
void pv_source_unref(void *source);

/* A reference more to what an event of that category is about, and one less. */
int pv_object_ref(int category, void *object);
void pv_object_release(int category, void *object);

#endif
