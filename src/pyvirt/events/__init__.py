# SPDX-License-Identifier: LGPL-2.1-or-later
"""Events: a class for each kind, and ``conn.events`` to get them from.

>>> import pyvirt
>>> from pyvirt.events import DomainLifecycle
>>> with pyvirt.connect("test:///default") as conn, conn.events.listen(DomainLifecycle) as events:
...     conn.domains["test"].suspend()
...     event = next(events)
...     print(event.domain.name, event.event.name, event.detail.name)
test SUSPENDED PAUSED

libvirt's callbacks are C of ours, in a thread of ours, and put events into queues.  No Python runs there, so the link
is kept alive whatever Python is busy with.
"""

from __future__ import annotations

from pyvirt.events._dispatch import Subscription
from pyvirt.events.hub import Events
from pyvirt.events.kinds import (
    ConnectionClosed,
    DomainAgentLifecycle,
    DomainBalloonChange,
    DomainBlockJob,
    DomainBlockJobByPath,
    DomainBlockThreshold,
    DomainChannelLifecycle,
    DomainControlError,
    DomainDeviceAdded,
    DomainDeviceRemovalFailed,
    DomainDeviceRemoved,
    DomainDiskChange,
    DomainEvent,
    DomainGraphics,
    DomainIOError,
    DomainIOErrorBrief,
    DomainJobCompleted,
    DomainLifecycle,
    DomainMemoryDeviceSizeChange,
    DomainMemoryFailure,
    DomainMetadataChange,
    DomainMigrationIteration,
    DomainNICMACChange,
    DomainPMSuspend,
    DomainPMSuspendDisk,
    DomainPMWakeup,
    DomainReboot,
    DomainRTCChange,
    DomainTrayChange,
    DomainTunable,
    DomainVcpuRemoved,
    DomainWatchdog,
    Event,
    EventsLost,
    GraphicsAddress,
    NetworkEvent,
    NetworkLifecycle,
    NetworkMetadataChange,
    NodeDeviceEvent,
    NodeDeviceLifecycle,
    NodeDeviceUpdate,
    QemuMonitorEvent,
    SecretEvent,
    SecretLifecycle,
    SecretValueChanged,
    StoragePoolEvent,
    StoragePoolLifecycle,
    StoragePoolRefresh,
)
from pyvirt.events.listener import Listener
from pyvirt.events.watch import DomainWatch, WatchedDomain

__all__ = [
    "ConnectionClosed",
    "DomainAgentLifecycle",
    "DomainBalloonChange",
    "DomainBlockJob",
    "DomainBlockJobByPath",
    "DomainBlockThreshold",
    "DomainChannelLifecycle",
    "DomainControlError",
    "DomainDeviceAdded",
    "DomainDeviceRemovalFailed",
    "DomainDeviceRemoved",
    "DomainDiskChange",
    "DomainEvent",
    "DomainGraphics",
    "DomainIOError",
    "DomainIOErrorBrief",
    "DomainJobCompleted",
    "DomainLifecycle",
    "DomainMemoryDeviceSizeChange",
    "DomainMemoryFailure",
    "DomainMetadataChange",
    "DomainMigrationIteration",
    "DomainNICMACChange",
    "DomainPMSuspend",
    "DomainPMSuspendDisk",
    "DomainPMWakeup",
    "DomainRTCChange",
    "DomainReboot",
    "DomainTrayChange",
    "DomainTunable",
    "DomainVcpuRemoved",
    "DomainWatch",
    "DomainWatchdog",
    "Event",
    "Events",
    "EventsLost",
    "GraphicsAddress",
    "Listener",
    "NetworkEvent",
    "NetworkLifecycle",
    "NetworkMetadataChange",
    "NodeDeviceEvent",
    "NodeDeviceLifecycle",
    "NodeDeviceUpdate",
    "QemuMonitorEvent",
    "SecretEvent",
    "SecretLifecycle",
    "SecretValueChanged",
    "StoragePoolEvent",
    "StoragePoolLifecycle",
    "StoragePoolRefresh",
    "Subscription",
    "WatchedDomain",
]
