/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE /* pthread_timedjoin_np */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libvirt/libvirt.h>

#include "native_errors.h"
#include "native_events.h"
#include "native_exit.h"

struct registration {
    pv_source *source;
    virConnectPtr conn;
};

/* In one piece: connections, then what is registered with them. */
struct farewell {
    int n, nsources;
    virConnectPtr *connections;
    struct registration registrations[];
};

static void *close_all(void *opaque)
{
    struct farewell *farewell = opaque;
    for (int i = 0; i < farewell->nsources; i++) {
        pv_source_deregister(farewell->registrations[i].source, farewell->registrations[i].conn);
        pv_source_free(farewell->registrations[i].source);
    }
    for (int i = 0; i < farewell->n; i++)
        pv_release_connect(farewell->connections[i]);
    return NULL;
}

void pv_close_within(virConnectPtr *connections, int n, pv_source **sources, const int *owners, int nsources,
                     int milliseconds)
{
    struct farewell *farewell = malloc(sizeof(*farewell) + (size_t)nsources * sizeof(*farewell->registrations) +
                                       (size_t)n * sizeof(*connections));
    pthread_t thread;
    struct timespec end;
    if (farewell == NULL)
        return;
    farewell->n = n;
    farewell->nsources = nsources;
    farewell->connections = (virConnectPtr *)&farewell->registrations[nsources];
    memcpy(farewell->connections, connections, (size_t)n * sizeof(*connections));
    for (int i = 0; i < nsources; i++)
        farewell->registrations[i] = (struct registration){sources[i], connections[owners[i]]};
    clock_gettime(CLOCK_REALTIME, &end);
    int64_t nanoseconds = end.tv_nsec + (int64_t)milliseconds * 1000000;
    end.tv_sec += (time_t)(nanoseconds / 1000000000);
    end.tv_nsec = (long)(nanoseconds % 1000000000);
    /* If the thread is still at it, what it works on stays with it. */
    if (pthread_create(&thread, NULL, close_all, farewell) != 0 || pthread_timedjoin_np(thread, NULL, &end) == 0)
        free(farewell);
}
