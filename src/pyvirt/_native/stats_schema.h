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

/*
 * One field of a layout.  Its name is kept as 8-byte words, so that comparing it with a record's costs two or three
 * compares and no call; `tail` masks what follows the terminating NUL in the last word.
 */
struct field {
    const char *name;
    const uint64_t *words;
    uint64_t tail;
    uint32_t n_words;
    int type;
    int column;
    int table;     /* which of the layout's tables */
    uint32_t item; /* which row of it */
};

struct layout_table {
    int table;
    uint32_t rows;
    uint32_t *index; /* n_index numbers a row */
};

/* The exact sequence of names and types of a record.  Domains of one shape share it. */
struct layout {
    uint64_t signature;
    uint32_t id;
    int n_fields;
    struct field *fields;
    int n_tables;
    struct layout_table *tables;
    uint64_t *text;
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
};

/* Grow `*array` to hold at least `need` items of `size` bytes; new ones are zero. */
int pv_reserve(void **array, int64_t *room, int64_t need, size_t size);

/* The layout of these parameters, made at first sight.  NULL: out of memory.  The lock is held. */
const struct layout *pv_schema_layout(pv_schema *schema, virTypedParameterPtr params, int n);

#endif
