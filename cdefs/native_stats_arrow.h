/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Frames in Arrow's C data interface, which pyarrow, polars, pandas and others read.
 *
 * Cells, bitmaps and texts are not copied: what is exported keeps the frame alive until its reader releases it, from
 * whatever thread.  Copied are booleans, a bit each in Arrow, and in tables of items whose domain a row belongs to.  The
 * frame is sealed and identified.  NULL: out of memory.
 */

struct ArrowSchema;
struct ArrowArray;
struct ArrowArrayStream;

/* A column by its id. */
struct ArrowSchema *pv_arrow_column_schema(pv_frame *frame, int column);
struct ArrowArray *pv_arrow_column_array(pv_frame *frame, int column);

/*
 * A table by its id, as a struct of "domain.name", "domain.uuid" (16 bytes), "domain.id", the numbers of its items
 * ("index", or "index.0" and "index.1" where names carry several), and the columns.
 */
struct ArrowSchema *pv_arrow_table_schema(pv_frame *frame, int table);
struct ArrowArray *pv_arrow_table_array(pv_frame *frame, int table);

/* The same as a stream of one batch. */
struct ArrowArrayStream *pv_arrow_table_stream(pv_frame *frame, int table);

/* Release what the reader has not taken, and free the struct itself. */
void pv_arrow_schema_free(struct ArrowSchema *schema);
void pv_arrow_array_free(struct ArrowArray *array);
void pv_arrow_stream_free(struct ArrowArrayStream *stream);

/*
 * Python hands these over in capsules.  A capsule calls a C function when it dies; ours learn once, by
 * pv_arrow_capsules(), how to look into one (PyCapsule_GetPointer), as no C of ours knows Python's headers.  The names
 * live for ever.
 */
void pv_arrow_capsules(void *(*get_pointer)(void *capsule, const char *name));
const char *pv_arrow_schema_name(void);
const char *pv_arrow_array_name(void);
const char *pv_arrow_stream_name(void);
void pv_arrow_drop_schema(void *capsule);
void pv_arrow_drop_array(void *capsule);
void pv_arrow_drop_stream(void *capsule);
