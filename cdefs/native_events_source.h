/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A source: one kind of event, and the queues that receive it.  Implemented in events_source.c. */

typedef struct pv_source pv_source;

pv_source *pv_source_new(int category, int id);

/*
 * Let a queue receive the events, once per tag.  A queue that is attached several times with one tag must be detached
 * as often.  Return 0 or PV_NO_MEMORY.
 */
int pv_source_attach(pv_source *source, pv_queue *queue, int64_t tag);
void pv_source_detach(pv_source *source, pv_queue *queue, int64_t tag);

/* Release the caller's reference. */
void pv_source_free(pv_source *source);
