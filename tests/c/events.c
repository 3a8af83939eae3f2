/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Queues, sources, the callbacks of every kind, and the loop, also with several threads at once. */

#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libvirt/libvirt.h>

#include "events_source.h"
#include "harness.h"
#include "native_errors.h"
#include "native_events_callbacks.h"
#include "native_events_loop.h"
#include "native_events_source_register.h"
#include "native_release.h"

enum { LIMIT = 60000 /* ms that no test reaches */, DOMAIN_KINDS = 30 };

static virConnectPtr conn;
static virDomainPtr domain;

static bool readable(pv_queue *queue, int milliseconds)
{
    struct pollfd poll_fd = {.fd = pv_queue_fd(queue), .events = POLLIN};
    return poll(&poll_fd, 1, milliseconds) == 1;
}

static pv_event *only_event(pv_queue *queue)
{
    uintptr_t items[2];
    CHECK(readable(queue, 0));
    CHECK(pv_queue_take(queue, items, NULL, 2) == 1);
    CHECK((items[0] & 1) == 0);
    CHECK(!readable(queue, 0));
    return (pv_event *)items[0];
}

static uintptr_t item_of(const pv_event *event)
{
    return (uintptr_t)event;
}

static void release_event(pv_event *event)
{
    uintptr_t item = item_of(event);
    pv_events_release(&item, 1);
}

/* ---- each callback, called as libvirt calls it ---- */

#define CALL(number, type, ...)                                                                                        \
    do {                                                                                                               \
        source = pv_source_new(PV_DOMAIN, number);                                                                     \
        CHECK(source != NULL && pv_source_attach(source, queue, number) == 0);                                         \
        callback = pv_event_callback(PV_DOMAIN, number);                                                               \
        ((type)callback)(conn, domain, __VA_ARGS__);                                                                   \
        pv_source_free(source);                                                                                        \
    } while (0)

/* The installed libvirt may have no typedefs for these. */
typedef void (*no_arguments)(virConnectPtr, virDomainPtr, void *);
typedef void (*three_strings)(virConnectPtr, virDomainPtr, const char *, const char *, const char *, void *);
typedef void (*string_and_ints)(virConnectPtr, virDomainPtr, const char *, int, int, void *);
typedef void (*string_and_size)(virConnectPtr, virDomainPtr, const char *, unsigned long long, void *);
typedef void (*two_ints_and_flags)(virConnectPtr, virDomainPtr, int, int, unsigned int, void *);
typedef void (*one_uint)(virConnectPtr, virDomainPtr, unsigned int, void *);

