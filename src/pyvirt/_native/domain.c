/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdint.h>

#include <libvirt/libvirt.h>

#include "native_domain.h"

int64_t pv_domain_state(virDomainPtr domain)
{
    int state = 0, reason = 0;
    if (virDomainGetState(domain, &state, &reason, 0) < 0)
        return -1;
    return (int64_t)state << 32 | (uint32_t)reason;
}

pv_info pv_domain_info(virDomainPtr domain)
{
    virDomainInfo info;
    if (virDomainGetInfo(domain, &info) < 0)
        return (pv_info){.state = -1};
    return (pv_info){
        .state = info.state,
        .vcpus = info.nrVirtCpu,
        .max_memory = (uint64_t)info.maxMem * 1024,
        .memory = (uint64_t)info.memory * 1024,
        .cpu_time = info.cpuTime,
    };
}
