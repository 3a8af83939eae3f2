/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <libvirt/libvirt.h>

#include "native_errors.h"
#include "native_release.h"
#include "native_stream.h"

struct pv_stream_watch {
    virStreamPtr stream;
    pthread_mutex_t lock; /* keeps `ready` and the state of the eventfd consistent */
    int fd;
    int ready;
    atomic_int refs; /* one of the owner, one of libvirt, which calls from its event loop */
};

static void unref_watch(void *opaque)
{
    pv_stream_watch *watch = opaque;
    if (atomic_fetch_sub(&watch->refs, 1) > 1)
        return;
    pthread_mutex_destroy(&watch->lock);
    close(watch->fd);
    free(watch);
}

/* A stream stays ready until it is read or written, so libvirt would call this again and again: stop watching. */
static void on_ready(virStreamPtr stream, int events, void *opaque)
{
    pv_stream_watch *watch = opaque;
    virStreamEventUpdateCallback(stream, 0);
    pthread_mutex_lock(&watch->lock);
    watch->ready |= events;
    eventfd_write(watch->fd, 1); /* if this fails the counter is full, and the eventfd readable already */
    pthread_mutex_unlock(&watch->lock);
}

pv_stream_watch *pv_stream_watch_new(virStreamPtr stream)
{
    pv_stream_watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL)
        return NULL;
    watch->refs = 2;
    watch->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (watch->fd < 0) {
        free(watch);
        return NULL;
    }
    pthread_mutex_init(&watch->lock, NULL);
    if (virStreamRef(stream) == 0) {
        watch->stream = stream;
        if (virStreamEventAddCallback(stream, 0, on_ready, watch, unref_watch) == 0)
            return watch;
        pv_release_stream(stream);
    }
    watch->refs = 1;
    unref_watch(watch);
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
    pv_errors_mute(1); /* after the end of the stream the callback is removed already, and this call fails */
    virStreamEventRemoveCallback(watch->stream);
    virStreamFree(watch->stream);
    pv_errors_mute(-1);
    unref_watch(watch);
}
