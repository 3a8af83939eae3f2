/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Inventories of all kinds of objects of the test driver, listed once and twice, and with every allocation failing. */

#include <stdint.h>
#include <string.h>

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "harness.h"
#include "native_common.h"
#include "native_inventory.h"

static void read_all(const pv_inventory *inventory, int64_t expected)
{
    pv_inventory_view view;
    pv_inventory_describe(inventory, &view);
    CHECK(view.rows == expected);
    for (int64_t row = 0; row < view.rows; row++) {
        CHECK(view.name_offsets[row + 1] >= view.name_offsets[row]);
        for (int64_t i = view.name_offsets[row]; i < view.name_offsets[row + 1]; i++)
            CHECK(view.names[i] != '\0');
        if (view.key_offsets != NULL)
            CHECK(view.keys[view.key_offsets[row]] != '\0');
        if (view.uuids != NULL)
            CHECK(view.uuids[row * VIR_UUID_BUFLEN + VIR_UUID_BUFLEN - 1] <= 255);
    }
}

/* The number of allocations is unknown: allow one more each time until the call succeeds. */
static pv_inventory *list_with_failing_allocations(pv_kind kind, void *parent, unsigned int flags, int *n)
{
    for (long allowed = 0;; allowed++) {
        allocations_left = allowed;
        pv_inventory *inventory = pv_inventory_new(kind);
        *n = inventory != NULL ? pv_inventory_list(inventory, parent, flags) : PV_NO_MEMORY;
        allocations_left = -1;
        if (*n != PV_NO_MEMORY)
            return inventory;
        if (inventory != NULL)
            read_all(inventory, 0);
        pv_inventory_free(inventory);
    }
}

static void mark_with_failing_allocations(pv_kind kind, const pv_inventory *inventory, void *parent, int expected)
{
    pv_inventory_view view;
    uint8_t marks[16] = {0};
    int n, marked = 0;
    pv_inventory_describe(inventory, &view);
    for (long allowed = 0;; allowed++) {
        allocations_left = allowed;
        n = pv_inventory_mark(kind, &view, parent, 0, marks, 7);
        allocations_left = -1;
        if (n != PV_NO_MEMORY)
            break;
    }
    for (int64_t row = 0; row < view.rows; row++)
        marked += marks[row] == 7;
    CHECK(n == expected && marked == expected);
}

static void check_kind(pv_kind kind, void *parent, int expected)
{
    int n;
    pv_inventory *inventory = list_with_failing_allocations(kind, parent, 0, &n);
    CHECK(n == expected);
    read_all(inventory, expected);
    mark_with_failing_allocations(kind, inventory, parent, expected);
    CHECK(pv_inventory_list(inventory, parent, 0) == expected);
    read_all(inventory, 2 * expected);
    pv_inventory_free(inventory);
}

static void ignore(void *opaque, virErrorPtr error)
{
    (void)opaque;
    (void)error;
}

int main(void)
{
    virSetErrorFunc(NULL, ignore);
    virConnectPtr conn = virConnectOpen("test:///default");
    CHECK(conn != NULL);
    virStoragePoolPtr pool = virStoragePoolLookupByName(conn, "default-pool");
    CHECK(pool != NULL);
    check_kind(PV_LIST_DOMAIN, conn, 1);
    check_kind(PV_LIST_NETWORK, conn, 1);
    check_kind(PV_LIST_STORAGE_POOL, conn, 1);
    check_kind(PV_LIST_STORAGE_VOLUME, pool, 0);
    check_kind(PV_LIST_NODE_DEVICE, conn, virConnectListAllNodeDevices(conn, NULL, 0));
    check_kind(PV_LIST_INTERFACE, conn, 1);
    pv_inventory *secrets = pv_inventory_new(PV_LIST_SECRET);
    CHECK(pv_inventory_list(secrets, conn, 0) == -1); /* the test driver has no secrets */
    read_all(secrets, 0);
    pv_inventory_free(secrets);
    pv_inventory_free(NULL);
    virStoragePoolFree(pool);
    virConnectClose(conn);
    return 0;
}
