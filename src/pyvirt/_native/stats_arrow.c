/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "stats_frame.h"

#include "native_stats_arrow.h"

/* ---- the structs of Arrow's specification ---- */

struct ArrowSchema {
    const char *format;
    const char *name;
    const char *metadata;
    int64_t flags;
    int64_t n_children;
    struct ArrowSchema **children;
    struct ArrowSchema *dictionary;
    void (*release)(struct ArrowSchema *schema);
    void *private_data;
};

struct ArrowArray {
    int64_t length;
    int64_t null_count;
    int64_t offset;
    int64_t n_buffers;
    int64_t n_children;
    const void **buffers;
    struct ArrowArray **children;
    struct ArrowArray *dictionary;
    void (*release)(struct ArrowArray *array);
    void *private_data;
};

struct ArrowArrayStream {
    int (*get_schema)(struct ArrowArrayStream *stream, struct ArrowSchema *out);
    int (*get_next)(struct ArrowArrayStream *stream, struct ArrowArray *out);
    const char *(*get_last_error)(struct ArrowArrayStream *stream);
    void (*release)(struct ArrowArrayStream *stream);
    void *private_data;
};

enum { NULLABLE = 2, MAX_BUFFERS = 3, MAX_OWNED = 2 };

static const char *format_of(int type)
{
    switch (type) {
    case VIR_TYPED_PARAM_INT:
        return "i";
    case VIR_TYPED_PARAM_UINT:
        return "I";
    case VIR_TYPED_PARAM_LLONG:
        return "l";
    case VIR_TYPED_PARAM_ULLONG:
        return "L";
    case VIR_TYPED_PARAM_DOUBLE:
        return "g";
    case VIR_TYPED_PARAM_BOOLEAN:
        return "b";
    default:
        return "U"; /* UTF-8 with 64-bit offsets */
    }
}

/* ---- schemas ---- */

/* A reader may move single children out of their parent, and release them separately. */
struct schema_body {
    char *name;
    struct ArrowSchema **pointers;
    struct ArrowSchema *children;
    struct ArrowSchema dictionary;
};

static void release_schema(struct ArrowSchema *schema)
{
    struct schema_body *body = schema->private_data;
    for (int64_t i = 0; i < schema->n_children; i++)
        if (schema->children[i]->release != NULL)
            schema->children[i]->release(schema->children[i]);
    if (schema->dictionary != NULL && schema->dictionary->release != NULL)
        schema->dictionary->release(schema->dictionary);
    free(body->name);
    free(body->pointers);
    free(body->children);
    free(body);
    schema->release = NULL;
}

/* A call that fails leaves nothing to release. */
static int fill_schema(struct ArrowSchema *schema, const char *format, const char *name, int64_t room)
{
    *schema = (struct ArrowSchema){.format = format, .flags = room > 0 ? 0 : NULLABLE};
    struct schema_body *body = calloc(1, sizeof(*body));
    if (body == NULL)
        return PV_NO_MEMORY;
    body->name = strdup(name);
    body->pointers = calloc((size_t)room + 1, sizeof(struct ArrowSchema *));
    body->children = calloc((size_t)room + 1, sizeof(struct ArrowSchema));
    if (body->name == NULL || body->pointers == NULL || body->children == NULL) {
        free(body->name);
        free(body->pointers);
        free(body->children);
        free(body);
        return PV_NO_MEMORY;
    }
    for (int64_t i = 0; i < room; i++)
        body->pointers[i] = &body->children[i];
    schema->name = body->name;
    schema->children = body->pointers;
    schema->release = release_schema;
    schema->private_data = body;
    return 0;
}

static int add_child_schema(struct ArrowSchema *schema, const char *format, const char *name)
{
    int result = fill_schema(schema->children[schema->n_children], format, name, 0);
    schema->n_children += result == 0;
    return result;
}

/* Hosts are a dictionary: a number per row, and the names once. */
static int add_host_schema(struct ArrowSchema *schema)
{
    struct ArrowSchema *child = schema->children[schema->n_children];
    if (add_child_schema(schema, "I", "domain.host") < 0)
        return PV_NO_MEMORY;
    struct schema_body *body = child->private_data;
    if (fill_schema(&body->dictionary, "U", "", 0) < 0)
        return PV_NO_MEMORY;
    child->dictionary = &body->dictionary;
    return 0;
}

