/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <string.h>

#include "reserve.h"
#include "stats_fork.h"
#include "stats_frame.h"

static int reserve_int(void **array, int *room, int need, size_t size)
{
    int64_t wide = *room;
    if (pv_reserve(array, &wide, need, size) < 0)
        return PV_NO_MEMORY;
    *room = (int)wide;
    return 0;
}

/* ---- names ---- */

/* The parts of a field name: "vcpu.3.time" has the pattern "vcpu.*", the number 3 and the field ".time". */
struct parsed {
    char pattern[VIR_TYPED_PARAM_FIELD_LENGTH];
    char name[VIR_TYPED_PARAM_FIELD_LENGTH];
    const char *field;
    int n_numbers;
    uint64_t where; /* which parts were numbers, to distinguish them from a literal "*" */
    uint32_t numbers[MAX_NUMBERS];
};

/* A number must convert back to the same text, so it has no leading zero; and it has at most nine digits. */
static bool is_number(const char *text, size_t length, uint32_t *value)
{
    if (length == 0 || length > 9 || (length > 1 && text[0] == '0'))
        return false;
    uint32_t total = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        total = total * 10 + (uint32_t)(text[i] - '0');
    }
    *value = total;
    return true;
}

static void parse_name(const char *field, struct parsed *out)
{
    size_t pattern = 0, name = 0;
    size_t kept_pattern = 0, kept_name = 0;
    const char *rest = field;

    out->n_numbers = 0;
    out->where = 0;
    uint64_t bit = 1;
    for (const char *part = field;; bit <<= 1) {
        const char *dot = strchr(part, '.');
        size_t length = dot != NULL ? (size_t)(dot - part) : strlen(part);
        uint32_t number;
        if (part != field)
            out->pattern[pattern++] = '.';
        /* After the 64th part there is no bit left in `where`. */
        if (part != field && bit != 0 && is_number(part, length, &number)) {
            out->numbers[out->n_numbers++] = number;
            out->where |= bit;
            out->pattern[pattern++] = '*';
            kept_pattern = pattern;
            kept_name = name;
            rest = part + length;
        } else {
            if (part != field)
                out->name[name++] = '.';
            memcpy(out->pattern + pattern, part, length);
            memcpy(out->name + name, part, length);
            pattern += length;
            name += length;
        }
        if (dot == NULL)
            break;
        part = dot + 1;
    }
    out->pattern[kept_pattern] = '\0';
    out->name[kept_name] = '\0';
    out->field = rest;
}

/* Return whether a column of `table` has that name already; for a `table` of -1, whether a table has it. */
static bool is_taken(const pv_schema *schema, int table, const char *name)
{
    if (table < 0) {
        for (int i = 0; i < schema->n_tables; i++)
            if (strcmp(schema->tables[i].name, name) == 0)
                return true;
    } else {
        for (int i = 0; i < schema->n_columns; i++)
            if (schema->columns[i].table == table && strcmp(schema->columns[i].name, name) == 0)
                return true;
    }
    return false;
}

/* Return a copy of the first of the two names that is free; if neither is, append a number. */
static char *free_name(const pv_schema *schema, int table, const char *plain, const char *longer)
{
    char numbered[2 * VIR_TYPED_PARAM_FIELD_LENGTH];
    const char *name = is_taken(schema, table, plain) ? longer : plain;
    if (is_taken(schema, table, name)) {
        snprintf(numbered, sizeof(numbered), "%s#%d", longer, table < 0 ? schema->n_tables : schema->n_columns);
        name = numbered;
    }
    return strdup(name);
}

