/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The objects of one kind as packed columns, from one listing, without further calls per object.  Implemented in
 * inventory.c.
 *
 * Further properties (which objects are active, which start with the host) come from listings filtered by flag.  Their
 * objects are looked up among the rows, because the host may change between two calls.
 */

typedef enum {
    PV_LIST_DOMAIN,
    PV_LIST_NETWORK,
    PV_LIST_STORAGE_POOL,
    PV_LIST_STORAGE_VOLUME,  /* of a pool; all other kinds are of a connection */
    PV_LIST_NODE_DEVICE,
    PV_LIST_INTERFACE,
    PV_LIST_SECRET,
    PV_LIST_NWFILTER,
} pv_kind;

typedef struct pv_inventory pv_inventory;

typedef struct {
    int64_t rows;
    int64_t bytes;          /* memory used */
    const uint8_t *uuids;   /* 16 bytes per row; NULL for volumes, devices and interfaces */
    const int32_t *ids;     /* domains: the id, -1 if not running; secrets: the usage type; else NULL */
    const int64_t *name_offsets;    /* rows + 1 of them */
    const char *names;      /* secrets: the usage id */
    const int64_t *key_offsets;     /* volumes: keys; interfaces: hardware addresses; else NULL */
    const char *keys;
} pv_inventory_view;

pv_inventory *pv_inventory_new(pv_kind kind);
void pv_inventory_free(pv_inventory *inventory);

/*
 * Append the objects that the kind's virConnectListAll... function lists.  `parent` is a connection; for volumes it is
 * the pool.  Return the number of objects, -1 if libvirt failed, or PV_NO_MEMORY; in both cases nothing is appended.
 */
int pv_inventory_list(pv_inventory *inventory, void *parent, unsigned int flags);

void pv_inventory_describe(const pv_inventory *inventory, pv_inventory_view *view);

/*
 * Set `marks` to `mark` for the rows that are listed with `flags`.  Rows are identified by UUID, or by name where there
 * is none; nothing else of the view is read, so it may describe rows of another origin.  Return values are those of
 * pv_inventory_list.
 */
int pv_inventory_mark(pv_kind kind, const pv_inventory_view *rows, void *parent, unsigned int flags, uint8_t *marks,
                      uint8_t mark);
