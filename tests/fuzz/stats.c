/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Arbitrary bytes become ticks of arbitrary records.  Their frames must pass the same checks as all frames.  ci/fuzz
 * compiles this for libFuzzer.
 */
#include <stdint.h>
#include <string.h>

#include <libvirt/libvirt.h>

#include "../c/frames.h"

#include "native_errors.h"
#include "native_stats_arrow.h"

enum { DOMAINS = 4, MOST_TICKS = 3, MOST_IN_A_TICK = 20, MOST_FIELDS = 40 };

static virConnectPtr conn;
static virDomainPtr domains[DOMAINS];

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The rest of the input; after its end come zeros. */
struct input {
    const uint8_t *data;
    size_t size;
};

static uint8_t take(struct input *input)
{
    if (input->size == 0)
        return 0;
    input->size--;
    return *input->data++;
}

static uint64_t take_number(struct input *input)
{
    uint64_t number = 0;
    for (int i = 0; i < 8; i++)
        number = number << 8 | take(input);
    return number;
}

/* Take so many bytes, replace NULs, and add a terminator. */
static void take_text(struct input *input, char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        text[i] = (char)take(input);
        if (text[i] == '\0')
            text[i] = '.';
    }
    text[length] = '\0';
}

/* Take raw bytes as a name, or join parts of real names in any order. */
static void take_name(struct input *input, char name[static NAME])
{
    static const char *const parts[] = {"net",   "block", "vcpu", "time", "name",       "rd",
                                        "bytes", "bank",  "0",    "1",    "2",          "9",
                                        "10",    "01",    "",     "*",    "1234567890", "999999999"};
    uint8_t kind = take(input);
    if (kind & 0x80) {
        take_text(input, name, kind % NAME);
        return;
    }
    size_t length = 0;
    for (int i = 0; i <= kind % 7 && length < NAME; i++)
        length += (size_t)snprintf(name + length, NAME - length, "%s%s", i > 0 ? "." : "",
                                   parts[take(input) % (sizeof(parts) / sizeof(*parts))]);
}

static virDomainStatsRecordPtr take_record(struct input *input)
{
    virDomainStatsRecordPtr record = new_record(domains[take(input) % DOMAINS]);
    int n = take(input) % MOST_FIELDS;
    for (int i = 0; i < n && input->size > 0; i++) {
        char name[NAME], text[256];
        take_name(input, name);
        int type = take(input) % 10; /* 1 to 7 are libvirt's */
        if (type != VIR_TYPED_PARAM_STRING) {
            add_field(record, name, type)->value.ul = take_number(input);
            continue;
        }
        size_t length = take(input);
        take_text(input, text, length);
        add_text(record, name, length == 255 ? NULL : text);
    }
    return record;
}

/* Make a record of the same layout with other numbers: such records are copied together. */
static virDomainStatsRecordPtr vary_record(struct input *input, virDomainStatsRecordPtr like)
{
    virDomainStatsRecordPtr *copy = copy_of(&like, 1), record = copy[0];
    virDomainFree(record->dom); /* records here do not own their domain */
    free(copy);
    for (int i = 0; i < record->nparams; i++)
        if (record->params[i].type != VIR_TYPED_PARAM_STRING)
            record->params[i].value.ul += take(input);
    return record;
}

struct tick {
    virDomainStatsRecordPtr records[MOST_IN_A_TICK];
    int n;
    pv_frame *frame;
};

static void take_tick(struct tick *tick, struct input *input, pv_schema *schema)
{
    int wanted = take(input) % (MOST_IN_A_TICK + 1);
    for (tick->n = 0; tick->n < wanted; tick->n++)
        tick->records[tick->n] =
            tick->n > 0 && take(input) & 1 ? vary_record(input, tick->records[tick->n - 1]) : take_record(input);
    tick->frame = new_frame(schema, tick->records, tick->n);
}

static void export_tables(pv_frame *frame)
{
    for (int id = 0; id < pv_frame_n_tables(frame); id++) {
        pv_table_view view;
        if (pv_frame_table(frame, id, &view) < 0)
            continue;
        struct ArrowArray *array = pv_arrow_table_array(frame, id);
        struct ArrowSchema *schema = pv_arrow_table_schema(frame, id);
        CHECK(array != NULL && schema != NULL);
        pv_arrow_array_free(array);
        pv_arrow_schema_free(schema);
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    pv_errors_install(); /* keeps libvirt from printing to stderr */
    conn = virConnectOpen("test:///default");
    CHECK(conn != NULL);
    define_domains(conn, domains, DOMAINS);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {.data = data, .size = size};
    struct tick ticks[MOST_TICKS];
    pv_schema *schema = pv_schema_new();
    int n = 1 + take(&input) % MOST_TICKS;
    for (int i = 0; i < n; i++) {
        struct tick *tick = &ticks[i];
        take_tick(tick, &input, schema);
        check_frame(tick->frame, tick->records, tick->n);
        check_selection(tick->frame, tick->records, tick->n);
        export_tables(tick->frame);
        if (i > 0)
            check_rates(tick->frame, ticks[i - 1].frame);
    }
    for (int i = 0; i < n; i++) {
        check_frame(ticks[i].frame, ticks[i].records, ticks[i].n); /* later frames have not changed it */
        pv_frame_free(ticks[i].frame);
        for (int k = 0; k < ticks[i].n; k++)
            free_record(ticks[i].records[k]);
    }
    pv_schema_free(schema);
    return 0;
}
