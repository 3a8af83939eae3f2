/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE /* pthread_setname_np */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "events_queue.h"
#include "native_events_loop.h"

/* A file descriptor that is watched, or a timer. */
typedef struct item {
    int id;
    bool timer;
    int fd;         /* of a watch */
    int own_fd;     /* a duplicate, if fd is watched already: epoll accepts each descriptor once */
    int events;     /* virEventHandleType */
    int interval;   /* of a timer: ms, -1 while it is off */
    int64_t due;    /* ns */
    uint64_t round; /* the last one in which it was called */
    union {
        virEventHandleCallback handle;
        virEventTimeoutCallback timeout;
    } callback;
    void *opaque;
    virFreeCallback free_opaque;
    struct item *next;           /* in its bucket, or in the list of removed items */
    struct item *before, *after; /* in the ring of timers that are on */
} item;

enum { BUCKETS = 256, READY = 64 };

/* The lock is never held while libvirt is called. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t stopped;
    int registered; /* 1: this loop, 0: another, -1: none yet */
    int epoll;
    int wake;
    bool running; /* the thread exists */
    bool wanted;  /* a connection has been opened */
    unsigned paused;
    pthread_t thread;
    pid_t tid;
    int64_t sleeps_until; /* ns, 0 while awake */
    uint64_t round;
    uint64_t turns;   /* completed turns of the loop */
    unsigned waiting; /* threads that wait for `turns` to change */
    int last_id;
    item *buckets[BUCKETS];
    item timers; /* the head of a ring */
    item *removed;
} loop = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .stopped = PTHREAD_COND_INITIALIZER,
    .registered = -1,
    .epoll = -1,
    .wake = -1,
    .timers = {.before = &loop.timers, .after = &loop.timers},
};

/* ---- items, lock held ---- */

static item *find(int id, bool timer)
{
    for (item *at = loop.buckets[(unsigned)id % BUCKETS]; at != NULL; at = at->next)
        if (at->id == id && at->timer == timer)
            return at;
    return NULL;
}

static int add(item *made)
{
    /* Ids are not reused, because an old id must not refer to a new item. */
    made->id = loop.last_id = loop.last_id == INT32_MAX ? 1 : loop.last_id + 1;
    item **bucket = &loop.buckets[(unsigned)made->id % BUCKETS];
    made->next = *bucket;
    *bucket = made;
    return made->id;
}

static void wake_up(void)
{
    if (loop.wake >= 0)
        eventfd_write(loop.wake, 1);
}

/* Remove an item.  The thread of the loop frees it, because libvirt may hold a lock that its free function needs. */
static void retire(item *gone)
{
    item **link = &loop.buckets[(unsigned)gone->id % BUCKETS];
    while (*link != gone)
        link = &(*link)->next;
    *link = gone->next;
    gone->next = loop.removed;
    loop.removed = gone;
    if (loop.sleeps_until != 0)
        wake_up();
}

/* ---- watches ---- */

static int watch(item *made, int events)
{
    struct epoll_event wanted = {.data.u64 = (uint64_t)made->id};
    int fd = made->own_fd >= 0 ? made->own_fd : made->fd;
    int before = made->events;
    made->events = events;
    if (events & VIR_EVENT_HANDLE_READABLE)
        wanted.events |= EPOLLIN;
    if (events & VIR_EVENT_HANDLE_WRITABLE)
        wanted.events |= EPOLLOUT;
    /* epoll reports errors and hang-ups in any case, so a descriptor without wanted events must not be in the set. */
    if (events == 0)
        return before == 0 ? 0 : epoll_ctl(loop.epoll, EPOLL_CTL_DEL, fd, NULL);
    if (before != 0 && epoll_ctl(loop.epoll, EPOLL_CTL_MOD, fd, &wanted) == 0)
        return 0;
    int result = epoll_ctl(loop.epoll, EPOLL_CTL_ADD, fd, &wanted);
    if (result == 0 || errno != EEXIST || made->own_fd >= 0)
        return result;
    made->own_fd = fcntl(made->fd, F_DUPFD_CLOEXEC, 0);
    return made->own_fd < 0 ? -1 : epoll_ctl(loop.epoll, EPOLL_CTL_ADD, made->own_fd, &wanted);
}

