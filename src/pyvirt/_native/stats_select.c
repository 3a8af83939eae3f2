/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "reserve.h"
#include "stats_frame.h"

/* Return the first row of that domain, or the place where it would be. */
static int64_t first_row(const struct table *table, uint32_t domain)
{
    int64_t low = 0, high = table->rows;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (table->domain[middle] < domain)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Copy the cells of one domain from rows `base` to rows frame->base. */
static int copy_cells(pv_frame *frame, const struct layout *layout, const pv_frame *from, const int64_t *base)
{
    for (int kind = 0; kind < MOVE_KINDS; kind++) {
        const struct moves *moves = &layout->moves[kind];
        for (int i = 0; i < moves->n; i++) {
            const struct move *move = &moves->items[i];
            const struct column *source = &from->columns[move->column];
            struct column *target = &frame->columns[move->column];
            int64_t there = base[move->table] + move->item, here = frame->base[move->table] + move->item;
            if (kind == MOVE_TEXT) {
                const int64_t *offsets = (const int64_t *)source->cells + there;
                const char *text = source->text != NULL ? source->text + offsets[0] : NULL;
                if (pv_put_text(target, here, text, offsets[1] - offsets[0]) < 0)
                    return PV_NO_MEMORY;
                continue;
            }
            size_t width = pv_width_of(frame->schema->columns[move->column].type);
            memcpy((char *)target->cells + (size_t)here * width, (const char *)source->cells + (size_t)there * width,
                   width);
        }
    }
    return 0;
}

static int add_domain(pv_frame *frame, const pv_frame *from, uint32_t domain, int64_t **base, int64_t *room)
{
    uint32_t id = from->layouts[domain];
    const struct layout *layout = frame->schema->layouts[id];
    if (pv_reserve((void **)base, room, layout->n_tables, sizeof(**base)) < 0 || pv_add_columns(frame, layout) < 0 ||
        pv_add_rows(frame, layout, 1) < 0)
        return PV_NO_MEMORY;
    for (int i = 0; i < layout->n_tables; i++)
        (*base)[i] = first_row(&from->tables[layout->tables[i].table], domain);
    frame->uses[id]++;
    frame->fields += layout->n_fields;
    frame->times[frame->domains] = from->times[domain];
    frame->layouts[frame->domains++] = id;
    return copy_cells(frame, layout, from, *base);
}

static int copy_identity(pv_frame *frame, const pv_frame *from, const uint32_t *domains, int64_t n)
{
    const int64_t *offsets = from->names.cells;
    frame->uuids = malloc((size_t)n * VIR_UUID_BUFLEN + 1);
    frame->ids = malloc(((size_t)n + 1) * sizeof(*frame->ids));
    frame->names.cells = malloc(((size_t)n + 1) * sizeof(int64_t));
    if (frame->uuids == NULL || frame->ids == NULL || frame->names.cells == NULL)
        return PV_NO_MEMORY;
    for (int64_t i = 0; i < n; i++) {
        const int64_t *name = offsets + domains[i];
        memcpy(frame->uuids + i * VIR_UUID_BUFLEN, from->uuids + (size_t)domains[i] * VIR_UUID_BUFLEN, VIR_UUID_BUFLEN);
        frame->ids[i] = from->ids[domains[i]];
        if (pv_put_text(&frame->names, i, from->names.text + name[0], name[1] - name[0]) < 0)
            return PV_NO_MEMORY;
    }
    ((int64_t *)frame->names.cells)[n] = frame->names.text_size;
    return 0;
}

static int copy_hosts(pv_frame *frame, const pv_frame *from, const uint32_t *domains, int64_t n)
{
    if (from->hosts == NULL)
        return 0;
    uint32_t *hosts = malloc((size_t)n * sizeof(*hosts) + 1);
    if (hosts == NULL)
        return PV_NO_MEMORY;
    for (int64_t i = 0; i < n; i++)
        hosts[i] = from->hosts[domains[i]];
    int result = pv_frame_set_hosts(frame, hosts, from->host_names.cells, from->host_names.text, from->n_hosts);
    free(hosts);
    return result;
}

static int select_domains(pv_frame *frame, const pv_frame *from, const uint32_t *domains, int64_t n)
{
    int64_t *base = NULL, room = 0;
    int result = pv_reserve_domains(frame, n);
    for (int64_t i = 0; i < n && result == 0; i++)
        result = add_domain(frame, from, domains[i], &base, &room);
    free(base);
    frame->taken = from->taken;
    return result == 0 ? pv_seal(frame) : result;
}

pv_frame *pv_frame_select(pv_frame *from, const uint32_t *domains, int64_t n)
{
    pv_frame *frame = calloc(1, sizeof(*frame));
    if (frame == NULL)
        return NULL;
    frame->references = 1;
    pthread_mutex_lock(&from->schema->lock);
    frame->schema = from->schema;
    frame->schema->references++;
    int result = select_domains(frame, from, domains, n);
    if (result == 0)
        result = copy_identity(frame, from, domains, n);
    if (result == 0)
        result = copy_hosts(frame, from, domains, n);
    pthread_mutex_unlock(&from->schema->lock);
    if (result < 0) {
        pv_frame_free(frame);
        return NULL;
    }
    return frame;
}
