# SPDX-License-Identifier: LGPL-2.1-or-later
"""Events about networks, storage pools, devices of the host, secrets, the connection and the queue itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyvirt.enums.common import ConnectCloseReason
from pyvirt.enums.network import NetworkEventLifecycleType, NetworkMetadataType
from pyvirt.enums.nodedev import NodeDeviceEventLifecycleType
from pyvirt.enums.secret import SecretEventLifecycleType
from pyvirt.enums.storage import StoragePoolEventLifecycleType
from pyvirt.events.kinds._declare import (
    CLOSE,
    NETWORK,
    NODE_DEVICE,
    SECRET,
    STORAGE_POOL,
    Event,
    enum,
    kind,
    number,
    text_or_none,
)

if TYPE_CHECKING:
    from pyvirt.network import Network
    from pyvirt.nodedev import NodeDevice
    from pyvirt.secret import Secret
    from pyvirt.storage import StoragePool

__all__ = [
    "ConnectionClosed",
    "EventsLost",
    "NetworkEvent",
    "NetworkLifecycle",
    "NetworkMetadataChange",
    "NodeDeviceEvent",
    "NodeDeviceLifecycle",
    "NodeDeviceUpdate",
    "SecretEvent",
    "SecretLifecycle",
    "SecretValueChanged",
    "StoragePoolEvent",
    "StoragePoolLifecycle",
    "StoragePoolRefresh",
]


@dataclass(frozen=True, slots=True)
class EventsLost(Event):
    """Events were lost at this place because the queue was full."""

    #: how many
    count: int


@kind(CLOSE, 0)
@dataclass(frozen=True, slots=True)
class ConnectionClosed(Event):
    """The link to the daemon was lost; this is the last event of the connection.  (virConnectRegisterCloseCallback)

    Closing the connection in this program makes no such event.
    """

    reason: ConnectCloseReason = field(metadata=enum(0, ConnectCloseReason))


@dataclass(frozen=True, slots=True)
class NetworkEvent(Event):
    """The base class of all events about a network.  (virConnectNetworkEventRegisterAny)"""

    network: Network


@kind(NETWORK, 0)
@dataclass(frozen=True, slots=True)
class NetworkLifecycle(NetworkEvent):
    """A network was defined or undefined, started or stopped."""

    event: NetworkEventLifecycleType = field(metadata=enum(0, NetworkEventLifecycleType))
    #: 0; libvirt has no details yet
    detail: int = field(metadata=number(1))


@kind(NETWORK, 1, since="9.8.0")
@dataclass(frozen=True, slots=True)
class NetworkMetadataChange(NetworkEvent):
    """The title, the description or a custom element was changed."""

    type: NetworkMetadataType = field(metadata=enum(0, NetworkMetadataType))
    uri: str | None = field(metadata=text_or_none(0))


@dataclass(frozen=True, slots=True)
class StoragePoolEvent(Event):
    """The base class of all events about a storage pool.  (virConnectStoragePoolEventRegisterAny)"""

    pool: StoragePool


@kind(STORAGE_POOL, 0)
@dataclass(frozen=True, slots=True)
class StoragePoolLifecycle(StoragePoolEvent):
    """A pool was defined or undefined, started or stopped, created or deleted."""

    event: StoragePoolEventLifecycleType = field(metadata=enum(0, StoragePoolEventLifecycleType))
    detail: int = field(metadata=number(1))


@kind(STORAGE_POOL, 1)
@dataclass(frozen=True, slots=True)
class StoragePoolRefresh(StoragePoolEvent):
    """The volumes of a pool were listed again."""


@dataclass(frozen=True, slots=True)
class NodeDeviceEvent(Event):
    """The base class of all events about a device of the host.  (virConnectNodeDeviceEventRegisterAny)"""

    device: NodeDevice


@kind(NODE_DEVICE, 0)
@dataclass(frozen=True, slots=True)
class NodeDeviceLifecycle(NodeDeviceEvent):
    """A device was created or deleted, defined or undefined."""

    event: NodeDeviceEventLifecycleType = field(metadata=enum(0, NodeDeviceEventLifecycleType))
    detail: int = field(metadata=number(1))


@kind(NODE_DEVICE, 1)
@dataclass(frozen=True, slots=True)
class NodeDeviceUpdate(NodeDeviceEvent):
    """A device was changed."""


@dataclass(frozen=True, slots=True)
class SecretEvent(Event):
    """The base class of all events about a secret.  (virConnectSecretEventRegisterAny)"""

    secret: Secret


@kind(SECRET, 0)
@dataclass(frozen=True, slots=True)
class SecretLifecycle(SecretEvent):
    """A secret was defined or undefined."""

    event: SecretEventLifecycleType = field(metadata=enum(0, SecretEventLifecycleType))
    detail: int = field(metadata=number(1))


@kind(SECRET, 1)
@dataclass(frozen=True, slots=True)
class SecretValueChanged(SecretEvent):
    """The value of a secret was changed."""
