/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "stats_frame.h"

struct identity {
    uint8_t *uuids;
    int32_t *ids;
    struct column names;
};

/*
 * libvirt formats the UUID for its debug log in each call on a domain, which costs more than all columns of that
 * domain.  So names, UUIDs and ids are read only when they are needed; until then the frame keeps the records, without
 * their parameters.
 */
static int read_identity(const pv_frame *frame, struct identity *identity)
{
    int64_t rows = frame->domains;
    identity->uuids = malloc((size_t)rows * VIR_UUID_BUFLEN + 1);
    identity->ids = malloc(((size_t)rows + 1) * sizeof(*identity->ids));
    if (identity->uuids == NULL || identity->ids == NULL ||
        pv_resize_cells(&identity->names, VIR_TYPED_PARAM_STRING, rows) < 0)
        return PV_NO_MEMORY;
    for (int64_t i = 0; i < frame->n_answers; i++) {
        const struct answer *answer = &frame->answers[i];
        for (int k = 0; k < answer->n; k++) {
            virDomainPtr domain = answer->records[k]->dom;
            int64_t row = answer->first + k;
            const char *name = virDomainGetName(domain);
            int64_t length = name != NULL ? (int64_t)strlen(name) : 0;
            if (pv_put_text(&identity->names, row, name, length) < 0)
                return PV_NO_MEMORY;
            virDomainGetUUID(domain, identity->uuids + row * VIR_UUID_BUFLEN);
            identity->ids[row] = (int32_t)virDomainGetID(domain);
        }
    }
    ((int64_t *)identity->names.cells)[rows] = identity->names.text_size;
    return 0;
}

static void publish(pv_frame *frame, struct identity *identity)
{
    frame->uuids = identity->uuids;
    frame->ids = identity->ids;
    frame->names = identity->names;
    *identity = (struct identity){0};
}

/*
 * The lock is not held while libvirt is called.  A thread that forks waits for this lock.  If libvirt itself forks, for
 * example to run ssh for a connection, it holds the lock of its log (virFork), which each call on a domain takes as
 * well: the two threads would wait for each other.
 */
int pv_frame_identify(pv_frame *frame)
{
    struct identity identity = {0};
    pthread_mutex_lock(&frame->schema->lock);
    bool known = frame->uuids != NULL;
    frame->asking += !known;
    pthread_mutex_unlock(&frame->schema->lock);
    if (known)
        return 0;
    int result = read_identity(frame, &identity);
    pthread_mutex_lock(&frame->schema->lock);
    if (result == 0 && frame->uuids == NULL)
        publish(frame, &identity);
    known = frame->uuids != NULL;
    bool last = --frame->asking == 0 && known;
    pthread_mutex_unlock(&frame->schema->lock);
    free(identity.uuids);
    free(identity.ids);
    pv_free_column(&identity.names);
    if (last)
        pv_free_answers(frame);
    return known ? 0 : PV_NO_MEMORY;
}

void pv_frame_disown(pv_frame *frame)
{
    frame->inherited = true;
}

static void *copy_of(const void *bytes, int64_t n, size_t width)
{
    void *copy = malloc((size_t)n * width + 1);
    return copy != NULL && n > 0 ? memcpy(copy, bytes, (size_t)n * width) : copy;
}

int pv_frame_set_hosts(pv_frame *frame, const uint32_t *hosts, const int64_t *offsets, const char *names, int64_t n)
{
    free(frame->hosts);
    pv_free_column(&frame->host_names);
    frame->hosts = copy_of(hosts, frame->domains, sizeof(*hosts));
    frame->host_names.cells = copy_of(offsets, n + 1, sizeof(*offsets));
    frame->host_names.text = copy_of(names, offsets[n], 1);
    frame->n_hosts = n;
    return frame->hosts != NULL && frame->host_names.cells != NULL && frame->host_names.text != NULL ? 0 : PV_NO_MEMORY;
}
