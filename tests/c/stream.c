/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Waiting for a stream.  This program replaces libvirt: a thread reports all the time that the stream is ready. */

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "harness.h"
#include "native_errors.h"
#include "native_stream.h"

enum { ROUNDS = 20000 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static virStreamEventCallback callback;
static virFreeCallback free_opaque;
static void *opaque;
static int wanted, references;
static atomic_bool over;
static bool refuse;

int virStreamRef(virStreamPtr stream)
{
    (void)stream;
    references++;
    return 0;
}

int virStreamFree(virStreamPtr stream)
{
    (void)stream;
    references--;
    return 0;
}

int virStreamEventAddCallback(virStreamPtr stream, int events, virStreamEventCallback cb, void *data,
                              virFreeCallback ff)
{
    (void)stream;
    if (refuse)
        return -1;
    callback = cb;
    opaque = data;
    free_opaque = ff;
    wanted = events;
    return 0;
}

int virStreamEventUpdateCallback(virStreamPtr stream, int events)
{
    (void)stream;
    pthread_mutex_lock(&lock);
    wanted = events;
    pthread_mutex_unlock(&lock);
    return 0;
}

int virStreamEventRemoveCallback(virStreamPtr stream)
{
    (void)stream;
    free_opaque(opaque);
    return 0;
}

/* The event loop.  Like libvirt's, it calls without holding its lock. */
static void *report_ready(void *unused)
{
    (void)unused;
    while (!over) {
        pthread_mutex_lock(&lock);
        int events = wanted;
        pthread_mutex_unlock(&lock);
        if (events != 0)
            callback(NULL, events, opaque);
    }
    return NULL;
}

static void test_a_readable_descriptor_has_events(void)
{
    pthread_t thread;
    pv_stream_watch *watch = pv_stream_watch_new(NULL);
    CHECK(watch != NULL && references == 1);
    CHECK(pthread_create(&thread, NULL, report_ready, NULL) == 0);
    struct pollfd ready = {.fd = pv_stream_watch_fd(watch), .events = POLLIN};
    for (int i = 0; i < ROUNDS; i++) {
        CHECK(pv_stream_watch_for(watch, VIR_STREAM_EVENT_READABLE) == 0);
        if (i % 2 == 0) /* otherwise watch again, perhaps while the stream is reported ready */
            CHECK(poll(&ready, 1, -1) == 1 && pv_stream_watch_ready(watch) == VIR_STREAM_EVENT_READABLE);
    }
    over = true;
    CHECK(pthread_join(thread, NULL) == 0);
    pv_stream_watch_free(watch);
    CHECK(references == 0);
}

static void test_a_watch_that_cannot_be_made(void)
{
    struct rlimit before, none;
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    CHECK(pv_stream_watch_new(NULL) == NULL && errno == EMFILE);
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    allocations_left = 0;
    CHECK(pv_stream_watch_new(NULL) == NULL);
    allocations_left = -1;
    refuse = true;
    CHECK(pv_stream_watch_new(NULL) == NULL && errno == 0); /* 0: libvirt failed, and has reported why */
    refuse = false;
    CHECK(references == 0);
}

int main(void)
{
    pv_errors_install();
    test_a_watch_that_cannot_be_made();
    test_a_readable_descriptor_has_events();
    return 0;
}
