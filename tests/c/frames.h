/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FRAMES_H
#define FRAMES_H

/* Checks that must pass for every frame, whatever its records are. */

#include <pthread.h>
#include <stdint.h>

#include "records.h"

#include "native_stats_rates.h"

enum { MOST_RECORDS = 64 };

static inline bool bit(const uint8_t *bits, int64_t i)
{
    return (bits[i >> 3] >> (i & 7) & 1) != 0;
}

/* Describe the column with that id.  Return 0, or -1 if the frame has no value in it. */
static inline int find_column(const pv_frame *frame, int id, pv_column_view *view)
{
    pthread_mutex_lock(&frame->schema->lock);
    bool found = pv_view_column(frame, id, view);
    pthread_mutex_unlock(&frame->schema->lock);
    return found ? 0 : -1;
}

/* Return the last field of the same name and type: if a record repeats a name, the last value counts. */
static inline virTypedParameterPtr last_like(virDomainStatsRecordPtr record, int i)
{
    virTypedParameterPtr field = &record->params[i];
    for (int other = i + 1; other < record->nparams; other++)
        if (record->params[other].type == field->type &&
            strcmp(record->params[other].field, record->params[i].field) == 0)
            field = &record->params[other];
    return field;
}

static inline void check_cell(const pv_frame *frame, int column, virTypedParameterPtr field, int64_t cell)
{
    pv_column_view view;
    CHECK(find_column(frame, column, &view) == 0);
    CHECK(view.type == field->type);
    switch (field->type) {
    case VIR_TYPED_PARAM_INT:
        CHECK(cell == field->value.i);
        break;
    case VIR_TYPED_PARAM_UINT:
        CHECK(cell == field->value.ui);
        break;
    case VIR_TYPED_PARAM_BOOLEAN:
        CHECK(cell == (field->value.b != 0));
        break;
    case VIR_TYPED_PARAM_STRING: {
        const char *text = field->value.s != NULL ? field->value.s : "";
        const int64_t *offsets = view.values;
        CHECK(cell >= 0 && cell < view.rows);
        CHECK(offsets[cell + 1] - offsets[cell] == (int64_t)strlen(text));
        CHECK(*text == '\0' || memcmp(view.text + offsets[cell], text, strlen(text)) == 0);
        break;
    }
    default:
        CHECK(cell == field->value.l);
    }
}

static inline void check_fields(const pv_frame *frame, virDomainStatsRecordPtr *records)
{
    pv_frame_view view;
    pv_frame_describe(frame, &view);
    int64_t *cells = calloc((size_t)view.fields + 1, sizeof(*cells)), *cell = cells;
    CHECK(cells != NULL);
    CHECK(pv_frame_cells(frame, cells) == 0);
    for (int64_t domain = 0; domain < view.domains; domain++) {
        virDomainStatsRecordPtr record = records[domain];
        size_t n = (size_t)record->nparams;
        const char **names = calloc(n + 1, sizeof(*names));
        int *columns = calloc(n + 1, sizeof(*columns));
        CHECK(names != NULL && columns != NULL);
        CHECK(pv_frame_layout(frame, view.layouts[domain], names, columns, record->nparams) == record->nparams);
        for (int i = 0; i < record->nparams; i++, cell++) {
            CHECK(strcmp(names[i], record->params[i].field) == 0);
            check_cell(frame, columns[i], last_like(record, i), *cell);
        }
        free(names);
        free(columns);
    }
    CHECK(cell - cells == view.fields);
    free(cells);
}

static inline void check_tables(const pv_frame *frame)
{
    pv_frame_view whole;
    pv_frame_describe(frame, &whole);
    for (int id = 0; id < pv_frame_n_tables(frame); id++) {
        pv_table_view table;
        if (pv_frame_table(frame, id, &table) < 0)
            continue;
        CHECK(table.id == id && table.rows > 0);
        CHECK(id != 0 || (table.rows == whole.domains && strcmp(table.name, "domain") == 0));
        for (int64_t row = 0; row < table.rows; row++) {
            CHECK(table.domain[row] < whole.domains);
            CHECK(row == 0 || table.domain[row - 1] <= table.domain[row]);
        }
        for (int64_t i = 0; i < table.n_index * table.rows; i++)
            CHECK(table.index[i] <= 999999999);
    }
    CHECK(pv_frame_table(frame, -1, &(pv_table_view){0}) == -1);
    CHECK(pv_frame_table(frame, pv_frame_n_tables(frame), &(pv_table_view){0}) == -1);
}

/* A cell without a value must be 0, even in reused memory. */
static inline void check_hole(const pv_column_view *column, int64_t row)
{
    static const char zeros[8];
    size_t width = 8;
    if (column->type == VIR_TYPED_PARAM_INT || column->type == VIR_TYPED_PARAM_UINT)
        width = 4;
    else if (column->type == VIR_TYPED_PARAM_BOOLEAN)
        width = 1;
    CHECK(memcmp((const char *)column->values + (size_t)row * width, zeros, width) == 0);
}