static int intern_table(pv_schema *schema, const struct parsed *parsed)
{
    for (int i = 0; i < schema->n_tables; i++) {
        const struct table_def *table = &schema->tables[i];
        if (table->where == parsed->where && strcmp(table->pattern, parsed->pattern) == 0)
            return i;
    }
    if (reserve_int((void **)&schema->tables, &schema->room_tables, schema->n_tables + 1, sizeof(*schema->tables)) < 0)
        return PV_NO_MEMORY;
    int64_t *expected = realloc(schema->expected, (size_t)schema->room_tables * sizeof(*expected));
    if (expected == NULL)
        return PV_NO_MEMORY;
    schema->expected = expected;
    expected[schema->n_tables] = 0;

    /*
     * Patterns that differ only in the place of a number have the same name: the second table is named by its pattern.
     */
    struct table_def table = {
        .pattern = strdup(parsed->pattern),
        .name = free_name(schema, -1, parsed->name, parsed->pattern),
        .where = parsed->where,
        .n_index = parsed->n_numbers,
    };
    if (table.pattern == NULL || table.name == NULL) {
        free(table.pattern);
        free(table.name);
        return PV_NO_MEMORY;
    }
    schema->tables[schema->n_tables] = table;
    return schema->n_tables++;
}

static const char *type_name(int type)
{
    switch (type) {
    case VIR_TYPED_PARAM_INT:
        return "int";
    case VIR_TYPED_PARAM_UINT:
        return "uint";
    case VIR_TYPED_PARAM_LLONG:
        return "llong";
    case VIR_TYPED_PARAM_ULLONG:
        return "ullong";
    case VIR_TYPED_PARAM_DOUBLE:
        return "double";
    case VIR_TYPED_PARAM_BOOLEAN:
        return "boolean";
    default:
        return "string";
    }
}

/*
 * A name that comes with two types becomes two columns; the second one is called "name:type".  No libvirt does this
 * today, but if one does, no value is lost.
 */
static int intern_column(pv_schema *schema, int table, const char *field, int type)
{
    for (int i = 0; i < schema->n_columns; i++) {
        const struct column_def *column = &schema->columns[i];
        if (column->table == table && column->type == type && strcmp(column->field, field) == 0)
            return i;
    }
    if (reserve_int((void **)&schema->columns, &schema->room_columns, schema->n_columns + 1, sizeof(*schema->columns)) <
        0)
        return PV_NO_MEMORY;
    const char *plain = table != DOMAIN_TABLE && field[0] == '.' ? field + 1 : field;
    char typed[VIR_TYPED_PARAM_FIELD_LENGTH + 16];
    snprintf(typed, sizeof(typed), "%s:%s", plain, type_name(type));
    struct column_def column = {
        .field = strdup(field), .name = free_name(schema, table, plain, typed), .table = table, .type = type};
    if (column.field == NULL || column.name == NULL) {
        free(column.field);
        free(column.name);
        return PV_NO_MEMORY;
    }
    schema->columns[schema->n_columns] = column;
    return schema->n_columns++;
}

/* ---- layouts ---- */

static size_t name_length(const virTypedParameter *param)
{
    return strnlen(param->field, VIR_TYPED_PARAM_FIELD_LENGTH - 1);
}

static uint64_t mix(uint64_t hash, const virTypedParameter *param)
{
    size_t length = name_length(param);
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)param->field[i]) * 0x100000001b3u;
    return (hash ^ (uint64_t)(unsigned)param->type) * 0x100000001b3u;
}

/* This is cheap on purpose: a few names distinguish most layouts, and a full comparison follows in any case. */
static uint64_t signature_of(const virTypedParameter *params, int n)
{
    uint64_t hash = 0xcbf29ce484222325u ^ (uint64_t)(unsigned)n;
    for (int i = 1; i <= 4 && n > 0; i++)
        hash = mix(hash, &params[((int64_t)n * i - 1) / 4]);
    return hash != 0 ? hash : 1;
}

bool pv_layout_fits(const struct layout *layout, const virTypedParameter *params, int n)
{
    if (layout->n_fields != n)
        return false;
    uint64_t differences = 0;
    for (int i = 0; i < n; i++) {
        const struct check *check = &layout->checks[i];
        uint64_t words[2];
        memcpy(words, params[i].field, sizeof(words));
        differences |= (words[0] & check->mask[0]) ^ check->word[0];
        differences |= (words[1] & check->mask[1]) ^ check->word[1];
        differences |= (uint64_t)(unsigned)(params[i].type ^ check->type);
    }
    if (differences != 0)
        return false;
    for (int i = 0; i < layout->n_tails; i++) {
        const struct tail_check *tail = &layout->tails[i];
        uint64_t word;
        memcpy(&word, params[tail->field].field + tail->offset, sizeof(word));
        differences |= (word & tail->mask) ^ tail->word;
    }
    return differences == 0;
}

