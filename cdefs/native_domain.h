/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Calls made once per domain and tick, in the form that costs Python least: one pointer goes in, and what comes out is
 * the function's value.
 */

/* virDomainGetState: the state in the upper half, the reason in the lower; -1: error. */
int64_t pv_domain_state(virDomainPtr domain);

typedef struct {
    int state;              /* -1: error */
    int vcpus;
    uint64_t max_memory;    /* bytes, as the next */
    uint64_t memory;
    uint64_t cpu_time;      /* ns */
} pv_info;

/* virDomainGetInfo */
pv_info pv_domain_info(virDomainPtr domain);
