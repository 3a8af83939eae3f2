/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PV_STATS_FRAME_H
#define PV_STATS_FRAME_H

#include <stdatomic.h>

#include "stats_schema.h"

/* Values of one field.  All columns of a table have room for as many rows as the table. */
struct column {
    bool used;       /* some row of this frame has a value */
    void *cells;     /* for strings offsets into text, one more than rows */
    uint8_t *valid;  /* NULL: every row has a value */
    int64_t present; /* rows that have one */
    int64_t written; /* strings: rows whose offset stands */
    char *text;
    int64_t text_size, text_room;
};

struct table {
    int64_t rows, room;
    uint32_t *domain;
    uint32_t *index; /* row by row while filling, number by number once sealed */
};

/* Records without their parameters: what is left of an answer until somebody asks who the domains are. */
struct answer {
    virDomainStatsRecordPtr *records;
    int64_t first; /* of its domains in the frame */
    int n;
};

struct pv_frame {
    pv_schema *schema;
    atomic_int references;
    bool sound; /* sealed, and no memory ran out on the way: columns have the room that their table says */
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
    int64_t *uses; /* how many domains have a layout */
    int64_t uses_room;
    int64_t *base; /* first row of each table of the layout at hand */
    int64_t base_room;
    struct answer *answers;
    int64_t n_answers, answers_room;
    bool inherited; /* the answers are those of the process before a fork, and not to be touched */
    int asking;     /* threads that are reading the answers */
    /* Who the domains are, once identified. */
    uint8_t *uuids;
    int32_t *ids;
    struct column names;
    uint32_t *hosts; /* of each domain; NULL: nobody has said */
    struct column host_names;
    int64_t n_hosts;
};

/* One more owner, who calls pv_frame_free() as well. */
pv_frame *pv_frame_hold(pv_frame *frame);

/* A column by its id; false where the frame has no value of it.  The lock is held. */
bool pv_view_column(const pv_frame *frame, int id, pv_column_view *view);

/* What filling a frame is made of, for those who do not have records.  The lock is held.  0, or NO_MEMORY. */
int pv_reserve_domains(pv_frame *frame, int64_t n);
int pv_meet_layout(pv_frame *frame, const struct layout *layout);
int pv_add_rows(pv_frame *frame, const struct layout *layout, int n);
int pv_put_text(struct column *column, int64_t row, const char *text, int64_t length);
int pv_seal(pv_frame *frame);
size_t pv_width_of(int type);

static inline bool pv_is_valid(const struct column *column, int64_t row)
{
    return column->valid == NULL || (column->valid[row >> 3] >> (row & 7) & 1) != 0;
}

#endif
