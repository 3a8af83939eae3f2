/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PV_EVENTS_QUEUE_H
#define PV_EVENTS_QUEUE_H

/* events_queue.c: declarations for other C files. */

#include "events.h"
#include "native_events_queue.h"

void pv_queue_ref(pv_queue *queue);
void pv_queue_unref(pv_queue *queue);

/*
 * Append an event, or count it as lost if there is no room.  An event of NULL is lost: there was no memory for it.
 * Return false if the queue has ended.
 */
bool pv_queue_push(pv_queue *queue, pv_event *event, int64_t tag);

/* Between these two calls this thread wakes no reader; the second call wakes each reader once. */
void pv_queues_begin_batch(void);
void pv_queues_end_batch(void);

#endif
