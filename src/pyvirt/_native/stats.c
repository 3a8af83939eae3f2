/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>
#include <time.h>

#include "stats_frame.h"

/* ---- columns ---- */

static size_t width_of(int type)
{
    switch (type) {
    case VIR_TYPED_PARAM_INT:
    case VIR_TYPED_PARAM_UINT:
        return 4;
    case VIR_TYPED_PARAM_BOOLEAN:
        return 1;
    default:
        return 8; /* numbers, and the offsets of strings */
    }
}

static void set_valid(struct column *column, int64_t row)
{
    column->valid[row >> 3] = (uint8_t)(column->valid[row >> 3] | 1u << (row & 7));
}

static int reserve_cells(struct column *column, int type, int64_t rows)
{
    return pv_reserve(&column->cells, &column->room, rows + (type == VIR_TYPED_PARAM_STRING), width_of(type));
}

/* Rows [next, row) have no value. */
static int leave_out(struct column *column, int type, int64_t row)
{
    bool first = column->valid == NULL;
    if (pv_reserve((void **)&column->valid, &column->valid_room, (row >> 3) + 1, 1) < 0)
        return NO_MEMORY;
    if (first)
        for (int64_t i = 0; i < column->next; i++)
            set_valid(column, i);
    if (type == VIR_TYPED_PARAM_STRING)
        for (int64_t i = column->next; i < row; i++)
            ((int64_t *)column->cells)[i] = column->text_size;
    column->missing += row - column->next;
    column->next = row;
    return 0;
}

/* Put a text at the end, or, when a record repeats a name, in place of the one at `row`: the last one counts. */
static int put_text(struct column *column, int64_t row, const char *text)
{
    int64_t *offsets = column->cells;
    int64_t length = (int64_t)strlen(text);
    int64_t start = row < column->next ? offsets[row] : column->text_size;
    int64_t end = row + 1 < column->next ? offsets[row + 1] : column->text_size;
    int64_t growth = length - (end - start);
    if (pv_reserve((void **)&column->text, &column->text_room, column->text_size + growth, 1) < 0)
        return NO_MEMORY;
    if (end < column->text_size && growth != 0)
        memmove(column->text + end + growth, column->text + end, (size_t)(column->text_size - end));
    for (int64_t i = row + 1; i < column->next; i++)
        offsets[i] += growth;
    if (length > 0)
        memcpy(column->text + start, text, (size_t)length);
    offsets[row] = start;
    column->text_size += growth;
    return 0;
}

static inline void put_cell(void *cells, int type, int64_t row, const virTypedParameter *param)
{
    switch (type) {
    case VIR_TYPED_PARAM_INT:
    case VIR_TYPED_PARAM_UINT:
        memcpy((uint32_t *)cells + row, &param->value, 4);
        break;
    case VIR_TYPED_PARAM_BOOLEAN:
        ((uint8_t *)cells)[row] = param->value.b != 0;
        break;
    default:
        memcpy((uint64_t *)cells + row, &param->value, 8);
    }
}

/* Everything but the common case: a first row, a row after a hole, a string, a row written twice. */
static int put_slowly(struct column *column, int type, int64_t row, int64_t expected,
                      const virTypedParameter *param)
{
    if (reserve_cells(column, type, column->room == 0 && expected > row ? expected : row + 1) < 0)
        return NO_MEMORY;
    if (row > column->next && leave_out(column, type, row) < 0)
        return NO_MEMORY;
    if (column->valid != NULL &&
        pv_reserve((void **)&column->valid, &column->valid_room, (row >> 3) + 1, 1) < 0)
        return NO_MEMORY;
    if (type == VIR_TYPED_PARAM_STRING) {
        if (put_text(column, row, param->value.s != NULL ? param->value.s : "") < 0)
            return NO_MEMORY;
    } else {
        put_cell(column->cells, type, row, param);
    }
    if (row < column->next)
        column->missing -= !pv_is_valid(column, row);
    else
        column->next = row + 1;
    if (column->valid != NULL)
        set_valid(column, row);
    return 0;
}

