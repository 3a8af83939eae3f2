/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Records as libvirt sends them, and records that it never sends: converting them to columns and back loses nothing. */

#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include <libvirt/libvirt.h>

#include "frames.h"
#include "harness.h"
#include "native_errors.h"

enum { DOMAINS = 6, MAX_FIELDS = 24, FRAMES = 40, THREADS = 4 };

static virConnectPtr conn;
static virDomainPtr domains[DOMAINS];

/* ---- chosen records ---- */

/* clang-format off */
static const char *const ODD_NAMES[] = {
    "", ".", "..", "a", "a.", ".a", "5", "5.5", ".5", "a.5", "a.05", "a.00", "a.0", "a.0.", "a..0",
    "a.5.b.6.c", "a.*", "a.*.b", "a.1.b", "b.1.a", "a.b.1", "1.a.b", "a.999999999", "a.1000000000",
    "a.4294967296.x", "a.-1.x", "a.+1", "a. 1", "a.1x", "a.x1", "vcpu.current", "vcpu.0.time",
    "vcpu.7.time", "vcpu.time.3", "\xff.1.\xfe", "a.1.b.2.c.3.d.4.e.5.f.6.g.7",
};
/* clang-format on */
enum { N_ODD = sizeof(ODD_NAMES) / sizeof(*ODD_NAMES) };

static void test_odd_names(void)
{
    pv_schema *schema = pv_schema_new();
    virDomainStatsRecordPtr record = new_record(domains[0]);
    char longest[NAME];
    for (int i = 0; i < N_ODD; i++)
        add_number(record, ODD_NAMES[i], (unsigned)i);
    memset(longest, 'x', sizeof(longest) - 1);
    longest[NAME - 1] = '\0';
    add_number(record, longest, 1);
    for (int i = 1; i < NAME - 1; i += 2)
        memcpy(longest + i, ".1", 2);
    longest[NAME - 1] = '\0';
    add_text(record, longest, "as many numbers as fit");
    pv_frame *frame = new_frame(schema, &record, 1);
    check_frame(frame, &record, 1);
    pv_frame_free(frame);
    free_record(record);
    pv_schema_free(schema);
}

/* For 64 parts of a name the schema records which are numbers, and which are a literal "*". */
static void test_names_with_more_parts_than_bits(void)
{
    static const char *const ends[] = {"*.5.x", "5.5.x", "5.*.x"};
    pv_schema *schema = pv_schema_new();
    virDomainStatsRecordPtr record = new_record(domains[0]);
    for (int i = 0; i < 3; i++) {
        char name[NAME] = "a";
        memset(name + 1, '.', 64);
        strcpy(name + 65, ends[i]);
        add_number(record, name, (unsigned)i);
    }
    pv_frame *frame = new_frame(schema, &record, 1);
    check_frame(frame, &record, 1);
    pv_frame_free(frame);
    free_record(record);
    pv_schema_free(schema);
}

/* The name fills its array to the last byte: libvirt always terminates it, but a damaged message might not. */
static void test_a_name_without_a_terminator(void)
{
    pv_schema *schema = pv_schema_new();
    virDomainStatsRecordPtr record = new_record(domains[0]);
    for (int round = 0; round < 2; round++)
        memset(add_field(record, "x", VIR_TYPED_PARAM_INT)->field, 'x', NAME);
    pv_frame_free(new_frame(schema, &record, 1));
    free_record(record);
    pv_schema_free(schema);
}

static void test_repeated_names(void)
{
    static const char *const texts[] = {"first", "a longer second", "", NULL, "third"};
    pv_schema *schema = pv_schema_new();
    virDomainStatsRecordPtr records[2] = {new_record(domains[0]), new_record(domains[1])};
    for (int i = 0; i < 5; i++) {
        for (int r = 0; r < 2; r++) {
            add_text(records[r], "net.0.name", texts[i]);
            add_text(records[r], "net.1.name", texts[4 - i]);
            add_number(records[r], "cpu.time", (unsigned)(i + r));
            add_field(records[r], "cpu.time", VIR_TYPED_PARAM_INT)->value.i = -i;
        }
    }
    pv_frame *frame = new_frame(schema, records, 2);
    check_frame(frame, records, 2);
    pv_frame_free(frame);
    free_record(records[0]);
    free_record(records[1]);
    pv_schema_free(schema);
}