static int count_children(const pv_frame *frame, int table)
{
    int n = (frame->hosts != NULL) + 3 + frame->schema->tables[table].n_index;
    for (int i = 0; i < frame->n_columns; i++)
        n += frame->columns[i].used && frame->schema->columns[i].table == table;
    return n;
}

static int fill_table_schema(const pv_frame *frame, int table, struct ArrowSchema *out)
{
    const struct table_def *def = &frame->schema->tables[table];
    char name[24] = "index";
    if (fill_schema(out, "+s", "", count_children(frame, table)) < 0)
        return PV_NO_MEMORY;
    int failed = (frame->hosts != NULL && add_host_schema(out) < 0) || add_child_schema(out, "U", "domain.name") < 0 ||
                 add_child_schema(out, "w:16", "domain.uuid") < 0 || add_child_schema(out, "i", "domain.id") < 0;
    for (int level = 0; level < def->n_index && !failed; level++) {
        if (def->n_index > 1)
            snprintf(name, sizeof(name), "index.%d", level);
        failed = add_child_schema(out, "I", name) < 0;
    }
    for (int i = 0; i < frame->n_columns && !failed; i++) {
        const struct column_def *column = &frame->schema->columns[i];
        if (frame->columns[i].used && column->table == table)
            failed = add_child_schema(out, format_of(column->type), column->name) < 0;
    }
    if (!failed)
        return 0;
    release_schema(out);
    return PV_NO_MEMORY;
}

/* ---- arrays ---- */

struct array_body {
    pv_frame *frame;
    const void *buffers[MAX_BUFFERS];
    void *owned[MAX_OWNED];
    struct ArrowArray **pointers;
    struct ArrowArray *children;
    struct ArrowArray dictionary;
};

static void release_array(struct ArrowArray *array)
{
    struct array_body *body = array->private_data;
    for (int64_t i = 0; i < array->n_children; i++)
        if (array->children[i]->release != NULL)
            array->children[i]->release(array->children[i]);
    if (array->dictionary != NULL && array->dictionary->release != NULL)
        array->dictionary->release(array->dictionary);
    for (int i = 0; i < MAX_OWNED; i++)
        free(body->owned[i]);
    free(body->pointers);
    free(body->children);
    pv_frame_free(body->frame);
    free(body);
    array->release = NULL;
}

/* A call that fails leaves nothing to release. */
static struct array_body *fill_array(pv_frame *frame, struct ArrowArray *array, int64_t rows, int buffers, int64_t room)
{
    struct array_body *body = calloc(1, sizeof(*body));
    if (body == NULL)
        return NULL;
    if (room > 0) {
        body->pointers = calloc((size_t)room, sizeof(struct ArrowArray *));
        body->children = calloc((size_t)room, sizeof(struct ArrowArray));
        if (body->pointers == NULL || body->children == NULL) {
            free(body->pointers);
            free(body->children);
            free(body);
            return NULL;
        }
    }
    for (int64_t i = 0; i < room; i++)
        body->pointers[i] = &body->children[i];
    body->frame = pv_frame_hold(frame);
    *array = (struct ArrowArray){
        .length = rows,
        .n_buffers = buffers,
        .buffers = body->buffers,
        .children = body->pointers,
        .release = release_array,
        .private_data = body,
    };
    return body;
}

/* Some readers do not accept NULL for an empty buffer. */
static const void *not_null(const void *bytes)
{
    return bytes != NULL ? bytes : "";
}

/* Return the number of bytes of the character at `text`, 0 if it is not valid UTF-8. */
static int64_t utf8_length(const unsigned char *text, int64_t left)
{
    static const struct {
        unsigned char mask, mark;
        uint32_t least;
    } kinds[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    for (int64_t length = 1; length <= 4 && length <= left; length++) {
        if ((text[0] & kinds[length - 1].mask) != kinds[length - 1].mark)
            continue;
        uint32_t code = text[0] & (unsigned)~kinds[length - 1].mask;
        for (int64_t i = 1; i < length; i++) {
            if ((text[i] & 0xc0) != 0x80)
                return 0;
            code = code << 6 | (text[i] & 0x3f);
        }
        return code >= kinds[length - 1].least && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff) ? length : 0;
    }
    return 0;
}