static int add_handle(int fd, int events, virEventHandleCallback callback, void *opaque, virFreeCallback free_opaque)
{
    item *made = calloc(1, sizeof(*made));
    if (made == NULL)
        return -1;
    made->fd = fd;
    made->own_fd = -1;
    made->callback.handle = callback;
    made->opaque = opaque;
    made->free_opaque = free_opaque;
    pthread_mutex_lock(&loop.lock);
    int id = add(made);
    if (watch(made, events) < 0) {
        made->free_opaque = NULL; /* the opaque pointer still belongs to the caller */
        made->events = 0;
        if (made->own_fd >= 0)
            close(made->own_fd);
        retire(made);
        id = -1;
    }
    pthread_mutex_unlock(&loop.lock);
    return id;
}

static void update_handle(int id, int events)
{
    pthread_mutex_lock(&loop.lock);
    item *found = find(id, false);
    if (found != NULL && found->events != events)
        watch(found, events);
    pthread_mutex_unlock(&loop.lock);
}

static int remove_handle(int id)
{
    pthread_mutex_lock(&loop.lock);
    item *found = find(id, false);
    if (found != NULL) {
        watch(found, 0); /* at once: libvirt closes the descriptor next, and its number may be reused */
        if (found->own_fd >= 0)
            close(found->own_fd);
        retire(found);
    }
    pthread_mutex_unlock(&loop.lock);
    return found != NULL ? 0 : -1;
}

/* ---- timers ---- */

static void set_timer(item *timer, int interval)
{
    if (timer->after != NULL) {
        timer->before->after = timer->after;
        timer->after->before = timer->before;
        timer->before = timer->after = NULL;
    }
    timer->interval = interval;
    if (interval < 0)
        return;
    timer->before = &loop.timers;
    timer->after = loop.timers.after;
    timer->after->before = loop.timers.after = timer;
    timer->due = pv_now_ns() + (int64_t)interval * 1000000;
    if (timer->due < loop.sleeps_until)
        wake_up();
}

static int add_timeout(int interval, virEventTimeoutCallback callback, void *opaque, virFreeCallback free_opaque)
{
    item *made = calloc(1, sizeof(*made));
    if (made == NULL)
        return -1;
    made->timer = true;
    made->own_fd = -1;
    made->callback.timeout = callback;
    made->opaque = opaque;
    made->free_opaque = free_opaque;
    pthread_mutex_lock(&loop.lock);
    int id = add(made);
    set_timer(made, interval);
    pthread_mutex_unlock(&loop.lock);
    return id;
}

static void update_timeout(int id, int interval)
{
    pthread_mutex_lock(&loop.lock);
    item *found = find(id, true);
    if (found != NULL)
        set_timer(found, interval);
    pthread_mutex_unlock(&loop.lock);
}

static int remove_timeout(int id)
{
    pthread_mutex_lock(&loop.lock);
    item *found = find(id, true);
    if (found != NULL) {
        set_timer(found, -1);
        retire(found);
    }
    pthread_mutex_unlock(&loop.lock);
    return found != NULL ? 0 : -1;
}

/* ---- the thread ---- */

/* Lock held.  Return how long to sleep in milliseconds; -1: indefinitely. */
static int until_next(void)
{
    int64_t next = INT64_MAX;
    for (item *timer = loop.timers.after; timer != &loop.timers; timer = timer->after)
        if (timer->due < next)
            next = timer->due;
    if (loop.removed != NULL)
        next = 0;
    int64_t now = pv_now_ns();
    loop.sleeps_until = next <= now ? 0 : next;
    if (next == INT64_MAX)
        return -1;
    if (next <= now)
        return 0;
    int64_t milliseconds = (next - now + 999999) / 1000000;
    return milliseconds > 3600000 ? 3600000 : (int)milliseconds;
}

static int reported(uint32_t events)
{
    int found = 0;
    if (events & EPOLLIN)
        found |= VIR_EVENT_HANDLE_READABLE;
    if (events & EPOLLOUT)
        found |= VIR_EVENT_HANDLE_WRITABLE;
    if (events & EPOLLERR)
        found |= VIR_EVENT_HANDLE_ERROR;
    if (events & EPOLLHUP)
        found |= VIR_EVENT_HANDLE_HANGUP;
    return found;
}