static void call_all(pv_queue *queue)
{
    virDomainEventGraphicsAddress address = {.family = 1, .node = (char *)"::1", .service = (char *)"5900"};
    virDomainEventGraphicsSubjectIdentity who[] = {{(char *)"x509dname", (char *)"CN=alice"}, {NULL, NULL}};
    virDomainEventGraphicsSubject subject = {.nidentity = 2, .identities = who};
    virTypedParameter params[2] = {{.field = "a", .type = VIR_TYPED_PARAM_STRING, .value.s = (char *)"text"},
                                   {.field = "b", .type = VIR_TYPED_PARAM_INT, .value.i = -1}};
    pv_source *source;
    void *callback;
    CALL(0, virConnectDomainEventCallback, 5, 1, source);
    CALL(1, no_arguments, source);
    CALL(2, virConnectDomainEventRTCChangeCallback, -1, source);
    CALL(3, virConnectDomainEventWatchdogCallback, 1, source);
    CALL(4, virConnectDomainEventIOErrorCallback, "p", "a", 1, source);
    CALL(5, virConnectDomainEventGraphicsCallback, 1, &address, &address, "vnc", &subject, source);
    CALL(5, virConnectDomainEventGraphicsCallback, 1, NULL, NULL, NULL, NULL, source);
    CALL(6, virConnectDomainEventIOErrorReasonCallback, "p", "a", 1, "enospc", source);
    CALL(7, no_arguments, source);
    CALL(8, virConnectDomainEventBlockJobCallback, "p", 1, 2, source);
    CALL(9, virConnectDomainEventDiskChangeCallback, NULL, "new", "a", 1, source);
    CALL(10, virConnectDomainEventTrayChangeCallback, "a", 1, source);
    CALL(11, virConnectDomainEventPMWakeupCallback, 0, source);
    CALL(12, virConnectDomainEventPMSuspendCallback, 0, source);
    CALL(13, virConnectDomainEventBalloonChangeCallback, UINT64_MAX, source);
    CALL(14, virConnectDomainEventPMSuspendDiskCallback, 0, source);
    CALL(15, virConnectDomainEventDeviceRemovedCallback, "a", source);
    CALL(16, virConnectDomainEventBlockJobCallback, "vda", 1, 2, source);
    CALL(17, virConnectDomainEventTunableCallback, params, 2, source);
    CALL(18, virConnectDomainEventAgentLifecycleCallback, 1, 2, source);
    CALL(19, virConnectDomainEventDeviceAddedCallback, "a", source);
    CALL(20, virConnectDomainEventMigrationIterationCallback, 3, source);
    CALL(21, virConnectDomainEventJobCompletedCallback, params, 2, source);
    CALL(22, virConnectDomainEventDeviceRemovalFailedCallback, "a", source);
    CALL(23, virConnectDomainEventMetadataChangeCallback, 2, "urn", source);
    CALL(24, virConnectDomainEventBlockThresholdCallback, "vda", NULL, 1, 2, source);
    CALL(25, two_ints_and_flags, 1, 2, 3, source);
    CALL(26, string_and_size, "a", 4, source);
    CALL(27, three_strings, "a", "b", "c", source);
    CALL(28, one_uint, UINT32_MAX, source);
    CALL(29, string_and_ints, "a", 1, 2, source);
}

static void test_every_callback(void)
{
    pv_queue *queue = pv_queue_new(100);
    uintptr_t items[100];
    int64_t tags[100];
    call_all(queue);
    CHECK(pv_queue_take(queue, items, tags, 100) == DOMAIN_KINDS + 1);
    int64_t last = -1;
    for (int i = 0; i < DOMAIN_KINDS + 1; i++) {
        pv_event *event = (pv_event *)items[i];
        CHECK(event->category == PV_DOMAIN && event->id == tags[i] && tags[i] - last <= 1);
        CHECK(event->object == domain && pv_event_refs(event) == 1 && !event->interned);
        last = tags[i];
    }
    pv_event *graphics = (pv_event *)items[5], *tunable = (pv_event *)items[18];
    CHECK(graphics->nstrings == 9 && strcmp(graphics->strings[6], "CN=alice") == 0 && graphics->strings[7] == NULL);
    CHECK(tunable->nparams == 2 && strcmp(tunable->params[0].value.s, "text") == 0 && tunable->params[1].value.i == -1);
    pv_events_release(items, DOMAIN_KINDS + 1);
    for (int category = PV_DOMAIN; category <= PV_CLOSE; category++)
        CHECK(pv_event_callback(category, 0) != NULL && pv_event_callback(category, DOMAIN_KINDS) == NULL);
    pv_queue_free(queue);
}

/* Without memory an event is lost, and counted as lost. */
static void test_every_callback_without_memory(void)
{
    for (long allowed = 0; allowed < 3; allowed++) {
        pv_queue *queue = pv_queue_new(100);
        pv_source *source = pv_source_new(PV_DOMAIN, 4);
        uintptr_t items[4];
        CHECK(pv_source_attach(source, queue, 0) == 0);
        allocations_left = allowed;
        ((virConnectDomainEventIOErrorCallback)pv_event_callback(PV_DOMAIN, 4))(conn, domain, "p", "a", 1, source);
        allocations_left = -1;
        CHECK(readable(queue, 0));
        CHECK(pv_queue_take(queue, items, NULL, 4) == 1);
        CHECK((items[0] == 3) == (allowed < 2)); /* two allocations: the event, and room in the queue */
        pv_events_release(items, 1);
        pv_source_free(source);
        pv_queue_free(queue);
    }
    allocations_left = 0;
    CHECK(pv_queue_new(1) == NULL && pv_source_new(PV_DOMAIN, 0) == NULL);
    allocations_left = -1;
}

