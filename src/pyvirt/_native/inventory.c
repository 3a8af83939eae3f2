/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <libvirt/libvirt.h>

#include "native_common.h"
#include "native_inventory.h"

/* ---- one interface for all kinds of objects ---- */

struct kind {
    int (*list)(void *parent, void ***objects, unsigned int flags);
    int (*free)(void *object);
    const char *(*name)(void *object);
    int (*uuid)(void *object, unsigned char *uuid); /* NULL: identified by name */
    const char *(*key)(void *object);               /* NULL: the kind has no keys */
    int (*id)(void *object);                        /* NULL: the kind has no ids */
};

#define OBJECT(type, parent_type, list_call, free_call, name_call)                                                     \
    static int list_##type(void *parent, void ***objects, unsigned int flags)                                          \
    {                                                                                                                  \
        type *listed = NULL;                                                                                           \
        int n = list_call((parent_type)parent, &listed, flags);                                                        \
        *objects = (void **)listed;                                                                                    \
        return n;                                                                                                      \
    }                                                                                                                  \
    static int free_##type(void *object)                                                                               \
    {                                                                                                                  \
        return free_call((type)object);                                                                                \
    }                                                                                                                  \
    static const char *name_##type(void *object)                                                                       \
    {                                                                                                                  \
        return name_call((type)object);                                                                                \
    }

#define UUID(type, call)                                                                                               \
    static int uuid_##type(void *object, unsigned char *uuid)                                                          \
    {                                                                                                                  \
        return call((type)object, uuid);                                                                               \
    }

#define KEY(type, call)                                                                                                \
    static const char *key_##type(void *object)                                                                        \
    {                                                                                                                  \
        return call((type)object);                                                                                     \
    }

#define ID(type, call)                                                                                                 \
    static int id_##type(void *object)                                                                                 \
    {                                                                                                                  \
        return (int)call((type)object);                                                                                \
    }

OBJECT(virDomainPtr, virConnectPtr, virConnectListAllDomains, virDomainFree, virDomainGetName)
UUID(virDomainPtr, virDomainGetUUID)
ID(virDomainPtr, virDomainGetID)
OBJECT(virNetworkPtr, virConnectPtr, virConnectListAllNetworks, virNetworkFree, virNetworkGetName)
UUID(virNetworkPtr, virNetworkGetUUID)
OBJECT(virStoragePoolPtr, virConnectPtr, virConnectListAllStoragePools, virStoragePoolFree, virStoragePoolGetName)
UUID(virStoragePoolPtr, virStoragePoolGetUUID)
OBJECT(virStorageVolPtr, virStoragePoolPtr, virStoragePoolListAllVolumes, virStorageVolFree, virStorageVolGetName)
KEY(virStorageVolPtr, virStorageVolGetKey)
OBJECT(virNodeDevicePtr, virConnectPtr, virConnectListAllNodeDevices, virNodeDeviceFree, virNodeDeviceGetName)
OBJECT(virInterfacePtr, virConnectPtr, virConnectListAllInterfaces, virInterfaceFree, virInterfaceGetName)
KEY(virInterfacePtr, virInterfaceGetMACString)
OBJECT(virSecretPtr, virConnectPtr, virConnectListAllSecrets, virSecretFree, virSecretGetUsageID)
UUID(virSecretPtr, virSecretGetUUID)
ID(virSecretPtr, virSecretGetUsageType)
OBJECT(virNWFilterPtr, virConnectPtr, virConnectListAllNWFilters, virNWFilterFree, virNWFilterGetName)
UUID(virNWFilterPtr, virNWFilterGetUUID)

#define KIND(type) .list = list_##type, .free = free_##type, .name = name_##type

