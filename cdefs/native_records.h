/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Arrays of statistics records as libvirt makes them, for whoever wants fewer of an answer, or gives one in the place of
 * a driver.  They end in NULL and are freed by virDomainStatsRecordListFree.
 */

/* Free all records but those of domains whose UUIDs are given, 16 bytes each.  Returns how many are left. */
int pv_records_keep(virDomainStatsRecordPtr *records, int n, const uint8_t *uuids, int n_uuids);

/* An array for `room` records; NULL: out of memory. */
virDomainStatsRecordPtr *pv_records_new(int room);

/* Put a record in the place `at`; it takes `params` over, and a reference to the domain of its own.  0, or -2. */
int pv_records_put(virDomainStatsRecordPtr *records, int at, virDomainPtr domain, virTypedParameterPtr params, int n);
