/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Synthetic statistics in a library that is preloaded: LD_PRELOAD=synthetic.so PROGRAM
 *
 * Real guests cost libvirt milliseconds per guest, and this hides the cost of the binding.  This library answers in
 * libvirt's place with the fields that its QEMU driver sends for running guests with 4 vCPUs, 2 interfaces and 3 disks:
 * the same names, types, order and magnitudes, 102 fields.  As in libvirt, each record has its own array, into which
 * names are formatted one by one, and its own copies of strings; virDomainStatsRecordListFree is libvirt's.  Counters
 * grow from call to call.
 *
 * PYVIRT_SYNTHETIC_DOMAINS sets the number of domains, 2000 by default.  They are the domains of the connection, used
 * repeatedly if it has fewer.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

enum { VCPUS = 4, INTERFACES = 2, DISKS = 3, FIELDS = 102, DEFAULT_DOMAINS = 2000 };

/* The array that fields are written to, and the numbers that their values are computed from. */
struct writer {
    virTypedParameterPtr params;
    int n;
    uint64_t domain;
    uint64_t tick;
};

static void *allocate(size_t n, size_t size)
{
    void *made = calloc(n, size);
    if (made == NULL)
        abort();
    return made;
}

static virTypedParameterPtr next_field(struct writer *to, int type, const char *format, va_list arguments)
{
    if (to->n == FIELDS)
        abort(); /* a field was added here, but FIELDS was not increased */
    virTypedParameterPtr param = &to->params[to->n++];
    param->type = type;
    vsnprintf(param->field, sizeof(param->field), format, arguments);
    return param;
}

#define DEFINE_ADD(name, number, c_type, member)                                                                       \
    __attribute__((format(printf, 3, 4))) static void name(struct writer *to, c_type value, const char *format, ...)   \
    {                                                                                                                  \
        va_list arguments;                                                                                             \
        va_start(arguments, format);                                                                                   \
        next_field(to, number, format, arguments)->value.member = value;                                               \
        va_end(arguments);                                                                                             \
    }

DEFINE_ADD(add_int, VIR_TYPED_PARAM_INT, int, i)
DEFINE_ADD(add_uint, VIR_TYPED_PARAM_UINT, unsigned int, ui)
DEFINE_ADD(add_ullong, VIR_TYPED_PARAM_ULLONG, unsigned long long, ul)
DEFINE_ADD(add_double, VIR_TYPED_PARAM_DOUBLE, double, d)
DEFINE_ADD(add_boolean, VIR_TYPED_PARAM_BOOLEAN, char, b)

__attribute__((format(printf, 3, 4))) static void add_string(struct writer *to, const char *value, const char *format,
                                                             ...)
{
    va_list arguments;
    va_start(arguments, format);
    next_field(to, VIR_TYPED_PARAM_STRING, format, arguments)->value.s = strdup(value);
    va_end(arguments);
}

/* A counter that differs between domains and fields, and grew by about `step` since the last call. */
static unsigned long long counter(const struct writer *of, uint64_t step)
{
    uint64_t pace = step / 2 + step * ((of->domain * 31 + (uint64_t)of->n * 7) % 16) / 16;
    return pace * (of->tick + 10000 + of->domain % 1000);
}

/* A variation of a guest's memory size, in KiB. */
static unsigned long long gauge(const struct writer *of, uint64_t about)
{
    return about + (of->domain * 37 + of->tick * 11) % 4096;
}

static void add_balloon(struct writer *to)
{
    add_ullong(to, 4194304, "balloon.current");
    add_ullong(to, 8388608, "balloon.maximum");
    add_ullong(to, 0, "balloon.swap_in");
    add_ullong(to, 0, "balloon.swap_out");
    add_ullong(to, counter(to, 2), "balloon.major_fault");
    add_ullong(to, counter(to, 9000), "balloon.minor_fault");
    add_ullong(to, gauge(to, 1200000), "balloon.unused");
    add_ullong(to, 4030000, "balloon.available");
    add_ullong(to, gauge(to, 2900000), "balloon.usable");
    add_ullong(to, 1700000000 + to->tick, "balloon.last-update");
    add_ullong(to, gauge(to, 1500000), "balloon.disk_caches");
    add_ullong(to, gauge(to, 4100000), "balloon.rss");
}

static void add_vcpus(struct writer *to)
{
    add_uint(to, VCPUS, "vcpu.current");
    add_uint(to, VCPUS * 2, "vcpu.maximum");
    for (unsigned int i = 0; i < VCPUS; i++) {
        add_int(to, VIR_VCPU_RUNNING, "vcpu.%u.state", i);
        add_ullong(to, counter(to, 200000000), "vcpu.%u.time", i);
        add_ullong(to, counter(to, 30000000), "vcpu.%u.wait", i);
        add_boolean(to, (to->domain + to->tick + i) % 3 != 0, "vcpu.%u.halted", i);
        add_ullong(to, counter(to, 1000000), "vcpu.%u.delay", i);
    }
}

