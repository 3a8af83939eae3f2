/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The lower bound for events.py: libvirt's own loop, and a callback in C that counts events.
 *
 *     events URI
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <libvirt/libvirt.h>

enum { STEPS = 1000 };

static virDomainPtr domains[STEPS];
static int ndomains, at;
static long seen;

static int count(virConnectPtr conn, virDomainPtr domain, int event, int detail, void *opaque)
{
    (void)conn;
    (void)domain;
    (void)event;
    (void)detail;
    (void)opaque;
    seen++;
    return 0;
}

static void produce(long events)
{
    for (; events > 0; events--) {
        if (at < ndomains)
            virDomainSuspend(domains[at]);
        else
            virDomainResume(domains[at - ndomains]);
        at = (at + 1) % (2 * ndomains);
    }
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

int main(int argc, char **argv)
{
    virDomainPtr *all = NULL;
    char operation[32];
    long events;
    if (argc != 2 || virEventRegisterDefaultImpl() < 0)
        return 2;
    virConnectPtr conn = virConnectOpen(argv[1]);
    int n = conn != NULL ? virConnectListAllDomains(conn, &all, 0) : -1;
    if (n < 1 || virConnectDomainEventRegisterAny(conn, NULL, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                                                  VIR_DOMAIN_EVENT_CALLBACK(count), NULL, NULL) < 0)
        return 1;
    for (; ndomains < n && ndomains < STEPS; ndomains++)
        domains[ndomains] = all[ndomains];
    while (scanf("%31s %ld", operation, &events) == 2) {
        seen = 0;
        produce(events);
        int64_t begun = now();
        while (seen < events)
            virEventRunDefaultImpl();
        printf("%" PRId64 "\n", now() - begun);
        fflush(stdout);
    }
    return 0;
}
