/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>
#include <time.h>

#include "stats_frame.h"

/* ---- columns and tables ---- */

size_t pv_width_of(int type)
{
    switch (type) {
    case VIR_TYPED_PARAM_INT:
    case VIR_TYPED_PARAM_UINT:
        return 4;
    case VIR_TYPED_PARAM_BOOLEAN:
        return 1;
    default:
        return 8; /* numbers, and the offsets of strings */
    }
}

/* One cell more than rows: strings have a last offset.  Nothing is cleared: sealing does where a value is missing. */
static int resize_cells(struct column *column, int type, int64_t room)
{
    void *grown = realloc(column->cells, ((size_t)room + 1) * pv_width_of(type));
    if (grown == NULL)
        return NO_MEMORY;
    column->cells = grown;
    return 0;
}

static int resize_table(pv_frame *frame, int id, int64_t room)
{
    struct table *table = &frame->tables[id];
    const pv_schema *schema = frame->schema;
    size_t width = (size_t)schema->tables[id].n_index;
    uint32_t *domain = realloc(table->domain, (size_t)room * sizeof(*domain));
    if (domain == NULL)
        return NO_MEMORY;
    table->domain = domain;
    if (width > 0) {
        uint32_t *index = realloc(table->index, (size_t)room * width * sizeof(*index));
        if (index == NULL)
            return NO_MEMORY;
        table->index = index;
    }
    for (int i = 0; i < frame->n_columns && i < schema->n_columns; i++) {
        struct column *column = &frame->columns[i];
        if (column->cells != NULL && schema->columns[i].table == id &&
            resize_cells(column, schema->columns[i].type, room) < 0)
            return NO_MEMORY;
    }
    table->room = room;
    return 0;
}

static int make_room(pv_frame *frame, int id, int64_t rows)
{
    int64_t room = frame->tables[id].room;
    if (rows <= room)
        return 0;
    int64_t expected = frame->schema->expected[id];
    int64_t wanted = room + room / 2 < 16 ? 16 : room + room / 2;
    if (room == 0 && wanted < expected)
        wanted = expected;
    return resize_table(frame, id, wanted < rows ? rows : wanted);
}

int pv_put_text(struct column *column, int64_t row, const char *text, int64_t length)
{
    int64_t *offsets = column->cells;
    if (pv_reserve((void **)&column->text, &column->text_room, column->text_size + length, 1) < 0)
        return NO_MEMORY;
    while (column->written <= row)
        offsets[column->written++] = column->text_size;
    if (length > 0)
        memcpy(column->text + column->text_size, text, (size_t)length);
    column->text_size += length;
    return 0;
}

static void free_column(struct column *column)
{
    free(column->cells);
    free(column->valid);
    free(column->text);
    *column = (struct column){0};
}

/* ---- records ---- */

int pv_reserve_domains(pv_frame *frame, int64_t n)
{
    if (pv_reserve((void **)&frame->times, &frame->times_room, n, sizeof(*frame->times)) < 0)
        return NO_MEMORY;
    return pv_reserve((void **)&frame->layouts, &frame->layouts_room, n, sizeof(*frame->layouts));
}

/* The first record of a layout: its columns have to be there. */
int pv_meet_layout(pv_frame *frame, const struct layout *layout)
{
    const pv_schema *schema = frame->schema;
    if (pv_reserve((void **)&frame->tables, &frame->n_tables, schema->n_tables, sizeof(*frame->tables)) < 0 ||
        pv_reserve((void **)&frame->columns, &frame->n_columns, schema->n_columns, sizeof(*frame->columns)) < 0 ||
        pv_reserve((void **)&frame->uses, &frame->uses_room, schema->n_layouts, sizeof(*frame->uses)) < 0 ||
        pv_reserve((void **)&frame->base, &frame->base_room, layout->n_tables, sizeof(*frame->base)) < 0)
        return NO_MEMORY;
    for (int i = 0; i < layout->n_columns; i++) {
        int id = layout->columns[i].column;
        struct column *column = &frame->columns[id];
        column->used = true;
        if (column->cells == NULL &&
            resize_cells(column, schema->columns[id].type, frame->tables[schema->columns[id].table].room) < 0)
            return NO_MEMORY;
    }
    return 0;
}