static void test_empty_frames(void)
{
    pv_schema *schema = pv_schema_new();
    virDomainStatsRecordPtr record = new_record(domains[0]);
    pv_frame *none = new_frame(schema, NULL, 0), *bare = new_frame(schema, &record, 1);
    check_frame(none, NULL, 0);
    check_frame(bare, &record, 1);
    check_rates(bare, none);
    check_rates(none, bare);
    pv_schema_free(schema); /* the frames keep it alive */
    pv_frame_free(none);
    pv_frame_free(bare);
    pv_frame_free(NULL);
    pv_schema_free(NULL);
    free_record(record);
}

static virDomainStatsRecordPtr many_items(virDomainPtr domain, int items, unsigned long long value)
{
    virDomainStatsRecordPtr record = new_record(domain);
    char name[NAME];
    for (int i = 0; i < items; i++) {
        int index = i * 7 % items; /* not sorted, and with a gap after every third */
        snprintf(name, sizeof(name), "net.%d.name", index + index / 3);
        add_text(record, name, name);
        snprintf(name, sizeof(name), "net.%d.rx.bytes", index + index / 3);
        add_number(record, name, value + (unsigned)index);
        snprintf(name, sizeof(name), "cpu.cache.monitor.%d.bank.%d.bytes", index / 16, index % 16);
        add_number(record, name, value);
    }
    return record;
}

static void test_thousands_of_items(void)
{
    pv_schema *schema = pv_schema_new();
    virDomainStatsRecordPtr first = many_items(domains[0], 2000, 1000), second = many_items(domains[0], 1500, 3000);
    pv_frame *before = new_frame(schema, &first, 1), *now = new_frame(schema, &second, 1);
    check_frame(before, &first, 1);
    check_frame(now, &second, 1);
    check_rates(now, before);
    check_rates(before, now);
    pv_frame_free(before);
    pv_frame_free(now);
    free_record(first);
    free_record(second);
    pv_schema_free(schema);
}

static void test_records_of_libvirt(void)
{
    pv_schema *schema = pv_schema_new();
    virDomainStatsRecordPtr *records = NULL;
    int n = virConnectGetAllDomainStats(conn, 0, &records, 0);
    CHECK(n == DOMAINS + 1);
    pv_frame *added = new_frame(schema, records, n), *asked = pv_frame_new(schema);
    check_frame(added, records, n);
    virDomainPtr list[] = {domains[0], domains[3], NULL};
    CHECK(pv_frame_collect(asked, conn, NULL, 0, 0) == n);
    CHECK(pv_frame_collect(asked, conn, list, 0, 0) == 2); /* two answers, one frame */
    CHECK(pv_frame_seal(asked) == 0);
    check_rates(asked, added);
    check_selection(added, records, n);
    virDomainStatsRecordListFree(records);
    pv_frame_free(added);
    pv_frame_free(asked);

    pv_frame *failed = pv_frame_new(schema);
    CHECK(pv_frame_collect(failed, conn, NULL, 1u << 30, VIR_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS) == -1);
    pv_error_free(pv_error_take());
    pv_frame_free(failed);
    pv_schema_free(schema);
}

/* ---- arbitrary records ---- */

/* xorshift: the same records on every machine. */
static uint64_t random_below(uint64_t *state, uint64_t n)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state % n;
}

