/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include <libvirt/libvirt.h>

#include "events_source.h"
#include "native_events_callbacks.h"

/*
 * One callback per signature.  The installed libvirt may not declare the newest kinds of events, so their signatures
 * and numbers are written out here.  The arguments of a callback are valid during the call only.
 */

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static void deliver(void *source, void *object, const int64_t *numbers, int nnumbers, const char *const *strings,
                    int nstrings)
{
    if (pv_source_idle(source))
        return;
    pv_source_deliver(source, pv_source_event(source, object, numbers, nnumbers, strings, nstrings, NULL, 0));
}

#define NUMBERS(...) ((const int64_t[]){__VA_ARGS__}), COUNT(((const int64_t[]){__VA_ARGS__}))
#define STRINGS(...) ((const char *const[]){__VA_ARGS__}), COUNT(((const char *const[]){__VA_ARGS__}))
#define NONE NULL, 0

/* ---- signatures that several kinds share ---- */

static void on_nothing(virConnectPtr conn, void *object, void *source)
{
    (void)conn;
    deliver(source, object, NONE, NONE);
}

/* C passes an enumeration as it passes an int, and all pointers alike. */
static void on_int(virConnectPtr conn, void *object, int number, void *source)
{
    (void)conn;
    deliver(source, object, NUMBERS(number), NONE);
}

static void on_two_ints(virConnectPtr conn, void *object, int event, int detail, void *source)
{
    (void)conn;
    deliver(source, object, NUMBERS(event, detail), NONE);
}

static void on_uint(virConnectPtr conn, void *object, unsigned int number, void *source)
{
    (void)conn;
    deliver(source, object, NUMBERS(number), NONE);
}

static void on_llong(virConnectPtr conn, void *object, long long number, void *source)
{
    (void)conn;
    deliver(source, object, NUMBERS(number), NONE);
}

static void on_string(virConnectPtr conn, void *object, const char *text, void *source)
{
    (void)conn;
    deliver(source, object, NONE, STRINGS(text));
}

static void on_string_and_int(virConnectPtr conn, void *object, const char *text, int number, void *source)
{
    (void)conn;
    deliver(source, object, NUMBERS(number), STRINGS(text));
}

static void on_int_and_string(virConnectPtr conn, void *object, int number, const char *text, void *source)
{
    (void)conn;
    deliver(source, object, NUMBERS(number), STRINGS(text));
}

static void on_string_and_two_ints(virConnectPtr conn, void *object, const char *text, int first, int second,
                                   void *source)
{
    (void)conn;
    deliver(source, object, NUMBERS(first, second), STRINGS(text));
}

static void on_string_and_ullong(virConnectPtr conn, void *object, const char *text, unsigned long long number,
                                 void *source)
{
    (void)conn;
    deliver(source, object, NUMBERS((int64_t)number), STRINGS(text));
}

static void on_params(virConnectPtr conn, void *object, virTypedParameterPtr params, int nparams, void *source)
{
    (void)conn;
    if (pv_source_idle(source))
        return;
    pv_source_deliver(source, pv_source_event(source, object, NULL, 0, NULL, 0, params, nparams));
}

/* ---- signatures of one kind ---- */

static int on_lifecycle(virConnectPtr conn, virDomainPtr domain, int event, int detail, void *source)
{
    (void)conn;
    pv_source_lifecycle(source, domain, event, detail);
    return 0;
}

static void on_io_error(virConnectPtr conn, virDomainPtr domain, const char *path, const char *alias, int action,
                        void *source)
{
    (void)conn;
    deliver(source, domain, NUMBERS(action), STRINGS(path, alias));
}

static void on_io_error_reason(virConnectPtr conn, virDomainPtr domain, const char *path, const char *alias, int action,
                               const char *reason, void *source)
{
    (void)conn;
    deliver(source, domain, NUMBERS(action), STRINGS(path, alias, reason));
}

