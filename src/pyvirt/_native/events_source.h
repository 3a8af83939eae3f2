/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PV_EVENTS_SOURCE_H
#define PV_EVENTS_SOURCE_H

/* events_source.c: declarations for other C files. */

#include <pthread.h>
#include <stdatomic.h>

#include "events_queue.h"
#include "native_events_source.h"

struct pv_source {
    pthread_mutex_t lock; /* of the targets and the known events */
    atomic_uint refs;
    int category, id; /* constant */
    struct target *targets;
    size_t ntargets, room;
    struct known **known; /* NULL while there is none */
    size_t nknown;
    /* How it is registered: used by events_source_register.c alone. */
    atomic_int callback_id; /* -1: not registered */
    atomic_bool held;       /* the opaque of a close callback: libvirt has a reference */
    void *undo;             /* the function that deregisters it, if it is in another library */
};

/* The argument is a pv_source.  libvirt calls pv_source_unref when it drops a callback. */
void pv_source_ref(void *source);
void pv_source_unref(void *source);

/* pv_event_new for the category and id of the source. */
pv_event *pv_source_event(const pv_source *source, void *object, const int64_t *numbers, int nnumbers,
                          const char *const *strings, int nstrings, const virTypedParameter *params, int nparams);

/* Return whether no queue is attached, so that nothing has to be copied. */
bool pv_source_idle(pv_source *source);

/* Put an event into all attached queues, and release the caller's reference.  An event of NULL is counted as lost. */
void pv_source_deliver(pv_source *source, pv_event *event);

/* Deliver a lifecycle event of a domain.  Events that come again and again share one pv_event. */
void pv_source_lifecycle(pv_source *source, virDomainPtr domain, int event, int detail);

/* Detach all queues, and drop the events that are kept for reuse. */
void pv_source_clear(pv_source *source);

#endif
