/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <libvirt/libvirt.h>

#include "native_common.h"
#include "native_records.h"

static bool is_among(const uint8_t *uuids, int n, const unsigned char *uuid)
{
    for (int i = 0; i < n; i++)
        if (memcmp(uuids + (size_t)i * VIR_UUID_BUFLEN, uuid, VIR_UUID_BUFLEN) == 0)
            return true;
    return false;
}

static void free_record(virDomainStatsRecordPtr record)
{
    virTypedParamsFree(record->params, record->nparams);
    virDomainFree(record->dom);
    free(record);
}

int pv_records_keep(virDomainStatsRecordPtr *records, int n, const uint8_t *uuids, int n_uuids)
{
    int kept = 0;
    for (int i = 0; i < n; i++) {
        unsigned char uuid[VIR_UUID_BUFLEN];
        virDomainStatsRecordPtr record = records[i];
        if (virDomainGetUUID(record->dom, uuid) == 0 && is_among(uuids, n_uuids, uuid))
            records[kept++] = record;
        else
            free_record(record);
    }
    records[kept] = NULL;
    return kept;
}

virDomainStatsRecordPtr *pv_records_new(int room)
{
    return calloc((size_t)room + 1, sizeof(virDomainStatsRecordPtr));
}

int pv_records_put(virDomainStatsRecordPtr *records, int at, virDomainPtr domain, virTypedParameterPtr params, int n)
{
    virDomainStatsRecordPtr record = calloc(1, sizeof(*record));
    if (record == NULL)
        return PV_NO_MEMORY;
    virDomainRef(domain);
    *record = (virDomainStatsRecord){.dom = domain, .params = params, .nparams = n};
    records[at] = record;
    return 0;
}
