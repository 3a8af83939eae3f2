/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A child can continue wherever other threads of its parent were in our C, and a fork need not wait for their calls. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libvirt/libvirt.h>

#include "events_source.h"
#include "harness.h"
#include "native_errors.h"
#include "native_events_loop.h"
#include "stats_frame.h"

enum { SECONDS = 60 /* a limit that no test reaches */, LIMIT = SECONDS * 1000 };

/* ---- stopping a thread at a chosen place ---- */

static _Thread_local bool held; /* whether this thread stops there */
static sem_t arrived, leave;

static void stop_here(void)
{
    if (!held)
        return;
    sem_post(&arrived);
    while (sem_wait(&leave) != 0)
        ;
}

static void wait_until_it_arrives(void)
{
    while (sem_wait(&arrived) != 0)
        ;
}

/* Run `check` in a child process, which has this thread alone. */
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

/* ---- registering the loop, as the first connection does ---- */

int virEventAddTimeout(int interval, virEventTimeoutCallback callback, void *opaque, virFreeCallback free_opaque)
{
    int (*real)(int, virEventTimeoutCallback, void *, virFreeCallback);
    *(void **)&real = dlsym(RTLD_NEXT, "virEventAddTimeout");
    stop_here(); /* the program may have a loop of its own, and that may take long */
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
    /* Start no thread: the thread sanitizer does not support new threads after a fork. */
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
    wait_until_it_arrives(); /* it is asking libvirt for its loop */
    in_child(has_its_own_loop);
    sem_post(&leave);
    wait_until_it_arrives(); /* it has registered our loop, and not yet recorded that */
    in_child(has_its_own_loop);
    in_child(cannot_leave);
    sem_post(&leave);
    CHECK(pthread_join(thread, NULL) == 0);
    in_child(has_its_own_loop);
}

/* ---- reading the names of domains from libvirt ---- */

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER; /* stands for the lock of libvirt's log */
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

static void reads_the_names(void)
{
    pv_frame_view view;
    pthread_mutex_unlock(&log_lock);
    pv_frame_disown(frame);
    CHECK(pv_frame_identify(frame) == 0);
    pv_frame_describe(frame, &view);
    CHECK(view.domains == 1 && view.name_offsets[1] == 4 && memcmp(view.names, "test", 4) == 0);
    pv_frame_free(frame);
}

/* libvirt holds the lock of its log when it forks (virFork), for example to run ssh for a remote connection. */
static void test_another_thread_reads_names(void)
{
    pthread_t thread;
    virConnectPtr conn = virConnectOpen("test:///default");
    pv_schema *schema = pv_schema_new();
    frame = pv_frame_new(schema);
    CHECK(conn != NULL && pv_frame_collect(frame, conn, NULL, 0, 0) == 1 && pv_frame_seal(frame) == 0);
    pthread_mutex_lock(&log_lock);
    CHECK(pthread_create(&thread, NULL, identify, NULL) == 0);
    wait_until_it_arrives();
    in_child(reads_the_names);
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
    test_another_thread_reads_names();
    CHECK(pv_loop_pause(LIMIT) == 1);
    return 0;
}
