# SPDX-License-Identifier: LGPL-2.1-or-later
"""Events: one class for each kind, received through ``conn.events``.

>>> import pyvirt
>>> from pyvirt.events import DomainLifecycle
>>> with pyvirt.connect("test:///default") as conn, conn.events.listen(DomainLifecycle) as events:
...     conn.domains["test"].suspend()
...     event = next(events)
...     print(event.domain.name, event.event.name, event.detail.name)
test SUSPENDED PAUSED

libvirt calls C functions of pyvirt, in a thread of pyvirt, and these put events into queues.  No Python runs there, so
the connection is kept alive while Python is busy.
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