/* The strings are node and service of both ends, the scheme, then type and name of each identity. */
static void on_graphics(virConnectPtr conn, virDomainPtr domain, int phase, const virDomainEventGraphicsAddress *local,
                        const virDomainEventGraphicsAddress *remote, const char *scheme,
                        const virDomainEventGraphicsSubject *subject, void *source)
{
    enum { FIXED = 5 };
    const virDomainEventGraphicsAddress nowhere = {.family = -1};
    int identities = subject != NULL && subject->nidentity > 0 ? subject->nidentity : 0;
    int count = FIXED + 2 * identities;
    (void)conn;
    if (pv_source_idle(source))
        return;
    if (local == NULL)
        local = &nowhere;
    if (remote == NULL)
        remote = &nowhere;
    const char **strings = malloc((size_t)count * sizeof(*strings));
    if (strings == NULL) {
        pv_source_deliver(source, NULL);
        return;
    }
    strings[0] = local->node;
    strings[1] = local->service;
    strings[2] = remote->node;
    strings[3] = remote->service;
    strings[4] = scheme;
    for (int i = 0; i < identities; i++) {
        strings[FIXED + 2 * i] = subject->identities[i].type;
        strings[FIXED + 2 * i + 1] = subject->identities[i].name;
    }
    deliver(source, domain, NUMBERS(phase, local->family, remote->family), strings, count);
    free(strings);
}

static void on_disk_change(virConnectPtr conn, virDomainPtr domain, const char *old_path, const char *new_path,
                           const char *alias, int reason, void *source)
{
    (void)conn;
    deliver(source, domain, NUMBERS(reason), STRINGS(old_path, new_path, alias));
}

static void on_block_threshold(virConnectPtr conn, virDomainPtr domain, const char *disk, const char *path,
                               unsigned long long threshold, unsigned long long excess, void *source)
{
    (void)conn;
    deliver(source, domain, NUMBERS((int64_t)threshold, (int64_t)excess), STRINGS(disk, path));
}

static void on_memory_failure(virConnectPtr conn, virDomainPtr domain, int recipient, int action, unsigned int flags,
                              void *source)
{
    (void)conn;
    deliver(source, domain, NUMBERS(recipient, action, flags), NONE);
}

static void on_nic_mac_change(virConnectPtr conn, virDomainPtr domain, const char *alias, const char *before,
                              const char *after, void *source)
{
    (void)conn;
    deliver(source, domain, NONE, STRINGS(alias, before, after));
}

static void on_qemu_monitor(virConnectPtr conn, virDomainPtr domain, const char *event, long long seconds,
                            unsigned int microseconds, const char *details, void *source)
{
    (void)conn;
    deliver(source, domain, NUMBERS(seconds, microseconds), STRINGS(event, details));
}

/*
 * Any thread that makes a call may find that the link is dead, while the loop still delivers events that came before.
 * The close event must be the last one, so a timer delays it to the second turn of the loop: in the first turn other
 * timers, which deliver events, may be due as well.
 */
typedef struct {
    void *source;
    int reason;
    bool second_turn;
} closing;

static void deliver_close(int timer, void *opaque)
{
    closing *pending = opaque;
    if (!pending->second_turn) {
        pending->second_turn = true;
        return;
    }
    deliver(pending->source, NULL, NUMBERS(pending->reason), NONE);
    virEventRemoveTimeout(timer); /* some loops free `pending` in this call */
}

static void free_closing(void *opaque)
{
    closing *pending = opaque;
    pv_source_unref(pending->source);
    free(pending);
}

static void on_close(virConnectPtr conn, int reason, void *source)
{
    closing *pending = malloc(sizeof(*pending));
    (void)conn;
    if (pending != NULL) {
        *pending = (closing){.source = source, .reason = reason};
        pv_source_ref(source);
        if (virEventAddTimeout(0, deliver_close, pending, free_closing) >= 0)
            return;
        free_closing(pending);
    }
    deliver(source, NULL, NUMBERS(reason), NONE);
}

/* ---- the callback of each kind ---- */

typedef void (*any)(void);
#define ANY(function) ((any)(function))