static int seal_column(struct column *column, int type, int64_t rows)
{
    if (reserve_cells(column, type, rows) < 0)
        return NO_MEMORY;
    if (column->next < rows && leave_out(column, type, rows) < 0)
        return NO_MEMORY;
    if (type == VIR_TYPED_PARAM_STRING)
        ((int64_t *)column->cells)[rows] = column->text_size;
    int64_t used = rows + (type == VIR_TYPED_PARAM_STRING);
    if (column->room - used > used / 8) {
        void *trimmed = realloc(column->cells, (size_t)used * width_of(type));
        if (trimmed != NULL) {
            column->cells = trimmed;
            column->room = used;
        }
    }
    return 0;
}

static int64_t column_bytes(const struct column *column, int type)
{
    return column->room * (int64_t)width_of(type) + column->valid_room + column->text_room;
}

static void free_column(struct column *column)
{
    free(column->cells);
    free(column->valid);
    free(column->text);
}

/* ---- records ---- */

static int add_domain(pv_frame *frame, virDomainPtr domain, const struct layout *layout)
{
    int64_t n = frame->domains + 1;
    if (pv_reserve((void **)&frame->layouts, &frame->layouts_room, n, sizeof(*frame->layouts)) < 0 ||
        pv_reserve((void **)&frame->uuids, &frame->uuids_room, n * VIR_UUID_BUFLEN, 1) < 0 ||
        pv_reserve((void **)&frame->ids, &frame->ids_room, n, sizeof(*frame->ids)) < 0 ||
        reserve_cells(&frame->names, VIR_TYPED_PARAM_STRING, n) < 0)
        return NO_MEMORY;
    /* None of these asks the hypervisor: the handle knows them. */
    const char *name = virDomainGetName(domain);
    if (put_text(&frame->names, frame->domains, name != NULL ? name : "") < 0)
        return NO_MEMORY;
    frame->names.next = n;
    virDomainGetUUID(domain, frame->uuids + frame->domains * VIR_UUID_BUFLEN);
    frame->ids[frame->domains] = (int32_t)virDomainGetID(domain);
    frame->layouts[frame->domains] = layout->id;
    frame->domains = n;
    return 0;
}

/* Rows for all items of the layout; frame->base says where they begin. */
static int add_rows(pv_frame *frame, const struct layout *layout)
{
    uint32_t domain = (uint32_t)(frame->domains - 1);
    struct table *domains = &frame->tables[DOMAIN_TABLE];
    if (pv_reserve((void **)&frame->base, &frame->base_room, layout->n_tables, sizeof(*frame->base)) < 0 ||
        pv_reserve((void **)&domains->domain, &domains->domain_room, frame->domains,
                   sizeof(*domains->domain)) < 0)
        return NO_MEMORY;
    domains->domain[domain] = domain;
    domains->rows = frame->domains;

    for (int i = 0; i < layout->n_tables; i++) {
        const struct layout_table *from = &layout->tables[i];
        if (from->table == DOMAIN_TABLE) {
            frame->base[i] = domain;
            continue;
        }
        struct table *to = &frame->tables[from->table];
        size_t width = (size_t)frame->schema->tables[from->table].n_index;
        int64_t first = to->rows, rows = first + from->rows;
        if (pv_reserve((void **)&to->domain, &to->domain_room, rows, sizeof(*to->domain)) < 0 ||
            pv_reserve((void **)&to->index, &to->index_room, rows * (int64_t)width, sizeof(*to->index)) < 0)
            return NO_MEMORY;
        for (int64_t row = first; row < rows; row++)
            to->domain[row] = domain;
        memcpy(to->index + (size_t)first * width, from->index, from->rows * width * sizeof(*to->index));
        frame->base[i] = first;
        to->rows = rows;
    }
    return 0;
}

static int add_record(pv_frame *frame, const virDomainStatsRecord *record)
{
    pv_schema *schema = frame->schema;
    const struct layout *layout = pv_schema_layout(schema, record->params, record->nparams);
    if (layout == NULL ||
        pv_reserve((void **)&frame->tables, &frame->n_tables, schema->n_tables, sizeof(*frame->tables)) < 0 ||
        pv_reserve((void **)&frame->columns, &frame->n_columns, schema->n_columns, sizeof(*frame->columns)) <
            0)
        return NO_MEMORY;
    if (add_domain(frame, record->dom, layout) < 0 || add_rows(frame, layout) < 0)
        return NO_MEMORY;

    const int64_t *base = frame->base;
    for (int i = 0; i < layout->n_fields; i++) {
        const struct field *field = &layout->fields[i];
        struct column *column = &frame->columns[field->column];
        int64_t row = base[field->table] + field->item;
        if (row == column->next && row < column->room && column->valid == NULL &&
            field->type != VIR_TYPED_PARAM_STRING) {
            put_cell(column->cells, field->type, row, &record->params[i]);
            column->next++;
        } else if (put_slowly(column, field->type, row, schema->expected[layout->tables[field->table].table],
                              &record->params[i]) < 0) {
            return NO_MEMORY;
        }
    }
    frame->fields += layout->n_fields;
    return 0;
}

