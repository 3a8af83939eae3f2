/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Frames as Arrow: a reader finds the values of the columns, and may release them in any order, from any thread. */

#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include <libvirt/libvirt.h>

#include "harness.h"
#include "native_errors.h"
#include "records.h"

#include "native_stats_arrow.h"

/* Readers declare the structs of Arrow's specification themselves. */
struct ArrowSchema {
    const char *format, *name, *metadata;
    int64_t flags, n_children;
    struct ArrowSchema **children, *dictionary;
    void (*release)(struct ArrowSchema *);
    void *private_data;
};

struct ArrowArray {
    int64_t length, null_count, offset, n_buffers, n_children;
    const void **buffers;
    struct ArrowArray **children, *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};

struct ArrowArrayStream {
    int (*get_schema)(struct ArrowArrayStream *, struct ArrowSchema *);
    int (*get_next)(struct ArrowArrayStream *, struct ArrowArray *);
    const char *(*get_last_error)(struct ArrowArrayStream *);
    void (*release)(struct ArrowArrayStream *);
    void *private_data;
};

enum { DOMAINS = 3, KEYS = 3, THREADS = 4 };

static virConnectPtr conn;
static virDomainPtr domains[DOMAINS];

static pv_frame *make_frame(pv_schema *schema)
{
    virDomainStatsRecordPtr records[DOMAINS];
    for (int i = 0; i < DOMAINS; i++) {
        char name[NAME];
        records[i] = new_record(domains[i]);
        add_number(records[i], "cpu.time", UINT64_MAX - (unsigned)i);
        for (int k = 0; k <= i; k++) {
            snprintf(name, sizeof(name), "block.%d.name", k);
            add_text(records[i], name, k % 2 ? "ol\xff\xc3\xa9\xed\xa0\x80" : "vda");
            snprintf(name, sizeof(name), "cpu.cache.monitor.%d.bank.%d.bytes", k, i);
            add_number(records[i], name, 7);
            if (k != 1) {
                snprintf(name, sizeof(name), "block.%d.on", k);
                add_field(records[i], name, VIR_TYPED_PARAM_BOOLEAN)->value.b = (char)(k == 0);
            }
        }
    }
    pv_frame *frame = new_frame(schema, records, DOMAINS);
    for (int i = 0; i < DOMAINS; i++)
        free_record(records[i]);
    CHECK(pv_frame_identify(frame) == 0);
    return frame;
}

static int table_called(pv_frame *frame, const char *name)
{
    for (int id = 0; id < pv_frame_n_tables(frame); id++) {
        pv_table_view view;
        if (pv_frame_table(frame, id, &view) == 0 && strcmp(view.name, name) == 0)
            return id;
    }
    CHECK(false);
    return -1;
}

static bool bit(const void *bits, int64_t i)
{
    return (((const uint8_t *)bits)[i >> 3] >> (i & 7) & 1) != 0;
}

static void check_text(const struct ArrowArray *array, int64_t row, const char *expected)
{
    const int64_t *offsets = array->buffers[1];
    int64_t length = offsets[row + 1] - offsets[row];
    CHECK(length == (int64_t)strlen(expected));
    CHECK(memcmp((const char *)array->buffers[2] + offsets[row], expected, (size_t)length) == 0);
}

static void check_names(const struct ArrowSchema *schema, const char *const *names, int n)
{
    CHECK(strcmp(schema->format, "+s") == 0 && schema->n_children == n);
    for (int i = 0; i < n; i++)
        CHECK(strcmp(schema->children[i]->name, names[i]) == 0);
}

static void check_block(const struct ArrowSchema *schema, const struct ArrowArray *array)
{
    static const char *const names[] = {"domain.name", "domain.uuid", "domain.id", "index", "name", "on"};
    check_names(schema, names, 6);
    CHECK(array->length == 6 && array->null_count == 0 && array->n_children == 6);
    int64_t row = 0;
    for (int i = 0; i < DOMAINS; i++) {
        unsigned char uuid[VIR_UUID_BUFLEN];
        CHECK(virDomainGetUUID(domains[i], uuid) == 0);
        for (int k = 0; k <= i; k++, row++) {
            check_text(array->children[0], row, virDomainGetName(domains[i]));
            CHECK(memcmp((const char *)array->children[1]->buffers[1] + row * VIR_UUID_BUFLEN, uuid, sizeof(uuid)) ==
                  0);
            CHECK(((const int32_t *)array->children[2]->buffers[1])[row] == (int32_t)virDomainGetID(domains[i]));
            CHECK(((const uint32_t *)array->children[KEYS]->buffers[1])[row] == (uint32_t)k);
            /*
             * The length is the same, and the text is UTF-8: a stray byte and a lone surrogate are four question marks.
             */
            check_text(array->children[KEYS + 1], row, k % 2 ? "ol?\xc3\xa9???" : "vda");
            CHECK(bit(array->children[KEYS + 2]->buffers[0], row) == (k != 1));
            CHECK(bit(array->children[KEYS + 2]->buffers[1], row) == (k == 0));
        }
    }
    CHECK(array->children[KEYS + 2]->null_count == 2);
}

