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

#include "events.h"

/* A file descriptor that is watched, or a timer. */
typedef struct item {
    int id;
    bool timer;
    bool removed; /* waits for its free function */
    int fd;       /* of a watch */
    int own_fd;   /* a duplicate: epoll takes each descriptor once */
    int events;   /* virEventHandleType */
    int interval; /* of a timer: ms, -1 while it is off */
    int64_t due;  /* ns */
    uint64_t round;
    union {
        virEventHandleCallback handle;
        virEventTimeoutCallback timeout;
    } callback;
    void *opaque;
    virFreeCallback free_opaque;
    struct item *next;           /* in its bucket, or among the removed */
    struct item *before, *after; /* among the timers that are on */
} item;

enum { BUCKETS = 256, READY = 64 };

/* Nothing of libvirt's is called while the lock is held. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t stopped;
    int registered; /* 1: this loop, 0: another, -1: none yet */
    int epoll;
    int wake;
    bool running; /* there is a thread */
    bool wanted;  /* there was a connection */
    unsigned paused;
    pthread_t thread;
    pid_t tid;
    int64_t sleeps_until; /* ns, 0 while awake */
    uint64_t round;
    uint64_t turns;   /* of the loop that are over */
    unsigned waiting; /* for that */
    int last_id;
    item *buckets[BUCKETS];
    item timers; /* a ring */
    item *removed;
} loop = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .stopped = PTHREAD_COND_INITIALIZER,
    .registered = -1,
    .epoll = -1,
    .wake = -1,
    .timers = {.before = &loop.timers, .after = &loop.timers},
};

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

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
    /* Ids are not used again: whoever holds an old one must not hit somebody else's item. */
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

/* Take it out; the thread of the loop frees what it belongs to, as libvirt may hold a lock that this needs. */
static void bury(item *gone)
{
    item **link = &loop.buckets[(unsigned)gone->id % BUCKETS];
    while (*link != gone)
        link = &(*link)->next;
    *link = gone->next;
    gone->removed = true;
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
    /* Errors and hang-ups are always reported, so what nobody wants to hear of must not be there at all. */
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
        made->free_opaque = NULL; /* it stays the caller's */
        made->events = 0;
        if (made->own_fd >= 0)
            close(made->own_fd);
        bury(made);
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
        watch(found, 0); /* now: the descriptor will be closed and its number used again */
        if (found->own_fd >= 0)
            close(found->own_fd);
        bury(found);
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
    timer->due = now_ns() + (int64_t)interval * 1000000;
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
        bury(found);
    }
    pthread_mutex_unlock(&loop.lock);
    return found != NULL ? 0 : -1;
}

/* ---- the thread ---- */