/* ---- queues ---- */

static void lifecycle(pv_source *source, int event, int detail)
{
    ((virConnectDomainEventCallback)pv_event_callback(PV_DOMAIN, 0))(conn, domain, event, detail, source);
}

static void test_a_full_queue_counts_lost_events(void)
{
    pv_queue *queue = pv_queue_new(3);
    pv_source *source = pv_source_new(PV_DOMAIN, 0), *link = pv_source_new(PV_CLOSE, 0);
    uintptr_t items[8];
    int64_t tags[8];
    CHECK(pv_source_attach(source, queue, 7) == 0 && pv_source_attach(source, queue, 7) == 0);
    CHECK(pv_source_attach(link, queue, 8) == 0);
    for (int i = 0; i < 10; i++)
        lifecycle(source, VIR_DOMAIN_EVENT_STOPPED, i);
    CHECK(pv_queue_take(queue, items, tags, 1) == 1 && tags[0] == 7);
    pv_events_release(items, 1);
    lifecycle(source, VIR_DOMAIN_EVENT_STOPPED, 10); /* the item that counts the lost events takes the last place */
    ((virConnectCloseFunc)pv_event_callback(PV_CLOSE, 0))(conn, VIR_CONNECT_CLOSE_REASON_EOF,
                                                          link); /* always has room */
    pv_loop_settle(LIMIT);
    pv_loop_settle(LIMIT);
    lifecycle(source, VIR_DOMAIN_EVENT_STOPPED, 11); /* dropped: no event follows the close event */
    CHECK(pv_queue_take(queue, items, tags, 8) == 5);
    CHECK(((pv_event *)items[0])->numbers[1] == 1 && ((pv_event *)items[1])->numbers[1] == 2);
    CHECK(items[2] == 2 * 7 + 1 && tags[2] == -1 && items[3] == 2 * 1 + 1);
    CHECK(((pv_event *)items[4])->category == PV_CLOSE && tags[4] == 8 && ((pv_event *)items[4])->object == NULL);
    pv_events_release(items, 5);
    CHECK(!readable(queue, 0));
    pv_queue_free(queue);
    queue = pv_queue_new(3);
    CHECK(pv_source_attach(source, queue, 7) == 0 && pv_source_attach(source, queue, 7) == 0);
    for (int i = 0; i < 5; i++)
        lifecycle(source, VIR_DOMAIN_EVENT_STOPPED, i);
    CHECK(pv_queue_take(queue, items, tags, 8) == 4 && items[3] == 2 * 2 + 1);
    pv_events_release(items, 4);
    CHECK(!readable(queue, 0));
    pv_source_detach(source, queue, 7);
    lifecycle(source, VIR_DOMAIN_EVENT_STOPPED, 0);
    release_event(only_event(queue)); /* the queue was attached twice */
    pv_source_detach(source, queue, 7);
    lifecycle(source, VIR_DOMAIN_EVENT_STOPPED, 0);
    CHECK(!readable(queue, 0));
    pv_queue_end(queue);
    pv_queue_end(queue);
    CHECK(readable(queue, 0) && pv_queue_take(queue, items, NULL, 8) == -1);
    pv_source_free(source);
    pv_source_free(link);
    pv_queue_free(queue);
}

