/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "stats_frame.h"

#include "native_stats_rates.h"

/* ---- matching rows ---- */

/* A hash table from UUIDs to domains; open addressing.  UUIDs are random, so mixing their two halves is a good hash. */
struct uuid_map {
    const pv_frame *frame;
    uint32_t *hosts; /* for each host of the other frame, its place in this one; NULL: hosts are not compared */
    uint32_t *buckets;
    uint64_t mask;
};

static uint64_t uuid_hash(const uint8_t *uuid)
{
    uint64_t halves[2];
    memcpy(halves, uuid, sizeof(halves));
    uint64_t hash = (halves[0] ^ halves[1]) * 0x9e3779b97f4a7c15u;
    return hash ^ (hash >> 32);
}

static int map_uuids(struct uuid_map *map, const pv_frame *frame)
{
    uint64_t size = 16;
    while (size < (uint64_t)frame->domains * 2)
        size *= 2;
    map->frame = frame;
    map->mask = size - 1;
    map->buckets = calloc(size, sizeof(*map->buckets));
    if (map->buckets == NULL)
        return PV_NO_MEMORY;
    for (int64_t i = 0; i < frame->domains; i++) {
        uint64_t at = uuid_hash(frame->uuids + i * VIR_UUID_BUFLEN) & map->mask;
        while (map->buckets[at] != 0)
            at = (at + 1) & map->mask;
        map->buckets[at] = (uint32_t)i + 1;
    }
    return 0;
}

static bool same_text(const struct column *a, int64_t row_a, const struct column *b, int64_t row_b)
{
    const int64_t *at_a = (const int64_t *)a->cells + row_a, *at_b = (const int64_t *)b->cells + row_b;
    int64_t length = at_a[1] - at_a[0];
    return length == at_b[1] - at_b[0] &&
           (length == 0 || memcmp(a->text + at_a[0], b->text + at_b[0], (size_t)length) == 0);
}

/* Hosts are matched by name: another collector may have other hosts, or the same hosts in another order. */
static int map_hosts(struct uuid_map *map, const pv_frame *now)
{
    const pv_frame *before = map->frame;
    if (now->hosts == NULL || before->hosts == NULL)
        return 0;
    map->hosts = malloc((size_t)now->n_hosts * sizeof(*map->hosts) + 1);
    if (map->hosts == NULL)
        return PV_NO_MEMORY;
    for (int64_t i = 0; i < now->n_hosts; i++) {
        int64_t at = i; /* try the same place first */
        if (at >= before->n_hosts || !same_text(&now->host_names, i, &before->host_names, at))
            for (at = 0; at < before->n_hosts && !same_text(&now->host_names, i, &before->host_names, at);)
                at++;
        map->hosts[i] = (uint32_t)at; /* n_hosts, which no domain has, for a new host */
    }
    return 0;
}

/* Find the same domain in the older frame, or return -1.  A domain with another id was restarted: its counters too. */
static int64_t find_domain(const struct uuid_map *map, const pv_frame *now, uint32_t wanted)
{
    const uint8_t *uuid = now->uuids + (size_t)wanted * VIR_UUID_BUFLEN;
    for (uint64_t at = uuid_hash(uuid) & map->mask; map->buckets[at] != 0; at = (at + 1) & map->mask) {
        uint32_t domain = map->buckets[at] - 1;
        if (memcmp(map->frame->uuids + (size_t)domain * VIR_UUID_BUFLEN, uuid, VIR_UUID_BUFLEN) == 0 &&
            map->frame->ids[domain] == now->ids[wanted] &&
            (map->hosts == NULL || map->hosts[now->hosts[wanted]] == map->frame->hosts[domain]))
            return domain;
    }
    return -1;
}

/* Return where the rows of each domain start in a table: those of domain d are starts[d] to starts[d + 1] - 1. */
static int64_t *row_starts(const pv_frame *frame, const struct table *table)
{
    int64_t *starts = calloc((size_t)frame->domains + 1, sizeof(*starts));
    if (starts == NULL)
        return NULL;
    for (int64_t row = 0; row < table->rows; row++)
        starts[table->domain[row] + 1]++;
    for (int64_t i = 0; i < frame->domains; i++)
        starts[i + 1] += starts[i];
    return starts;
}

/* The items of one of the two frames. */
struct items {
    const struct table *table;
    const struct column *key;
    size_t width;
};

static bool same_item(const struct items *a, int64_t row_a, const struct items *b, int64_t row_b)
{
    if (a->key != NULL && b->key != NULL && pv_is_valid(a->key, row_a) && pv_is_valid(b->key, row_b))
        return same_text(a->key, row_a, b->key, row_b);
    if (a->width != b->width)
        return false;
    for (size_t i = 0; i < a->width; i++)
        if (a->table->index[i * (size_t)a->table->rows + (size_t)row_a] !=
            b->table->index[i * (size_t)b->table->rows + (size_t)row_b])
            return false;
    return true;
}

