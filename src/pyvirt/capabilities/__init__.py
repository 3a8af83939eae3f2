# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a host can do, and what a hypervisor on it offers to guests: two of libvirt's documents as plain data.

What a document does not say is ``None`` or empty; what these classes leave out is in ``xml``.  Sizes are bytes.
"""

from pyvirt.capabilities.domain import CPUMode, CPUModel, DomainCapabilities, Support
from pyvirt.capabilities.host import (
    CacheBank,
    Capabilities,
    CPUTopology,
    GuestCapabilities,
    GuestDomain,
    GuestFeature,
    HostCapabilities,
    HostCPU,
    LogicalCPU,
    Machine,
    NUMACell,
    SecurityLabels,
)

__all__ = [
    "CPUMode",
    "CPUModel",
    "CPUTopology",
    "CacheBank",
    "Capabilities",
    "DomainCapabilities",
    "GuestCapabilities",
    "GuestDomain",
    "GuestFeature",
    "HostCPU",
    "HostCapabilities",
    "LogicalCPU",
    "Machine",
    "NUMACell",
    "SecurityLabels",
    "Support",
]
