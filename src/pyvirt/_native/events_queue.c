/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "events.h"

/* Also of what its events hold there is a limit: a monitor may say a lot. */
static const size_t MOST_BYTES = (size_t)64 << 20;
static const size_t SMALLEST = 64;

typedef struct {
    uintptr_t item; /* of lost events 2 * count + 1 */
    int64_t tag;
} slot;

struct pv_queue {
    pthread_mutex_t lock;
    unsigned refs;
    int fd;
    bool ended;
    bool complete; /* its last event, that the link is gone, is in it or was */
    slot *ring;
    size_t room, first, count;
    size_t limit;
    size_t bytes;
    uint64_t lost;      /* since the newest that is in it */
    bool told;          /* the descriptor is readable */
    pv_queue *next_due; /* among those that this thread has yet to tell, with a reference; NULL: not there */
};

/*
 * libvirt hands out all that has come in one go, and a reader woken by the first event would go back to sleep before
 * the second.  So readers are told when libvirt has done, or once there is enough to keep one busy.
 */
static const size_t ENOUGH = 256;
static _Thread_local bool gathering;
static _Thread_local pv_queue *due; /* the last one points to itself */

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
    queue->refs = 1;
    queue->limit = limit > 0 ? limit : 1;
    return queue;
}

void pv_queue_ref(pv_queue *queue)
{
    __atomic_fetch_add(&queue->refs, 1, __ATOMIC_RELAXED);
}

void pv_queue_unref(pv_queue *queue)
{
    if (__atomic_sub_fetch(&queue->refs, 1, __ATOMIC_ACQ_REL) > 0)
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
    size_t room = queue->room > 0 ? 2 * queue->room : SMALLEST;
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
    /* That the link is gone is the last there will be to say. */
    return event != NULL &&
           (event->category == PV_CLOSE || (queue->count < queue->limit && queue->bytes <= MOST_BYTES));
}

/* Lock held.  First what is known to be missing at this place. */
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
static void tell(pv_queue *queue)
{
    if (!queue->told)
        eventfd_write(queue->fd, 1);
    queue->told = true;
}

static void tell_in_time(pv_queue *queue)
{
    if (queue->told)
        return;
    if (!gathering || queue->count >= ENOUGH) {
        tell(queue);
    } else if (queue->next_due == NULL) {
        pv_queue_ref(queue);
        queue->next_due = due != NULL ? due : queue;
        due = queue;
    }
}

void pv_queues_gather(void)
{
    gathering = true;
}

void pv_queues_tell(void)
{
    gathering = false;
    while (due != NULL) {
        pv_queue *queue = due;
        pthread_mutex_lock(&queue->lock);
        due = queue->next_due != queue ? queue->next_due : NULL;
        queue->next_due = NULL;
        if (queue->count > 0 || queue->lost > 0)
            tell(queue);
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
        tell_in_time(queue);
    }
    pthread_mutex_unlock(&queue->lock);
    return open;
}

/* Lock held: one item, 0 if there is none. */
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
        if (queue->told)
            eventfd_read(queue->fd, &ignored);
        queue->told = false;
        if (queue->room > 4096) { /* after a burst */
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
    tell(queue);
    pthread_mutex_unlock(&queue->lock);
    for (size_t i = 0; i < count; i++) /* libvirt is called for their objects */
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
