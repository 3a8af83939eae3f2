/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "stats_frame.h"

/* ---- views ---- */

void pv_frame_describe(const pv_frame *frame, pv_frame_view *view)
{
    pthread_mutex_lock(&frame->schema->lock); /* another thread may be identifying the frame */
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

/* ---- the values in libvirt's order ---- */

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
    /* For each table, the rows that belong to the domains so far. */
    int64_t *used = calloc((size_t)frame->n_tables + 1, sizeof(*used));
    if (used == NULL)
        return PV_NO_MEMORY;
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
