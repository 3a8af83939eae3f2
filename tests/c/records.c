/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Some records of an answer are removed: libvirt frees the others, and none is freed twice. */

#include <stdint.h>
#include <string.h>

#include <libvirt/libvirt.h>

#include "harness.h"
#include "native_common.h"
#include "native_records.h"

enum { RECORDS = 8, FIELDS = 3 };

static virDomainStatsRecordPtr *make(virDomainPtr domain)
{
    virDomainStatsRecordPtr *records = pv_records_new(RECORDS);
    CHECK(records != NULL);
    for (int i = 0; i < RECORDS; i++) {
        virTypedParameterPtr params = NULL;
        int n = 0, room = 0;
        for (int k = 0; k < FIELDS; k++)
            CHECK(virTypedParamsAddString(&params, &n, &room, "block.0.name", "vda") == 0);
        CHECK(pv_records_put(records, i, domain, params, n) == 0);
    }
    CHECK(records[RECORDS] == NULL);
    return records;
}

int main(void)
{
    unsigned char uuids[2 * VIR_UUID_BUFLEN] = {0};
    virConnectPtr conn = virConnectOpen("test:///default");
    CHECK(conn != NULL);
    virDomainPtr domain = virDomainLookupByName(conn, "test");
    CHECK(domain != NULL && virDomainGetUUID(domain, uuids + VIR_UUID_BUFLEN) == 0);

    virDomainStatsRecordPtr *records = make(domain);
    CHECK(pv_records_keep(records, RECORDS, uuids, 2) == RECORDS);
    virDomainStatsRecordListFree(records);

    records = make(domain);
    CHECK(pv_records_keep(records, RECORDS, uuids, 1) == 0 && records[0] == NULL);
    virDomainStatsRecordListFree(records);

    records = pv_records_new(0);
    CHECK(pv_records_keep(records, 0, NULL, 0) == 0);
    virDomainStatsRecordListFree(records);

    allocations_left = 0;
    CHECK(pv_records_new(RECORDS) == NULL);
    virDomainStatsRecordPtr none[2] = {NULL, NULL};
    CHECK(pv_records_put(none, 0, domain, NULL, 0) == PV_NO_MEMORY && none[0] == NULL);
    allocations_left = -1;

    virDomainFree(domain);
    virConnectClose(conn);
    return 0;
}