/* Lock held; it is released while libvirt is called.  The same holds for the next two functions. */
static void dispatch_handle(const struct epoll_event *ready)
{
    if (ready->data.u64 == 0) {
        eventfd_t ignored;
        eventfd_read(loop.wake, &ignored);
        return;
    }
    item *found = find((int)ready->data.u64, false);
    int events = reported(ready->events);
    /* Another thread may have changed or removed it since. */
    if (found == NULL || found->events == 0)
        return;
    events &= found->events | VIR_EVENT_HANDLE_ERROR | VIR_EVENT_HANDLE_HANGUP;
    if (events == 0)
        return;
    pthread_mutex_unlock(&loop.lock);
    /* The item stays valid: only this thread frees items, in free_removed. */
    pv_queues_begin_batch();
    found->callback.handle(found->id, found->fd, events, found->opaque);
    pv_queues_end_batch();
    pthread_mutex_lock(&loop.lock);
}

static void dispatch_timers(void)
{
    int64_t now = pv_now_ns();
    loop.round++;
    for (item *timer = loop.timers.after; timer != &loop.timers;) {
        if (timer->due > now || timer->round == loop.round) {
            timer = timer->after;
            continue;
        }
        timer->round = loop.round;
        timer->due = now + (int64_t)timer->interval * 1000000;
        pthread_mutex_unlock(&loop.lock);
        pv_queues_begin_batch();
        timer->callback.timeout(timer->id, timer->opaque);
        pv_queues_end_batch();
        pthread_mutex_lock(&loop.lock);
        timer = loop.timers.after; /* any timer may have been removed by now */
    }
}

static void free_removed(void)
{
    while (loop.removed != NULL) {
        item *gone = loop.removed;
        loop.removed = gone->next;
        pthread_mutex_unlock(&loop.lock);
        if (gone->free_opaque != NULL)
            gone->free_opaque(gone->opaque);
        free(gone);
        pthread_mutex_lock(&loop.lock);
    }
}

static void *run(void *unused)
{
    struct epoll_event ready[READY];
    (void)unused;
    pthread_setname_np(pthread_self(), "pyvirt-events");
    pthread_mutex_lock(&loop.lock);
    loop.tid = (pid_t)syscall(SYS_gettid);
    while (loop.paused == 0) {
        int timeout = until_next(), epoll = loop.epoll;
        pthread_mutex_unlock(&loop.lock);
        int n = epoll_wait(epoll, ready, READY, timeout);
        pthread_mutex_lock(&loop.lock);
        loop.sleeps_until = 0;
        for (int i = 0; i < n; i++)
            dispatch_handle(&ready[i]);
        dispatch_timers();
        free_removed();
        loop.turns++;
        if (loop.waiting > 0)
            pthread_cond_broadcast(&loop.stopped);
    }
    loop.running = false;
    pthread_cond_broadcast(&loop.stopped);
    pthread_mutex_unlock(&loop.lock);
    return NULL;
}

/* Lock held.  Return 0, or -1 with errno. */
static int start_thread(void)
{
    struct epoll_event wake = {.events = EPOLLIN, .data.u64 = 0};
    sigset_t all, before;
    if (loop.running || loop.paused > 0)
        return 0;
    if (loop.epoll < 0)
        loop.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (loop.epoll < 0)
        return -1;
    if (loop.wake < 0)
        loop.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop.wake < 0)
        return -1;
    if (epoll_ctl(loop.epoll, EPOLL_CTL_ADD, loop.wake, &wake) < 0 && errno != EEXIST)
        return -1;
    sigfillset(&all); /* signals go to Python's threads */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    errno = pthread_create(&loop.thread, NULL, run, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (errno != 0)
        return -1;
    pthread_detach(loop.thread);
    loop.running = true;
    return 0;
}

/* ---- fork ---- */

static pthread_mutex_t registering = PTHREAD_MUTEX_INITIALIZER; /* taken before the lock of the loop */

static void before_fork(void)
{
    pthread_mutex_lock(&loop.lock);
}

static void after_fork_in_parent(void)
{
    pthread_mutex_unlock(&loop.lock);
}

/*
 * The watched descriptors belong to the parent's connections, and so does the epoll set in the kernel, which both
 * processes share after the fork.  The items are not freed: the state of their owners is unknown.
 *
 * A thread of the parent that was registering a loop does not exist in the child, and may or may not have registered
 * it.  The fork could not wait for that thread: it calls the loop of the program, which may be written in Python, and
 * the thread that forks holds the GIL.
 */
static void after_fork_in_child(void)
{
    if (loop.epoll >= 0)
        close(loop.epoll);
    if (loop.wake >= 0)
        close(loop.wake);
    loop.epoll = loop.wake = -1;
    loop.running = loop.wanted = false;
    loop.paused = loop.waiting = 0;
    loop.sleeps_until = 0;
    loop.removed = NULL;
    loop.timers.before = loop.timers.after = &loop.timers;
    memset(loop.buckets, 0, sizeof(loop.buckets));
    pthread_cond_init(&loop.stopped, NULL);
    pthread_mutex_init(&registering, NULL);
    pthread_mutex_unlock(&loop.lock);
}

