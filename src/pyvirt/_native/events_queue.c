/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "events_queue.h"

/* The memory of the queued events is limited too: events of the QEMU monitor may be large. */
static const size_t MAX_BYTES = (size_t)64 << 20;
static const size_t MIN_ROOM = 64;

typedef struct {
    uintptr_t item; /* the address of an event, or 2 * count + 1 for lost events */
    int64_t tag;
} slot;

struct pv_queue {
    pthread_mutex_t lock;
    atomic_uint refs;
    int fd;
    bool ended;
    bool complete; /* the close event, which is the last one, has been queued */
    slot *ring;
    size_t room, first, count;
    size_t limit;
    size_t bytes;
    uint64_t lost;           /* events lost after the newest one in the ring */
    bool readable;           /* the descriptor is readable */
    pv_queue *next_in_batch; /* the next queue whose reader this thread wakes later; NULL: not in the list */
};

/*
 * libvirt delivers all events that have arrived in one go.  A reader that is woken by the first event would go back to
 * sleep before the second.  So readers are woken when libvirt has finished, or when a queue holds this many events.
 */
static const size_t WAKE_AT = 256;
static _Thread_local bool in_batch;
static _Thread_local pv_queue *batch; /* a list with a reference to each queue; the last one points to itself */

pv_queue *pv_queue_new(size_t limit)
{
    pv_queue *queue = calloc(1, sizeof(*queue));
    if (queue == NULL)
        return NULL;
    queue->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (queue->fd < 0) {
        free(queue);
        return NULL;
    }
    pthread_mutex_init(&queue->lock, NULL);
    atomic_init(&queue->refs, 1);
    queue->limit = limit > 0 ? limit : 1;
    return queue;
}

void pv_queue_ref(pv_queue *queue)
{
    atomic_fetch_add_explicit(&queue->refs, 1, memory_order_relaxed);
}

void pv_queue_unref(pv_queue *queue)
{
    if (atomic_fetch_sub_explicit(&queue->refs, 1, memory_order_acq_rel) > 1)
        return;
    if (queue->fd >= 0)
        close(queue->fd);
    pthread_mutex_destroy(&queue->lock);
    free(queue->ring);
    free(queue);
}

int pv_queue_fd(pv_queue *queue)
{
    return queue->fd;
}

static bool grow(pv_queue *queue)
{
    size_t room = queue->room > 0 ? 2 * queue->room : MIN_ROOM;
    slot *ring = malloc(room * sizeof(*ring));
    if (ring == NULL)
        return false;
    for (size_t i = 0; i < queue->count; i++)
        ring[i] = queue->ring[(queue->first + i) & (queue->room - 1)];
    free(queue->ring);
    queue->ring = ring;
    queue->room = room;
    queue->first = 0;
    return true;
}

static bool append(pv_queue *queue, uintptr_t item, int64_t tag)
{
    if (queue->count == queue->room && !grow(queue))
        return false;
    queue->ring[(queue->first + queue->count++) & (queue->room - 1)] = (slot){item, tag};
    return true;
}

static bool has_room(const pv_queue *queue, const pv_event *event)
{
    /* There is always room for the close event: no other event follows it. */
    return event != NULL && (event->category == PV_CLOSE || (queue->count < queue->limit && queue->bytes <= MAX_BYTES));
}

/* Lock held.  Append the number of events lost at this place, if any, then the event. */
static bool put(pv_queue *queue, pv_event *event, int64_t tag)
{
    if (queue->lost > 0) {
        if (!append(queue, (uintptr_t)(2 * queue->lost + 1), -1))
            return false;
        queue->lost = 0;
    }
    if (!has_room(queue, event) || !append(queue, (uintptr_t)event, tag))
        return false;
    pv_event_ref(event);
    queue->bytes += event->size;
    return true;
}

/* Lock held. */
static void wake_reader(pv_queue *queue)
{
    if (!queue->readable)
        eventfd_write(queue->fd, 1);
    queue->readable = true;
}

