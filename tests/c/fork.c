/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A child can go on wherever other threads of its parent were in our C, and nobody has to end a call for the fork. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libvirt/libvirt.h>

#include "harness.h"
#include "native_errors.h"
#include "native_events.h"
#include "native_stats.h"

enum { SECONDS = 60 /* that nothing here takes */, LIMIT = SECONDS * 1000 };

/* ---- a thread that is held at some place ---- */

static _Thread_local bool held; /* whether this thread is to stop there */
static sem_t arrived, leave;

static void stop_here(void)
{
    if (!held)
        return;
    sem_post(&arrived);
    while (sem_wait(&leave) != 0)
        ;
}

static void until_it_arrives(void)
{
    while (sem_wait(&arrived) != 0)
        ;
}

/* What a child does, in which only this thread is left. */
static void in_child(void (*check)(void))
{
    int status;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        alarm(SECONDS / 2);
        check();
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

/* ---- the first connection, which registers the loop ---- */

int virEventAddTimeout(int interval, virEventTimeoutCallback callback, void *opaque, virFreeCallback free_opaque)
{
    int (*real)(int, virEventTimeoutCallback, void *, virFreeCallback);
    *(void **)&real = dlsym(RTLD_NEXT, "virEventAddTimeout");
    stop_here(); /* the loop may be anybody's, and take its time */
    return real(interval, callback, opaque, free_opaque);
}

void virEventRegisterImpl(virEventAddHandleFunc add_handle, virEventUpdateHandleFunc update_handle,
                          virEventRemoveHandleFunc remove_handle, virEventAddTimeoutFunc add_timeout,
                          virEventUpdateTimeoutFunc update_timeout, virEventRemoveTimeoutFunc remove_timeout)
{
    void (*real)(virEventAddHandleFunc, virEventUpdateHandleFunc, virEventRemoveHandleFunc, virEventAddTimeoutFunc,
                 virEventUpdateTimeoutFunc, virEventRemoveTimeoutFunc);
    *(void **)&real = dlsym(RTLD_NEXT, "virEventRegisterImpl");
    real(add_handle, update_handle, remove_handle, add_timeout, update_timeout, remove_timeout);
    stop_here();
}

static void *start_the_loop(void *unused)
{
    (void)unused;
    held = true;
    CHECK(pv_loop_start() == 1);
    return NULL;
}

static void has_its_own_loop(void)
{
    /* Without a thread: the thread sanitizer bears none after a fork. */
    CHECK(pv_loop_pause(LIMIT) == 1 && pv_loop_start() == 1 && pv_loop_leave() == -1);
}

static void cannot_leave(void)
{
    CHECK(pv_loop_leave() == -1);
}

static void test_another_thread_registers_the_loop(void)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, start_the_loop, NULL) == 0);
    until_it_arrives(); /* to ask whether there is one */
    in_child(has_its_own_loop);
    sem_post(&leave);
    until_it_arrives(); /* there is ours, which it has yet to note */
    in_child(has_its_own_loop);
    in_child(cannot_leave);
    sem_post(&leave);
    CHECK(pthread_join(thread, NULL) == 0);
    in_child(has_its_own_loop);
}

/* ---- names of domains, which libvirt is asked for ---- */

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER; /* as libvirt has one, for its log */
static pv_frame *frame;

const char *virDomainGetName(virDomainPtr domain)
{
    const char *(*real)(virDomainPtr);
    *(void **)&real = dlsym(RTLD_NEXT, "virDomainGetName");
    if (held) {
        sem_post(&arrived);
        pthread_mutex_lock(&log_lock);
        pthread_mutex_unlock(&log_lock);
    }
    return real(domain);
}

static void *identify(void *unused)
{
    (void)unused;
    held = true;
    CHECK(pv_frame_identify(frame) == 0);
    return NULL;
}

static void learns_the_names(void)
{
    pv_frame_view view;
    pthread_mutex_unlock(&log_lock);
    pv_frame_disown(frame);
    CHECK(pv_frame_identify(frame) == 0);
    pv_frame_describe(frame, &view);
    CHECK(view.domains == 1 && view.name_offsets[1] == 4 && memcmp(view.names, "test", 4) == 0);
    pv_frame_free(frame);
}

/* libvirt holds the lock of its log when it forks (virFork), for the ssh of a remote connection say. */
static void test_another_thread_asks_for_names(void)
{
    pthread_t thread;
    virConnectPtr conn = virConnectOpen("test:///default");
    pv_schema *schema = pv_schema_new();
    frame = pv_frame_new(schema);
    CHECK(conn != NULL && pv_frame_collect(frame, conn, NULL, 0, 0) == 1 && pv_frame_seal(frame) == 0);
    pthread_mutex_lock(&log_lock);
    CHECK(pthread_create(&thread, NULL, identify, NULL) == 0);
    until_it_arrives();
    in_child(learns_the_names);
    pthread_mutex_unlock(&log_lock);
    CHECK(pthread_join(thread, NULL) == 0);
    pv_frame_free(frame);
    pv_schema_free(schema);
    virConnectClose(conn);
}

int main(void)
{
    alarm(SECONDS);
    pv_errors_install();
    CHECK(sem_init(&arrived, 0, 0) == 0 && sem_init(&leave, 0, 0) == 0);
    test_another_thread_registers_the_loop();
    test_another_thread_asks_for_names();
    CHECK(pv_loop_pause(LIMIT) == 1);
    return 0;
}
