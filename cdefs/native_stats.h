/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Bulk statistics as columns: making frames.  native_stats_read.h reads them, native_stats_rates.h compares two of
 * them.
 *
 * A schema interns names and remembers the layouts of records.  It lives as long as its collector, so ids stay the same
 * between ticks.  A frame is one tick.  Both may be used from several threads: a lock is held while records are
 * converted, never while libvirt works.  A sealed frame is read-only.
 */

typedef struct pv_schema pv_schema;
typedef struct pv_frame pv_frame;

/* ---- stats_schema.c ---- */

pv_schema *pv_schema_new(void);
void pv_schema_free(pv_schema *schema);

/* ---- stats.c ---- */

/* The frame keeps its schema alive. */
pv_frame *pv_frame_new(pv_schema *schema);
void pv_frame_free(pv_frame *frame);

/*
 * Call libvirt (virConnectGetAllDomainStats, or virDomainListGetStats if `domains` is not NULL) and convert the
 * records.  Return their number, -1 if libvirt failed, or PV_NO_MEMORY.
 */
int pv_frame_collect(pv_frame *frame, virConnectPtr conn, virDomainPtr *domains, unsigned int stats,
                     unsigned int flags);

/* Convert records that the caller has.  The frame takes them over.  Return their number or PV_NO_MEMORY. */
int pv_frame_add(pv_frame *frame, virDomainStatsRecordPtr *records, int n);

/* ---- stats_seal.c ---- */

/* Make the frame ready to read: give back unused memory, and mark missing values.  Return 0 or PV_NO_MEMORY. */
int pv_frame_seal(pv_frame *frame);

/* ---- stats_identity.c ---- */

/*
 * Read the names, UUIDs and ids of the domains.  Until this is done, also by another thread, the frame keeps references
 * to the domains, and they keep a closed connection open.  Return 0 or PV_NO_MEMORY.
 */
int pv_frame_identify(pv_frame *frame);

/*
 * Set the host of each domain, and the names of the hosts: `n` texts, end to end, at n + 1 offsets.  Domains of one
 * UUID on two hosts are two domains; each is matched with the one on a host of the same name.  Return 0 or
 * PV_NO_MEMORY.
 */
int pv_frame_set_hosts(pv_frame *frame, const uint32_t *hosts, const int64_t *offsets, const char *names, int64_t n);

/*
 * For the child after a fork: do not free libvirt's records.  They belong to the parent, which may have been freeing
 * them at that moment.
 */
void pv_frame_disown(pv_frame *frame);

/* ---- stats_select.c ---- */

/*
 * Make a frame of some of the domains, by their rows, in that order.  The given frame is identified.  NULL: out of
 * memory.
 */
pv_frame *pv_frame_select(pv_frame *frame, const uint32_t *domains, int64_t n);
