/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Bulk statistics as columns.
 *
 * A schema interns names and remembers the layouts of records; it lives as long as whoever collects, so ids stay the
 * same between ticks.  A frame is one tick.  Both may be used from several threads: a lock is held while records are
 * taken apart, never while libvirt works.  A sealed frame is read only.
 */

typedef struct pv_schema pv_schema;
typedef struct pv_frame pv_frame;

typedef struct {
    int id;             /* of the schema: the same in every tick */
    const char *name;   /* "vcpu" */
    const char *pattern;    /* "vcpu.*" */
    uint64_t where;     /* a bit per part of the pattern, the lowest for the first: which are numbers */
    int64_t rows;
    int n_index;        /* how many numbers the names carry: 0 for "domain", 1 for "vcpu" */
    const uint32_t *index;  /* n_index runs of `rows` numbers, one after the other */
    const uint32_t *domain; /* the domain each row belongs to */
} pv_table_view;

typedef struct {
    int id;             /* of the schema: the same in every tick */
    int table;
    const char *name;   /* "time" */
    const char *field;  /* what follows the last number of libvirt's name: ".time" */
    int type;           /* virTypedParameterType */
    int64_t rows;
    int64_t present;    /* rows that have a value */
    const void *values; /* rows cells; for strings rows + 1 int64_t offsets into text */
    const uint8_t *valid;   /* a bit per row, lowest first; NULL if every row has a value */
    const char *text;
    int64_t text_size;
} pv_column_view;

typedef struct {
    int64_t domains;
    int64_t fields;
    int64_t bytes;          /* what the frame weighs */
    int64_t taken;          /* CLOCK_MONOTONIC when the last records came, or nobody's, in ns */
    const uint32_t *layouts;
    const uint32_t *hosts;  /* of each domain; NULL: nobody has said */
    const uint8_t *uuids;   /* 16 bytes a domain */
    const int32_t *ids;     /* -1: not running */
    const int64_t *name_offsets;
    const char *names;
} pv_frame_view;

pv_schema *pv_schema_new(void);
void pv_schema_free(pv_schema *schema);

/* The frame keeps its schema alive. */
pv_frame *pv_frame_new(pv_schema *schema);
void pv_frame_free(pv_frame *frame);

/*
 * Ask libvirt (virConnectGetAllDomainStats, or virDomainListGetStats when `domains` is given) and take the records
 * apart.  Returns their number, -1 for an error of libvirt's, -2 when memory ran out.
 */
int pv_frame_collect(pv_frame *frame, virConnectPtr conn, virDomainPtr *domains, unsigned int stats,
                     unsigned int flags);

/* The same for records that somebody else asked for; the frame takes them over. */
int pv_frame_add(pv_frame *frame, virDomainStatsRecordPtr *records, int n);

/* Make the frame ready to read: trim, and mark what is missing at the end.  0, or -2. */
int pv_frame_seal(pv_frame *frame);

/*
 * Learn the names, UUIDs and ids of the domains.  Until then, and as long as another thread is at the same, the frame
 * keeps references to them, and by those a closed connection open.  0, or -2.
 */
int pv_frame_identify(pv_frame *frame);

/*
 * A frame of some of the domains, by their rows, in that order.  The frame given is identified.  NULL: out of
 * memory.
 */
pv_frame *pv_frame_select(pv_frame *frame, const uint32_t *domains, int64_t n);

/*
 * Say on which host each domain is, and what the hosts are called: `n` texts, end to end, at n + 1 offsets.  Domains of
 * one UUID on two hosts are two, and matched with those on a host of the same name.  0, or -2.
 */
int pv_frame_set_hosts(pv_frame *frame, const uint32_t *hosts, const int64_t *offsets, const char *names, int64_t n);

/* For the child after a fork: leave what libvirt gave to the parent alone, which may be in the middle of freeing it. */
void pv_frame_disown(pv_frame *frame);

/* The last four are there once identified. */
void pv_frame_describe(const pv_frame *frame, pv_frame_view *view);

/* A table by its id in the schema, from 0 up to this number.  0, or -1 where the frame has no row of it. */
int pv_frame_n_tables(const pv_frame *frame);
int pv_frame_table(const pv_frame *frame, int id, pv_table_view *view);

/* All columns that have a value: how many.  `views` has room for pv_frame_n_columns(). */
int pv_frame_n_columns(const pv_frame *frame);
int pv_frame_columns(const pv_frame *frame, pv_column_view *views);

/* The fields of a layout in libvirt's order: full names, and the column each goes to.  Their number; `n` fit. */
int pv_frame_layout(const pv_frame *frame, uint32_t layout, const char **names, int *columns, int n);

/*
 * All values again in libvirt's order: 8 bytes a field, fields of a domain side by side, in the type of its column; for
 * strings the row.  `cells` has room for all fields of the frame.  0, or -2.
 */
int pv_frame_cells(const pv_frame *frame, int64_t *cells);

/* Of that many records of one layout, as pv_frame_cells writes them: which fields are not the same in all of them. */
void pv_cells_varying(const int64_t *cells, int64_t records, int64_t fields, uint8_t *varying);

/*
 * For each row of a table of `now` the row of `before` that is the same thing, or -1: the domain by UUID and id, the
 * item by the text in its key column where both have one (column ids, -1 for none), else by its numbers.  0, or -2.
 */
int pv_frame_match(pv_frame *now, int table, int key, pv_frame *before, int table_before, int key_before,
                   int64_t *match);

/*
 * Growth per second of a counter, by the times at which the records of that domain came.  Rows without one (no match,
 * no value, it went back) stay 0 in `rates` and in the bitmap `valid`.  Returns how many have one.
 */
int64_t pv_frame_rate(const pv_frame *now, int column, const pv_frame *before, int column_before,
                      const int64_t *match, double *rates, uint8_t *valid);