static const struct kind kinds[] = {
    [PV_LIST_DOMAIN] = {KIND(virDomainPtr), .uuid = uuid_virDomainPtr, .id = id_virDomainPtr},
    [PV_LIST_NETWORK] = {KIND(virNetworkPtr), .uuid = uuid_virNetworkPtr},
    [PV_LIST_STORAGE_POOL] = {KIND(virStoragePoolPtr), .uuid = uuid_virStoragePoolPtr},
    [PV_LIST_STORAGE_VOLUME] = {KIND(virStorageVolPtr), .key = key_virStorageVolPtr},
    [PV_LIST_NODE_DEVICE] = {KIND(virNodeDevicePtr)},
    [PV_LIST_INTERFACE] = {KIND(virInterfacePtr), .key = key_virInterfacePtr},
    [PV_LIST_SECRET] = {KIND(virSecretPtr), .uuid = uuid_virSecretPtr, .id = id_virSecretPtr},
    [PV_LIST_NWFILTER] = {KIND(virNWFilterPtr), .uuid = uuid_virNWFilterPtr},
};

static void free_objects(const struct kind *kind, void **objects, int n)
{
    for (int i = 0; i < n; i++)
        kind->free(objects[i]);
    free(objects);
}

/* ---- columns ---- */

struct texts {
    int64_t *offsets;
    char *text;
    int64_t size, room;
};

struct pv_inventory {
    const struct kind *kind;
    int64_t rows, room;
    uint8_t *uuids;
    int32_t *ids;
    struct texts names, keys;
};

pv_inventory *pv_inventory_new(pv_kind kind)
{
    pv_inventory *inventory = calloc(1, sizeof(*inventory));
    if (inventory != NULL)
        inventory->kind = &kinds[kind];
    return inventory;
}

void pv_inventory_free(pv_inventory *inventory)
{
    if (inventory == NULL)
        return;
    free(inventory->uuids);
    free(inventory->ids);
    free(inventory->names.offsets);
    free(inventory->names.text);
    free(inventory->keys.offsets);
    free(inventory->keys.text);
    free(inventory);
}

static bool grow(void *array, int64_t items, size_t size)
{
    void *grown = realloc(*(void **)array, ((size_t)items + 1) * size);
    if (grown != NULL)
        *(void **)array = grown;
    return grown != NULL;
}

static bool make_room(pv_inventory *inventory, int64_t rows)
{
    const struct kind *kind = inventory->kind;
    if (rows <= inventory->room && inventory->names.offsets != NULL)
        return true;
    if (!grow(&inventory->names.offsets, rows, sizeof(int64_t)) ||
        (kind->uuid != NULL && !grow(&inventory->uuids, rows, VIR_UUID_BUFLEN)) ||
        (kind->id != NULL && !grow(&inventory->ids, rows, sizeof(int32_t))) ||
        (kind->key != NULL && !grow(&inventory->keys.offsets, rows, sizeof(int64_t))))
        return false;
    if (inventory->rows == 0) {
        inventory->names.offsets[0] = 0;
        if (kind->key != NULL)
            inventory->keys.offsets[0] = 0;
    }
    inventory->room = rows;
    return true;
}

static bool put_text(struct texts *texts, int64_t row, const char *text)
{
    int64_t start = texts->offsets[row], length = text != NULL ? (int64_t)strlen(text) : 0;
    if (start + length > texts->room || texts->text == NULL) {
        int64_t room = (start + length) * 2 + 256;
        if (!grow(&texts->text, room, 1))
            return false;
        texts->room = room;
    }
    if (length > 0)
        memcpy(texts->text + start, text, (size_t)length);
    texts->size = texts->offsets[row + 1] = start + length;
    return true;
}

static bool put_object(pv_inventory *inventory, int64_t row, void *object)
{
    const struct kind *kind = inventory->kind;
    if (!put_text(&inventory->names, row, kind->name(object)))
        return false;
    if (kind->key != NULL && !put_text(&inventory->keys, row, kind->key(object)))
        return false;
    if (kind->uuid != NULL)
        kind->uuid(object, inventory->uuids + row * VIR_UUID_BUFLEN);
    if (kind->id != NULL)
        inventory->ids[row] = kind->id(object);
    return true;
}

