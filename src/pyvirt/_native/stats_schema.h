/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PV_STATS_SCHEMA_H
#define PV_STATS_SCHEMA_H

/* stats_schema.c: names and layouts. */

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <libvirt/libvirt.h>

#include "native_common.h"
#include "native_stats.h"

enum { MAX_NUMBERS = VIR_TYPED_PARAM_FIELD_LENGTH / 2, DOMAIN_TABLE = 0 };

/* A table: all names that are the same up to the last number, but for the numbers themselves. */
struct table_def {
    char *pattern;  /* "cpu.cache.monitor.*.bank.*" */
    char *name;     /* "cpu.cache.monitor.bank" */
    uint64_t where; /* a bit per part of the pattern: which parts are numbers */
    int n_index;
};

struct column_def {
    char *field; /* libvirt's name after its last number: ".time" */
    char *name;  /* the name of the column: "time" */
    int table;
    int type;
};

/* One field of a layout, and the cell of its value. */
struct field {
    const char *name;
    int type;
    int column;
    int table;     /* the place in the layout's tables */
    uint32_t item; /* the row of that table, counted per record */
};

/*
 * The type that a field of a record must have, and the first 16 bytes of its name.  Masks exclude the bytes after the
 * terminating NUL, so a record is compared without a call and without a branch.
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

/* The copy of one value.  If a record repeats a name, only the last value is copied. */
struct move {
    int field;
    int column;
    int table;
    uint32_t item;
};

/* By the type of the copy. */
enum move_kind { MOVE_8, MOVE_4, MOVE_FLAG, MOVE_TEXT, MOVE_KINDS };

struct moves {
    struct move *items;
    int n;
};

struct layout_table {
    int table;
    uint32_t rows;
    uint32_t *index; /* n_index numbers per row */
};

struct layout_column {
    int column;
    uint32_t rows; /* rows of a record that have a value in it */
};

/* The exact sequence of names and types of a record.  Domains with the same devices share it. */
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
    pthread_mutex_t lock; /* of all that follows, and of frames while they are filled */
    int references;
    struct table_def *tables;
    int n_tables, room_tables;
    struct column_def *columns;
    int n_columns, room_columns;
    struct layout **layouts; /* by id; never moved or freed while the schema exists */
    uint32_t n_layouts, room_layouts;
    uint32_t *buckets; /* signature -> layout id + 1 */
    uint32_t n_buckets;
    int64_t *expected; /* the rows of each table in the last frame */
    pv_frame *spare;   /* the memory of a freed frame, for the next one */
    pv_schema *next;   /* in the list of all schemas: used by stats_fork.c alone, under its own lock */
    pv_schema **link;  /* the pointer to this one */
};

/* Return whether these parameters have that layout. */
bool pv_layout_fits(const struct layout *layout, const virTypedParameter *params, int n);

/*
 * Return the layout of these parameters; a new one is added to the schema.  `guess`, which may be NULL, is tried before
 * others.  NULL: out of memory.  The lock is held.
 */
const struct layout *pv_schema_layout(pv_schema *schema, const struct layout *guess, const virTypedParameter *params,
                                      int n);

#endif
