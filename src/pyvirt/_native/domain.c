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

int pv_domain_info(virDomainPtr domain, uintptr_t address)
{
    uint64_t *out = (uint64_t *)address;
    virDomainInfo info;
    if (virDomainGetInfo(domain, &info) < 0)
        return -1;
    out[0] = info.state;
    out[1] = (uint64_t)info.maxMem * 1024;
    out[2] = (uint64_t)info.memory * 1024;
    out[3] = info.nrVirtCpu;
    out[4] = info.cpuTime;
    return 0;
}