static void test_an_ended_queue_is_released(void)
{
    pv_queue *queue = pv_queue_new(10);
    pv_source *source = pv_source_new(PV_DOMAIN, 0);
    CHECK(pv_source_attach(source, queue, 0) == 0);
    for (int i = 0; i < 5; i++)
        lifecycle(source, VIR_DOMAIN_EVENT_STOPPED, i); /* freed with the queue */
    pv_queue_free(queue);
    lifecycle(source, VIR_DOMAIN_EVENT_STOPPED, 0);
    lifecycle(source, VIR_DOMAIN_EVENT_STOPPED, 0);
    pv_source_free(source);
}

/* ---- interned events ---- */

static void test_repeated_events_are_one_event(void)
{
    pv_queue *one = pv_queue_new(10), *other = pv_queue_new(10);
    pv_source *source = pv_source_new(PV_DOMAIN, 0);
    CHECK(pv_source_attach(source, one, 0) == 0);
    lifecycle(source, VIR_DOMAIN_EVENT_SUSPENDED, 0);
    pv_event *first = only_event(one);
    CHECK(first->interned && pv_event_refs(first) == 2);
    lifecycle(source, VIR_DOMAIN_EVENT_SUSPENDED, 0);
    pv_event *second = only_event(one);
    CHECK(second == first && pv_event_refs(first) == 3);
    lifecycle(source, VIR_DOMAIN_EVENT_SUSPENDED, 1);
    pv_event *detail = only_event(one);
    CHECK(detail != first);
    void *object = pv_event_take_object(first); /* a new reference */
    CHECK(object == domain && first->object == domain);
    pv_release_domain(object);
    lifecycle(source, VIR_DOMAIN_EVENT_STOPPED, 0); /* from now on the name may stand for another domain */
    pv_event *stopped = only_event(one);
    CHECK(!stopped->interned && pv_event_refs(first) == 2);
    object = pv_event_take_object(stopped); /* the event's own reference */
    CHECK(object == domain && stopped->object == NULL);
    pv_release_domain(object);
    CHECK(pv_source_attach(source, other, 0) == 0);
    lifecycle(source, VIR_DOMAIN_EVENT_SUSPENDED, 0);
    pv_event *again = only_event(one);
    CHECK(again != first && only_event(other) == again && pv_event_refs(again) == 3);
    release_event(again);
    release_event(again);
    release_event(first);
    release_event(second);
    release_event(detail);
    release_event(stopped);
    allocations_left = 1; /* enough for the event, not for keeping it */
    lifecycle(source, VIR_DOMAIN_EVENT_RESUMED, 0);
    allocations_left = -1;
    pv_event *not_kept = only_event(one);
    CHECK(!not_kept->interned && only_event(other) == not_kept);
    release_event(not_kept);
    release_event(not_kept);
    pv_source_free(source);
    pv_queue_free(one);
    pv_queue_free(other);
}

static pv_source *leaving;

static void deregister_leaving(void)
{
    pv_source_deregister(leaving, conn);
}

/* The source must not keep the event that is made then, because the event would keep the connection open. */
static void test_deregistering_while_an_event_is_made(void)
{
    virConnectPtr own = virConnectOpen("test:///default");
    virDomainPtr its = virDomainLookupByName(own, "test");
    pv_queue *queue = pv_queue_new(10);
    leaving = pv_source_new(PV_DOMAIN, 0);
    CHECK(its != NULL && pv_source_attach(leaving, queue, 0) == 0);
    at_allocation = deregister_leaving;
    ((virConnectDomainEventCallback)pv_event_callback(PV_DOMAIN, 0))(own, its, VIR_DOMAIN_EVENT_SUSPENDED, 0, leaving);
    CHECK(at_allocation == NULL && !readable(queue, 0));
    virDomainFree(its);
    CHECK(virConnectClose(own) == 0);
    pv_source_free(leaving);
    pv_queue_free(queue);
}

/* ---- the loop ---- */

static void on_timer(int timer, void *opaque)
{
    (void)timer;
    atomic_fetch_add((atomic_int *)opaque, 1);
}

