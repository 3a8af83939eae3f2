/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PV_STATS_SCHEMA_H
#define PV_STATS_SCHEMA_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <libvirt/libvirt.h>

#include "native_stats.h"

enum { NO_MEMORY = -2, MAX_NUMBERS = VIR_TYPED_PARAM_FIELD_LENGTH / 2, DOMAIN_TABLE = 0 };

/* "cpu.cache.monitor.*.bank.*": what names have in common once their numbers are taken out. */
struct table_def {
    char *pattern;
    char *name;
    uint64_t where; /* which parts of the pattern are numbers */
    int n_index;
};

struct column_def {
    char *field; /* what follows the last number of libvirt's name: ".time" */
    char *name;  /* what people call it: "time" */
    int table;
    int type;
};

/* One field of a layout, and the cell its value goes to. */
struct field {
    const char *name;
    int type;
    int column;
    int table;     /* which of the layout's tables */
    uint32_t item; /* which row of it */
};

/*
 * What a field of a record must look like: its type and the first 16 bytes of its name.  Masks leave out what follows
 * the terminating NUL, so a record is compared without a call and without a branch.
 */
struct check {
    uint64_t word[2];
    uint64_t mask[2];
    int type;
};

/* Eight more bytes of a longer name. */
struct tail_check {
    uint64_t word;
    uint64_t mask;
    int field;
    int offset;
};

/* Where a value goes.  Of a name that a record repeats only the last is copied. */
struct move {
    int field;
    int column;
    int table;
    uint32_t item;
};

/* By the size of what is copied. */
enum move_kind { MOVE_8, MOVE_4, MOVE_FLAG, MOVE_TEXT, MOVE_KINDS };

struct moves {
    struct move *items;
    int n;
};

struct layout_table {
    int table;
    uint32_t rows;
    uint32_t *index; /* n_index numbers a row */
};

struct layout_column {
    int column;
    uint32_t rows; /* how many rows of a record have a value in it */
};

/* The exact sequence of names and types of a record.  Domains of one shape share it. */
struct layout {
    uint64_t signature;
    uint32_t id;
    int n_fields;
    struct field *fields;
    struct check *checks;
    struct tail_check *tails;
    int n_tails;
    struct moves moves[MOVE_KINDS];
    int n_tables;
    struct layout_table *tables;
    int n_columns;
    struct layout_column *columns;
    char *text;
};

struct pv_schema {
    pthread_mutex_t lock;
    int references;
    struct table_def *tables;
    int n_tables, room_tables;
    struct column_def *columns;
    int n_columns, room_columns;
    struct layout **layouts; /* by id; never moved or dropped while the schema lives */
    uint32_t n_layouts, room_layouts;
    uint32_t *buckets; /* signature -> layout id + 1 */
    uint32_t n_buckets;
    int64_t *expected; /* rows a table had in the last frame */
    pv_frame *spare;   /* the memory of a frame that is no more, for the next */
    pv_schema *next;   /* of all there are */
    pv_schema **link;  /* what points to this one */
};

/* From the first to the last use of its lock. */
void pv_schema_enlist(pv_schema *schema);
void pv_schema_delist(pv_schema *schema);

/* Give back the memory of a frame, its schema's too. */
void pv_frame_destroy(pv_frame *frame);

/* Grow `*array` to hold at least `need` items of `size` bytes; new ones are zero. */
int pv_reserve(void **array, int64_t *room, int64_t need, size_t size);

/* Whether these parameters have that layout. */
bool pv_layout_fits(const struct layout *layout, const virTypedParameter *params, int n);

/*
 * The layout of these parameters, made at first sight; `guess`, or NULL, is tried before others.  NULL: out of memory.
 * The lock is held.
 */
const struct layout *pv_schema_layout(pv_schema *schema, const struct layout *guess, const virTypedParameter *params,
                                      int n);

#endif