/*
 * Readers of Arrow rely on valid UTF-8.  libvirt's texts are UTF-8, except for names that libvirt reads elsewhere, such
 * as those in the header of an image: their invalid bytes become question marks, in a copy.
 */
static int make_utf8(struct array_body *body, const int64_t *offsets, int64_t rows)
{
    const char *text = body->buffers[2];
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t at = offsets[row]; at < offsets[row + 1];) {
            int64_t length = utf8_length((const unsigned char *)text + at, offsets[row + 1] - at);
            if (length > 0) {
                at += length;
                continue;
            }
            if (body->owned[1] == NULL) {
                body->owned[1] = malloc((size_t)offsets[rows]);
                if (body->owned[1] == NULL)
                    return PV_NO_MEMORY;
                memcpy(body->owned[1], text, (size_t)offsets[rows]);
                body->buffers[2] = text = body->owned[1];
            }
            ((char *)body->owned[1])[at++] = '?';
        }
    }
    return 0;
}

static int pack_flags(struct array_body *body, const uint8_t *flags, int64_t rows)
{
    uint8_t *bits = body->owned[0] = calloc((size_t)rows / 8 + 1, 1);
    if (bits == NULL)
        return PV_NO_MEMORY;
    for (int64_t row = 0; row < rows; row++)
        bits[row >> 3] = (uint8_t)(bits[row >> 3] | (flags[row] != 0) << (row & 7));
    body->buffers[1] = bits;
    return 0;
}

static int fill_column(pv_frame *frame, int id, struct ArrowArray *out)
{
    const struct column_def *def = &frame->schema->columns[id];
    const struct column *column = &frame->columns[id];
    int64_t rows = frame->tables[def->table].rows;
    bool text = def->type == VIR_TYPED_PARAM_STRING;
    struct array_body *body = fill_array(frame, out, rows, text ? 3 : 2, 0);
    if (body == NULL)
        return PV_NO_MEMORY;
    out->null_count = rows - column->present;
    body->buffers[0] = column->valid;
    body->buffers[1] = column->cells;
    body->buffers[2] = not_null(column->text);
    if (text ? make_utf8(body, column->cells, rows) == 0
             : def->type != VIR_TYPED_PARAM_BOOLEAN || pack_flags(body, column->cells, rows) == 0)
        return 0;
    release_array(out);
    return PV_NO_MEMORY;
}

static int fill_numbers(pv_frame *frame, const void *numbers, int64_t rows, struct ArrowArray *out)
{
    struct array_body *body = fill_array(frame, out, rows, 2, 0);
    if (body == NULL)
        return PV_NO_MEMORY;
    body->buffers[1] = numbers;
    return 0;
}

/* Export a property of the domains in a table: one cell per row, that of the row's domain. */
static int fill_gathered(pv_frame *frame, const struct table *table, const void *cells, size_t width,
                         struct ArrowArray *out)
{
    if (fill_numbers(frame, cells, table->rows, out) < 0)
        return PV_NO_MEMORY;
    if (table == &frame->tables[DOMAIN_TABLE])
        return 0;
    struct array_body *body = out->private_data;
    char *to = body->owned[0] = malloc((size_t)table->rows * width + 1);
    if (to == NULL) {
        release_array(out);
        return PV_NO_MEMORY;
    }
    for (int64_t row = 0; row < table->rows; row++, to += width)
        memcpy(to, (const char *)cells + table->domain[row] * width, width);
    body->buffers[1] = body->owned[0];
    return 0;
}

