/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Who is there, of one kind, as packed columns: what a listing says without asking about each object.
 *
 * What else a listing can tell (which are active, which start with the host) comes from listings filtered by flag, whose
 * objects are looked up among the rows: the host changes between two calls.
 */

typedef enum {
    PV_LIST_DOMAIN,
    PV_LIST_NETWORK,
    PV_LIST_STORAGE_POOL,
    PV_LIST_STORAGE_VOLUME,  /* of a pool, all others of a connection */
    PV_LIST_NODE_DEVICE,
    PV_LIST_INTERFACE,
    PV_LIST_SECRET,
    PV_LIST_NWFILTER,
} pv_kind;

typedef struct pv_inventory pv_inventory;

typedef struct {
    int64_t rows;
    int64_t bytes;          /* what it weighs */
    const uint8_t *uuids;   /* 16 bytes a row; NULL for volumes, devices, interfaces */
    const int32_t *ids;     /* of domains, -1: not running; of secrets the type of usage; else NULL */
    const int64_t *name_offsets;    /* one more than rows */
    const char *names;      /* of secrets what they are used for */
    const int64_t *key_offsets;     /* of volumes keys, of interfaces hardware addresses; else NULL */
    const char *keys;
} pv_inventory_view;

pv_inventory *pv_inventory_new(pv_kind kind);
void pv_inventory_free(pv_inventory *inventory);

/*
 * Append what the kind's virConnectListAll... function lists.  `parent` is a connection, or the pool of volumes.  Returns
 * how many there were, -1 for an error of libvirt's, -2 when memory ran out: nothing is appended then.
 */
int pv_inventory_list(pv_inventory *inventory, void *parent, unsigned int flags);

void pv_inventory_describe(const pv_inventory *inventory, pv_inventory_view *view);

/*
 * Set `marks` of the rows that are listed with `flags` to `mark`; rows are known by UUID, by name where there is none.
 * Of the view only that is read, so it may describe rows of another origin.  Returns as pv_inventory_list.
 */
int pv_inventory_mark(pv_kind kind, const pv_inventory_view *rows, void *parent, unsigned int flags, uint8_t *marks,
                      uint8_t mark);
