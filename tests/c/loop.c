/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The loop where the kernel refuses it something, and who is still there once it has stopped. */

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <libvirt/libvirt.h>

#include "harness.h"
#include "native_events.h"

enum { LIMIT = 60000 /* ms that nothing here takes */, ROUNDS = 300 };

static bool full;        /* as if there were as many watches as this user may have */
static int already = -1; /* the one descriptor that is taken none the less */

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    if (full && operation == EPOLL_CTL_ADD && fd != already) {
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

static void note(void *opaque)
{
    __atomic_store_n((bool *)opaque, true, __ATOMIC_SEQ_CST);
}

/* Until it has done something, and has nothing else to do. */
static void let_it_run(void)
{
    static bool done;
    done = false;
    CHECK(virEventAddTimeout(0, once, &done, note) > 0);
    while (!__atomic_load_n(&done, __ATOMIC_SEQ_CST))
        usleep(1000);
}

static void test_a_start_that_is_refused(void)
{
    full = true;
    CHECK(pv_loop_start() == -1 && errno == ENOSPC);
    full = false;
    CHECK(pv_loop_start() == 1);
    let_it_run();
    CHECK(pv_loop_pause(LIMIT) == 1); /* it can be woken */
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
    already = fd;
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
 * Paused before its thread has come to run at all, the loop still waits until the kernel no longer counts that.  It does
 * so for some milliseconds and no longer, which may be too short once on a machine that is busy.
 */
static void test_nobody_is_left(void)
{
    int left = 0;
    let_it_run();
    CHECK(pv_loop_pause(LIMIT) == 1);
    int others = count_threads(); /* the thread sanitizer has one */
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
    test_nobody_is_left();
    CHECK(pv_loop_pause(LIMIT) == 1);
    return 0;
}