static int gather_names(pv_frame *frame, const struct table *table, struct array_body *body)
{
    const int64_t *from = frame->names.cells;
    int64_t size = 0, *offsets = body->owned[0] = malloc(((size_t)table->rows + 1) * sizeof(*offsets));
    if (offsets == NULL)
        return PV_NO_MEMORY;
    for (int64_t row = 0; row < table->rows; row++) {
        offsets[row] = size;
        size += from[table->domain[row] + 1] - from[table->domain[row]];
    }
    offsets[table->rows] = size;
    char *text = body->owned[1] = malloc((size_t)size + 1);
    if (text == NULL)
        return PV_NO_MEMORY;
    for (int64_t row = 0; row < table->rows; row++)
        if (offsets[row + 1] > offsets[row])
            memcpy(text + offsets[row], frame->names.text + from[table->domain[row]],
                   (size_t)(offsets[row + 1] - offsets[row]));
    body->buffers[1] = offsets;
    body->buffers[2] = text;
    return 0;
}

static int fill_names(pv_frame *frame, const struct table *table, struct ArrowArray *out)
{
    struct array_body *body = fill_array(frame, out, table->rows, 3, 0);
    if (body == NULL)
        return PV_NO_MEMORY;
    body->buffers[1] = frame->names.cells;
    body->buffers[2] = not_null(frame->names.text);
    if ((table == &frame->tables[DOMAIN_TABLE] || gather_names(frame, table, body) == 0) &&
        make_utf8(body, body->buffers[1], table->rows) == 0)
        return 0;
    release_array(out);
    return PV_NO_MEMORY;
}

static int fill_hosts(pv_frame *frame, const struct table *table, struct ArrowArray *out)
{
    if (fill_gathered(frame, table, frame->hosts, sizeof(*frame->hosts), out) < 0)
        return PV_NO_MEMORY;
    struct ArrowArray *dictionary = &((struct array_body *)out->private_data)->dictionary;
    struct array_body *body = fill_array(frame, dictionary, frame->n_hosts, 3, 0);
    if (body != NULL) {
        out->dictionary = dictionary;
        body->buffers[1] = frame->host_names.cells;
        body->buffers[2] = frame->host_names.text;
        if (make_utf8(body, frame->host_names.cells, frame->n_hosts) == 0)
            return 0;
    }
    release_array(out);
    return PV_NO_MEMORY;
}

static int fill_table_array(pv_frame *frame, int id, struct ArrowArray *out)
{
    const struct table *table = &frame->tables[id];
    if (fill_array(frame, out, table->rows, 1, count_children(frame, id)) == NULL)
        return PV_NO_MEMORY;
    int failed = 0;
#define ADD(call) failed = failed || (call) < 0 || (out->n_children++, 0)
    if (frame->hosts != NULL)
        ADD(fill_hosts(frame, table, out->children[out->n_children]));
    ADD(fill_names(frame, table, out->children[out->n_children]));
    ADD(fill_gathered(frame, table, frame->uuids, VIR_UUID_BUFLEN, out->children[out->n_children]));
    ADD(fill_gathered(frame, table, frame->ids, sizeof(*frame->ids), out->children[out->n_children]));
    for (int level = 0; level < frame->schema->tables[id].n_index; level++)
        ADD(fill_numbers(frame, table->index + level * table->rows, table->rows, out->children[out->n_children]));
    for (int i = 0; i < frame->n_columns; i++)
        if (frame->columns[i].used && frame->schema->columns[i].table == id)
            ADD(fill_column(frame, i, out->children[out->n_children]));
#undef ADD
    if (!failed)
        return 0;
    release_array(out);
    return PV_NO_MEMORY;
}

/* ---- exported functions ---- */

/* The schema of names grows while other threads collect, so these functions hold its lock. */
static int table_schema(pv_frame *frame, int table, struct ArrowSchema *out)
{
    pthread_mutex_lock(&frame->schema->lock);
    int result = fill_table_schema(frame, table, out);
    pthread_mutex_unlock(&frame->schema->lock);
    return result;
}

static int table_array(pv_frame *frame, int table, struct ArrowArray *out)
{
    pthread_mutex_lock(&frame->schema->lock);
    int result = fill_table_array(frame, table, out);
    pthread_mutex_unlock(&frame->schema->lock);
    return result;
}

