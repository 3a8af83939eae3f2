/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <libvirt/libvirt.h>

#include "native_errors.h"
#include "native_stream.h"

struct pv_stream_watch {
    virStreamPtr stream;
    int fd;
    atomic_int ready;
    atomic_int holders; /* whoever watches, and libvirt, which calls from its event loop */
};

static void let_go(void *opaque)
{
    pv_stream_watch *watch = opaque;
    if (atomic_fetch_sub(&watch->holders, 1) > 1)
        return;
    close(watch->fd);
    free(watch);
}

/* Ready stays ready until somebody reads or writes, and libvirt would call again and again. */
static void note(virStreamPtr stream, int events, void *opaque)
{
    pv_stream_watch *watch = opaque;
    uint64_t one = 1;
    virStreamEventUpdateCallback(stream, 0);
    atomic_fetch_or(&watch->ready, events);
    if (write(watch->fd, &one, sizeof(one)) < 0)
        return; /* full: it is readable already */
}

pv_stream_watch *pv_stream_watch_new(virStreamPtr stream)
{
    pv_stream_watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL)
        return NULL;
    watch->holders = 2;
    watch->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (watch->fd < 0 || virStreamRef(stream) < 0)
        goto fail;
    watch->stream = stream;
    if (virStreamEventAddCallback(stream, 0, note, watch, let_go) < 0)
        goto fail;
    return watch;
fail:
    if (watch->stream != NULL)
        pv_release_stream(watch->stream);
    if (watch->fd >= 0)
        close(watch->fd);
    free(watch);
    return NULL;
}

int pv_stream_watch_fd(const pv_stream_watch *watch)
{
    return watch->fd;
}

int pv_stream_watch_for(pv_stream_watch *watch, int events)
{
    uint64_t count;
    if (read(watch->fd, &count, sizeof(count)) < 0)
        count = 0; /* nothing was ready */
    atomic_store(&watch->ready, 0);
    return virStreamEventUpdateCallback(watch->stream, events);
}

int pv_stream_watch_ready(pv_stream_watch *watch)
{
    return atomic_load(&watch->ready);
}

void pv_stream_watch_free(pv_stream_watch *watch)
{
    pv_errors_mute(1); /* one that is over has no callback any more */
    virStreamEventRemoveCallback(watch->stream);
    virStreamFree(watch->stream);
    pv_errors_mute(-1);
    let_go(watch);
}