static const any of_domains[] = {
    [VIR_DOMAIN_EVENT_ID_LIFECYCLE] = ANY(on_lifecycle),
    [VIR_DOMAIN_EVENT_ID_REBOOT] = ANY(on_nothing),
    [VIR_DOMAIN_EVENT_ID_RTC_CHANGE] = ANY(on_llong),
    [VIR_DOMAIN_EVENT_ID_WATCHDOG] = ANY(on_int),
    [VIR_DOMAIN_EVENT_ID_IO_ERROR] = ANY(on_io_error),
    [VIR_DOMAIN_EVENT_ID_GRAPHICS] = ANY(on_graphics),
    [VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON] = ANY(on_io_error_reason),
    [VIR_DOMAIN_EVENT_ID_CONTROL_ERROR] = ANY(on_nothing),
    [VIR_DOMAIN_EVENT_ID_BLOCK_JOB] = ANY(on_string_and_two_ints),
    [VIR_DOMAIN_EVENT_ID_DISK_CHANGE] = ANY(on_disk_change),
    [VIR_DOMAIN_EVENT_ID_TRAY_CHANGE] = ANY(on_string_and_int),
    [VIR_DOMAIN_EVENT_ID_PMWAKEUP] = ANY(on_int),
    [VIR_DOMAIN_EVENT_ID_PMSUSPEND] = ANY(on_int),
    [VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE] = ANY(on_llong), /* unsigned, but passed in the same way */
    [VIR_DOMAIN_EVENT_ID_PMSUSPEND_DISK] = ANY(on_int),
    [VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED] = ANY(on_string),
    [VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2] = ANY(on_string_and_two_ints),
    [VIR_DOMAIN_EVENT_ID_TUNABLE] = ANY(on_params),
    [VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE] = ANY(on_two_ints),
    [VIR_DOMAIN_EVENT_ID_DEVICE_ADDED] = ANY(on_string),
    [VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION] = ANY(on_int),
    [VIR_DOMAIN_EVENT_ID_JOB_COMPLETED] = ANY(on_params),
    [VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED] = ANY(on_string),
    [VIR_DOMAIN_EVENT_ID_METADATA_CHANGE] = ANY(on_int_and_string),
    [VIR_DOMAIN_EVENT_ID_BLOCK_THRESHOLD] = ANY(on_block_threshold),
    [25] = ANY(on_memory_failure),      /* since 6.9.0 */
    [26] = ANY(on_string_and_ullong),   /* memory device size change, since 7.9.0 */
    [27] = ANY(on_nic_mac_change),      /* since 11.2.0 */
    [28] = ANY(on_uint),                /* vCPU removed, since 12.4.0 */
    [29] = ANY(on_string_and_two_ints), /* channel lifecycle, since 12.4.0 */
};

static const any of_networks[] = {ANY(on_two_ints), ANY(on_int_and_string)}; /* the second since 9.8.0 */
static const any of_others[] = {ANY(on_two_ints), ANY(on_nothing)};
static const any of_monitors[] = {ANY(on_qemu_monitor)};
static const any of_connections[] = {ANY(on_close)};

void *pv_event_callback(int category, int id)
{
#define TABLE(table)                                                                                                   \
    {                                                                                                                  \
        table, COUNT(table)                                                                                            \
    }
    static const struct {
        const any *table;
        int count;
    } tables[] = {
        [PV_DOMAIN] = TABLE(of_domains),     [PV_NETWORK] = TABLE(of_networks), [PV_STORAGE_POOL] = TABLE(of_others),
        [PV_NODE_DEVICE] = TABLE(of_others), [PV_SECRET] = TABLE(of_others),    [PV_QEMU_MONITOR] = TABLE(of_monitors),
        [PV_CLOSE] = TABLE(of_connections),
    };
    if (category < 0 || category >= COUNT(tables) || id < 0 || id >= tables[category].count)
        return NULL;
    return *(void *const *)&tables[category].table[id];
}
