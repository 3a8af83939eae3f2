/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The loop when the kernel refuses a request, and the threads that are left after it has stopped. */

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <libvirt/libvirt.h>

#include "harness.h"
#include "native_events_loop.h"

enum { LIMIT = 60000 /* ms that no test reaches */, ROUNDS = 300 };

static bool full;        /* act as if this user had reached the limit of watches */
static int allowed = -1; /* the one descriptor that is accepted even then */

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    if (full && operation == EPOLL_CTL_ADD && fd != allowed) {
        errno = ENOSPC;
        return -1;
    }
    return (int)syscall(SYS_epoll_ctl, epoll, operation, fd, event);
}

static void once(int timer, void *opaque)
{
    (void)opaque;
    virEventRemoveTimeout(timer);
}

static void set_done(void *opaque)
{
    atomic_store((atomic_bool *)opaque, true);
}

/* Wait until the loop has called and freed a timer. */
static void let_it_run(void)
{
    static atomic_bool done;
    done = false;
    CHECK(virEventAddTimeout(0, once, &done, set_done) > 0);
    while (!atomic_load(&done))
        usleep(1000);
}

static void test_a_start_that_is_refused(void)
{
    full = true;
    CHECK(pv_loop_start() == -1 && errno == ENOSPC);
    full = false;
    CHECK(pv_loop_start() == 1);
    let_it_run();
    CHECK(pv_loop_pause(LIMIT) == 1); /* it can be woken up */
    pv_loop_resume();
}

static void ignore(int watch, int fd, int events, void *opaque)
{
    (void)watch;
    (void)fd;
    (void)events;
    (void)opaque;
}

static int lowest_free(int fd)
{
    int lowest = dup(fd);
    CHECK(lowest >= 0 && close(lowest) == 0);
    return lowest;
}

static void test_a_watch_that_is_refused(void)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), free_before = lowest_free(fd);
    int watch = virEventAddHandle(fd, VIR_EVENT_HANDLE_READABLE, ignore, NULL, NULL);
    CHECK(watch > 0);
    allowed = fd;
    full = true;
    CHECK(virEventAddHandle(fd, VIR_EVENT_HANDLE_READABLE, ignore, NULL, NULL) == -1);
    full = false;
    CHECK(lowest_free(fd) == free_before);
    CHECK(virEventRemoveHandle(watch) == 0);
    close(fd);
}

static int count_threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    int n = 0;
    CHECK(tasks != NULL);
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL;)
        n += entry->d_name[0] != '.';
    closedir(tasks);
    return n;
}

/*
 * pv_loop_pause waits until the kernel no longer counts the thread, even if the thread has not started to run yet.  It
 * waits for some milliseconds at most, which may be too short now and then on a busy machine.
 */
static void test_no_thread_is_left(void)
{
    int left = 0;
    let_it_run();
    CHECK(pv_loop_pause(LIMIT) == 1);
    int others = count_threads(); /* the thread sanitizer has a thread of its own */
    for (int i = 0; i < ROUNDS; i++) {
        pv_loop_resume();
        CHECK(pv_loop_pause(LIMIT) == 1);
        left += count_threads() > others;
    }
    CHECK(left < ROUNDS / 10);
    pv_loop_resume();
}

int main(void)
{
    test_a_start_that_is_refused();
    test_a_watch_that_is_refused();
    test_no_thread_is_left();
    CHECK(pv_loop_pause(LIMIT) == 1);
    return 0;
}
