/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Arrays of statistics records as libvirt makes them, for code that keeps only some records of an answer, or that makes
 * an answer in place of a driver.  They end with NULL; virDomainStatsRecordListFree frees them.  Implemented in
 * records.c.
 */

/* Free all records but those of the domains with these UUIDs, 16 bytes each.  Return how many are left. */
int pv_records_keep(virDomainStatsRecordPtr *records, int n, const uint8_t *uuids, int n_uuids);

/* Return an array with room for `room` records; NULL: out of memory. */
virDomainStatsRecordPtr *pv_records_new(int room);

/*
 * Store a record at place `at`.  It takes over `params` and takes its own reference to the domain.  Return 0 or
 * PV_NO_MEMORY.
 */
int pv_records_put(virDomainStatsRecordPtr *records, int at, virDomainPtr domain, virTypedParameterPtr params, int n);