/* This runs when the library is loaded, before any thread can hold the lock. */
__attribute__((constructor)) static void watch_forks(void)
{
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

/* ---- called from Python ---- */

static int owner(void)
{
    pthread_mutex_lock(&loop.lock);
    int found = loop.registered;
    pthread_mutex_unlock(&loop.lock);
    return found;
}

static void set_owner(int owner)
{
    pthread_mutex_lock(&loop.lock);
    loop.registered = owner;
    pthread_mutex_unlock(&loop.lock);
}

static void do_nothing(int timer, void *opaque)
{
    (void)timer;
    (void)opaque;
}

/*
 * Find out from libvirt which loop it uses, as in `registered`.  libvirt prints a warning if a second loop is
 * registered.  After a fork in the middle of pv_loop_start this loop may be registered although `registered` is still
 * -1.
 */
static int probe_owner(void)
{
    int probe = virEventAddTimeout(-1, do_nothing, NULL, NULL);
    if (probe < 0)
        return -1;
    pthread_mutex_lock(&loop.lock);
    int found = find(probe, true) != NULL;
    pthread_mutex_unlock(&loop.lock);
    virEventRemoveTimeout(probe);
    return found;
}

int pv_loop_start(void)
{
    if (owner() < 0) {
        pthread_mutex_lock(&registering);
        int found = owner() < 0 ? probe_owner() : owner();
        if (found < 0) {
            virEventRegisterImpl(add_handle, update_handle, remove_handle, add_timeout, update_timeout, remove_timeout);
            found = 1;
        }
        set_owner(found);
        pthread_mutex_unlock(&registering);
    }
    pthread_mutex_lock(&loop.lock);
    int result = loop.registered;
    if (result == 1) {
        loop.wanted = true;
        if (start_thread() < 0)
            result = -1;
    }
    pthread_mutex_unlock(&loop.lock);
    return result;
}

int pv_loop_leave(void)
{
    pthread_mutex_lock(&registering);
    int found = owner() == 1 ? 1 : probe_owner();
    set_owner(found == 1);
    pthread_mutex_unlock(&registering);
    return found == 1 ? -1 : found == 0;
}

int pv_loop_owner(void)
{
    return owner();
}

/* The kernel still counts a thread as one of this process for some microseconds after it has ended. */
static void wait_until_gone(pid_t tid)
{
    const struct timespec pause = {.tv_nsec = 20000};
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/task/%d", (int)tid);
    for (int i = 0; i < 500 && access(path, F_OK) == 0; i++)
        nanosleep(&pause, NULL);
}

void pv_loop_settle(int milliseconds)
{
    struct timespec end = pv_deadline(milliseconds);
    pthread_mutex_lock(&loop.lock);
    /* The current turn may be past free_removed already; the next one frees everything that is removed by now. */
    uint64_t enough = loop.turns + 2;
    int failed = loop.running && pthread_equal(loop.thread, pthread_self());
    loop.waiting++;
    while (loop.running && loop.turns < enough && failed == 0) {
        wake_up();
        failed = pthread_cond_timedwait(&loop.stopped, &loop.lock, &end);
    }
    loop.waiting--;
    pthread_mutex_unlock(&loop.lock);
}

int pv_loop_pause(int milliseconds)
{
    struct timespec end = pv_deadline(milliseconds);
    pthread_mutex_lock(&loop.lock);
    loop.paused++;
    wake_up();
    bool ran = loop.running;
    /* In one of its own callbacks the thread cannot wait for itself. */
    int failed = ran && pthread_equal(loop.thread, pthread_self());
    while (loop.running && failed == 0)
        failed = pthread_cond_timedwait(&loop.stopped, &loop.lock, &end);
    bool running = loop.running;
    pid_t tid = loop.tid; /* read here, because a new thread sets it only when it starts to run */
    pthread_mutex_unlock(&loop.lock);
    if (ran && !running)
        wait_until_gone(tid);
    return !running;
}

void pv_loop_resume(void)
{
    pthread_mutex_lock(&loop.lock);
    if (loop.paused > 0 && --loop.paused == 0 && loop.wanted)
        start_thread(); /* if this fails, the next connection tries again */
    pthread_mutex_unlock(&loop.lock);
}
