/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "clock.h"
#include "stats_frame.h"

/* Reorder the index from row by row to number by number.  With one number per row both orders are the same. */
static int transpose_index(struct table *table, size_t width)
{
    if (width < 2 || table->rows == 0)
        return 0;
    size_t rows = (size_t)table->rows;
    uint32_t *turned = malloc((size_t)table->room * width * sizeof(*turned));
    if (turned == NULL)
        return PV_NO_MEMORY;
    for (size_t row = 0; row < rows; row++)
        for (size_t i = 0; i < width; i++)
            turned[i * rows + row] = table->index[row * width + i];
    free(table->index);
    table->index = turned;
    return 0;
}

static void count_present(pv_frame *frame)
{
    for (uint32_t id = 0; id < frame->uses_room; id++) {
        if (frame->uses[id] == 0)
            continue;
        const struct layout *layout = frame->schema->layouts[id];
        for (int i = 0; i < layout->n_columns; i++)
            frame->columns[layout->columns[i].column].present += frame->uses[id] * layout->columns[i].rows;
    }
}

/* For columns that have a value in some rows only: mark those rows. */
static int mark_valid(pv_frame *frame)
{
    int64_t *used = calloc((size_t)frame->n_tables + 1, sizeof(*used));
    if (used == NULL)
        return PV_NO_MEMORY;
    for (int64_t domain = 0; domain < frame->domains; domain++) {
        const struct layout *layout = frame->schema->layouts[frame->layouts[domain]];
        used[DOMAIN_TABLE] = domain;
        for (int kind = 0; kind < MOVE_KINDS; kind++) {
            const struct moves *moves = &layout->moves[kind];
            for (int i = 0; i < moves->n; i++) {
                const struct move *move = &moves->items[i];
                uint8_t *valid = frame->columns[move->column].valid;
                if (valid == NULL)
                    continue;
                int64_t row = used[layout->tables[move->table].table] + move->item;
                valid[row >> 3] = (uint8_t)(valid[row >> 3] | 1u << (row & 7));
            }
        }
        for (int i = 0; i < layout->n_tables; i++)
            used[layout->tables[i].table] += layout->tables[i].rows;
    }
    free(used);
    return 0;
}

/* Set cells without a value to 0. */
static void clear_holes(struct column *column, size_t width, int64_t rows)
{
    char *cells = column->cells;
    for (int64_t row = 0; row < rows; row++)
        if (!pv_is_valid(column, row))
            memset(cells + (size_t)row * width, 0, width);
}

static int seal_columns(pv_frame *frame)
{
    const pv_schema *schema = frame->schema;
    bool holes = false;
    for (int i = 0; i < frame->n_columns && i < schema->n_columns; i++) {
        struct column *column = &frame->columns[i];
        if (!column->used) {
            pv_free_column(column);
            continue;
        }
        int64_t rows = frame->tables[schema->columns[i].table].rows;
        if (schema->columns[i].type == VIR_TYPED_PARAM_STRING)
            while (column->written <= rows)
                ((int64_t *)column->cells)[column->written++] = column->text_size;
        if (column->present < rows) {
            column->valid = calloc((size_t)(rows + 7) / 8, 1);
            if (column->valid == NULL)
                return PV_NO_MEMORY;
            frame->bytes += (rows + 7) / 8;
            holes = true;
        }
        frame->bytes += (rows + 1) * (int64_t)pv_width_of(schema->columns[i].type) + column->text_room;
    }
    if (!holes)
        return 0;
    if (mark_valid(frame) < 0)
        return PV_NO_MEMORY;
    for (int i = 0; i < frame->n_columns && i < schema->n_columns; i++)
        if (frame->columns[i].valid != NULL && schema->columns[i].type != VIR_TYPED_PARAM_STRING)
            clear_holes(&frame->columns[i], pv_width_of(schema->columns[i].type),
                        frame->tables[schema->columns[i].table].rows);
    return 0;
}

int pv_seal(pv_frame *frame)
{
    const pv_schema *schema = frame->schema;
    for (int i = 0; i < frame->n_tables && i < schema->n_tables; i++) {
        struct table *table = &frame->tables[i];
        size_t width = (size_t)schema->tables[i].n_index;
        /* Give back the unused room of tables that grew in large steps. */
        if (table->room > table->rows + table->rows / 2 && table->rows > 0 &&
            pv_resize_table(frame, i, table->rows) < 0)
            return PV_NO_MEMORY;
        if (transpose_index(table, width) < 0)
            return PV_NO_MEMORY;
        frame->bytes += table->room * (int64_t)((1 + width) * sizeof(uint32_t));
    }
    count_present(frame);
    frame->bytes += frame->domains * (VIR_UUID_BUFLEN + 24);
    return seal_columns(frame);
}

int pv_frame_seal(pv_frame *frame)
{
    pv_schema *schema = frame->schema;
    if (frame->taken == 0) /* libvirt was not called, or returned nothing */
        frame->taken = pv_now_ns();
    pthread_mutex_lock(&schema->lock);
    int result = pv_seal(frame);
    frame->sound = result == 0;
    for (int i = 0; i < frame->n_tables && i < schema->n_tables; i++)
        schema->expected[i] = frame->tables[i].rows;
    pthread_mutex_unlock(&schema->lock);
    return result;
}
