/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef RECORDS_H
#define RECORDS_H

/* Records as libvirt returns them, made field by field. */

#include <string.h>

#include <libvirt/libvirt.h>

#include "check.h"
#include "stats_frame.h"

enum { NAME = VIR_TYPED_PARAM_FIELD_LENGTH };

static inline void define_domains(virConnectPtr conn, virDomainPtr *domains, int n)
{
    for (int i = 0; i < n; i++) {
        char xml[256];
        snprintf(xml, sizeof(xml),
                 "<domain type='test'><name>domain-%d</name><memory>1024</memory><os><type>hvm</type></os></domain>",
                 i);
        domains[i] = virDomainDefineXML(conn, xml);
        CHECK(domains[i] != NULL);
    }
}

static inline virDomainStatsRecordPtr new_record(virDomainPtr domain)
{
    virDomainStatsRecordPtr record = calloc(1, sizeof(*record));
    CHECK(record != NULL);
    record->dom = domain;
    return record;
}

/* Add a field with the value 0.  The memory has the exact size, so the address sanitizer detects access beyond it. */
static inline virTypedParameterPtr add_field(virDomainStatsRecordPtr record, const char *name, int type)
{
    CHECK(strlen(name) < NAME);
    size_t room = (size_t)(record->nparams + 1) * sizeof(*record->params);
    record->params = realloc(record->params, room);
    CHECK(record->params != NULL);
    virTypedParameterPtr field = &record->params[record->nparams++];
    memset(field, 0xa5, sizeof(*field)); /* bytes after the name must be ignored */
    strcpy(field->field, name);
    field->type = type;
    memset(&field->value, 0, sizeof(field->value));
    return field;
}

static inline void add_number(virDomainStatsRecordPtr record, const char *name, unsigned long long value)
{
    add_field(record, name, VIR_TYPED_PARAM_ULLONG)->value.ul = value;
}

static inline void add_text(virDomainStatsRecordPtr record, const char *name, const char *value)
{
    char *copy = value != NULL ? strdup(value) : NULL;
    add_field(record, name, VIR_TYPED_PARAM_STRING)->value.s = copy;
}

static inline void free_record(virDomainStatsRecordPtr record)
{
    for (int i = 0; i < record->nparams; i++)
        if (record->params[i].type == VIR_TYPED_PARAM_STRING)
            free(record->params[i].value.s);
    free(record->params);
    free(record);
}

/* Return a copy as an answer of libvirt, for a frame to take over. */
static inline virDomainStatsRecordPtr *copy_of(virDomainStatsRecordPtr *records, int n)
{
    virDomainStatsRecordPtr *copy = calloc((size_t)n + 1, sizeof(*copy));
    CHECK(copy != NULL);
    for (int i = 0; i < n; i++) {
        CHECK(virDomainRef(records[i]->dom) == 0);
        copy[i] = new_record(records[i]->dom);
        for (int k = 0; k < records[i]->nparams; k++) {
            virTypedParameterPtr from = &records[i]->params[k], to = add_field(copy[i], "", from->type);
            memcpy(to->field, from->field, sizeof(to->field));
            to->value = from->value;
            if (from->type == VIR_TYPED_PARAM_STRING && from->value.s != NULL)
                to->value.s = strdup(from->value.s);
        }
    }
    return copy;
}

static inline pv_frame *new_frame(pv_schema *schema, virDomainStatsRecordPtr *records, int n)
{
    pv_frame *frame = pv_frame_new(schema);
    CHECK(frame != NULL);
    CHECK(pv_frame_add(frame, copy_of(records, n), n) == n);
    CHECK(pv_frame_seal(frame) == 0);
    return frame;
}

#endif