static inline void check_columns(const pv_frame *frame)
{
    for (int id = 0; id < pv_frame_n_columns(frame); id++) {
        pv_column_view column;
        if (find_column(frame, id, &column) < 0)
            continue;
        int64_t present = 0;
        for (int64_t row = 0; row < column.rows; row++) {
            bool here = column.valid == NULL || bit(column.valid, row);
            present += here;
            if (!here && column.type != VIR_TYPED_PARAM_STRING)
                check_hole(&column, row);
        }
        CHECK(present == column.present && present > 0);
        if (column.type != VIR_TYPED_PARAM_STRING)
            continue;
        const int64_t *offsets = column.values;
        CHECK(offsets[0] == 0 && offsets[column.rows] == column.text_size);
        for (int64_t row = 0; row < column.rows; row++)
            CHECK(offsets[row] <= offsets[row + 1]);
    }
}

static inline void check_frame(pv_frame *frame, virDomainStatsRecordPtr *records, int n)
{
    pv_frame_view view;
    int64_t fields = 0;
    for (int i = 0; i < n; i++)
        fields += records[i]->nparams;
    CHECK(pv_frame_identify(frame) == 0);
    pv_frame_describe(frame, &view);
    CHECK(view.domains == n && view.fields == fields && view.taken > 0);
    for (int i = 0; i < n; i++) {
        unsigned char uuid[VIR_UUID_BUFLEN];
        const char *name = virDomainGetName(records[i]->dom);
        CHECK(virDomainGetUUID(records[i]->dom, uuid) == 0);
        CHECK(memcmp(view.uuids + i * VIR_UUID_BUFLEN, uuid, sizeof(uuid)) == 0);
        CHECK(view.ids[i] == (int32_t)virDomainGetID(records[i]->dom));
        CHECK(view.name_offsets[i + 1] - view.name_offsets[i] == (int64_t)strlen(name));
        CHECK(memcmp(view.names + view.name_offsets[i], name, strlen(name)) == 0);
    }
    check_tables(frame);
    check_columns(frame);
    check_fields(frame, records);
}

static inline int key_of(const pv_frame *frame, int table)
{
    for (int id = 0; id < pv_frame_n_columns(frame); id++) {
        pv_column_view column;
        if (find_column(frame, id, &column) == 0 && column.table == table && column.type == VIR_TYPED_PARAM_STRING)
            return id;
    }
    return -1;
}

static inline void check_rates_of_table(const pv_frame *now, const pv_frame *before, int table, const int64_t *match)
{
    for (int id = 0; id < pv_frame_n_columns(now); id++) {
        pv_column_view column;
        if (find_column(now, id, &column) < 0 || column.table != table)
            continue;
        size_t rows = (size_t)column.rows;
        double *rates = calloc(rows, sizeof(*rates));
        uint8_t *valid = calloc((rows + 7) / 8, 1);
        CHECK(rates != NULL && valid != NULL);
        int64_t found = pv_frame_rate(now, id, before, id, match, rates, valid), set = 0;
        for (int64_t row = 0; row < column.rows; row++) {
            set += bit(valid, row);
            CHECK(bit(valid, row) ? match[row] >= 0 && !(rates[row] < 0) : rates[row] == 0);
        }
        CHECK(found == set);
        free(rates);
        free(valid);
    }
}

static inline void check_rates(pv_frame *now, pv_frame *before)
{
    for (int id = 0; id < pv_frame_n_tables(now); id++) {
        pv_table_view ours, theirs;
        if (pv_frame_table(now, id, &ours) < 0 || pv_frame_table(before, id, &theirs) < 0)
            continue;
        int64_t *match = calloc((size_t)ours.rows, sizeof(*match));
        CHECK(match != NULL);
        CHECK(pv_frame_match(now, id, key_of(now, id), before, id, key_of(before, id), match) == 0);
        for (int64_t row = 0; row < ours.rows; row++)
            CHECK(match[row] >= -1 && match[row] < theirs.rows);
        check_rates_of_table(now, before, id, match);
        free(match);
    }
}

/* A selection of domains must equal a frame made of their records alone. */
static inline void check_selection(pv_frame *frame, virDomainStatsRecordPtr *records, int n)
{
    virDomainStatsRecordPtr chosen[MOST_RECORDS];
    uint32_t rows[MOST_RECORDS];
    int kept = 0;
    for (int i = 0; i < n; i += 2, kept++) {
        rows[kept] = (uint32_t)i;
        chosen[kept] = records[i];
    }
    CHECK(n <= MOST_RECORDS && pv_frame_identify(frame) == 0);
    pv_frame *selection = pv_frame_select(frame, rows, kept);
    CHECK(selection != NULL);
    check_frame(selection, chosen, kept);
    check_rates(selection, frame);
    pv_frame_free(selection);
}

#endif