static void random_name(uint64_t *state, char name[static NAME])
{
    static const char *const parts[] = {"net", "block", "time", "rx", "*",   "",
                                        "0",   "1",     "2",    "7",  "007", "12345678901"};
    size_t length = 0;
    uint64_t n = 1 + random_below(state, 6);
    for (uint64_t i = 0; i < n; i++)
        length += (size_t)snprintf(name + length, NAME - length, "%s%s", i > 0 ? "." : "",
                                   parts[random_below(state, sizeof(parts) / sizeof(*parts))]);
}

static virDomainStatsRecordPtr random_record(uint64_t *state)
{
    virDomainStatsRecordPtr record = new_record(domains[random_below(state, DOMAINS)]);
    uint64_t n = random_below(state, MAX_FIELDS);
    char name[NAME];
    for (uint64_t i = 0; i < n; i++) {
        random_name(state, name);
        int type = (int)random_below(state, 10); /* 1 to 7 are libvirt's */
        if (type == VIR_TYPED_PARAM_STRING)
            add_text(record, name, random_below(state, 4) > 0 ? name : NULL);
        else if (type == VIR_TYPED_PARAM_DOUBLE)
            add_field(record, name, type)->value.d = (double)random_below(state, 1000) / 8;
        else
            add_field(record, name, type)->value.ul = random_below(state, UINT64_MAX);
    }
    return record;
}

struct sample {
    virDomainStatsRecordPtr records[DOMAINS];
    int n;
    pv_frame *frame;
};

static void take_sample(struct sample *sample, pv_schema *schema, uint64_t *state)
{
    sample->n = (int)random_below(state, DOMAINS + 1);
    for (int i = 0; i < sample->n; i++)
        sample->records[i] = random_record(state);
    sample->frame = new_frame(schema, sample->records, sample->n);
}

static void drop_sample(struct sample *sample)
{
    pv_frame_free(sample->frame);
    for (int i = 0; i < sample->n; i++)
        free_record(sample->records[i]);
}

static void collect_arbitrary_frames(pv_schema *schema, uint64_t seed)
{
    uint64_t state = seed * 0x9e3779b97f4a7c15u;
    struct sample now, before = {0};
    for (int i = 0; i < FRAMES; i++, before = now) {
        take_sample(&now, schema, &state);
        check_frame(now.frame, now.records, now.n);
        check_rates(now.frame, now.frame);
        check_selection(now.frame, now.records, now.n);
        if (i > 0) {
            check_rates(now.frame, before.frame);
            check_frame(before.frame, before.records, before.n); /* later frames have not changed it */
            drop_sample(&before);
        }
    }
    drop_sample(&before);
}

static void test_arbitrary_records(void)
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        pv_schema *schema = pv_schema_new();
        collect_arbitrary_frames(schema, seed);
        pv_schema_free(schema);
    }
}

struct job {
    pv_schema *schema;
    struct sample shared;
    uint64_t seed;
};

static void *collect_with_others(void *opaque)
{
    struct job *job = opaque;
    check_frame(job->shared.frame, job->shared.records, job->shared.n);
    check_rates(job->shared.frame, job->shared.frame);
    collect_arbitrary_frames(job->schema, job->seed);
    return NULL;
}