/* Rows for all items of `n` records of the layout; frame->base says where those of the first one begin. */
int pv_add_rows(pv_frame *frame, const struct layout *layout, int n)
{
    uint32_t domain = (uint32_t)frame->domains;
    if (make_room(frame, DOMAIN_TABLE, frame->domains + n) < 0)
        return NO_MEMORY;
    struct table *domains = &frame->tables[DOMAIN_TABLE];
    for (uint32_t i = 0; i < (uint32_t)n; i++)
        domains->domain[domain + i] = domain + i;
    domains->rows = frame->domains + n;

    for (int i = 0; i < layout->n_tables; i++) {
        const struct layout_table *from = &layout->tables[i];
        if (from->table == DOMAIN_TABLE) {
            frame->base[i] = domain;
            continue;
        }
        struct table *to = &frame->tables[from->table];
        size_t width = (size_t)frame->schema->tables[from->table].n_index, numbers = from->rows * width;
        int64_t row = frame->base[i] = to->rows;
        if (make_room(frame, from->table, row + (int64_t)from->rows * n) < 0)
            return NO_MEMORY;
        uint32_t *index = to->index + (size_t)row * width;
        for (uint32_t record = 0; record < (uint32_t)n; record++, index += numbers) {
            for (uint32_t item = 0; item < from->rows; item++)
                to->domain[row++] = domain + record;
            memcpy(index, from->index, numbers * sizeof(*index));
        }
        to->rows = row;
    }
    return 0;
}

/*
 * A column is filled for all records of a run before the next one is: they lie side by side there, a cache line full of
 * them.  Domain by domain, dozens of columns would compete for the few lines that a cache has for each address.
 */
#define MOVE(c_type, member)                                                                                           \
    for (const struct move *move = moves->items, *end = move + moves->n; move < end; move++) {                         \
        size_t step = layout->tables[move->table].rows;                                                                \
        c_type *cell = (c_type *)frame->columns[move->column].cells + frame->base[move->table] + move->item;           \
        for (int record = 0; record < n; record++, cell += step)                                                       \
            *cell = (c_type)records[record]->params[move->field].value.member;                                         \
    }

static void move_numbers(const pv_frame *frame, const struct layout *layout, virDomainStatsRecordPtr *records, int n)
{
    const struct moves *moves = &layout->moves[MOVE_8];
    MOVE(uint64_t, ul)
    moves = &layout->moves[MOVE_4];
    MOVE(uint32_t, ui)
    moves = &layout->moves[MOVE_FLAG];
    MOVE(bool, b)
}

static int move_texts(pv_frame *frame, const struct layout *layout, virDomainStatsRecordPtr *records, int n)
{
    const struct moves *moves = &layout->moves[MOVE_TEXT];
    for (int record = 0; record < n; record++)
        for (int i = 0; i < moves->n; i++) {
            const struct move *move = &moves->items[i];
            int64_t row = frame->base[move->table] + (int64_t)layout->tables[move->table].rows * record + move->item;
            const char *text = records[record]->params[move->field].value.s;
            int64_t length = text != NULL ? (int64_t)strlen(text) : 0;
            if (pv_put_text(&frame->columns[move->column], row, text, length) < 0)
                return NO_MEMORY;
        }
    return 0;
}

/* Take over the values of the first records, as many as have one layout, and return how many those were. */
static int add_run(pv_frame *frame, virDomainStatsRecordPtr *records, int left)
{
    enum { LONGEST = 16 };
    const struct layout *layout =
        pv_schema_layout(frame->schema, frame->layout, records[0]->params, records[0]->nparams);
    if (layout == NULL)
        return NO_MEMORY;
    frame->layout = layout;
    int n = 1;
    while (n < left && n < LONGEST && pv_layout_fits(layout, records[n]->params, records[n]->nparams))
        n++;
    if (pv_reserve_domains(frame, frame->domains + n) < 0)
        return NO_MEMORY;
    if ((layout->id >= frame->uses_room || frame->uses[layout->id] == 0) && pv_meet_layout(frame, layout) < 0)
        return NO_MEMORY;
    if (pv_add_rows(frame, layout, n) < 0)
        return NO_MEMORY;
    frame->uses[layout->id] += n;
    frame->fields += (int64_t)layout->n_fields * n;
    for (int i = 0; i < n; i++) {
        frame->times[frame->domains] = frame->taken;
        frame->layouts[frame->domains++] = layout->id;
    }
    move_numbers(frame, layout, records, n);
    return move_texts(frame, layout, records, n) < 0 ? NO_MEMORY : n;
}

/* ---- who the domains are ---- */

static void free_answers(pv_frame *frame)
{
    for (int64_t i = 0; i < frame->n_answers && !frame->inherited; i++)
        virDomainStatsRecordListFree(frame->answers[i].records);
    frame->n_answers = 0;
}