static void check_bank(const struct ArrowSchema *schema)
{
    static const char *const names[] = {"domain.name", "domain.uuid", "domain.id", "index.0", "index.1", "bytes"};
    check_names(schema, names, 6);
}

static void check_domain(const pv_frame *frame, const struct ArrowSchema *schema, const struct ArrowArray *array)
{
    static const char *const names[] = {"domain.name", "domain.uuid", "domain.id", "cpu.time"};
    pv_frame_view view;
    pv_frame_describe(frame, &view);
    check_names(schema, names, 4);
    CHECK(strcmp(schema->children[KEYS]->format, "L") == 0);
    CHECK(array->children[0]->buffers[1] == view.name_offsets && array->children[1]->buffers[1] == view.uuids);
    for (int i = 0; i < DOMAINS; i++)
        CHECK(((const uint64_t *)array->children[KEYS]->buffers[1])[i] == UINT64_MAX - (unsigned)i);
}

static void test_tables(pv_frame *frame)
{
    int block = table_called(frame, "block"), bank = table_called(frame, "cpu.cache.monitor.bank");
    struct ArrowSchema *schema = pv_arrow_table_schema(frame, block);
    struct ArrowArray *array = pv_arrow_table_array(frame, block);
    check_block(schema, array);
    pv_arrow_schema_free(schema);
    pv_arrow_array_free(array);
    schema = pv_arrow_table_schema(frame, bank);
    check_bank(schema);
    pv_arrow_schema_free(schema);
    schema = pv_arrow_table_schema(frame, 0);
    array = pv_arrow_table_array(frame, 0);
    check_domain(frame, schema, array);
    pv_arrow_schema_free(schema);
    pv_arrow_array_free(array);
}

static void test_a_stream(pv_frame *frame)
{
    struct ArrowArrayStream *stream = pv_arrow_table_stream(frame, table_called(frame, "block"));
    struct ArrowSchema schema;
    struct ArrowArray array, end;
    CHECK(stream->get_schema(stream, &schema) == 0 && stream->get_next(stream, &array) == 0);
    CHECK(stream->get_next(stream, &end) == 0 && end.release == NULL);
    CHECK(stream->get_last_error(stream) != NULL);
    check_block(&schema, &array);
    pv_arrow_stream_free(stream);
    check_block(&schema, &array); /* both outlive the stream */
    schema.release(&schema);
    array.release(&array);
}

/* A reader may take single children, and keep them longer than everything else. */
static void test_a_child_that_outlives_its_frame(void)
{
    pv_schema *names = pv_schema_new();
    pv_frame *frame = make_frame(names);
    struct ArrowArray *array = pv_arrow_table_array(frame, table_called(frame, "block"));
    struct ArrowSchema *schema = pv_arrow_table_schema(frame, table_called(frame, "block"));
    struct ArrowArray child = *array->children[KEYS + 1];
    struct ArrowSchema named = *schema->children[KEYS + 1];
    array->children[KEYS + 1]->release = NULL;
    schema->children[KEYS + 1]->release = NULL;
    pv_frame_free(frame);
    pv_schema_free(names);
    pv_arrow_array_free(array);
    pv_arrow_schema_free(schema);
    check_text(&child, 0, "vda");
    CHECK(strcmp(named.name, "name") == 0 && strcmp(named.format, "U") == 0);
    child.release(&child);
    named.release(&named);
}

static void test_out_of_memory(pv_frame *frame)
{
    int block = table_called(frame, "block");
    long n = 0;
    for (bool done = false; !done; n++) {
        allocations_left = n;
        struct ArrowSchema *schema = pv_arrow_table_schema(frame, block);
        struct ArrowArray *array = pv_arrow_table_array(frame, block);
        struct ArrowArrayStream *stream = pv_arrow_table_stream(frame, block);
        allocations_left = -1;
        done = schema != NULL && array != NULL && stream != NULL;
        pv_arrow_schema_free(schema);
        pv_arrow_array_free(array);
        pv_arrow_stream_free(stream);
    }
    CHECK(n > 30);
}

