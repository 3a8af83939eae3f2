/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Functions that are called once per domain and tick, in the form that costs Python least: they take one pointer and
 * return the values of the libvirt function.  Implemented in domain.c.
 */

/* virDomainGetState: the state in the upper half, the reason in the lower half; -1: libvirt failed. */
int64_t pv_domain_state(virDomainPtr domain);

typedef struct {
    int state;              /* -1: libvirt failed */
    int vcpus;
    uint64_t max_memory;    /* bytes */
    uint64_t memory;        /* bytes */
    uint64_t cpu_time;      /* ns */
} pv_info;

/* virDomainGetInfo */
pv_info pv_domain_info(virDomainPtr domain);
