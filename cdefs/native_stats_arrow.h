/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Frames in Arrow's C data interface, which pyarrow, polars, pandas and other libraries read.  Implemented in
 * stats_arrow.c.
 *
 * Cells, bitmaps and texts are not copied: an exported struct keeps the frame alive until its reader releases it, from
 * any thread.  Two things are copied: booleans, which are one bit each in Arrow, and in tables of items the identity of
 * the domain of each row.  The frame is sealed and identified.  NULL: out of memory.
 */

struct ArrowSchema;
struct ArrowArray;
struct ArrowArrayStream;

/* Export a column by its id. */
struct ArrowSchema *pv_arrow_column_schema(pv_frame *frame, int column);
struct ArrowArray *pv_arrow_column_array(pv_frame *frame, int column);

/*
 * Export a table by its id, as a struct of "domain.name", "domain.uuid" (16 bytes), "domain.id", the numbers of its
 * items ("index", or "index.0" and "index.1" if names have several), and the columns.
 */
struct ArrowSchema *pv_arrow_table_schema(pv_frame *frame, int table);
struct ArrowArray *pv_arrow_table_array(pv_frame *frame, int table);

/* The same as a stream of one batch. */
struct ArrowArrayStream *pv_arrow_table_stream(pv_frame *frame, int table);

/* Release the parts that the reader has not taken, and free the struct itself. */
void pv_arrow_schema_free(struct ArrowSchema *schema);
void pv_arrow_array_free(struct ArrowArray *array);
void pv_arrow_stream_free(struct ArrowArrayStream *stream);

/*
 * Python passes these structs in capsules.  A capsule calls a C function when it is destroyed.  Our functions need
 * PyCapsule_GetPointer for that and get it once, from pv_arrow_capsules(), because our C does not include Python's
 * headers.  The names are never freed.
 */
void pv_arrow_capsules(void *(*get_pointer)(void *capsule, const char *name));
const char *pv_arrow_schema_name(void);
const char *pv_arrow_array_name(void);
const char *pv_arrow_stream_name(void);
void pv_arrow_drop_schema(void *capsule);
void pv_arrow_drop_array(void *capsule);
void pv_arrow_drop_stream(void *capsule);
