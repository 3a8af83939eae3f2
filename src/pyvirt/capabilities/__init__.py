# SPDX-License-Identifier: LGPL-2.1-or-later
"""Capabilities of a host, and of a hypervisor for its guests: two of libvirt's documents as plain data.

Values that a document does not contain are ``None`` or empty.  ``xml`` has the whole document, including the parts that
these classes omit.  Sizes are bytes.
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