static void add_interfaces(struct writer *to)
{
    static const char *const directions[] = {"rx", "tx"};
    add_uint(to, INTERFACES, "net.count");
    for (unsigned int i = 0; i < INTERFACES; i++) {
        char name[24];
        snprintf(name, sizeof(name), "vnet%" PRIu64, to->domain * INTERFACES + i);
        add_string(to, name, "net.%u.name", i);
        for (int d = 0; d < 2; d++) {
            add_ullong(to, counter(to, 4000000), "net.%u.%s.bytes", i, directions[d]);
            add_ullong(to, counter(to, 3000), "net.%u.%s.pkts", i, directions[d]);
            add_ullong(to, 0, "net.%u.%s.errs", i, directions[d]);
            add_ullong(to, counter(to, 1), "net.%u.%s.drop", i, directions[d]);
        }
    }
}

static void add_disks(struct writer *to)
{
    add_uint(to, DISKS, "block.count");
    for (unsigned int i = 0; i < DISKS; i++) {
        const char name[] = {'v', 'd', (char)('a' + (char)i), '\0'};
        char path[80];
        snprintf(path, sizeof(path), "/var/lib/libvirt/images/vm-%05" PRIu64 "-%u.qcow2", to->domain + 1, i);
        add_string(to, name, "block.%u.name", i);
        add_string(to, path, "block.%u.path", i);
        add_uint(to, i + 1, "block.%u.backingIndex", i);
        add_ullong(to, counter(to, 400), "block.%u.rd.reqs", i);
        add_ullong(to, counter(to, 9000000), "block.%u.rd.bytes", i);
        add_ullong(to, counter(to, 80000000), "block.%u.rd.times", i);
        add_ullong(to, counter(to, 600), "block.%u.wr.reqs", i);
        add_ullong(to, counter(to, 7000000), "block.%u.wr.bytes", i);
        add_ullong(to, counter(to, 90000000), "block.%u.wr.times", i);
        add_ullong(to, counter(to, 20), "block.%u.fl.reqs", i);
        add_ullong(to, counter(to, 5000000), "block.%u.fl.times", i);
        add_ullong(to, 21474836480 + counter(to, 65536), "block.%u.allocation", i);
        add_ullong(to, 107374182400, "block.%u.capacity", i);
        add_ullong(to, 21474836480 + counter(to, 65536), "block.%u.physical", i);
    }
}

static void add_groups(struct writer *to, unsigned int groups)
{
    if (groups == 0)
        groups = ~0u;
    if (groups & VIR_DOMAIN_STATS_STATE) {
        add_int(to, VIR_DOMAIN_RUNNING, "state.state");
        add_int(to, VIR_DOMAIN_RUNNING_BOOTED, "state.reason");
    }
    if (groups & VIR_DOMAIN_STATS_CPU_TOTAL) {
        add_ullong(to, counter(to, 900000000), "cpu.time");
        add_ullong(to, counter(to, 100000000), "cpu.user");
        add_ullong(to, counter(to, 200000000), "cpu.system");
        /* The only field that no driver sends: no driver sends a double. */
        add_double(to, 0.25 + (double)((to->domain + to->tick) % 64) / 16, "cpu.synthetic_load");
    }
    if (groups & VIR_DOMAIN_STATS_BALLOON)
        add_balloon(to);
    if (groups & VIR_DOMAIN_STATS_VCPU)
        add_vcpus(to);
    if (groups & VIR_DOMAIN_STATS_INTERFACE)
        add_interfaces(to);
    if (groups & VIR_DOMAIN_STATS_BLOCK)
        add_disks(to);
}

/*
 * The records may take over the first `given` references in `domains`.  virDomainRef formats a UUID for a debug
 * message; real drivers avoid this cost because they make new handles themselves.
 */
static int answer(virDomainPtr *domains, size_t present, size_t given, size_t wanted, unsigned int groups,
                  virDomainStatsRecordPtr **records)
{
    static atomic_uint_fast64_t ticks;
    uint64_t tick = atomic_fetch_add(&ticks, 1);
    *records = allocate(wanted + 1, sizeof(**records));
    for (size_t i = 0; i < wanted; i++) {
        struct writer to = {.domain = i, .tick = tick, .params = allocate(FIELDS, sizeof(*to.params))};
        virDomainStatsRecordPtr record = (*records)[i] = allocate(1, sizeof(*record));
        record->dom = domains[i % present];
        if (i >= given)
            virDomainRef(record->dom);
        add_groups(&to, groups);
        record->params = to.params;
        record->nparams = to.n;
    }
    return (int)wanted;
}

int virConnectGetAllDomainStats(virConnectPtr conn, unsigned int stats, virDomainStatsRecordPtr **records,
                                unsigned int flags)
{
    const char *setting = getenv("PYVIRT_SYNTHETIC_DOMAINS");
    size_t wanted = setting != NULL ? strtoul(setting, NULL, 10) : DEFAULT_DOMAINS;
    virDomainPtr *domains = NULL;
    (void)flags;

    /* New handles in every call, as with libvirt's drivers. */
    int listed = virConnectListAllDomains(conn, &domains, 0);
    if (listed < 0)
        return -1;
    size_t present = (size_t)listed;
    if (present == 0)
        wanted = 0;
    int result = answer(domains, present, present, wanted, stats, records);
    for (size_t i = wanted; i < present; i++)
        virDomainFree(domains[i]);
    free(domains);
    return result;
}

int virDomainListGetStats(virDomainPtr *domains, unsigned int stats, virDomainStatsRecordPtr **records,
                          unsigned int flags)
{
    size_t n = 0;
    (void)flags;
    virResetLastError();
    while (domains[n] != NULL)
        n++;
    return answer(domains, n, 0, n, stats, records);
}
