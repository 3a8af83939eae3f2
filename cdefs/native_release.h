/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Functions for finalisers: each releases one reference and leaves this thread's error as it was.  A finaliser can run
 * at any time, also between a call that fails and the check of its result.  Implemented in release.c.
 */

void pv_release_connect(void *ptr);
void pv_release_domain(void *ptr);
void pv_release_domain_snapshot(void *ptr);
void pv_release_domain_checkpoint(void *ptr);
void pv_release_network(void *ptr);
void pv_release_network_port(void *ptr);
void pv_release_storage_pool(void *ptr);
void pv_release_storage_volume(void *ptr);
void pv_release_node_device(void *ptr);
void pv_release_interface(void *ptr);
void pv_release_secret(void *ptr);
void pv_release_nwfilter(void *ptr);
void pv_release_nwfilter_binding(void *ptr);
void pv_release_stream(void *ptr);
