/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "clock.h"
#include "reserve.h"
#include "stats_frame.h"

/* ---- creating and freeing frames ---- */

/*
 * A collector makes a frame much like the last one, and frees that one.  The memory is kept for the next frame: fresh
 * pages from the kernel would cost more than writing all values.
 */
static pv_frame *take_spare(pv_schema *schema)
{
    pv_frame *frame = schema->spare;
    schema->spare = NULL;
    if (frame == NULL)
        return calloc(1, sizeof(*frame));
    pv_frame_reset(frame);
    return frame;
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
    pv_frame *unused = frame;
    pv_free_identity(frame);
    if (frame->sound) {
        pthread_mutex_lock(&schema->lock);
        unused = schema->spare;
        schema->spare = frame;
        pthread_mutex_unlock(&schema->lock);
    }
    pv_frame_destroy(unused);
    pv_schema_free(schema);
}

/* ---- converting records ---- */

/*
 * Each column is filled for all records of a run before the next column: the values of a column are adjacent, so they
 * share cache lines.  Filled domain by domain, dozens of columns would compete for the few cache lines of one set.
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
                return PV_NO_MEMORY;
        }
    return 0;
}

/* Add the values of the first records that share one layout.  Return how many records these are, or PV_NO_MEMORY. */
static int add_run(pv_frame *frame, virDomainStatsRecordPtr *records, int left)
{
    enum { LONGEST = 16 };
    const struct layout *layout =
        pv_schema_layout(frame->schema, frame->layout, records[0]->params, records[0]->nparams);
    if (layout == NULL)
        return PV_NO_MEMORY;
    frame->layout = layout;
    int n = 1;
    while (n < left && n < LONGEST && pv_layout_fits(layout, records[n]->params, records[n]->nparams))
        n++;
    if (pv_reserve_domains(frame, frame->domains + n) < 0)
        return PV_NO_MEMORY;
    if ((layout->id >= frame->uses_room || frame->uses[layout->id] == 0) && pv_add_columns(frame, layout) < 0)
        return PV_NO_MEMORY;
    if (pv_add_rows(frame, layout, n) < 0)
        return PV_NO_MEMORY;
    frame->uses[layout->id] += n;
    frame->fields += (int64_t)layout->n_fields * n;
    for (int i = 0; i < n; i++) {
        frame->times[frame->domains] = frame->taken;
        frame->layouts[frame->domains++] = layout->id;
    }
    move_numbers(frame, layout, records, n);
    return move_texts(frame, layout, records, n) < 0 ? PV_NO_MEMORY : n;
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
    frame->taken = pv_now_ns();
    for (int i = 0, run; i < n; i += run) {
        run = add_run(frame, records + i, n - i);
        if (run < 0)
            return PV_NO_MEMORY;
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
    int result = kept ? add_records(frame, records, n) : PV_NO_MEMORY;
    pthread_mutex_unlock(&frame->schema->lock);
    if (!kept)
        virDomainStatsRecordListFree(records);
    return result;
}
