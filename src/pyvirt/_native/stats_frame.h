/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PV_STATS_FRAME_H
#define PV_STATS_FRAME_H

/* stats_frame.c: the memory of a frame; at the end, functions of other files. */

#include <stdatomic.h>

#include "stats_schema.h"

#include "native_stats_read.h"

/* The values of one field.  All columns of a table have room for as many rows as the table. */
struct column {
    bool used;       /* at least one row of this frame has a value */
    void *cells;     /* for strings offsets into text, one more than rows */
    uint8_t *valid;  /* a bit per row; NULL: every row has a value */
    int64_t present; /* rows that have a value */
    int64_t written; /* strings: rows whose offset is written */
    char *text;
    int64_t text_size, text_room;
};

struct table {
    int64_t rows, room;
    uint32_t *domain;
    uint32_t *index; /* row by row while the frame is filled, number by number once it is sealed */
};

/* Records without their parameters: they are kept until the frame is identified. */
struct answer {
    virDomainStatsRecordPtr *records;
    int64_t first; /* the place of its first domain in the frame */
    int n;
};

struct pv_frame {
    pv_schema *schema;
    atomic_int references;
    bool sound; /* sealed without running out of memory: all columns have the room of their table */
    struct table *tables;
    int64_t n_tables;
    struct column *columns;
    int64_t n_columns;
    int64_t domains, fields, bytes, taken;
    const struct layout *layout; /* of the last record */
    uint32_t *layouts;           /* of each domain */
    int64_t layouts_room;
    int64_t *times; /* of each domain, when its record came: hosts answer one after the other */
    int64_t times_room;
    int64_t *uses; /* of each layout, the number of domains that have it */
    int64_t uses_room;
    int64_t *base; /* the first row in each table of the layout that is being added */
    int64_t base_room;
    struct answer *answers;
    int64_t n_answers, answers_room;
    bool inherited; /* the answers belong to the parent process and must not be freed */
    int asking;     /* threads that are reading the answers */
    /* NULL until the frame is identified. */
    uint8_t *uuids;
    int32_t *ids;
    struct column names;
    uint32_t *hosts; /* of each domain; NULL: not set */
    struct column host_names;
    int64_t n_hosts;
};

/* ---- stats_frame.c ---- */

/* The lock of the schema is held.  These return 0 or PV_NO_MEMORY. */
int pv_reserve_domains(pv_frame *frame, int64_t n);
int pv_resize_cells(struct column *column, int type, int64_t room);
int pv_resize_table(pv_frame *frame, int id, int64_t room);
int pv_put_text(struct column *column, int64_t row, const char *text, int64_t length);

/* Add the columns of a layout, before its first record is added. */
int pv_add_columns(pv_frame *frame, const struct layout *layout);

/* Add rows for all items of `n` records of a layout.  frame->base gets the first new row in each table. */
int pv_add_rows(pv_frame *frame, const struct layout *layout, int n);

/* Return the size of a cell in bytes. */
size_t pv_width_of(int type);

void pv_free_column(struct column *column);
void pv_free_answers(pv_frame *frame);
void pv_free_identity(pv_frame *frame);

/* Empty a frame, and keep its memory. */
void pv_frame_reset(pv_frame *frame);

/* Free the memory of a frame, whatever its number of references. */
void pv_frame_destroy(pv_frame *frame);

static inline bool pv_is_valid(const struct column *column, int64_t row)
{
    return column->valid == NULL || (column->valid[row >> 3] >> (row & 7) & 1) != 0;
}

/* ---- stats.c ---- */

/* Take a reference, which pv_frame_free() releases. */
pv_frame *pv_frame_hold(pv_frame *frame);

/* ---- stats_seal.c ---- */

/* Seal a frame, with the lock held. */
int pv_seal(pv_frame *frame);

/* ---- stats_read.c ---- */

/* Describe a column by its id, with the lock held.  Return false if the frame has no value in it. */
bool pv_view_column(const pv_frame *frame, int id, pv_column_view *view);

#endif