static void free_layout(struct layout *layout)
{
    if (layout == NULL)
        return;
    for (int i = 0; i < layout->n_tables; i++)
        free(layout->tables[i].index);
    for (int i = 0; i < MOVE_KINDS; i++)
        free(layout->moves[i].items);
    free(layout->tables);
    free(layout->columns);
    free(layout->fields);
    free(layout->checks);
    free(layout->tails);
    free(layout->text);
    free(layout);
}

/* The numbers of items usually rise; then place_item need not search for them among earlier rows. */
static bool rises(const uint32_t *before, const uint32_t *after, size_t width)
{
    for (size_t i = 0; i < width; i++)
        if (before[i] != after[i])
            return before[i] < after[i];
    return false;
}

/* Set table and row of a field.  Numbers that come for the first time get a new row. */
static int place_item(pv_schema *schema, struct layout *layout, bool *unsorted, int table, const struct parsed *parsed,
                      struct field *field)
{
    int at = 0;
    while (at < layout->n_tables && layout->tables[at].table != table)
        at++;
    if (at == layout->n_tables) {
        struct layout_table *grown = realloc(layout->tables, (size_t)(layout->n_tables + 1) * sizeof(*layout->tables));
        if (grown == NULL)
            return PV_NO_MEMORY;
        layout->tables = grown;
        layout->tables[layout->n_tables++] = (struct layout_table){.table = table};
    }
    struct layout_table *rows = &layout->tables[at];
    size_t width = (size_t)schema->tables[table].n_index;
    size_t bytes = width * sizeof(*parsed->numbers);
    uint32_t item = rows->rows;
    if (item > 0 && rises(rows->index + (item - 1) * width, parsed->numbers, width) && !unsorted[table])
        item = 0;
    /* Search from the end, because the names of one item are adjacent. */
    while (item > 0 && memcmp(rows->index + (item - 1) * width, parsed->numbers, bytes) != 0)
        item--;
    if (item == 0) {
        if (rows->rows > 0 && !rises(rows->index + (rows->rows - 1) * width, parsed->numbers, width))
            unsorted[table] = true;
        /* One spare number, so that a table without numbers does not allocate zero bytes. */
        uint32_t *grown = realloc(rows->index, (rows->rows + 1) * bytes + sizeof(*grown));
        if (grown == NULL)
            return PV_NO_MEMORY;
        rows->index = grown;
        if (bytes > 0)
            memcpy(grown + rows->rows * width, parsed->numbers, bytes);
        item = ++rows->rows;
    }
    field->table = at;
    field->item = item - 1;
    return 0;
}

/* Return a mask of the first `length` bytes of a word.  It is built in memory, so it is right for any byte order. */
static uint64_t mask_of(size_t length)
{
    uint64_t mask = 0;
    memset(&mask, 0xff, length < sizeof(mask) ? length : sizeof(mask));
    return mask;
}

static int add_checks(struct layout *layout, int number, const char *name, int type)
{
    struct check *check = &layout->checks[number];
    size_t length = strlen(name) + 1;
    check->type = type;
    for (size_t at = 0; at < length || at < sizeof(check->word); at += sizeof(uint64_t)) {
        size_t left = at < length ? length - at : 0;
        uint64_t word = 0;
        memcpy(&word, name + (left > 0 ? at : 0), left < sizeof(word) ? left : sizeof(word));
        if (at < sizeof(check->word)) {
            check->word[at / sizeof(word)] = word;
            check->mask[at / sizeof(word)] = mask_of(left);
            continue;
        }
        struct tail_check *grown = realloc(layout->tails, (size_t)(layout->n_tails + 1) * sizeof(*layout->tails));
        if (grown == NULL)
            return PV_NO_MEMORY;
        layout->tails = grown;
        grown[layout->n_tails++] =
            (struct tail_check){.word = word, .mask = mask_of(left), .field = number, .offset = (int)at};
    }
    return 0;
}

static enum move_kind kind_of(int type)
{
    switch (type) {
    case VIR_TYPED_PARAM_INT:
    case VIR_TYPED_PARAM_UINT:
        return MOVE_4;
    case VIR_TYPED_PARAM_BOOLEAN:
        return MOVE_FLAG;
    case VIR_TYPED_PARAM_STRING:
        return MOVE_TEXT;
    default:
        return MOVE_8;
    }
}

