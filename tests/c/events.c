/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Queues, sources, the callbacks of every kind, and the loop, with threads in each other's way. */

#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libvirt/libvirt.h>

#include "harness.h"
#include "native_errors.h"
#include "native_events.h"

enum { LIMIT = 60000 /* ms that nothing here takes */, DOMAIN_KINDS = 30 };

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

/* ---- each callback, called as libvirt does ---- */

#define CALL(number, type, ...)                                                                                        \
    do {                                                                                                               \
        source = pv_source_new(PV_DOMAIN, number);                                                                     \
        CHECK(source != NULL && pv_source_attach(source, queue, number) == 0);                                         \
        callback = pv_event_callback(PV_DOMAIN, number);                                                               \
        ((type)callback)(conn, domain, __VA_ARGS__);                                                                   \
        pv_source_free(source);                                                                                        \
    } while (0)

/* Of the libvirt at hand there may be no typedef. */
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
        CHECK(event->object == domain && event->refs == 1 && !event->interned);
        last = tags[i];
    }
    pv_event *screen = (pv_event *)items[5], *tunable = (pv_event *)items[18];
    CHECK(screen->nstrings == 9 && strcmp(screen->strings[6], "CN=alice") == 0 && screen->strings[7] == NULL);
    CHECK(tunable->nparams == 2 && strcmp(tunable->params[0].value.s, "text") == 0 && tunable->params[1].value.i == -1);
    pv_events_release(items, DOMAIN_KINDS + 1);
    for (int category = PV_DOMAIN; category <= PV_CLOSE; category++)
        CHECK(pv_event_callback(category, 0) != NULL && pv_event_callback(category, DOMAIN_KINDS) == NULL);
    pv_queue_free(queue);
}

/* Without memory an event is lost, and that is counted. */
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
        CHECK((items[0] == 3) == (allowed < 2)); /* the event, room in the queue */
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

static void test_what_does_not_fit(void)
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
    lifecycle(source, VIR_DOMAIN_EVENT_STOPPED, 10); /* for which there is no room beside the mark of the loss */
    ((virConnectCloseFunc)pv_event_callback(PV_CLOSE, 0))(conn, VIR_CONNECT_CLOSE_REASON_EOF, link); /* always fits */
    pv_loop_settle(LIMIT);
    pv_loop_settle(LIMIT);
    lifecycle(source, VIR_DOMAIN_EVENT_STOPPED, 11); /* after that there is nothing */
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
    release_event(only_event(queue)); /* it was attached twice */
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

static void test_a_queue_that_has_ended_is_let_go(void)
{
    pv_queue *queue = pv_queue_new(10);
    pv_source *source = pv_source_new(PV_DOMAIN, 0);
    CHECK(pv_source_attach(source, queue, 0) == 0);
    for (int i = 0; i < 5; i++)
        lifecycle(source, VIR_DOMAIN_EVENT_STOPPED, i); /* dropped with the queue */
    pv_queue_free(queue);
    lifecycle(source, VIR_DOMAIN_EVENT_STOPPED, 0);
    lifecycle(source, VIR_DOMAIN_EVENT_STOPPED, 0);
    pv_source_free(source);
}

/* ---- events that come again ---- */

static void test_events_that_come_again(void)
{
    pv_queue *one = pv_queue_new(10), *other = pv_queue_new(10);
    pv_source *source = pv_source_new(PV_DOMAIN, 0);
    CHECK(pv_source_attach(source, one, 0) == 0);
    lifecycle(source, VIR_DOMAIN_EVENT_SUSPENDED, 0);
    pv_event *first = only_event(one);
    CHECK(first->interned && first->refs == 2);
    lifecycle(source, VIR_DOMAIN_EVENT_SUSPENDED, 0);
    pv_event *second = only_event(one);
    CHECK(second == first && first->refs == 3);
    lifecycle(source, VIR_DOMAIN_EVENT_SUSPENDED, 1);
    pv_event *detail = only_event(one);
    CHECK(detail != first);
    void *object = pv_event_take_object(first); /* a reference of its own */
    CHECK(object == domain && first->object == domain);
    pv_release_domain(object);
    lifecycle(source, VIR_DOMAIN_EVENT_STOPPED, 0); /* from here on the name may stand for something else */
    pv_event *stopped = only_event(one);
    CHECK(!stopped->interned && first->refs == 2);
    object = pv_event_take_object(stopped); /* the only one there is */
    CHECK(object == domain && stopped->object == NULL);
    pv_release_domain(object);
    CHECK(pv_source_attach(source, other, 0) == 0);
    lifecycle(source, VIR_DOMAIN_EVENT_SUSPENDED, 0);
    pv_event *again = only_event(one);
    CHECK(again != first && only_event(other) == again && again->refs == 3);
    release_event(again);
    release_event(again);
    release_event(first);
    release_event(second);
    release_event(detail);
    release_event(stopped);
    allocations_left = 1; /* the event, and not what would keep it */
    lifecycle(source, VIR_DOMAIN_EVENT_RESUMED, 0);
    allocations_left = -1;
    pv_event *fleeting = only_event(one);
    CHECK(!fleeting->interned && only_event(other) == fleeting);
    release_event(fleeting);
    release_event(fleeting);
    pv_source_free(source);
    pv_queue_free(one);
    pv_queue_free(other);
}

