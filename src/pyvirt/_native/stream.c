/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <libvirt/libvirt.h>

#include "native_errors.h"
#include "native_stream.h"

struct pv_stream_watch {
    virStreamPtr stream;
    pthread_mutex_t lock; /* what is readable says what for */
    int fd;
    int ready;
    atomic_int holders; /* whoever watches, and libvirt, which calls from its event loop */
};

static void let_go(void *opaque)
{
    pv_stream_watch *watch = opaque;
    if (atomic_fetch_sub(&watch->holders, 1) > 1)
        return;
    pthread_mutex_destroy(&watch->lock);
    close(watch->fd);
    free(watch);
}

/* Ready stays ready until somebody reads or writes, and libvirt would call again and again. */
static void note(virStreamPtr stream, int events, void *opaque)
{
    pv_stream_watch *watch = opaque;
    virStreamEventUpdateCallback(stream, 0);
    pthread_mutex_lock(&watch->lock);
    watch->ready |= events;
    eventfd_write(watch->fd, 1); /* or it is full: readable already */
    pthread_mutex_unlock(&watch->lock);
}

pv_stream_watch *pv_stream_watch_new(virStreamPtr stream)
{
    pv_stream_watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL)
        return NULL;
    watch->holders = 2;
    watch->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (watch->fd < 0) {
        free(watch);
        return NULL;
    }
    pthread_mutex_init(&watch->lock, NULL);
    if (virStreamRef(stream) == 0) {
        watch->stream = stream;
        if (virStreamEventAddCallback(stream, 0, note, watch, let_go) == 0)
            return watch;
        pv_release_stream(stream);
    }
    watch->holders = 1;
    let_go(watch);
    errno = 0;
    return NULL;
}

int pv_stream_watch_fd(const pv_stream_watch *watch)
{
    return watch->fd;
}

int pv_stream_watch_for(pv_stream_watch *watch, int events)
{
    eventfd_t ignored;
    pthread_mutex_lock(&watch->lock);
    eventfd_read(watch->fd, &ignored);
    watch->ready = 0;
    pthread_mutex_unlock(&watch->lock);
    return virStreamEventUpdateCallback(watch->stream, events);
}

int pv_stream_watch_ready(pv_stream_watch *watch)
{
    pthread_mutex_lock(&watch->lock);
    int ready = watch->ready;
    pthread_mutex_unlock(&watch->lock);
    return ready;
}

void pv_stream_watch_free(pv_stream_watch *watch)
{
    pv_errors_mute(1); /* one that is over has no callback any more */
    virStreamEventRemoveCallback(watch->stream);
    virStreamFree(watch->stream);
    pv_errors_mute(-1);
    let_go(watch);
}