/* Lock held. */
static void wake_reader_now_or_later(pv_queue *queue)
{
    if (queue->readable)
        return;
    if (!in_batch || queue->count >= WAKE_AT) {
        wake_reader(queue);
    } else if (queue->next_in_batch == NULL) {
        pv_queue_ref(queue);
        queue->next_in_batch = batch != NULL ? batch : queue;
        batch = queue;
    }
}

void pv_queues_begin_batch(void)
{
    in_batch = true;
}

void pv_queues_end_batch(void)
{
    in_batch = false;
    while (batch != NULL) {
        pv_queue *queue = batch;
        pthread_mutex_lock(&queue->lock);
        batch = queue->next_in_batch != queue ? queue->next_in_batch : NULL;
        queue->next_in_batch = NULL;
        if (queue->count > 0 || queue->lost > 0)
            wake_reader(queue);
        pthread_mutex_unlock(&queue->lock);
        pv_queue_unref(queue);
    }
}

bool pv_queue_push(pv_queue *queue, pv_event *event, int64_t tag)
{
    pthread_mutex_lock(&queue->lock);
    bool open = !queue->ended;
    if (open && !queue->complete) {
        queue->complete = event != NULL && event->category == PV_CLOSE;
        if (!has_room(queue, event) || !put(queue, event, tag))
            queue->lost++;
        wake_reader_now_or_later(queue);
    }
    pthread_mutex_unlock(&queue->lock);
    return open;
}

/* Lock held.  Remove one item from the queue and return it; the item is 0 if there is none. */
static slot next(pv_queue *queue)
{
    if (queue->count > 0) {
        slot found = queue->ring[queue->first];
        queue->first = (queue->first + 1) & (queue->room - 1);
        queue->count--;
        if (!(found.item & 1))
            queue->bytes -= ((pv_event *)found.item)->size;
        return found;
    }
    slot gap = {queue->lost > 0 ? (uintptr_t)(2 * queue->lost + 1) : 0, -1};
    queue->lost = 0;
    return gap;
}

int pv_queue_take(pv_queue *queue, uintptr_t *items, int64_t *tags, int n)
{
    int taken = 0;
    pthread_mutex_lock(&queue->lock);
    while (taken < n) {
        slot found = next(queue);
        if (found.item == 0)
            break;
        items[taken] = found.item;
        if (tags != NULL)
            tags[taken] = found.tag;
        taken++;
    }
    if (queue->count == 0 && queue->lost == 0 && !queue->ended) {
        eventfd_t ignored;
        if (queue->readable)
            eventfd_read(queue->fd, &ignored);
        queue->readable = false;
        if (queue->room > 4096) { /* give back the memory of a burst */
            free(queue->ring);
            queue->ring = NULL;
            queue->room = queue->first = 0;
        }
    }
    if (taken == 0 && queue->ended)
        taken = -1;
    pthread_mutex_unlock(&queue->lock);
    return taken;
}

void pv_events_release(const uintptr_t *items, int n)
{
    for (int i = 0; i < n; i++)
        if (!(items[i] & 1))
            pv_event_unref((pv_event *)items[i]);
}

void pv_queue_end(pv_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    slot *ring = queue->ring;
    size_t room = queue->room, first = queue->first, count = queue->count;
    queue->ring = NULL;
    queue->room = queue->first = queue->count = queue->bytes = 0;
    queue->lost = 0;
    queue->ended = true;
    wake_reader(queue);
    pthread_mutex_unlock(&queue->lock);
    for (size_t i = 0; i < count; i++) /* without the lock, because this calls libvirt to release objects */
        pv_events_release(&ring[(first + i) & (room - 1)].item, 1);
    free(ring);
}

void pv_queue_free(pv_queue *queue)
{
    pv_queue_end(queue);
    pv_queue_unref(queue);
}

void pv_queue_abandon(pv_queue *queue)
{
    close(queue->fd);
    queue->fd = -1;
}