struct identity {
    uint8_t *uuids;
    int32_t *ids;
    struct column names;
};

/*
 * libvirt formats a UUID for its debug log at each question about a domain, which costs more than all of that domain's
 * columns.  So nobody is asked until somebody wants to know: until then the frame keeps the records, without their
 * parameters.
 */
static int ask(const pv_frame *frame, struct identity *who)
{
    int64_t rows = frame->domains;
    who->uuids = malloc((size_t)rows * VIR_UUID_BUFLEN + 1);
    who->ids = malloc(((size_t)rows + 1) * sizeof(*who->ids));
    if (who->uuids == NULL || who->ids == NULL || resize_cells(&who->names, VIR_TYPED_PARAM_STRING, rows) < 0)
        return NO_MEMORY;
    for (int64_t i = 0; i < frame->n_answers; i++) {
        const struct answer *answer = &frame->answers[i];
        for (int k = 0; k < answer->n; k++) {
            virDomainPtr domain = answer->records[k]->dom;
            int64_t row = answer->first + k;
            const char *name = virDomainGetName(domain);
            int64_t length = name != NULL ? (int64_t)strlen(name) : 0;
            if (pv_put_text(&who->names, row, name, length) < 0)
                return NO_MEMORY;
            virDomainGetUUID(domain, who->uuids + row * VIR_UUID_BUFLEN);
            who->ids[row] = (int32_t)virDomainGetID(domain);
        }
    }
    ((int64_t *)who->names.cells)[rows] = who->names.text_size;
    return 0;
}

static void publish(pv_frame *frame, struct identity *who)
{
    frame->uuids = who->uuids;
    frame->ids = who->ids;
    frame->names = who->names;
    *who = (struct identity){0};
}

/*
 * The lock is not held while libvirt is asked: whoever forks waits for it, and when libvirt does that itself, for the
 * ssh of a connection say, it holds the lock of its log (virFork), which it takes at each question.
 */
int pv_frame_identify(pv_frame *frame)
{
    struct identity who = {0};
    pthread_mutex_lock(&frame->schema->lock);
    bool known = frame->uuids != NULL;
    frame->asking += !known;
    pthread_mutex_unlock(&frame->schema->lock);
    if (known)
        return 0;
    int result = ask(frame, &who);
    pthread_mutex_lock(&frame->schema->lock);
    if (result == 0 && frame->uuids == NULL)
        publish(frame, &who);
    known = frame->uuids != NULL;
    bool last = --frame->asking == 0 && known;
    pthread_mutex_unlock(&frame->schema->lock);
    free(who.uuids);
    free(who.ids);
    free_column(&who.names);
    if (last)
        free_answers(frame);
    return known ? 0 : NO_MEMORY;
}

