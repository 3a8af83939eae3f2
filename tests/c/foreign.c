/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The program has its own event loop.  It waits for a lock, as a loop in Python waits for the GIL, and it frees a timer
 * as soon as the timer is removed.
 */

#define _GNU_SOURCE
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libvirt/libvirt.h>

#include "events_source.h"
#include "harness.h"
#include "native_events_callbacks.h"
#include "native_events_loop.h"

enum { SECONDS = 60 /* a limit that no test reaches */, TIMERS = 4 };

static struct timer {
    int interval;
    virEventTimeoutCallback callback;
    void *opaque;
    virFreeCallback free_opaque;
} timers[TIMERS];
static pthread_mutex_t big_lock = PTHREAD_MUTEX_INITIALIZER;
static sem_t asked;

static int add_timeout(int interval, virEventTimeoutCallback callback, void *opaque, virFreeCallback free_opaque)
{
    sem_post(&asked);
    pthread_mutex_lock(&big_lock);
    int id = 0;
    while (timers[id].callback != NULL)
        id++;
    CHECK(id < TIMERS);
    timers[id] = (struct timer){interval, callback, opaque, free_opaque};
    pthread_mutex_unlock(&big_lock);
    return id;
}

static void update_timeout(int id, int interval)
{
    timers[id].interval = interval;
}

static int remove_timeout(int id)
{
    struct timer gone = timers[id];
    timers[id] = (struct timer){0};
    if (gone.free_opaque != NULL)
        gone.free_opaque(gone.opaque);
    return 0;
}

static void run_one_turn(void)
{
    for (int id = 0; id < TIMERS; id++)
        if (timers[id].callback != NULL && timers[id].interval == 0)
            timers[id].callback(id, timers[id].opaque);
}

static int add_handle(int fd, int events, virEventHandleCallback callback, void *opaque, virFreeCallback free_opaque)
{
    (void)fd;
    (void)events;
    (void)callback;
    (void)opaque;
    (void)free_opaque;
    return -1;
}

static void update_handle(int watch, int events)
{
    (void)watch;
    (void)events;
}

static int remove_handle(int watch)
{
    (void)watch;
    return -1;
}

static void *find_the_loop(void *unused)
{
    (void)unused;
    CHECK(pv_loop_start() == 0);
    return NULL;
}

static void test_the_holder_of_the_lock_forks(void)
{
    pthread_t thread;
    int status;
    pthread_mutex_lock(&big_lock);
    CHECK(pthread_create(&thread, NULL, find_the_loop, NULL) == 0);
    while (sem_wait(&asked) != 0)
        ;
    pid_t pid = fork();
    CHECK(pid >= 0);
    pthread_mutex_unlock(&big_lock);
    if (pid == 0) {
        alarm(SECONDS / 2);
        CHECK(pv_loop_start() == 0);
        _exit(0);
    }
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK(pv_loop_owner() == 0 && pv_loop_leave() == 1);
}

/* The close event comes in the second turn of the loop.  By then the timer holds the last reference to the source. */
static void test_the_close_event_comes_in_the_second_turn(void)
{
    pv_queue *queue = pv_queue_new(1);
    pv_source *source = pv_source_new(PV_CLOSE, 0);
    uintptr_t item;
    CHECK(pv_source_attach(source, queue, 0) == 0);
    ((virConnectCloseFunc)pv_event_callback(PV_CLOSE, 0))(NULL, VIR_CONNECT_CLOSE_REASON_EOF, source);
    pv_source_free(source);
    run_one_turn();
    CHECK(pv_queue_take(queue, &item, NULL, 1) == 0);
    run_one_turn();
    CHECK(pv_queue_take(queue, &item, NULL, 1) == 1);
    CHECK(((pv_event *)item)->category == PV_CLOSE && ((pv_event *)item)->numbers[0] == VIR_CONNECT_CLOSE_REASON_EOF);
    pv_events_release(&item, 1);
    for (int id = 0; id < TIMERS; id++)
        CHECK(timers[id].callback == NULL);
    pv_queue_free(queue);
}

int main(void)
{
    alarm(SECONDS);
    CHECK(sem_init(&asked, 0, 0) == 0);
    virEventRegisterImpl(add_handle, update_handle, remove_handle, add_timeout, update_timeout, remove_timeout);
    test_the_holder_of_the_lock_forks();
    test_the_close_event_comes_in_the_second_turn();
    return 0;
}