int pv_inventory_list(pv_inventory *inventory, void *parent, unsigned int flags)
{
    void **objects = NULL;
    int n = inventory->kind->list(parent, &objects, flags);
    if (n < 0)
        return -1;
    int64_t rows = inventory->rows;
    bool fits = make_room(inventory, rows + n);
    for (int i = 0; i < n && fits; i++)
        fits = put_object(inventory, rows + i, objects[i]);
    free_objects(inventory->kind, objects, n);
    if (!fits)
        return PV_NO_MEMORY;
    inventory->rows = rows + n;
    return n;
}

void pv_inventory_describe(const pv_inventory *inventory, pv_inventory_view *view)
{
    *view = (pv_inventory_view){
        .rows = inventory->rows,
        .bytes = inventory->room * (VIR_UUID_BUFLEN + 20) + inventory->names.room + inventory->keys.room,
        .uuids = inventory->uuids,
        .ids = inventory->ids,
        .name_offsets = inventory->names.offsets,
        .names = inventory->names.text,
        .key_offsets = inventory->keys.offsets,
        .keys = inventory->keys.text,
    };
}

/* ---- marking rows ---- */

struct key {
    const void *data;
    size_t length;
};

/* A hash table from the key of a row, its UUID or name, to the row; open addressing. */
struct row_map {
    const pv_inventory_view *rows;
    uint32_t *buckets;
    uint64_t mask;
};

static uint64_t hash_of(struct key key)
{
    const uint8_t *data = key.data;
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < key.length; i++)
        hash = (hash ^ data[i]) * 0x100000001b3u;
    return hash ^ (hash >> 32);
}

static struct key key_of(const pv_inventory_view *rows, int64_t row)
{
    if (rows->uuids != NULL)
        return (struct key){rows->uuids + row * VIR_UUID_BUFLEN, VIR_UUID_BUFLEN};
    int64_t start = rows->name_offsets[row];
    return (struct key){rows->names + start, (size_t)(rows->name_offsets[row + 1] - start)};
}

/* Return the bucket of that key, or the empty bucket where it belongs. */
static uint64_t bucket_of(const struct row_map *map, struct key key)
{
    uint64_t at = hash_of(key) & map->mask;
    for (; map->buckets[at] != 0; at = (at + 1) & map->mask) {
        struct key there = key_of(map->rows, map->buckets[at] - 1);
        if (there.length == key.length && memcmp(there.data, key.data, key.length) == 0)
            break;
    }
    return at;
}

static bool map_rows(struct row_map *map, const pv_inventory_view *rows)
{
    uint64_t size = 16;
    while (size < (uint64_t)rows->rows * 2)
        size *= 2;
    *map = (struct row_map){.rows = rows, .buckets = calloc(size, sizeof(*map->buckets)), .mask = size - 1};
    if (map->buckets == NULL)
        return false;
    for (int64_t row = 0; row < rows->rows; row++)
        map->buckets[bucket_of(map, key_of(rows, row))] = (uint32_t)row + 1;
    return true;
}

int pv_inventory_mark(pv_kind kind, const pv_inventory_view *rows, void *parent, unsigned int flags, uint8_t *marks,
                      uint8_t mark)
{
    const struct kind *of = &kinds[kind];
    void **objects = NULL;
    struct row_map map;
    int n = of->list(parent, &objects, flags);
    if (n < 0)
        return -1;
    if (!map_rows(&map, rows)) {
        free_objects(of, objects, n);
        return PV_NO_MEMORY;
    }
    for (int i = 0; i < n; i++) {
        unsigned char uuid[VIR_UUID_BUFLEN];
        struct key key = {uuid, sizeof(uuid)};
        if (rows->uuids != NULL) {
            of->uuid(objects[i], uuid);
        } else {
            key.data = of->name(objects[i]);
            key.length = key.data != NULL ? strlen(key.data) : 0;
        }
        uint32_t found = map.buckets[bucket_of(&map, key)];
        if (found != 0)
            marks[found - 1] = mark;
    }
    free(map.buckets);
    free_objects(of, objects, n);
    return n;
}
