/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE /* pthread_timedjoin_np */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <libvirt/libvirt.h>

#include "clock.h"
#include "events_source.h"
#include "native_events_source_register.h"
#include "native_exit.h"
#include "native_release.h"

struct registration {
    pv_source *source;
    virConnectPtr conn;
};

/* The work of the thread, in one block of memory. */
struct work {
    int n, nsources;
    virConnectPtr *connections;
    struct registration registrations[];
};

static void *close_all(void *opaque)
{
    struct work *work = opaque;
    for (int i = 0; i < work->nsources; i++) {
        pv_source_deregister(work->registrations[i].source, work->registrations[i].conn);
        pv_source_free(work->registrations[i].source);
    }
    for (int i = 0; i < work->n; i++)
        pv_release_connect(work->connections[i]);
    return NULL;
}

void pv_close_within(virConnectPtr *connections, int n, pv_source **sources, const int *owners, int nsources,
                     int milliseconds)
{
    struct work *work =
        malloc(sizeof(*work) + (size_t)nsources * sizeof(*work->registrations) + (size_t)n * sizeof(*connections));
    pthread_t thread;
    if (work == NULL)
        return;
    work->n = n;
    work->nsources = nsources;
    work->connections = (virConnectPtr *)&work->registrations[nsources];
    memcpy(work->connections, connections, (size_t)n * sizeof(*connections));
    for (int i = 0; i < nsources; i++)
        work->registrations[i] = (struct registration){sources[i], connections[owners[i]]};
    struct timespec end = pv_deadline(milliseconds);
    /* If the thread is still working after that time, it keeps its memory. */
    if (pthread_create(&thread, NULL, close_all, work) != 0 || pthread_timedjoin_np(thread, NULL, &end) == 0)
        free(work);
}
