/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "stats_frame.h"

/* ---- views of a sealed frame ---- */

void pv_frame_describe(const pv_frame *frame, pv_frame_view *view)
{
    pthread_mutex_lock(&frame->schema->lock); /* another thread may identify it */
    *view = (pv_frame_view){
        .domains = frame->domains,
        .fields = frame->fields,
        .bytes = frame->bytes,
        .taken = frame->taken,
        .uuids = frame->uuids,
        .ids = frame->ids,
        .name_offsets = frame->names.cells,
        .names = frame->names.text,
        .layouts = frame->layouts,
        .hosts = frame->hosts,
    };
    pthread_mutex_unlock(&frame->schema->lock);
}

int pv_frame_n_tables(const pv_frame *frame)
{
    return (int)frame->n_tables;
}

int pv_frame_n_columns(const pv_frame *frame)
{
    return (int)frame->n_columns;
}

int pv_frame_table(const pv_frame *frame, int id, pv_table_view *view)
{
    if (id < 0 || id >= frame->n_tables || frame->tables[id].rows == 0)
        return -1;
    const struct table *table = &frame->tables[id];
    pthread_mutex_lock(&frame->schema->lock);
    const struct table_def *def = &frame->schema->tables[id];
    *view = (pv_table_view){
        .id = id,
        .name = def->name,
        .pattern = def->pattern,
        .where = def->where,
        .rows = table->rows,
        .n_index = def->n_index,
        .index = table->index,
        .domain = table->domain,
    };
    pthread_mutex_unlock(&frame->schema->lock);
    return 0;
}

bool pv_view_column(const pv_frame *frame, int id, pv_column_view *view)
{
    const struct column *column = &frame->columns[id];
    if (!column->used)
        return false;
    const struct column_def *def = &frame->schema->columns[id];
    *view = (pv_column_view){
        .id = id,
        .table = def->table,
        .name = def->name,
        .field = def->field,
        .type = def->type,
        .rows = frame->tables[def->table].rows,
        .present = column->present,
        .values = column->cells,
        .valid = column->valid,
        .text = column->text,
        .text_size = column->text_size,
    };
    return true;
}

int pv_frame_columns(const pv_frame *frame, pv_column_view *views)
{
    int n = 0;
    pthread_mutex_lock(&frame->schema->lock);
    for (int id = 0; id < frame->n_columns; id++)
        n += pv_view_column(frame, id, &views[n]);
    pthread_mutex_unlock(&frame->schema->lock);
    return n;
}

static const struct layout *layout_of(const pv_frame *frame, uint32_t id)
{
    pthread_mutex_lock(&frame->schema->lock);
    const struct layout *layout = frame->schema->layouts[id];
    pthread_mutex_unlock(&frame->schema->lock);
    return layout;
}

int pv_frame_layout(const pv_frame *frame, uint32_t id, const char **names, int *columns, int n)
{
    const struct layout *layout = layout_of(frame, id);
    for (int i = 0; i < n && i < layout->n_fields; i++) {
        names[i] = layout->fields[i].name;
        columns[i] = layout->fields[i].column;
    }
    return layout->n_fields;
}

/* ---- back to records ---- */

static int64_t cell_of(const struct column *column, int type, int64_t row)
{
    int64_t cell = 0;
    switch (type) {
    case VIR_TYPED_PARAM_INT:
        cell = ((const int32_t *)column->cells)[row];
        break;
    case VIR_TYPED_PARAM_UINT:
        cell = ((const uint32_t *)column->cells)[row];
        break;
    case VIR_TYPED_PARAM_BOOLEAN:
        cell = ((const uint8_t *)column->cells)[row];
        break;
    case VIR_TYPED_PARAM_STRING:
        cell = row;
        break;
    default:
        cell = ((const int64_t *)column->cells)[row];
    }
    return cell;
}