static void on_handle(int watch, int fd, int events, void *opaque)
{
    eventfd_t value;
    (void)watch;
    CHECK(events & VIR_EVENT_HANDLE_READABLE);
    eventfd_read(fd, &value);
    atomic_fetch_add((atomic_int *)opaque, 1);
}

static void on_free(void *opaque)
{
    atomic_fetch_add((atomic_int *)opaque + 1, 1);
}

static void wait_for(const atomic_int *counter, int value)
{
    for (int i = 0; i < LIMIT && atomic_load(counter) < value; i++)
        usleep(1000);
    CHECK(atomic_load(counter) >= value);
}

static void test_the_loop(void)
{
    static atomic_int timed[2], watched[2];
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int timer = virEventAddTimeout(1, on_timer, timed, on_free);
    int watch = virEventAddHandle(fd, VIR_EVENT_HANDLE_READABLE, on_handle, watched, on_free);
    int same = virEventAddHandle(fd, 0, on_handle, watched, on_free);
    CHECK(timer > 0 && watch > 0 && same > 0);
    wait_for(timed, 3);
    virEventUpdateTimeout(timer, -1);
    eventfd_write(fd, 1);
    wait_for(watched, 1);
    virEventUpdateHandle(same, VIR_EVENT_HANDLE_READABLE); /* one descriptor is watched twice */
    virEventUpdateHandle(watch, 0);
    eventfd_write(fd, 1);
    wait_for(watched, 2);
    CHECK(virEventRemoveHandle(watch) == 0 && virEventRemoveHandle(same) == 0 && virEventRemoveHandle(same) == -1);
    CHECK(virEventRemoveTimeout(timer) == 0 && virEventRemoveTimeout(timer) == -1);
    wait_for(&timed[1], 1);
    wait_for(&watched[1], 2);
    close(fd);
    CHECK(virEventAddHandle(fd, VIR_EVENT_HANDLE_READABLE, on_handle, watched, NULL) == -1);
    allocations_left = 0;
    CHECK(virEventAddTimeout(-1, on_timer, timed, NULL) == -1);
    CHECK(virEventAddHandle(fd, 0, on_handle, watched, NULL) == -1);
    allocations_left = -1;
    CHECK(pv_loop_owner() == 1 && pv_loop_leave() == -1 && pv_loop_start() == 1);
}

static void test_pausing(void)
{
    static atomic_int timed[2];
    int timer = virEventAddTimeout(1, on_timer, timed, NULL);
    wait_for(timed, 1);
    CHECK(pv_loop_pause(LIMIT) == 1 && pv_loop_pause(LIMIT) == 1);
    int before = atomic_load(timed);
    usleep(20000);
    pv_loop_resume();
    CHECK(pv_loop_start() == 1); /* this does not resume the loop */
    usleep(20000);
    CHECK(atomic_load(timed) == before);
    pv_loop_resume();
    wait_for(timed, before + 2);
    virEventRemoveTimeout(timer);
}

