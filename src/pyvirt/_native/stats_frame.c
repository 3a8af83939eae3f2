/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "reserve.h"
#include "stats_frame.h"

/* ---- columns and tables ---- */

size_t pv_width_of(int type)
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

/*
 * One cell more than rows, for the last offset of strings.  New cells are not cleared: sealing clears the missing ones.
 */
int pv_resize_cells(struct column *column, int type, int64_t room)
{
    void *grown = realloc(column->cells, ((size_t)room + 1) * pv_width_of(type));
    if (grown == NULL)
        return PV_NO_MEMORY;
    column->cells = grown;
    return 0;
}

int pv_resize_table(pv_frame *frame, int id, int64_t room)
{
    struct table *table = &frame->tables[id];
    const pv_schema *schema = frame->schema;
    size_t width = (size_t)schema->tables[id].n_index;
    uint32_t *domain = realloc(table->domain, (size_t)room * sizeof(*domain));
    if (domain == NULL)
        return PV_NO_MEMORY;
    table->domain = domain;
    if (width > 0) {
        uint32_t *index = realloc(table->index, (size_t)room * width * sizeof(*index));
        if (index == NULL)
            return PV_NO_MEMORY;
        table->index = index;
    }
    for (int i = 0; i < frame->n_columns && i < schema->n_columns; i++) {
        struct column *column = &frame->columns[i];
        if (column->cells != NULL && schema->columns[i].table == id &&
            pv_resize_cells(column, schema->columns[i].type, room) < 0)
            return PV_NO_MEMORY;
    }
    table->room = room;
    return 0;
}

static int make_room(pv_frame *frame, int id, int64_t rows)
{
    int64_t room = frame->tables[id].room;
    if (rows <= room)
        return 0;
    int64_t expected = frame->schema->expected[id];
    int64_t wanted = room + room / 2 < 16 ? 16 : room + room / 2;
    if (room == 0 && wanted < expected)
        wanted = expected;
    return pv_resize_table(frame, id, wanted < rows ? rows : wanted);
}

int pv_put_text(struct column *column, int64_t row, const char *text, int64_t length)
{
    int64_t *offsets = column->cells;
    if (pv_reserve((void **)&column->text, &column->text_room, column->text_size + length, 1) < 0)
        return PV_NO_MEMORY;
    while (column->written <= row)
        offsets[column->written++] = column->text_size;
    if (length > 0)
        memcpy(column->text + column->text_size, text, (size_t)length);
    column->text_size += length;
    return 0;
}

void pv_free_column(struct column *column)
{
    free(column->cells);
    free(column->valid);
    free(column->text);
    *column = (struct column){0};
}

/* ---- room for records ---- */

int pv_reserve_domains(pv_frame *frame, int64_t n)
{
    if (pv_reserve((void **)&frame->times, &frame->times_room, n, sizeof(*frame->times)) < 0)
        return PV_NO_MEMORY;
    return pv_reserve((void **)&frame->layouts, &frame->layouts_room, n, sizeof(*frame->layouts));
}

int pv_add_columns(pv_frame *frame, const struct layout *layout)
{
    const pv_schema *schema = frame->schema;
    if (pv_reserve((void **)&frame->tables, &frame->n_tables, schema->n_tables, sizeof(*frame->tables)) < 0 ||
        pv_reserve((void **)&frame->columns, &frame->n_columns, schema->n_columns, sizeof(*frame->columns)) < 0 ||
        pv_reserve((void **)&frame->uses, &frame->uses_room, schema->n_layouts, sizeof(*frame->uses)) < 0 ||
        pv_reserve((void **)&frame->base, &frame->base_room, layout->n_tables, sizeof(*frame->base)) < 0)
        return PV_NO_MEMORY;
    for (int i = 0; i < layout->n_columns; i++) {
        int id = layout->columns[i].column;
        struct column *column = &frame->columns[id];
        column->used = true;
        if (column->cells == NULL &&
            pv_resize_cells(column, schema->columns[id].type, frame->tables[schema->columns[id].table].room) < 0)
            return PV_NO_MEMORY;
    }
    return 0;
}

int pv_add_rows(pv_frame *frame, const struct layout *layout, int n)
{
    uint32_t domain = (uint32_t)frame->domains;
    if (make_room(frame, DOMAIN_TABLE, frame->domains + n) < 0)
        return PV_NO_MEMORY;
    struct table *domains = &frame->tables[DOMAIN_TABLE];
    for (uint32_t i = 0; i < (uint32_t)n; i++)
        domains->domain[domain + i] = domain + i;
    domains->rows = frame->domains + n;

    for (int i = 0; i < layout->n_tables; i++) {
        const struct layout_table *from = &layout->tables[i];
        if (from->table == DOMAIN_TABLE) {
            frame->base[i] = domain;
            continue;
        }
        struct table *to = &frame->tables[from->table];
        size_t width = (size_t)frame->schema->tables[from->table].n_index, numbers = from->rows * width;
        int64_t row = frame->base[i] = to->rows;
        if (make_room(frame, from->table, row + (int64_t)from->rows * n) < 0)
            return PV_NO_MEMORY;
        uint32_t *index = to->index + (size_t)row * width;
        for (uint32_t record = 0; record < (uint32_t)n; record++, index += numbers) {
            for (uint32_t item = 0; item < from->rows; item++)
                to->domain[row++] = domain + record;
            memcpy(index, from->index, numbers * sizeof(*index));
        }
        to->rows = row;
    }
    return 0;
}

/* ---- freeing and reusing ---- */

void pv_free_answers(pv_frame *frame)
{
    for (int64_t i = 0; i < frame->n_answers && !frame->inherited; i++)
        virDomainStatsRecordListFree(frame->answers[i].records);
    frame->n_answers = 0;
}

void pv_free_identity(pv_frame *frame)
{
    pv_free_answers(frame);
    frame->inherited = false;
    frame->asking = 0; /* after a fork, the threads that were reading are the parent's */
    pv_free_column(&frame->names);
    pv_free_column(&frame->host_names);
    free(frame->uuids);
    free(frame->ids);
    free(frame->hosts);
    frame->uuids = NULL;
    frame->ids = NULL;
    frame->hosts = NULL;
}

void pv_frame_reset(pv_frame *frame)
{
    for (int64_t i = 0; i < frame->n_tables; i++)
        frame->tables[i].rows = 0;
    for (int64_t i = 0; i < frame->n_columns; i++) {
        struct column *column = &frame->columns[i];
        free(column->valid);
        column->valid = NULL;
        column->used = false;
        column->present = column->written = column->text_size = 0;
    }
    if (frame->uses != NULL)
        memset(frame->uses, 0, (size_t)frame->uses_room * sizeof(*frame->uses));
    frame->domains = frame->fields = frame->bytes = frame->taken = 0;
    frame->layout = NULL;
    frame->sound = false;
}

void pv_frame_destroy(pv_frame *frame)
{
    if (frame == NULL)
        return;
    for (int64_t i = 0; i < frame->n_tables; i++) {
        free(frame->tables[i].domain);
        free(frame->tables[i].index);
    }
    for (int64_t i = 0; i < frame->n_columns; i++)
        pv_free_column(&frame->columns[i]);
    pv_free_identity(frame);
    free(frame->answers);
    free(frame->tables);
    free(frame->columns);
    free(frame->layouts);
    free(frame->times);
    free(frame->uses);
    free(frame->base);
    free(frame);
}