/* How long to sleep in milliseconds, -1 for without end; lock held. */
static int until_next(void)
{
    int64_t next = INT64_MAX;
    for (item *timer = loop.timers.after; timer != &loop.timers; timer = timer->after)
        if (timer->due < next)
            next = timer->due;
    if (loop.removed != NULL)
        next = 0;
    int64_t now = now_ns();
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

/* Called with the lock held, which it lets go of while libvirt is called; as the next two. */
static void dispatch_handle(const struct epoll_event *ready)
{
    if (ready->data.u64 == 0) {
        eventfd_t ignored;
        eventfd_read(loop.wake, &ignored);
        return;
    }
    item *found = find((int)ready->data.u64, false);
    int events = reported(ready->events);
    /* Somebody else may have changed or removed it since. */
    if (found == NULL || found->events == 0)
        return;
    events &= found->events | VIR_EVENT_HANDLE_ERROR | VIR_EVENT_HANDLE_HANGUP;
    if (events == 0)
        return;
    pthread_mutex_unlock(&loop.lock);
    /* It stays where it is until free_removed, in this thread. */
    pv_queues_gather();
    found->callback.handle(found->id, found->fd, events, found->opaque);
    pv_queues_tell();
    pthread_mutex_lock(&loop.lock);
}

static void dispatch_timers(void)
{
    int64_t now = now_ns();
    loop.round++;
    for (item *timer = loop.timers.after; timer != &loop.timers;) {
        if (timer->due > now || timer->round == loop.round) {
            timer = timer->after;
            continue;
        }
        timer->round = loop.round;
        timer->due = now + (int64_t)timer->interval * 1000000;
        pthread_mutex_unlock(&loop.lock);
        pv_queues_gather();
        timer->callback.timeout(timer->id, timer->opaque);
        pv_queues_tell();
        pthread_mutex_lock(&loop.lock);
        timer = loop.timers.after; /* any of them may be gone now */
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

/* Lock held.  0, or -1 with errno. */
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
    sigfillset(&all); /* signals are for Python's threads */
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

static pthread_mutex_t registering = PTHREAD_MUTEX_INITIALIZER; /* taken before the loop's own */

static void before_fork(void)
{
    pthread_mutex_lock(&loop.lock);
}

static void after_fork_in_parent(void)
{
    pthread_mutex_unlock(&loop.lock);
}

/*
 * What is watched belongs to the parent's connections, and so does the set of it in the kernel, which both processes
 * now share.  The items themselves are left alone: nobody knows what state their owners are in.
 *
 * Who was registering a loop is not here, and has perhaps done it.  The fork could not wait for that: meanwhile a loop
 * of somebody else's is asked, which may be written in Python, and who forks there holds the GIL.
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

/* When this is loaded, before anybody can hold the lock. */
__attribute__((constructor)) static void watch_forks(void)
{
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

/* ---- for Python ---- */

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

static void never(int timer, void *opaque)
{
    (void)timer;
    (void)opaque;
}

/*
 * Whose loop libvirt has, by asking it, as `registered`.  To register a second one would make libvirt print a warning;
 * and ours is there without having been noted if this process was forked at that moment.
 */
static int ask_owner(void)
{
    int probe = virEventAddTimeout(-1, never, NULL, NULL);
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
        int found = owner() < 0 ? ask_owner() : owner();
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
    int found = owner() == 1 ? 1 : ask_owner();
    set_owner(found == 1);
    pthread_mutex_unlock(&registering);
    return found == 1 ? -1 : found == 0;
}

int pv_loop_owner(void)
{
    return owner();
}

/* A thread that has ended is still counted as one of this process for some microseconds. */
static void wait_until_gone(pid_t tid)
{
    const struct timespec moment = {.tv_nsec = 20000};
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/task/%d", (int)tid);
    for (int i = 0; i < 500 && access(path, F_OK) == 0; i++)
        nanosleep(&moment, NULL);
}

static struct timespec in_future(int milliseconds)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    int64_t nanoseconds = end.tv_nsec + (int64_t)milliseconds * 1000000;
    end.tv_sec += (time_t)(nanoseconds / 1000000000);
    end.tv_nsec = (long)(nanoseconds % 1000000000);
    return end;
}

void pv_loop_settle(int milliseconds)
{
    struct timespec end = in_future(milliseconds);
    pthread_mutex_lock(&loop.lock);
    /* In this turn it may be past the place; in the next one it frees what the one before has left. */
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
    struct timespec end = in_future(milliseconds);
    pthread_mutex_lock(&loop.lock);
    loop.paused++;
    wake_up();
    bool ran = loop.running;
    /* From one of its own callbacks there is nothing to wait for. */
    int failed = ran && pthread_equal(loop.thread, pthread_self());
    while (loop.running && failed == 0)
        failed = pthread_cond_timedwait(&loop.stopped, &loop.lock, &end);
    bool running = loop.running;
    pid_t tid = loop.tid; /* not before: a thread that was just made has yet to say */
    pthread_mutex_unlock(&loop.lock);
    if (ran && !running)
        wait_until_gone(tid);
    return !running;
}

void pv_loop_resume(void)
{
    pthread_mutex_lock(&loop.lock);
    if (loop.paused > 0 && --loop.paused == 0 && loop.wanted)
        start_thread(); /* without memory for it, the next connection tries again */
    pthread_mutex_unlock(&loop.lock);
}