static void test_the_loop_in_a_child(void)
{
    static atomic_int timed[2], own[2];
    int timer = virEventAddTimeout(1, on_timer, timed, NULL);
    CHECK(pv_loop_pause(LIMIT) == 1);
    int before = atomic_load(timed);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        pv_loop_resume();
        CHECK(pv_loop_start() == 1);
        CHECK(virEventAddTimeout(1, on_timer, own, NULL) > timer);
        wait_for(own, 2);
        CHECK(atomic_load(timed) == before && virEventRemoveTimeout(timer) == -1);
        _exit(0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    pv_loop_resume();
    wait_for(timed, before + 2);
    virEventRemoveTimeout(timer);
}

/* ---- many threads, through libvirt ---- */

enum { READERS = 4, BLINKS = 300 };

static void *read_events(void *opaque)
{
    pv_source *source = opaque;
    uintptr_t items[64];
    for (int turn = 0; turn < 50; turn++) {
        pv_queue *queue = pv_queue_new((size_t)turn % 7 + 1);
        CHECK(queue != NULL && pv_source_attach(source, queue, turn) == 0);
        readable(queue, 5);
        int n = pv_queue_take(queue, items, NULL, 64);
        if (n > 0) {
            if ((items[0] & 1) == 0) {
                void *object = pv_event_take_object((pv_event *)items[0]);
                CHECK(object != NULL);
                pv_release_domain(object);
            }
            pv_events_release(items, n);
        }
        if (turn % 2)
            pv_source_detach(source, queue, turn);
        pv_queue_free(queue);
    }
    return NULL;
}

static void *blink(void *opaque)
{
    (void)opaque;
    for (int i = 0; i < BLINKS; i++) {
        virDomainSuspend(domain);
        virDomainResume(domain);
        if (i % 50 == 0) {
            virDomainDestroy(domain);
            virDomainCreate(domain);
        }
    }
    return NULL;
}

static void *pause_and_resume(void *opaque)
{
    (void)opaque;
    for (int i = 0; i < 20; i++) {
        pv_loop_pause(LIMIT);
        pv_loop_resume();
    }
    return NULL;
}

static void test_threads(void)
{
    pv_source *source = pv_source_new(PV_DOMAIN, VIR_DOMAIN_EVENT_ID_LIFECYCLE);
    pv_queue *all = pv_queue_new(1 << 20);
    pthread_t threads[READERS + 2];
    uintptr_t items[64];
    int n, total = 0;
    CHECK(pv_source_attach(source, all, 0) == 0);
    CHECK(pv_source_register(source, conn, NULL) == 0);
    for (int i = 0; i < READERS; i++)
        CHECK(pthread_create(&threads[i], NULL, read_events, source) == 0);
    CHECK(pthread_create(&threads[READERS], NULL, blink, NULL) == 0);
    CHECK(pthread_create(&threads[READERS + 1], NULL, pause_and_resume, NULL) == 0);
    int expected = 2 * BLINKS + 2 * (BLINKS / 50);
    while (total < expected) {
        CHECK(readable(all, LIMIT));
        n = pv_queue_take(all, items, NULL, 64);
        pv_events_release(items, n);
        total += n;
    }
    for (int i = 0; i < READERS + 2; i++)
        pthread_join(threads[i], NULL);
    CHECK(total == expected);
    pv_source_deregister(source, conn);
    pv_source_deregister(source, conn);
    virDomainSuspend(domain);
    virDomainResume(domain);
    CHECK(!readable(all, 20));
    pv_source_free(source);
    pv_queue_free(all);
}

static void test_kinds_that_cannot_be_registered(void)
{
    pv_source *source = pv_source_new(PV_DOMAIN, 77);
    CHECK(pv_source_register(source, conn, NULL) == -1);
    pv_error_free(pv_error_take());
    pv_source_free(source);
    source = pv_source_new(PV_SECRET, 0); /* the test driver has no secrets */
    CHECK(pv_source_register(source, conn, NULL) == -1);
    pv_error_free(pv_error_take());
    pv_source_free(source);
}

int main(void)
{
    pv_errors_install();
    CHECK(pv_loop_owner() == -1);
    CHECK(pv_loop_start() == 1);
    conn = virConnectOpen("test:///default");
    CHECK(conn != NULL);
    domain = virDomainLookupByName(conn, "test");
    CHECK(domain != NULL);
    test_every_callback();
    test_every_callback_without_memory();
    test_a_full_queue_counts_lost_events();
    test_an_ended_queue_is_released();
    test_repeated_events_are_one_event();
    test_deregistering_while_an_event_is_made();
    test_the_loop();
    test_pausing();
    test_the_loop_in_a_child();
    test_kinds_that_cannot_be_registered();
    test_threads();
    virDomainFree(domain);
    virConnectClose(conn);
    CHECK(pv_loop_pause(LIMIT) == 1);
    return 0;
}