static void test_threads_share_a_schema_and_a_frame(void)
{
    pthread_t threads[THREADS];
    struct job jobs[THREADS];
    uint64_t state = 42;
    pv_schema *schema = pv_schema_new();
    struct sample shared;
    take_sample(&shared, schema, &state);
    for (int i = 0; i < THREADS; i++) {
        jobs[i] = (struct job){.schema = schema, .shared = shared, .seed = 100 + (uint64_t)i};
        CHECK(pthread_create(&threads[i], NULL, collect_with_others, &jobs[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    drop_sample(&shared);
    pv_schema_free(schema);
}

static void *identify(void *frame)
{
    CHECK(pv_frame_identify(frame) == 0);
    return NULL;
}

static void *describe_until_identified(void *frame)
{
    pv_frame_view view;
    do
        pv_frame_describe(frame, &view);
    while (view.uuids == NULL);
    CHECK(view.ids[DOMAINS - 1] == -1 && view.name_offsets[DOMAINS] > 0 && view.names[0] != '\0');
    return NULL;
}

/* Identity appears as a whole to threads that read it, whatever the number of threads that identify the frame. */
static void test_threads_identify_a_frame(void)
{
    void *(*const roles[THREADS])(void *) = {identify, describe_until_identified, identify, describe_until_identified};
    pthread_t threads[THREADS];
    virDomainStatsRecordPtr records[DOMAINS];
    pv_schema *schema = pv_schema_new();
    for (int i = 0; i < DOMAINS; i++)
        records[i] = new_record(domains[i]);
    for (int round = 0; round < FRAMES; round++) {
        pv_frame *frame = new_frame(schema, records, DOMAINS);
        for (int i = 0; i < THREADS; i++)
            CHECK(pthread_create(&threads[i], NULL, roles[i], frame) == 0);
        for (int i = 0; i < THREADS; i++)
            CHECK(pthread_join(threads[i], NULL) == 0);
        check_frame(frame, records, DOMAINS);
        pv_frame_free(frame);
    }
    for (int i = 0; i < DOMAINS; i++)
        free_record(records[i]);
    pv_schema_free(schema);
}

/* ---- out of memory ---- */

/* Make one tick in which the allocations after the first `n` fail.  Return whether none of them failed. */
static bool collect_with_memory_for(long n, pv_schema *schema, virDomainStatsRecordPtr *records)
{
    bool done = false;
    int64_t match[64], cells[64];
    virDomainStatsRecordPtr *copy = copy_of(records, 2);
    allocations_left = n;
    pv_frame *frame = pv_frame_new(schema);
    if (frame == NULL)
        virDomainStatsRecordListFree(copy);
    else if (pv_frame_add(frame, copy, 2) == 2 && pv_frame_seal(frame) == 0 && pv_frame_identify(frame) == 0)
        done = pv_frame_cells(frame, cells) == 0 && pv_frame_match(frame, 0, -1, frame, 0, -1, match) == 0;
    pv_frame *selection = done ? pv_frame_select(frame, (uint32_t[]){1, 0}, 2) : NULL;
    allocations_left = -1;
    done = selection != NULL;
    pv_frame_free(selection);
    pv_frame_free(frame);
    return done;
}

static void test_out_of_memory(void)
{
    virDomainStatsRecordPtr records[2] = {many_items(domains[0], 3, 1), many_items(domains[1], 5, 1)};
    add_text(records[1], "net.0.model", "only here");
    long n = 0;
    for (bool done = false; !done; n++) {
        allocations_left = n;
        pv_schema *schema = pv_schema_new();
        allocations_left = -1;
        if (schema == NULL)
            continue;
        done = collect_with_memory_for(n, schema, records);
        /* The schema must still be usable afterwards. */
        pv_frame *frame = new_frame(schema, records, 2);
        check_frame(frame, records, 2);
        pv_frame_free(frame);
        pv_schema_free(schema);
    }
    CHECK(n > 30);
    free_record(records[0]);
    free_record(records[1]);
}

int main(void)
{
    pv_errors_install(); /* keeps libvirt from printing to stderr */
    conn = virConnectOpen("test:///default");
    CHECK(conn != NULL);
    define_domains(conn, domains, DOMAINS);

    test_odd_names();
    test_names_with_more_parts_than_bits();
    test_a_name_without_a_terminator();
    test_repeated_names();
    test_empty_frames();
    test_thousands_of_items();
    test_records_of_libvirt();
    test_arbitrary_records();
    test_threads_share_a_schema_and_a_frame();
    test_threads_identify_a_frame();
    test_out_of_memory();

    for (int i = 0; i < DOMAINS; i++)
        virDomainFree(domains[i]);
    virConnectClose(conn);
    return 0;
}
