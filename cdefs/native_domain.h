/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Calls made once per domain and tick, in a form that costs Python one conversion: everything comes back in one number
 * or one array.
 */

/* virDomainGetState: the state in the upper half, the reason in the lower; -1: error. */
int64_t pv_domain_state(virDomainPtr domain);

/*
 * virDomainGetInfo: state, maximum memory and memory in bytes, vCPUs, CPU time in ns.  -1: error.
 * `out` is the address of 5 uint64_t: a number, as cffi converts those four times as fast as a pointer.
 */
int pv_domain_info(virDomainPtr domain, uintptr_t out);