void pv_frame_disown(pv_frame *frame)
{
    frame->inherited = true;
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static bool keep_answer(pv_frame *frame, virDomainStatsRecordPtr *records, int n)
{
    if (pv_reserve((void **)&frame->answers, &frame->answers_room, frame->n_answers + 1, sizeof(*frame->answers)) < 0)
        return false;
    frame->answers[frame->n_answers++] = (struct answer){.records = records, .first = frame->domains, .n = n};
    return true;
}

static int add_records(pv_frame *frame, virDomainStatsRecordPtr *records, int n)
{
    frame->taken = now();
    for (int i = 0, run; i < n; i += run) {
        run = add_run(frame, records + i, n - i);
        if (run < 0)
            return NO_MEMORY;
        for (int k = i; k < i + run; k++) {
            virTypedParamsFree(records[k]->params, records[k]->nparams);
            records[k]->params = NULL;
            records[k]->nparams = 0;
        }
    }
    return n;
}

int pv_frame_collect(pv_frame *frame, virConnectPtr conn, virDomainPtr *domains, unsigned int stats, unsigned int flags)
{
    virDomainStatsRecordPtr *records = NULL;
    int n = domains != NULL ? virDomainListGetStats(domains, stats, &records, flags)
                            : virConnectGetAllDomainStats(conn, stats, &records, flags);
    return n < 0 ? -1 : pv_frame_add(frame, records, n);
}

int pv_frame_add(pv_frame *frame, virDomainStatsRecordPtr *records, int n)
{
    pthread_mutex_lock(&frame->schema->lock);
    bool kept = keep_answer(frame, records, n);
    int result = kept ? add_records(frame, records, n) : NO_MEMORY;
    pthread_mutex_unlock(&frame->schema->lock);
    if (!kept)
        virDomainStatsRecordListFree(records);
    return result;
}

/* ---- sealing ---- */

/* From row by row to number by number; nothing to do where a row has but one. */
static int transpose_index(struct table *table, size_t width)
{
    if (width < 2 || table->rows == 0)
        return 0;
    size_t rows = (size_t)table->rows;
    uint32_t *turned = malloc((size_t)table->room * width * sizeof(*turned));
    if (turned == NULL)
        return NO_MEMORY;
    for (size_t row = 0; row < rows; row++)
        for (size_t i = 0; i < width; i++)
            turned[i * rows + row] = table->index[row * width + i];
    free(table->index);
    table->index = turned;
    return 0;
}

static void count_present(pv_frame *frame)
{
    for (uint32_t id = 0; id < frame->uses_room; id++) {
        if (frame->uses[id] == 0)
            continue;
        const struct layout *layout = frame->schema->layouts[id];
        for (int i = 0; i < layout->n_columns; i++)
            frame->columns[layout->columns[i].column].present += frame->uses[id] * layout->columns[i].rows;
    }
}

/* Go through the domains again and mark the rows that have a value, for columns that have one in some rows only. */
static int mark_valid(pv_frame *frame)
{
    int64_t *used = calloc((size_t)frame->n_tables + 1, sizeof(*used));
    if (used == NULL)
        return NO_MEMORY;
    for (int64_t domain = 0; domain < frame->domains; domain++) {
        const struct layout *layout = frame->schema->layouts[frame->layouts[domain]];
        used[DOMAIN_TABLE] = domain;
        for (int kind = 0; kind < MOVE_KINDS; kind++) {
            const struct moves *moves = &layout->moves[kind];
            for (int i = 0; i < moves->n; i++) {
                const struct move *move = &moves->items[i];
                uint8_t *valid = frame->columns[move->column].valid;
                if (valid == NULL)
                    continue;
                int64_t row = used[layout->tables[move->table].table] + move->item;
                valid[row >> 3] = (uint8_t)(valid[row >> 3] | 1u << (row & 7));
            }
        }
        for (int i = 0; i < layout->n_tables; i++)
            used[layout->tables[i].table] += layout->tables[i].rows;
    }
    free(used);
    return 0;
}

/* A row without a value reads as 0. */
static void clear_holes(struct column *column, size_t width, int64_t rows)
{
    char *cells = column->cells;
    for (int64_t row = 0; row < rows; row++)
        if (!pv_is_valid(column, row))
            memset(cells + (size_t)row * width, 0, width);
}

static int seal_columns(pv_frame *frame)
{
    const pv_schema *schema = frame->schema;
    bool holes = false;
    for (int i = 0; i < frame->n_columns && i < schema->n_columns; i++) {
        struct column *column = &frame->columns[i];
        if (!column->used) {
            free_column(column);
            continue;
        }
        int64_t rows = frame->tables[schema->columns[i].table].rows;
        if (schema->columns[i].type == VIR_TYPED_PARAM_STRING)
            while (column->written <= rows)
                ((int64_t *)column->cells)[column->written++] = column->text_size;
        if (column->present < rows) {
            column->valid = calloc((size_t)(rows + 7) / 8, 1);
            if (column->valid == NULL)
                return NO_MEMORY;
            frame->bytes += (rows + 7) / 8;
            holes = true;
        }
        frame->bytes += (rows + 1) * (int64_t)pv_width_of(schema->columns[i].type) + column->text_room;
    }
    if (!holes)
        return 0;
    if (mark_valid(frame) < 0)
        return NO_MEMORY;
    for (int i = 0; i < frame->n_columns && i < schema->n_columns; i++)
        if (frame->columns[i].valid != NULL && schema->columns[i].type != VIR_TYPED_PARAM_STRING)
            clear_holes(&frame->columns[i], pv_width_of(schema->columns[i].type),
                        frame->tables[schema->columns[i].table].rows);
    return 0;
}

int pv_seal(pv_frame *frame)
{
    const pv_schema *schema = frame->schema;
    for (int i = 0; i < frame->n_tables && i < schema->n_tables; i++) {
        struct table *table = &frame->tables[i];
        size_t width = (size_t)schema->tables[i].n_index;
        /* What grew by doubling gives back what it does not use. */
        if (table->room > table->rows + table->rows / 2 && table->rows > 0 && resize_table(frame, i, table->rows) < 0)
            return NO_MEMORY;
        if (transpose_index(table, width) < 0)
            return NO_MEMORY;
        frame->bytes += table->room * (int64_t)((1 + width) * sizeof(uint32_t));
    }
    count_present(frame);
    frame->bytes += frame->domains * (VIR_UUID_BUFLEN + 24);
    return seal_columns(frame);
}

int pv_frame_seal(pv_frame *frame)
{
    pv_schema *schema = frame->schema;
    if (frame->taken == 0) /* nobody was asked, or nobody answered */
        frame->taken = now();
    pthread_mutex_lock(&schema->lock);
    int result = pv_seal(frame);
    frame->sound = result == 0;
    for (int i = 0; i < frame->n_tables && i < schema->n_tables; i++)
        schema->expected[i] = frame->tables[i].rows;
    pthread_mutex_unlock(&schema->lock);
    return result;
}

/* ---- life ---- */

/*
 * A collector makes a frame much like the last one and drops that.  Its memory is kept for the next: fresh pages would
 * cost more than all that is written to them.
 */
static pv_frame *take_spare(pv_schema *schema)
{
    pv_frame *frame = schema->spare;
    schema->spare = NULL;
    if (frame == NULL)
        return calloc(1, sizeof(*frame));
    for (int64_t i = 0; i < frame->n_tables; i++)
        frame->tables[i].rows = 0;
    for (int64_t i = 0; i < frame->n_columns; i++) {
        struct column *column = &frame->columns[i];
        free(column->valid);
        column->valid = NULL;
        column->used = false;
        column->present = column->written = column->text_size = 0;
    }
    if (frame->uses != NULL)
        memset(frame->uses, 0, (size_t)frame->uses_room * sizeof(*frame->uses));
    frame->domains = frame->fields = frame->bytes = frame->taken = 0;
    frame->layout = NULL;
    frame->sound = false;
    return frame;
}

static void drop_identity(pv_frame *frame)
{
    free_answers(frame);
    frame->inherited = false;
    frame->asking = 0; /* those that were asking are the parent's, after a fork */
    free_column(&frame->names);
    free_column(&frame->host_names);
    free(frame->uuids);
    free(frame->ids);
    free(frame->hosts);
    frame->uuids = NULL;
    frame->ids = NULL;
    frame->hosts = NULL;
}

static void *copy_of(const void *bytes, int64_t n, size_t width)
{
    void *copy = malloc((size_t)n * width + 1);
    return copy != NULL && n > 0 ? memcpy(copy, bytes, (size_t)n * width) : copy;
}

int pv_frame_set_hosts(pv_frame *frame, const uint32_t *hosts, const int64_t *offsets, const char *names, int64_t n)
{
    free(frame->hosts);
    free_column(&frame->host_names);
    frame->hosts = copy_of(hosts, frame->domains, sizeof(*hosts));
    frame->host_names.cells = copy_of(offsets, n + 1, sizeof(*offsets));
    frame->host_names.text = copy_of(names, offsets[n], 1);
    frame->n_hosts = n;
    return frame->hosts != NULL && frame->host_names.cells != NULL && frame->host_names.text != NULL ? 0 : NO_MEMORY;
}

void pv_frame_destroy(pv_frame *frame)
{
    if (frame == NULL)
        return;
    for (int64_t i = 0; i < frame->n_tables; i++) {
        free(frame->tables[i].domain);
        free(frame->tables[i].index);
    }
    for (int64_t i = 0; i < frame->n_columns; i++)
        free_column(&frame->columns[i]);
    drop_identity(frame);
    free(frame->answers);
    free(frame->tables);
    free(frame->columns);
    free(frame->layouts);
    free(frame->times);
    free(frame->uses);
    free(frame->base);
    free(frame);
}

pv_frame *pv_frame_new(pv_schema *schema)
{
    pthread_mutex_lock(&schema->lock);
    pv_frame *frame = take_spare(schema);
    if (frame != NULL) {
        frame->schema = schema;
        frame->references = 1;
        schema->references++;
    }
    pthread_mutex_unlock(&schema->lock);
    return frame;
}

pv_frame *pv_frame_hold(pv_frame *frame)
{
    frame->references++;
    return frame;
}

void pv_frame_free(pv_frame *frame)
{
    if (frame == NULL || --frame->references > 0)
        return;
    pv_schema *schema = frame->schema;
    pv_frame *surplus = frame;
    drop_identity(frame);
    if (frame->sound) {
        pthread_mutex_lock(&schema->lock);
        surplus = schema->spare;
        schema->spare = frame;
        pthread_mutex_unlock(&schema->lock);
    }
    pv_frame_destroy(surplus);
    pv_schema_free(schema);
}
