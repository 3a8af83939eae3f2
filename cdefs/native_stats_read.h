/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reading a sealed frame of statistics.  Implemented in stats_read.c. */

typedef struct {
    int id;             /* of the schema: the same in every tick */
    const char *name;   /* "vcpu" */
    const char *pattern;    /* "vcpu.*" */
    uint64_t where;     /* a bit per part of the pattern, the lowest for the first: which parts are numbers */
    int64_t rows;
    int n_index;        /* how many numbers the names have: 0 for "domain", 1 for "vcpu" */
    const uint32_t *index;  /* n_index runs of `rows` numbers, one run after the other */
    const uint32_t *domain; /* the domain of each row */
} pv_table_view;

typedef struct {
    int id;             /* of the schema: the same in every tick */
    int table;
    const char *name;   /* "time" */
    const char *field;  /* libvirt's name after its last number: ".time" */
    int type;           /* virTypedParameterType */
    int64_t rows;
    int64_t present;    /* rows that have a value */
    const void *values; /* `rows` cells; for strings rows + 1 int64_t offsets into text */
    const uint8_t *valid;   /* a bit per row, lowest first; NULL if every row has a value */
    const char *text;
    int64_t text_size;
} pv_column_view;

typedef struct {
    int64_t domains;
    int64_t fields;
    int64_t bytes;          /* memory used by the frame */
    int64_t taken;          /* when the last records came, or when an empty frame was sealed: CLOCK_MONOTONIC in ns */
    const uint32_t *layouts;
    const uint32_t *hosts;  /* of each domain; NULL: not set */
    const uint8_t *uuids;   /* 16 bytes per domain */
    const int32_t *ids;     /* -1: not running */
    const int64_t *name_offsets;
    const char *names;
} pv_frame_view;

/* The last four members are NULL until the frame is identified. */
void pv_frame_describe(const pv_frame *frame, pv_frame_view *view);

/* Describe a table by its id in the schema, from 0 to pv_frame_n_tables() - 1.  Return 0, or -1 if it has no row. */
int pv_frame_n_tables(const pv_frame *frame);
int pv_frame_table(const pv_frame *frame, int id, pv_table_view *view);

/* Describe all columns that have a value, and return their number.  `views` has room for pv_frame_n_columns(). */
int pv_frame_n_columns(const pv_frame *frame);
int pv_frame_columns(const pv_frame *frame, pv_column_view *views);

/*
 * List the fields of a layout in libvirt's order, at most `n`: the full name of each, and its column.  Return the
 * number of fields.
 */
int pv_frame_layout(const pv_frame *frame, uint32_t layout, const char **names, int *columns, int n);

/*
 * Write all values in libvirt's order: 8 bytes per field, domain by domain, in the type of its column; for strings the
 * row.  `cells` has room for all fields of the frame.  Return 0 or PV_NO_MEMORY.
 */
int pv_frame_cells(const pv_frame *frame, int64_t *cells);

/*
 * For records of one layout, as pv_frame_cells writes them: set `varying` for the fields that differ between records.
 */
void pv_cells_varying(const int64_t *cells, int64_t records, int64_t fields, uint8_t *varying);