/* The names of hosts are exported once, with every struct that has their numbers; also for a selection. */
static void test_hosts(void)
{
    static const uint32_t hosts[DOMAINS] = {1, 0, 1}, last[] = {2};
    static const int64_t offsets[] = {0, 1, 5};
    pv_schema *names = pv_schema_new();
    pv_frame *frame = make_frame(names);
    CHECK(pv_frame_set_hosts(frame, hosts, offsets, "a\xffold", 2) == 0);
    CHECK(pv_frame_set_hosts(frame, hosts, offsets, "abold", 2) == 0); /* this replaces the first */
    pv_frame *selection = pv_frame_select(frame, last, 1);
    CHECK(selection != NULL);
    struct ArrowArray *array = pv_arrow_table_array(frame, table_called(frame, "block"));
    struct ArrowSchema *schema = pv_arrow_table_schema(frame, table_called(frame, "block"));
    struct ArrowArray *few = pv_arrow_table_array(selection, table_called(selection, "block"));
    test_out_of_memory(frame);
    pv_frame_free(frame);
    pv_frame_free(selection);
    pv_schema_free(names);
    CHECK(schema->n_children == KEYS + 4 && array->n_children == KEYS + 4 && few->length == 3);
    struct ArrowArray child = *array->children[0];
    struct ArrowSchema named = *schema->children[0];
    array->children[0]->release = NULL;
    schema->children[0]->release = NULL;
    pv_arrow_array_free(array);
    pv_arrow_schema_free(schema);
    CHECK(strcmp(named.name, "domain.host") == 0 && strcmp(named.format, "I") == 0);
    CHECK(strcmp(named.dictionary->format, "U") == 0 && named.dictionary->n_children == 0);
    CHECK(child.length == 6 && child.dictionary->length == 2 && few->children[0]->dictionary->length == 2);
    for (int i = 0, row = 0; i < DOMAINS; i++)
        for (int k = 0; k <= i; k++, row++)
            CHECK(((const uint32_t *)child.buffers[1])[row] == hosts[i]);
    for (int row = 0; row < 3; row++)
        CHECK(((const uint32_t *)few->children[0]->buffers[1])[row] == 1);
    check_text(child.dictionary, 0, "a");
    check_text(few->children[0]->dictionary, 1, "bold");
    pv_arrow_array_free(few);
    child.release(&child);
    named.release(&named);
}

static void test_columns(pv_frame *frame)
{
    pv_column_view *views = calloc((size_t)pv_frame_n_columns(frame), sizeof(*views));
    CHECK(views != NULL);
    int n = pv_frame_columns(frame, views);
    CHECK(n == 4);
    for (int i = 0; i < n; i++) {
        struct ArrowSchema *schema = pv_arrow_column_schema(frame, views[i].id);
        struct ArrowArray *array = pv_arrow_column_array(frame, views[i].id);
        CHECK(strcmp(schema->name, views[i].name) == 0);
        CHECK(array->length == views[i].rows && array->null_count == views[i].rows - views[i].present);
        CHECK(array->n_buffers == (strcmp(schema->format, "U") == 0 ? 3 : 2));
        pv_arrow_schema_free(schema);
        pv_arrow_array_free(array);
    }
    free(views);
}

static void *release_later(void *opaque)
{
    struct ArrowArray *array = opaque;
    CHECK(array->length == 6);
    pv_arrow_array_free(array);
    return NULL;
}

static void test_release_in_other_threads(void)
{
    pthread_t threads[THREADS];
    pv_schema *names = pv_schema_new();
    pv_frame *frame = make_frame(names);
    for (int i = 0; i < THREADS; i++) {
        struct ArrowArray *array = pv_arrow_table_array(frame, table_called(frame, "block"));
        CHECK(pthread_create(&threads[i], NULL, release_later, array) == 0);
    }
    pv_frame_free(frame);
    pv_schema_free(names);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

/* In place of PyCapsule_GetPointer: the capsule is the struct itself. */
static void *get_pointer(void *capsule, const char *name)
{
    CHECK(strncmp(name, "arrow_", 6) == 0);
    return capsule;
}

static void test_capsules(pv_frame *frame)
{
    pv_arrow_capsules(get_pointer);
    CHECK(strcmp(pv_arrow_schema_name(), "arrow_schema") == 0 && strcmp(pv_arrow_array_name(), "arrow_array") == 0);
    CHECK(strcmp(pv_arrow_stream_name(), "arrow_array_stream") == 0);
    pv_arrow_drop_schema(pv_arrow_table_schema(frame, 0));
    pv_arrow_drop_array(pv_arrow_table_array(frame, 0));
    pv_arrow_drop_stream(pv_arrow_table_stream(frame, 0));
    struct ArrowArray *taken = pv_arrow_table_array(frame, 0);
    struct ArrowArray moved = *taken;
    taken->release = NULL; /* a reader marks a struct as moved in this way */
    pv_arrow_drop_array(taken);
    moved.release(&moved);
}

int main(void)
{
    pv_errors_install(); /* keeps libvirt from printing to stderr */
    conn = virConnectOpen("test:///default");
    CHECK(conn != NULL);
    define_domains(conn, domains, DOMAINS);
    pv_schema *names = pv_schema_new();
    pv_frame *frame = make_frame(names);
    test_tables(frame);
    test_a_stream(frame);
    test_a_child_that_outlives_its_frame();
    test_hosts();
    test_columns(frame);
    test_release_in_other_threads();
    test_capsules(frame);
    test_out_of_memory(frame);
    pv_frame_free(frame);
    pv_schema_free(names);
    for (int i = 0; i < DOMAINS; i++)
        virDomainFree(domains[i]);
    virConnectClose(conn);
    return 0;
}