int pv_frame_cells(const pv_frame *frame, int64_t *cells)
{
    /* How many rows of each table the domains so far have used. */
    int64_t *used = calloc((size_t)frame->n_tables + 1, sizeof(*used));
    if (used == NULL)
        return NO_MEMORY;
    for (int64_t domain = 0; domain < frame->domains; domain++) {
        const struct layout *layout = layout_of(frame, frame->layouts[domain]);
        used[DOMAIN_TABLE] = domain;
        for (int i = 0; i < layout->n_fields; i++) {
            const struct field *field = &layout->fields[i];
            int64_t row = used[layout->tables[field->table].table] + field->item;
            *cells++ = cell_of(&frame->columns[field->column], field->type, row);
        }
        for (int i = 0; i < layout->n_tables; i++)
            used[layout->tables[i].table] += layout->tables[i].rows;
    }
    free(used);
    return 0;
}

void pv_cells_varying(const int64_t *cells, int64_t records, int64_t fields, uint8_t *varying)
{
    memset(varying, 0, (size_t)fields);
    for (int64_t record = 1; record < records; record++)
        for (int64_t i = 0; i < fields; i++)
            varying[i] = (uint8_t)(varying[i] | (cells[record * fields + i] != cells[i]));
}

/* ---- one tick and the one before ---- */

/* UUID -> domain, open addressing; a UUID is random enough to be its own hash. */
struct uuid_map {
    const pv_frame *frame;
    uint32_t *hosts; /* what place that frame has for each host of another; NULL: the host does not matter */
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
        return NO_MEMORY;
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

/* By name: another collector may have other hosts, or the same in another order. */
static int map_hosts(struct uuid_map *map, const pv_frame *now)
{
    const pv_frame *before = map->frame;
    if (now->hosts == NULL || before->hosts == NULL)
        return 0;
    map->hosts = malloc((size_t)now->n_hosts * sizeof(*map->hosts) + 1);
    if (map->hosts == NULL)
        return NO_MEMORY;
    for (int64_t i = 0; i < now->n_hosts; i++) {
        int64_t at = i; /* where it mostly is */
        if (at >= before->n_hosts || !same_text(&now->host_names, i, &before->host_names, at))
            for (at = 0; at < before->n_hosts && !same_text(&now->host_names, i, &before->host_names, at);)
                at++;
        map->hosts[i] = (uint32_t)at; /* their number, which nobody has, if it is new */
    }
    return 0;
}

/* The same domain of an older frame, or -1.  With another id it was started anew: what it counts began at 0 again. */
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

/* Rows of a table by domain: those of domain d are starts[d] to starts[d + 1]. */
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

/* One side of a comparison of items. */
struct side {
    const struct table *table;
    const struct column *key;
    size_t width;
};

static bool same_item(const struct side *a, int64_t row_a, const struct side *b, int64_t row_b)
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

static struct side side_of(const pv_frame *frame, int table, int key)
{
    pthread_mutex_lock(&frame->schema->lock);
    struct side side = {
        .table = &frame->tables[table],
        .key = key >= 0 && key < frame->n_columns && frame->columns[key].used ? &frame->columns[key] : NULL,
        .width = (size_t)frame->schema->tables[table].n_index,
    };
    pthread_mutex_unlock(&frame->schema->lock);
    return side;
}

int pv_frame_match(pv_frame *now, int table, int key, pv_frame *before, int table_before, int key_before,
                   int64_t *match)
{
    if (pv_frame_identify(now) < 0 || pv_frame_identify(before) < 0)
        return NO_MEMORY;
    struct side ours = side_of(now, table, key);
    struct side theirs = side_of(before, table_before, key_before);
    struct uuid_map map = {0};
    int64_t *starts = row_starts(before, theirs.table);
    int result = starts == NULL || map_uuids(&map, before) < 0 || map_hosts(&map, now) < 0 ? NO_MEMORY : 0;
    int64_t row = result == 0 ? 0 : ours.table->rows;
    while (row < ours.table->rows) {
        uint32_t domain = ours.table->domain[row];
        int64_t other = find_domain(&map, now, domain);
        int64_t first = other < 0 ? 0 : starts[other], end = other < 0 ? 0 : starts[other + 1];
        /* Items mostly stand where they stood: try the next one first, then all of this domain's. */
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

/* The growth from b to a as a double, exact where it fits; false if the counter went back or is not one. */
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

/* The type of a column, and its table; -1 where the frame has no value of it. */
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