static pv_source *leaving;

static void deregister_it(void)
{
    pv_source_deregister(leaving, conn);
}

/* The event that is made then is kept by nobody, as it would keep the connection open. */
static void test_one_that_is_deregistered_while_its_event_is_made(void)
{
    virConnectPtr own = virConnectOpen("test:///default");
    virDomainPtr its = virDomainLookupByName(own, "test");
    pv_queue *queue = pv_queue_new(10);
    leaving = pv_source_new(PV_DOMAIN, 0);
    CHECK(its != NULL && pv_source_attach(leaving, queue, 0) == 0);
    at_allocation = deregister_it;
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
    __atomic_fetch_add((int *)opaque, 1, __ATOMIC_SEQ_CST);
}

static void on_handle(int watch, int fd, int events, void *opaque)
{
    eventfd_t value;
    (void)watch;
    CHECK(events & VIR_EVENT_HANDLE_READABLE);
    eventfd_read(fd, &value);
    __atomic_fetch_add((int *)opaque, 1, __ATOMIC_SEQ_CST);
}

static void on_free(void *opaque)
{
    __atomic_fetch_add((int *)opaque + 1, 1, __ATOMIC_SEQ_CST);
}

static void until(const int *counter, int value)
{
    for (int i = 0; i < LIMIT && __atomic_load_n(counter, __ATOMIC_SEQ_CST) < value; i++)
        usleep(1000);
    CHECK(__atomic_load_n(counter, __ATOMIC_SEQ_CST) >= value);
}

static void test_the_loop(void)
{
    static int timed[2], watched[2];
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int timer = virEventAddTimeout(1, on_timer, timed, on_free);
    int watch = virEventAddHandle(fd, VIR_EVENT_HANDLE_READABLE, on_handle, watched, on_free);
    int same = virEventAddHandle(fd, 0, on_handle, watched, on_free);
    CHECK(timer > 0 && watch > 0 && same > 0);
    until(timed, 3);
    virEventUpdateTimeout(timer, -1);
    eventfd_write(fd, 1);
    until(watched, 1);
    virEventUpdateHandle(same, VIR_EVENT_HANDLE_READABLE); /* one descriptor, twice */
    virEventUpdateHandle(watch, 0);
    eventfd_write(fd, 1);
    until(watched, 2);
    CHECK(virEventRemoveHandle(watch) == 0 && virEventRemoveHandle(same) == 0 && virEventRemoveHandle(same) == -1);
    CHECK(virEventRemoveTimeout(timer) == 0 && virEventRemoveTimeout(timer) == -1);
    until(&timed[1], 1);
    until(&watched[1], 2);
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
    static int timed[2];
    int timer = virEventAddTimeout(1, on_timer, timed, NULL);
    until(timed, 1);
    CHECK(pv_loop_pause(LIMIT) == 1 && pv_loop_pause(LIMIT) == 1);
    int before = __atomic_load_n(timed, __ATOMIC_SEQ_CST);
    usleep(20000);
    pv_loop_resume();
    CHECK(pv_loop_start() == 1); /* which does not undo it */
    usleep(20000);
    CHECK(__atomic_load_n(timed, __ATOMIC_SEQ_CST) == before);
    pv_loop_resume();
    until(timed, before + 2);
    virEventRemoveTimeout(timer);
}

static void test_a_child(void)
{
    static int timed[2], own[2];
    int timer = virEventAddTimeout(1, on_timer, timed, NULL);
    CHECK(pv_loop_pause(LIMIT) == 1);
    int before = __atomic_load_n(timed, __ATOMIC_SEQ_CST);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        pv_loop_resume();
        CHECK(pv_loop_start() == 1);
        CHECK(virEventAddTimeout(1, on_timer, own, NULL) > timer);
        until(own, 2);
        CHECK(__atomic_load_n(timed, __ATOMIC_SEQ_CST) == before && virEventRemoveTimeout(timer) == -1);
        _exit(0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    pv_loop_resume();
    until(timed, before + 2);
    virEventRemoveTimeout(timer);
}

/* ---- all at once, through libvirt ---- */

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

static void test_what_cannot_be_registered(void)
{
    pv_source *source = pv_source_new(PV_DOMAIN, 77);
    CHECK(pv_source_register(source, conn, NULL) == -1);
    pv_error_free(pv_error_take());
    pv_source_free(source);
    source = pv_source_new(PV_SECRET, 0); /* the test driver has none */
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
    test_what_does_not_fit();
    test_a_queue_that_has_ended_is_let_go();
    test_events_that_come_again();
    test_one_that_is_deregistered_while_its_event_is_made();
    test_the_loop();
    test_pausing();
    test_a_child();
    test_what_cannot_be_registered();
    test_threads();
    virDomainFree(domain);
    virConnectClose(conn);
    CHECK(pv_loop_pause(LIMIT) == 1);
    return 0;
}