static struct items items_of(const pv_frame *frame, int table, int key)
{
    pthread_mutex_lock(&frame->schema->lock);
    struct items items = {
        .table = &frame->tables[table],
        .key = key >= 0 && key < frame->n_columns && frame->columns[key].used ? &frame->columns[key] : NULL,
        .width = (size_t)frame->schema->tables[table].n_index,
    };
    pthread_mutex_unlock(&frame->schema->lock);
    return items;
}

int pv_frame_match(pv_frame *now, int table, int key, pv_frame *before, int table_before, int key_before,
                   int64_t *match)
{
    if (pv_frame_identify(now) < 0 || pv_frame_identify(before) < 0)
        return PV_NO_MEMORY;
    struct items ours = items_of(now, table, key);
    struct items theirs = items_of(before, table_before, key_before);
    struct uuid_map map = {0};
    int64_t *starts = row_starts(before, theirs.table);
    int result = starts == NULL || map_uuids(&map, before) < 0 || map_hosts(&map, now) < 0 ? PV_NO_MEMORY : 0;
    int64_t row = result == 0 ? 0 : ours.table->rows;
    while (row < ours.table->rows) {
        uint32_t domain = ours.table->domain[row];
        int64_t other = find_domain(&map, now, domain);
        int64_t first = other < 0 ? 0 : starts[other], end = other < 0 ? 0 : starts[other + 1];
        /* Most items keep their place: try the next one first, then all items of this domain. */
        int64_t guess = first;
        for (; row < ours.table->rows && ours.table->domain[row] == domain; row++) {
            match[row] = -1;
            for (int64_t tried = first; tried < end; tried++) {
                if (guess >= end)
                    guess = first;
                if (same_item(&ours, row, &theirs, guess)) {
                    match[row] = guess++;
                    break;
                }
                guess++;
            }
        }
    }
    free(starts);
    free(map.buckets);
    free(map.hosts);
    return result;
}

/* ---- rates ---- */

/*
 * Compute the growth from b to a as a double, exact where a double can be.  Return false if the counter went back, or
 * if the type is not a number.
 */
static bool growth(int type, const void *a, int64_t row_a, const void *b, int64_t row_b, double *result)
{
    switch (type) {
    case VIR_TYPED_PARAM_ULLONG: {
        uint64_t x = ((const uint64_t *)a)[row_a], y = ((const uint64_t *)b)[row_b];
        *result = (double)(x - y);
        return x >= y;
    }
    case VIR_TYPED_PARAM_LLONG: {
        int64_t x = ((const int64_t *)a)[row_a], y = ((const int64_t *)b)[row_b];
        *result = (double)((uint64_t)x - (uint64_t)y);
        return x >= y;
    }
    case VIR_TYPED_PARAM_UINT: {
        uint32_t x = ((const uint32_t *)a)[row_a], y = ((const uint32_t *)b)[row_b];
        *result = (double)(x - y);
        return x >= y;
    }
    case VIR_TYPED_PARAM_INT: {
        int64_t x = ((const int32_t *)a)[row_a], y = ((const int32_t *)b)[row_b];
        *result = (double)(x - y);
        return x >= y;
    }
    case VIR_TYPED_PARAM_DOUBLE: {
        double x = ((const double *)a)[row_a], y = ((const double *)b)[row_b];
        *result = x - y;
        return x >= y;
    }
    default:
        return false;
    }
}

/* Return the type of a column, and set its table; -1: the frame has no value in it. */
static int type_of(const pv_frame *frame, int id, const struct table **table)
{
    if (id < 0 || id >= frame->n_columns || !frame->columns[id].used)
        return -1;
    pthread_mutex_lock(&frame->schema->lock);
    const struct column_def *def = &frame->schema->columns[id];
    int type = def->type;
    *table = &frame->tables[def->table];
    pthread_mutex_unlock(&frame->schema->lock);
    return type;
}

int64_t pv_frame_rate(const pv_frame *now, int column, const pv_frame *before, int column_before, const int64_t *match,
                      double *rates, uint8_t *valid)
{
    int64_t found = 0;
    const struct table *table, *table_before;
    int type = type_of(now, column, &table);
    if (type < 0 || type != type_of(before, column_before, &table_before))
        return 0;
    const struct column *ours = &now->columns[column], *theirs = &before->columns[column_before];
    for (int64_t row = 0; row < table->rows; row++) {
        double grown;
        if (match[row] < 0 || !pv_is_valid(ours, row) || !pv_is_valid(theirs, match[row]) ||
            !growth(type, ours->cells, row, theirs->cells, match[row], &grown))
            continue;
        int64_t time = now->times[table->domain[row]] - before->times[table_before->domain[match[row]]];
        if (time <= 0)
            continue;
        rates[row] = grown / ((double)time / 1e9);
        valid[row >> 3] = (uint8_t)(valid[row >> 3] | 1u << (row & 7));
        found++;
    }
    return found;
}
