/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The lower bound: the cost of libvirt itself, called from a C program.
 *
 *     floor URI DOMAIN
 *
 * It reads lines "OPERATION CALLS" and answers each with the nanoseconds of that many calls, including the time in
 * which their results are freed.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

static virConnectPtr conn;
static virDomainPtr domain;
static const char *name;
static const char *uri;

static virConnectPtr other;
static struct handles {
    virDomainPtr *domains;
    int n;
} kept[10];

static int state(void)
{
    int state, reason;
    return virDomainGetState(domain, &state, &reason, 0);
}

static int info(void)
{
    virDomainInfo info;
    return virDomainGetInfo(domain, &info);
}

static int lookup(void)
{
    virDomainPtr found = virDomainLookupByName(conn, name);
    return found != NULL ? virDomainFree(found) : -1;
}

static int xml_desc(void)
{
    char *xml = virDomainGetXMLDesc(domain, 0);
    if (xml == NULL)
        return -1;
    free(xml);
    return 0;
}

static int list_domains(void)
{
    virDomainPtr *domains = NULL;
    int n = virConnectListAllDomains(conn, &domains, 0);
    for (int i = 0; i < n; i++)
        virDomainFree(domains[i]);
    free(domains);
    return n;
}

static int before_closing(void)
{
    other = virConnectOpen(uri);
    for (size_t i = 0; other != NULL && i < sizeof(kept) / sizeof(*kept); i++)
        if ((kept[i].n = virConnectListAllDomains(other, &kept[i].domains, 0)) < 0)
            return -1;
    return other != NULL ? 0 : -1;
}

static int close_with_handles(void)
{
    for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++) {
        for (int k = 0; k < kept[i].n; k++)
            virDomainFree(kept[i].domains[k]);
        free(kept[i].domains);
    }
    return virConnectClose(other);
}

static int stats(void)
{
    virDomainStatsRecordPtr *records = NULL;
    int n = virConnectGetAllDomainStats(conn, 0, &records, 0);
    virDomainStatsRecordListFree(records);
    return n;
}

static int stats_who(void)
{
    virDomainStatsRecordPtr *records = NULL;
    unsigned char uuid[VIR_UUID_BUFLEN];
    int n = virConnectGetAllDomainStats(conn, 0, &records, 0);
    for (int i = 0; i < n; i++)
        if (virDomainGetName(records[i]->dom) == NULL || virDomainGetUUID(records[i]->dom, uuid) < 0)
            return -1;
    virDomainStatsRecordListFree(records);
    return n;
}

static int inventory(void)
{
    virDomainPtr *domains = NULL;
    int n = virConnectListAllDomains(conn, &domains, 0);
    for (int i = 0; i < n; i++) {
        virDomainPtr each = domains[i];
        unsigned char uuid[VIR_UUID_BUFLEN];
        int state, reason, autostart;
        if (virDomainGetName(each) == NULL || virDomainGetUUID(each, uuid) < 0 || virDomainIsPersistent(each) < 0 ||
            virDomainGetState(each, &state, &reason, 0) < 0 || virDomainGetAutostart(each, &autostart) < 0)
            return -1;
        virDomainGetID(each);
        virDomainFree(each);
    }
    free(domains);
    return n;
}

static const struct {
    const char *name;
    int (*call)(void);
    int (*before)(void); /* not measured */
} operations[] = {
    {"state", state, NULL},       {"info", info, NULL},           {"lookup", lookup, NULL},
    {"xml_desc", xml_desc, NULL}, {"list", list_domains, NULL},   {"close", close_with_handles, before_closing},
    {"stats", stats, NULL},       {"stats_who", stats_who, NULL}, {"inventory", inventory, NULL},
    {"tick", stats, NULL},
};

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static int64_t measure(const char *operation, long calls)
{
    for (size_t i = 0; i < sizeof(operations) / sizeof(*operations); i++) {
        if (strcmp(operations[i].name, operation) != 0)
            continue;
        if (operations[i].before != NULL && operations[i].before() < 0)
            exit(1); /* libvirt has printed the reason */
        int64_t start = now();
        for (long call = 0; call < calls; call++)
            if (operations[i].call() < 0) {
                fprintf(stderr, "floor: %s: %s\n", operation, virGetLastErrorMessage());
                exit(1);
            }
        return now() - start;
    }
    fprintf(stderr, "floor: no operation %s\n", operation);
    exit(1);
}

int main(int argc, char **argv)
{
    char operation[32];
    long calls;
    if (argc != 3) {
        fprintf(stderr, "usage: floor URI DOMAIN\n");
        return 2;
    }
    uri = argv[1];
    name = argv[2];
    conn = virConnectOpen(uri);
    if (conn == NULL || (domain = virDomainLookupByName(conn, name)) == NULL)
        return 1; /* libvirt has printed the reason */
    while (scanf("%31s %ld", operation, &calls) == 2) {
        printf("%" PRId64 "\n", measure(operation, calls));
        fflush(stdout);
    }
    virDomainFree(domain);
    virConnectClose(conn);
    return 0;
}