static int compare_moves(const void *left, const void *right)
{
    const struct move *a = left, *b = right;
    if (a->column != b->column)
        return a->column < b->column ? -1 : 1;
    if (a->item != b->item)
        return a->item < b->item ? -1 : 1;
    return a->field < b->field ? -1 : a->field > b->field;
}

/*
 * List the copies of all values, sorted by column and row: so the strings of a column are copied in the order of its
 * rows, and repeated names are adjacent.
 */
static int plan_moves(struct layout *layout)
{
    size_t n = (size_t)layout->n_fields;
    struct move *all = calloc(n + 1, sizeof(*all));
    layout->columns = calloc(n + 1, sizeof(*layout->columns));
    for (int kind = 0; kind < MOVE_KINDS; kind++)
        layout->moves[kind].items = calloc(n + 1, sizeof(*all));
    if (all == NULL || layout->columns == NULL)
        goto fail;
    for (int i = 0; i < layout->n_fields; i++) {
        const struct field *field = &layout->fields[i];
        all[i] = (struct move){.field = i, .column = field->column, .table = field->table, .item = field->item};
    }
    qsort(all, n, sizeof(*all), compare_moves);
    for (size_t i = 0; i < n; i++) {
        if (i + 1 < n && all[i].column == all[i + 1].column && all[i].item == all[i + 1].item)
            continue;
        struct moves *moves = &layout->moves[kind_of(layout->fields[all[i].field].type)];
        if (moves->items == NULL)
            goto fail;
        moves->items[moves->n++] = all[i];
        if (layout->n_columns == 0 || layout->columns[layout->n_columns - 1].column != all[i].column)
            layout->columns[layout->n_columns++].column = all[i].column;
        layout->columns[layout->n_columns - 1].rows++;
    }
    free(all);
    return 0;
fail:
    free(all);
    return PV_NO_MEMORY;
}

static struct layout *build_layout(pv_schema *schema, const virTypedParameter *params, int n)
{
    struct layout *layout = calloc(1, sizeof(*layout));
    /* One flag per table; every field may add a table. */
    bool *unsorted = calloc((size_t)schema->n_tables + (size_t)n + 1, sizeof(*unsorted));
    if (layout == NULL || unsorted == NULL)
        goto fail;
    size_t size = 1;
    for (int i = 0; i < n; i++)
        size += name_length(&params[i]) + 1;
    layout->n_fields = n;
    layout->fields = calloc((size_t)n + 1, sizeof(*layout->fields));
    layout->checks = calloc((size_t)n + 1, sizeof(*layout->checks));
    layout->text = calloc(size, 1);
    if (layout->fields == NULL || layout->checks == NULL || layout->text == NULL)
        goto fail;

    char *at = layout->text;
    for (int i = 0; i < n; i++) {
        struct field *field = &layout->fields[i];
        size_t length = name_length(&params[i]);
        memcpy(at, params[i].field, length);
        field->name = at;
        field->type = params[i].type;
        at += length + 1;

        struct parsed parsed;
        parse_name(field->name, &parsed);
        int table = intern_table(schema, &parsed);
        if (table < 0)
            goto fail;
        field->column = intern_column(schema, table, parsed.field, field->type);
        if (field->column < 0 || place_item(schema, layout, unsorted, table, &parsed, field) < 0 ||
            add_checks(layout, i, field->name, field->type) < 0)
            goto fail;
    }
    if (plan_moves(layout) < 0)
        goto fail;
    free(unsorted);
    return layout;
fail:
    free(unsorted);
    free_layout(layout);
    return NULL;
}

static void put_bucket(pv_schema *schema, const struct layout *layout)
{
    uint32_t mask = schema->n_buckets - 1;
    uint32_t at = (uint32_t)(layout->signature ^ (layout->signature >> 32)) & mask;
    while (schema->buckets[at] != 0)
        at = (at + 1) & mask;
    schema->buckets[at] = layout->id + 1;
}

