# SPDX-License-Identifier: LGPL-2.1-or-later
"""libvirt for Python.

>>> import pyvirt
>>> with pyvirt.connect("test:///default") as conn:
...     for domain in conn.domains:
...         print(domain.name, domain.state().state.name)
test RUNNING

Importing this module loads only what a connection and its domains need.  The rest loads when its name is first used:
loading all of it would take longer than loading libvirt itself.
"""

from __future__ import annotations

# The layers, from below; each imports from its own and from those before it (docs/architecture.md):
#   _native/, _core/lib.py   C, and the only importer of the compiled extensions
#   errors, _core/           how a call is made, checked, converted and released
#   enums/, models, uri, auth, capabilities/, xmldesc/      plain data, no libvirt call
#   stats/, inventory        records of C as columns
#   _model/, connection, host, domain/, network/, storage/, nodedev, interface, secret, nwfilter, stream, qemu, lxc,
#   admin                    libvirt's objects, one C call per method
#   events/                  the event queue, typed events
#   bulk, collector/, aio/, testing/                        policies over the model
#   cli/                     what people run
from pyvirt import enums as enums
from pyvirt._version import __version__
from pyvirt.connection import Connection, connect, library_version
from pyvirt.domain import Domain, Domains
from pyvirt.errors import (
    AccessDeniedError,
    AgentError,
    AgentUnresponsiveError,
    AlreadyExistsError,
    AuthenticationError,
    ClientNotFoundError,
    ClosedError,
    ConnectionFailedError,
    ConnectionLostError,
    DeviceNotFoundError,
    DomainBackupNotFoundError,
    DomainCheckpointNotFoundError,
    DomainNotFoundError,
    DomainSnapshotNotFoundError,
    Error,
    InterfaceNotFoundError,
    InvalidArgumentError,
    MetadataNotFoundError,
    MigrationUnsafeError,
    NetworkNotFoundError,
    NetworkPortNotFoundError,
    NodeDeviceNotFoundError,
    NoMemoryError,
    NotFoundError,
    NotSupportedError,
    NWFilterBindingNotFoundError,
    NWFilterNotFoundError,
    OperationAbortedError,
    OperationFailedError,
    OperationInvalidError,
    OperationTimeoutError,
    OperationUnsupportedError,
    ResourceBusyError,
    SecretNotFoundError,
    ServerNotFoundError,
    StoragePoolNotFoundError,
    StorageVolumeNotFoundError,
    XMLError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyvirt import bulk as bulk
    from pyvirt.auth import Credential
    from pyvirt.capabilities import Capabilities, DomainCapabilities
    from pyvirt.collector import Collector
    from pyvirt.domain.blockjob import BlockJob
    from pyvirt.domain.checkpoints import Checkpoint
    from pyvirt.domain.snapshots import Snapshot
    from pyvirt.enums import *  # noqa: F403
    from pyvirt.host import Host
    from pyvirt.interface import Interface
    from pyvirt.models import (
        DomainControlInfo,
        DomainInfo,
        DomainStateReason,
        NodeCPUMap,
        NodeInfo,
        SecurityModel,
    )
    from pyvirt.network import Network, NetworkPort
    from pyvirt.nodedev import NodeDevice
    from pyvirt.nwfilter import NWFilter, NWFilterBinding
    from pyvirt.secret import Secret
    from pyvirt.stats import StatsFrame
    from pyvirt.storage import StoragePool, StorageVolume
    from pyvirt.uri import URI

# Name -> the module that has it; names that are not here are looked up in pyvirt.enums.
_MODULES = {
    "StorageVolume": "pyvirt.storage",
    "StoragePool": "pyvirt.storage",
    "Snapshot": "pyvirt.domain.snapshots",
    "Secret": "pyvirt.secret",
    "NWFilterBinding": "pyvirt.nwfilter",
    "NWFilter": "pyvirt.nwfilter",
    "NodeDevice": "pyvirt.nodedev",
    "NetworkPort": "pyvirt.network",
    "Network": "pyvirt.network",
    "Interface": "pyvirt.interface",
    "Collector": "pyvirt.collector",
    "Checkpoint": "pyvirt.domain.checkpoints",
    "BlockJob": "pyvirt.domain.blockjob",
    "Capabilities": "pyvirt.capabilities",
    "Credential": "pyvirt.auth",
    "DomainCapabilities": "pyvirt.capabilities",
    "DomainControlInfo": "pyvirt.models",
    "DomainInfo": "pyvirt.models",
    "DomainStateReason": "pyvirt.models",
    "Host": "pyvirt.host",
    "NodeCPUMap": "pyvirt.models",
    "NodeInfo": "pyvirt.models",
    "SecurityModel": "pyvirt.models",
    "StatsFrame": "pyvirt.stats",
    "URI": "pyvirt.uri",
}


if not TYPE_CHECKING:  # with __getattr__ a type checker would accept every misspelt name

    def __getattr__(name: str) -> object:
        from importlib import import_module

        if name == "bulk":
            return import_module("pyvirt.bulk")
        # Only the public names of pyvirt.enums: its submodules are not part of pyvirt.
        home = _MODULES.get(name) or ("pyvirt.enums" if name in enums.__all__ else None)
        if home is None:
            raise AttributeError(f"module 'pyvirt' has no attribute {name!r}")
        value: object = getattr(import_module(home), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


__all__ = [
    "URI",
    "AccessDeniedError",
    "AgentError",
    "AgentUnresponsiveError",
    "AlreadyExistsError",
    "AuthenticationError",
    "BlockJob",
    "Capabilities",
    "Checkpoint",
    "ClientNotFoundError",
    "ClosedError",
    "Collector",
    "Connection",
    "ConnectionFailedError",
    "ConnectionLostError",
    "Credential",
    "DeviceNotFoundError",
    "Domain",
    "DomainBackupNotFoundError",
    "DomainCapabilities",
    "DomainCheckpointNotFoundError",
    "DomainControlInfo",
    "DomainInfo",
    "DomainNotFoundError",
    "DomainSnapshotNotFoundError",
    "DomainStateReason",
    "Domains",
    "Error",
    "Host",
    "Interface",
    "InterfaceNotFoundError",
    "InvalidArgumentError",
    "MetadataNotFoundError",
    "MigrationUnsafeError",
    "NWFilter",
    "NWFilterBinding",
    "NWFilterBindingNotFoundError",
    "NWFilterNotFoundError",
    "Network",
    "NetworkNotFoundError",
    "NetworkPort",
    "NetworkPortNotFoundError",
    "NoMemoryError",
    "NodeCPUMap",
    "NodeDevice",
    "NodeDeviceNotFoundError",
    "NodeInfo",
    "NotFoundError",
    "NotSupportedError",
    "OperationAbortedError",
    "OperationFailedError",
    "OperationInvalidError",
    "OperationTimeoutError",
    "OperationUnsupportedError",
    "ResourceBusyError",
    "Secret",
    "SecretNotFoundError",
    "SecurityModel",
    "ServerNotFoundError",
    "Snapshot",
    "StatsFrame",
    "StoragePool",
    "StoragePoolNotFoundError",
    "StorageVolume",
    "StorageVolumeNotFoundError",
    "XMLError",
    "__version__",
    "connect",
    "library_version",
]
__all__ += enums.__all__  # each loads when its name is first used