int pv_frame_add(pv_frame *frame, virDomainStatsRecordPtr *records, int n)
{
    struct timespec now;
    int result = n;
    clock_gettime(CLOCK_MONOTONIC, &now);
    pthread_mutex_lock(&frame->schema->lock);
    frame->taken = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    for (int i = 0; i < n && result >= 0; i++)
        if (add_record(frame, records[i]) < 0)
            result = NO_MEMORY;
    pthread_mutex_unlock(&frame->schema->lock);
    return result;
}

int pv_frame_collect(pv_frame *frame, virConnectPtr conn, virDomainPtr *domains, unsigned int stats,
                     unsigned int flags)
{
    virDomainStatsRecordPtr *records = NULL;
    int n = domains != NULL ? virDomainListGetStats(domains, stats, &records, flags)
                            : virConnectGetAllDomainStats(conn, stats, &records, flags);
    if (n < 0)
        return -1;
    n = pv_frame_add(frame, records, n);
    virDomainStatsRecordListFree(records);
    return n;
}

/* From row by row to number by number; nothing to do where a row has but one. */
static int transpose_index(struct table *table, size_t width)
{
    if (width < 2 || table->rows == 0)
        return 0;
    size_t rows = (size_t)table->rows;
    uint32_t *turned = malloc(rows * width * sizeof(*turned));
    if (turned == NULL)
        return NO_MEMORY;
    for (size_t row = 0; row < rows; row++)
        for (size_t i = 0; i < width; i++)
            turned[i * rows + row] = table->index[row * width + i];
    free(table->index);
    table->index = turned;
    table->index_room = (int64_t)(rows * width);
    return 0;
}

int pv_frame_seal(pv_frame *frame)
{
    pv_schema *schema = frame->schema;
    int result = 0;
    pthread_mutex_lock(&schema->lock);
    for (int i = 0; i < frame->n_tables && i < schema->n_tables; i++) {
        struct table *table = &frame->tables[i];
        schema->expected[i] = table->rows;
        if (transpose_index(table, (size_t)schema->tables[i].n_index) < 0)
            result = NO_MEMORY;
        frame->bytes += (table->domain_room + table->index_room) * (int64_t)sizeof(uint32_t);
    }
    for (int i = 0; i < frame->n_columns && i < schema->n_columns; i++) {
        struct column *column = &frame->columns[i];
        int type = schema->columns[i].type;
        if (column->next > 0 && seal_column(column, type, frame->tables[schema->columns[i].table].rows) < 0)
            result = NO_MEMORY;
        frame->bytes += column_bytes(column, type);
    }
    if (seal_column(&frame->names, VIR_TYPED_PARAM_STRING, frame->domains) < 0)
        result = NO_MEMORY;
    frame->bytes += column_bytes(&frame->names, VIR_TYPED_PARAM_STRING) + frame->uuids_room +
                    (frame->ids_room + frame->layouts_room) * 4;
    pthread_mutex_unlock(&schema->lock);
    return result;
}

/* ---- life ---- */

pv_frame *pv_frame_new(pv_schema *schema)
{
    pv_frame *frame = calloc(1, sizeof(*frame));
    if (frame == NULL)
        return NULL;
    frame->schema = schema;
    pthread_mutex_lock(&schema->lock);
    schema->references++;
    pthread_mutex_unlock(&schema->lock);
    return frame;
}

void pv_frame_free(pv_frame *frame)
{
    if (frame == NULL)
        return;
    for (int64_t i = 0; i < frame->n_tables; i++) {
        free(frame->tables[i].domain);
        free(frame->tables[i].index);
    }
    for (int64_t i = 0; i < frame->n_columns; i++)
        free_column(&frame->columns[i]);
    free_column(&frame->names);
    free(frame->tables);
    free(frame->columns);
    free(frame->layouts);
    free(frame->uuids);
    free(frame->ids);
    free(frame->base);
    pv_schema_free(frame->schema);
    free(frame);
}