static int add_layout(pv_schema *schema, struct layout *layout)
{
    int64_t room = schema->room_layouts;
    if (pv_reserve((void **)&schema->layouts, &room, (int64_t)schema->n_layouts + 1, sizeof(*schema->layouts)) < 0)
        return PV_NO_MEMORY;
    schema->room_layouts = (uint32_t)room;
    if ((schema->n_layouts + 1) * 2 > schema->n_buckets) {
        uint32_t wanted = schema->n_buckets == 0 ? 64 : schema->n_buckets * 2;
        uint32_t *buckets = calloc(wanted, sizeof(*buckets));
        if (buckets == NULL)
            return PV_NO_MEMORY;
        free(schema->buckets);
        schema->buckets = buckets;
        schema->n_buckets = wanted;
        for (uint32_t i = 0; i < schema->n_layouts; i++)
            put_bucket(schema, schema->layouts[i]);
    }
    layout->id = schema->n_layouts;
    schema->layouts[schema->n_layouts++] = layout;
    put_bucket(schema, layout);
    return 0;
}

const struct layout *pv_schema_layout(pv_schema *schema, const struct layout *guess, const virTypedParameter *params,
                                      int n)
{
    if (guess != NULL && pv_layout_fits(guess, params, n))
        return guess;
    uint64_t signature = signature_of(params, n);
    uint32_t mask = schema->n_buckets - 1;
    uint32_t at = (uint32_t)(signature ^ (signature >> 32)) & mask;
    for (; schema->n_buckets > 0 && schema->buckets[at] != 0; at = (at + 1) & mask) {
        const struct layout *known = schema->layouts[schema->buckets[at] - 1];
        if (known->signature == signature && pv_layout_fits(known, params, n))
            return known;
    }
    struct layout *made = build_layout(schema, params, n);
    if (made == NULL)
        return NULL;
    made->signature = signature;
    if (add_layout(schema, made) < 0) {
        free_layout(made);
        return NULL;
    }
    return made;
}

/* ---- creating and freeing schemas ---- */

/*
 * libvirt's records of a tick are freed before those of the next tick are made.  If this leaves more than 128 KiB free
 * at the end of the heap, glibc returns them to the kernel, and the next tick faults them in again page by page, which
 * costs a quarter of the time of a tick of a small host.  glibc raises that limit to twice the size of the largest
 * block so far that was mapped separately and freed (mallopt(3), M_MMAP_THRESHOLD), unless the user has set limits.
 */
static void let_heap_rest(void)
{
    enum { BLOCK = 4 << 20 };
    void *volatile block = malloc(BLOCK); /* volatile: otherwise the compiler removes both calls */
    free(block);
}

pv_schema *pv_schema_new(void)
{
    let_heap_rest();
    pv_schema *schema = calloc(1, sizeof(*schema));
    if (schema == NULL)
        return NULL;
    if (pthread_mutex_init(&schema->lock, NULL) != 0) {
        free(schema);
        return NULL;
    }
    pv_schema_enlist(schema);
    schema->references = 1;
    /* "domain" is added first, so that it is table 0, and so that a domain without any field has a row. */
    const struct parsed domain = {.pattern = "", .name = "domain"};
    if (intern_table(schema, &domain) < 0) {
        pv_schema_free(schema);
        return NULL;
    }
    return schema;
}

void pv_schema_free(pv_schema *schema)
{
    if (schema == NULL)
        return;
    pthread_mutex_lock(&schema->lock);
    int left = --schema->references;
    pthread_mutex_unlock(&schema->lock);
    if (left > 0)
        return;
    pv_schema_delist(schema);
    pv_frame_destroy(schema->spare);
    for (int i = 0; i < schema->n_tables; i++) {
        free(schema->tables[i].pattern);
        free(schema->tables[i].name);
    }
    for (int i = 0; i < schema->n_columns; i++) {
        free(schema->columns[i].field);
        free(schema->columns[i].name);
    }
    for (uint32_t i = 0; i < schema->n_layouts; i++)
        free_layout(schema->layouts[i]);
    free(schema->tables);
    free(schema->columns);
    free(schema->layouts);
    free(schema->buckets);
    free(schema->expected);
    pthread_mutex_destroy(&schema->lock);
    free(schema);
}
