/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PV_STATS_FRAME_H
#define PV_STATS_FRAME_H

#include "stats_schema.h"

/* `next` is the row after the last one written.  `valid` comes into being with the first row left out. */
struct column {
    void *cells; /* for strings offsets into text: one more than rows */
    int64_t room;
    int64_t next;
    int64_t missing;
    uint8_t *valid;
    int64_t valid_room;
    char *text;
    int64_t text_size, text_room;
};

struct table {
    int64_t rows;
    uint32_t *domain;
    int64_t domain_room;
    uint32_t *index; /* row by row while filling, number by number once sealed */
    int64_t index_room;
};

struct pv_frame {
    pv_schema *schema;
    struct table *tables;
    int64_t n_tables;
    struct column *columns;
    int64_t n_columns;
    int64_t domains, fields, bytes, taken;
    uint32_t *layouts;
    int64_t layouts_room;
    uint8_t *uuids;
    int64_t uuids_room;
    int32_t *ids;
    int64_t ids_room;
    struct column names;
    int64_t *base; /* first row of each table of the layout at hand */
    int64_t base_room;
};

static inline bool pv_is_valid(const struct column *column, int64_t row)
{
    return row < column->next && (column->valid == NULL || (column->valid[row >> 3] >> (row & 7) & 1) != 0);
}

#endif
