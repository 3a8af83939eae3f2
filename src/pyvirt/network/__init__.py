# SPDX-License-Identifier: LGPL-2.1-or-later
"""Virtual networks: ``conn.networks``, and the ports of each."""

from __future__ import annotations

from pyvirt.network.collection import Networks
from pyvirt.network.metadata import NetworkMetadata
from pyvirt.network.network import Network
from pyvirt.network.ports import NetworkPort, NetworkPorts

__all__ = ["Network", "NetworkMetadata", "NetworkPort", "NetworkPorts", "Networks"]
