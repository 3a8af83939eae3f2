/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A bounded queue of events, for one reader.  Implemented in events_queue.c. */

typedef struct pv_queue pv_queue;

/* Make a queue with room for `limit` events.  NULL with errno if there is no memory or no file descriptor. */
pv_queue *pv_queue_new(size_t limit);

/* Drop the queued events and accept no more.  The descriptor stays readable from now on. */
void pv_queue_end(pv_queue *queue);

/* End the queue and release the caller's reference. */
void pv_queue_free(pv_queue *queue);

/*
 * In the child of a fork: close the descriptor and touch nothing else, because another thread may have held the lock.
 */
void pv_queue_abandon(pv_queue *queue);

/* Return a file descriptor that is readable while the queue holds events, and after it has ended. */
int pv_queue_fd(pv_queue *queue);

/*
 * Take up to `n` items, oldest first.  An even item is the address of a pv_event.  An odd item is 2 * count + 1: that
 * many events were lost at this place because the queue was full.  `tags`, which may be NULL, gets the tag with which
 * the source was attached, -1 for lost events.  Return the number of items; -1 if there are none and the queue has
 * ended.  The caller passes the items to pv_events_release after use.
 */
int pv_queue_take(pv_queue *queue, uintptr_t *items, int64_t *tags, int n);
void pv_events_release(const uintptr_t *items, int n);