static int column_schema(pv_frame *frame, int column, struct ArrowSchema *out)
{
    pthread_mutex_lock(&frame->schema->lock);
    const struct column_def *def = &frame->schema->columns[column];
    int result = fill_schema(out, format_of(def->type), def->name, 0);
    pthread_mutex_unlock(&frame->schema->lock);
    return result;
}

static int column_array(pv_frame *frame, int column, struct ArrowArray *out)
{
    pthread_mutex_lock(&frame->schema->lock);
    int result = fill_column(frame, column, out);
    pthread_mutex_unlock(&frame->schema->lock);
    return result;
}

#define DEFINE_NEW(name, type, fill)                                                                                   \
    type *name(pv_frame *frame, int id)                                                                                \
    {                                                                                                                  \
        type *made = calloc(1, sizeof(*made));                                                                         \
        if (made != NULL && fill(frame, id, made) < 0) {                                                               \
            free(made);                                                                                                \
            made = NULL;                                                                                               \
        }                                                                                                              \
        return made;                                                                                                   \
    }

DEFINE_NEW(pv_arrow_column_schema, struct ArrowSchema, column_schema)
DEFINE_NEW(pv_arrow_column_array, struct ArrowArray, column_array)
DEFINE_NEW(pv_arrow_table_schema, struct ArrowSchema, table_schema)
DEFINE_NEW(pv_arrow_table_array, struct ArrowArray, table_array)

struct stream_body {
    pv_frame *frame;
    int table;
    bool done;
};

static int get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out)
{
    struct stream_body *body = stream->private_data;
    return table_schema(body->frame, body->table, out) < 0 ? ENOMEM : 0;
}

/* Return one batch, then the end of the stream, which is a released array. */
static int get_next(struct ArrowArrayStream *stream, struct ArrowArray *out)
{
    struct stream_body *body = stream->private_data;
    if (body->done) {
        *out = (struct ArrowArray){0};
        return 0;
    }
    if (table_array(body->frame, body->table, out) < 0)
        return ENOMEM;
    body->done = true;
    return 0;
}

static const char *get_last_error(struct ArrowArrayStream *stream)
{
    (void)stream;
    return "out of memory";
}

static void release_stream(struct ArrowArrayStream *stream)
{
    struct stream_body *body = stream->private_data;
    pv_frame_free(body->frame);
    free(body);
    stream->release = NULL;
}

static int fill_stream(pv_frame *frame, int table, struct ArrowArrayStream *out)
{
    struct stream_body *body = malloc(sizeof(*body));
    if (body == NULL)
        return PV_NO_MEMORY;
    *body = (struct stream_body){.frame = pv_frame_hold(frame), .table = table};
    *out = (struct ArrowArrayStream){
        .get_schema = get_schema,
        .get_next = get_next,
        .get_last_error = get_last_error,
        .release = release_stream,
        .private_data = body,
    };
    return 0;
}

DEFINE_NEW(pv_arrow_table_stream, struct ArrowArrayStream, fill_stream)

/* ---- capsules ---- */

static void *(*get_capsule_pointer)(void *capsule, const char *name);

void pv_arrow_capsules(void *(*get_pointer)(void *capsule, const char *name))
{
    get_capsule_pointer = get_pointer;
}

#define DEFINE_CAPSULE(kind, type, text)                                                                               \
    void pv_arrow_##kind##_free(type *held)                                                                            \
    {                                                                                                                  \
        if (held != NULL && held->release != NULL)                                                                     \
            held->release(held);                                                                                       \
        free(held);                                                                                                    \
    }                                                                                                                  \
                                                                                                                       \
    const char *pv_arrow_##kind##_name(void)                                                                           \
    {                                                                                                                  \
        return text;                                                                                                   \
    }                                                                                                                  \
                                                                                                                       \
    void pv_arrow_drop_##kind(void *capsule)                                                                           \
    {                                                                                                                  \
        pv_arrow_##kind##_free(get_capsule_pointer(capsule, text));                                                    \
    }

DEFINE_CAPSULE(schema, struct ArrowSchema, "arrow_schema")
DEFINE_CAPSULE(array, struct ArrowArray, "arrow_array")
DEFINE_CAPSULE(stream, struct ArrowArrayStream, "arrow_array_stream")
