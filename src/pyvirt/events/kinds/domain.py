# SPDX-License-Identifier: LGPL-2.1-or-later
"""Events about domains."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyvirt._core.text import decode_or_none
from pyvirt.enums.domain_event import (
    ConnectDomainEventAgentLifecycleReason,
    ConnectDomainEventAgentLifecycleState,
    ConnectDomainEventBlockJobStatus,
    ConnectDomainEventChannelLifecycleReason,
    ConnectDomainEventChannelLifecycleState,
    ConnectDomainEventDiskChangeReason,
    DomainEventCrashedDetailType,
    DomainEventDefinedDetailType,
    DomainEventGraphicsAddressType,
    DomainEventGraphicsPhase,
    DomainEventIOErrorAction,
    DomainEventPMSuspendedDetailType,
    DomainEventResumedDetailType,
    DomainEventShutdownDetailType,
    DomainEventStartedDetailType,
    DomainEventStoppedDetailType,
    DomainEventSuspendedDetailType,
    DomainEventTrayChangeReason,
    DomainEventType,
    DomainEventUndefinedDetailType,
    DomainEventWatchdogAction,
    DomainMemoryFailureActionType,
    DomainMemoryFailureFlags,
    DomainMemoryFailureRecipientType,
)
from pyvirt.enums.domain_guest import DomainMetadataType
from pyvirt.enums.domain_job import DomainBlockJobType
from pyvirt.events.kinds._declare import (
    DOMAIN,
    PARAMS,
    QEMU_MONITOR,
    Event,
    computed,
    enum,
    kind,
    number,
    size,
    text,
    text_or_none,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyvirt._core.lib import CData
    from pyvirt._core.params import TypedValue
    from pyvirt.domain import Domain

__all__ = [
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
    "DomainWatchdog",
    "GraphicsAddress",
    "LifecycleDetail",
    "QemuMonitorEvent",
    "lifecycle_detail",
]

LifecycleDetail = (
    DomainEventDefinedDetailType
    | DomainEventUndefinedDetailType
    | DomainEventStartedDetailType
    | DomainEventSuspendedDetailType
    | DomainEventResumedDetailType
    | DomainEventStoppedDetailType
    | DomainEventShutdownDetailType
    | DomainEventPMSuspendedDetailType
    | DomainEventCrashedDetailType
    | int
)

_DETAILS: dict[int, Callable[[int], LifecycleDetail]] = {
    DomainEventType.DEFINED: DomainEventDefinedDetailType,
    DomainEventType.UNDEFINED: DomainEventUndefinedDetailType,
    DomainEventType.STARTED: DomainEventStartedDetailType,
    DomainEventType.SUSPENDED: DomainEventSuspendedDetailType,
    DomainEventType.RESUMED: DomainEventResumedDetailType,
    DomainEventType.STOPPED: DomainEventStoppedDetailType,
    DomainEventType.SHUTDOWN: DomainEventShutdownDetailType,
    DomainEventType.PMSUSPENDED: DomainEventPMSuspendedDetailType,
    DomainEventType.CRASHED: DomainEventCrashedDetailType,
}


def lifecycle_detail(event: int, detail: int) -> LifecycleDetail:
    """Return the reason of a lifecycle event; it stays a number if the event is newer than pyvirt."""
    return _DETAILS.get(event, int)(detail)


@dataclass(frozen=True, slots=True)
class DomainEvent(Event):
    """The base class of all events about a domain.  (virConnectDomainEventRegisterAny)"""

    domain: Domain


@kind(DOMAIN, 0)
@dataclass(frozen=True, slots=True)
class DomainLifecycle(DomainEvent):
    """A domain was defined or undefined, started or stopped, …

    ``detail`` is the reason; each ``event`` has its own enumeration of reasons.
    """

    event: DomainEventType = field(metadata=enum(0, DomainEventType))
    detail: LifecycleDetail = field(
        metadata=computed(lambda event: lifecycle_detail(event.numbers[0], event.numbers[1]))
    )


@kind(DOMAIN, 1)
@dataclass(frozen=True, slots=True)
class DomainReboot(DomainEvent):
    """The guest rebooted itself."""


@kind(DOMAIN, 2)
@dataclass(frozen=True, slots=True)
class DomainRTCChange(DomainEvent):
    """The guest set its clock."""

    #: seconds that the clock is ahead of UTC
    utc_offset: int = field(metadata=number(0))


@kind(DOMAIN, 3)
@dataclass(frozen=True, slots=True)
class DomainWatchdog(DomainEvent):
    """A watchdog device fired."""

    action: DomainEventWatchdogAction = field(metadata=enum(0, DomainEventWatchdogAction))


@kind(DOMAIN, 4, only_by_name=True)
@dataclass(frozen=True, slots=True)
class DomainIOErrorBrief(DomainEvent):
    """A disk failed: the older form of :class:`DomainIOError`, without the reason."""

    path: str = field(metadata=text(0))
    alias: str = field(metadata=text(1))
    action: DomainEventIOErrorAction = field(metadata=enum(0, DomainEventIOErrorAction))


@dataclass(frozen=True, slots=True)
class GraphicsAddress:
    """One end of a connection to a graphical console."""

    family: DomainEventGraphicsAddressType
    #: IP address or path
    node: str
    #: port
    service: str


def _address(event: CData, family: int, node: int) -> GraphicsAddress:
    """Return the address that begins with integer number *family* and string number *node*."""
    return GraphicsAddress(
        DomainEventGraphicsAddressType(event.numbers[family]),
        decode_or_none(event.strings[node]) or "",
        decode_or_none(event.strings[node + 1]) or "",
    )


def _identities(event: CData) -> tuple[tuple[str, str], ...]:
    texts = [decode_or_none(event.strings[index]) or "" for index in range(5, event.nstrings)]
    return tuple(zip(texts[0::2], texts[1::2], strict=True))


@kind(DOMAIN, 5)
@dataclass(frozen=True, slots=True)
class DomainGraphics(DomainEvent):
    """A client connected to a graphical console, was authenticated, or disconnected."""

    phase: DomainEventGraphicsPhase = field(metadata=enum(0, DomainEventGraphicsPhase))
    local: GraphicsAddress = field(metadata=computed(lambda event: _address(event, 1, 0)))
    remote: GraphicsAddress = field(metadata=computed(lambda event: _address(event, 2, 2)))
    #: ``"none"``, ``"vnc"``, …
    auth_scheme: str = field(metadata=text(4))
    #: the names of the client, as pairs of the type of a name and the name
    identities: tuple[tuple[str, str], ...] = field(metadata=computed(_identities))


@kind(DOMAIN, 6)
@dataclass(frozen=True, slots=True)
class DomainIOError(DomainEvent):
    """A disk failed."""

    path: str = field(metadata=text(0))
    #: of the device, ``"virtio-disk0"``
    alias: str = field(metadata=text(1))
    action: DomainEventIOErrorAction = field(metadata=enum(0, DomainEventIOErrorAction))
    #: ``"enospc"``, or ``""`` for any other reason
    reason: str = field(metadata=text(2))


@kind(DOMAIN, 7)
@dataclass(frozen=True, slots=True)
class DomainControlError(DomainEvent):
    """The hypervisor can no longer control the domain."""


@kind(DOMAIN, 8, only_by_name=True)
@dataclass(frozen=True, slots=True)
class DomainBlockJobByPath(DomainEvent):
    """The older form of :class:`DomainBlockJob`, with the path of the image."""

    path: str = field(metadata=text(0))
    type: DomainBlockJobType = field(metadata=enum(0, DomainBlockJobType))
    status: ConnectDomainEventBlockJobStatus = field(metadata=enum(1, ConnectDomainEventBlockJobStatus))


@kind(DOMAIN, 9)
@dataclass(frozen=True, slots=True)
class DomainDiskChange(DomainEvent):
    """A missing disk was dropped or replaced when the domain started."""

    #: ``None`` where there was no medium before, as ``new_path`` where there is none now
    old_path: str | None = field(metadata=text_or_none(0))
    new_path: str | None = field(metadata=text_or_none(1))
    alias: str = field(metadata=text(2))
    reason: ConnectDomainEventDiskChangeReason = field(metadata=enum(0, ConnectDomainEventDiskChangeReason))


@kind(DOMAIN, 10)
@dataclass(frozen=True, slots=True)
class DomainTrayChange(DomainEvent):
    """The tray of a drive was opened or closed."""

    alias: str = field(metadata=text(0))
    reason: DomainEventTrayChangeReason = field(metadata=enum(0, DomainEventTrayChangeReason))


@kind(DOMAIN, 11)
@dataclass(frozen=True, slots=True)
class DomainPMWakeup(DomainEvent):
    """The guest woke up."""

    #: 0; libvirt has no reasons yet
    reason: int = field(metadata=number(0))


@kind(DOMAIN, 12)
@dataclass(frozen=True, slots=True)
class DomainPMSuspend(DomainEvent):
    """The guest suspended itself to memory."""

    #: 0; libvirt has no reasons yet
    reason: int = field(metadata=number(0))


@kind(DOMAIN, 13)
@dataclass(frozen=True, slots=True)
class DomainBalloonChange(DomainEvent):
    """The memory of the guest was increased or reduced."""

    #: bytes
    actual: int = field(metadata=size(0, 1024))


@kind(DOMAIN, 14)
@dataclass(frozen=True, slots=True)
class DomainPMSuspendDisk(DomainEvent):
    """The guest suspended itself to disk."""

    #: 0; libvirt has no reasons yet
    reason: int = field(metadata=number(0))


@kind(DOMAIN, 15)
@dataclass(frozen=True, slots=True)
class DomainDeviceRemoved(DomainEvent):
    """A device was removed."""

    #: of the device, ``"net0"``
    alias: str = field(metadata=text(0))


@kind(DOMAIN, 16)
@dataclass(frozen=True, slots=True)
class DomainBlockJob(DomainEvent):
    """The job of a disk is ready, or has ended."""

    #: as in its ``<target>``, ``"vda"``
    disk: str = field(metadata=text(0))
    type: DomainBlockJobType = field(metadata=enum(0, DomainBlockJobType))
    status: ConnectDomainEventBlockJobStatus = field(metadata=enum(1, ConnectDomainEventBlockJobStatus))


@kind(DOMAIN, 17)
@dataclass(frozen=True, slots=True)
class DomainTunable(DomainEvent):
    """A limit was changed."""

    #: by the names ``DOMAIN_TUNABLE_…`` of :mod:`pyvirt.enums.params`
    params: dict[str, TypedValue] = field(metadata=PARAMS)


@kind(DOMAIN, 18)
@dataclass(frozen=True, slots=True)
class DomainAgentLifecycle(DomainEvent):
    """The guest agent connected or disconnected."""

    state: ConnectDomainEventAgentLifecycleState = field(metadata=enum(0, ConnectDomainEventAgentLifecycleState))
    reason: ConnectDomainEventAgentLifecycleReason = field(metadata=enum(1, ConnectDomainEventAgentLifecycleReason))


@kind(DOMAIN, 19)
@dataclass(frozen=True, slots=True)
class DomainDeviceAdded(DomainEvent):
    """A device was added."""

    #: of the device, ``"net0"``
    alias: str = field(metadata=text(0))


@kind(DOMAIN, 20)
@dataclass(frozen=True, slots=True)
class DomainMigrationIteration(DomainEvent):
    """A migration began another pass over the memory."""

    iteration: int = field(metadata=number(0))


@kind(DOMAIN, 21)
@dataclass(frozen=True, slots=True)
class DomainJobCompleted(DomainEvent):
    """The job of the domain has ended."""

    #: by the names ``DOMAIN_JOB_…`` of :mod:`pyvirt.enums.params`
    params: dict[str, TypedValue] = field(metadata=PARAMS)


@kind(DOMAIN, 22)
@dataclass(frozen=True, slots=True)
class DomainDeviceRemovalFailed(DomainEvent):
    """The guest refused to release a device."""

    #: of the device, ``"net0"``
    alias: str = field(metadata=text(0))


@kind(DOMAIN, 23)
@dataclass(frozen=True, slots=True)
class DomainMetadataChange(DomainEvent):
    """The title, the description or a custom element was changed."""

    type: DomainMetadataType = field(metadata=enum(0, DomainMetadataType))
    #: the namespace of a custom element, otherwise ``None``
    uri: str | None = field(metadata=text_or_none(0))


@kind(DOMAIN, 24)
@dataclass(frozen=True, slots=True)
class DomainBlockThreshold(DomainEvent):
    """The guest wrote beyond a threshold in an image."""

    #: ``"vda"``, or for an image below it ``"vda[1]"``
    disk: str = field(metadata=text(0))
    path: str | None = field(metadata=text_or_none(1))
    #: bytes
    threshold: int = field(metadata=size(0))
    #: bytes that the guest wrote beyond the threshold
    excess: int = field(metadata=size(1))


@kind(DOMAIN, 25, since="6.9.0")
@dataclass(frozen=True, slots=True)
class DomainMemoryFailure(DomainEvent):
    """Memory of the host that the domain uses failed."""

    recipient: DomainMemoryFailureRecipientType = field(metadata=enum(0, DomainMemoryFailureRecipientType))
    action: DomainMemoryFailureActionType = field(metadata=enum(1, DomainMemoryFailureActionType))
    flags: DomainMemoryFailureFlags = field(metadata=enum(2, DomainMemoryFailureFlags))


@kind(DOMAIN, 26, since="7.9.0")
@dataclass(frozen=True, slots=True)
class DomainMemoryDeviceSizeChange(DomainEvent):
    """The size of a memory device changed."""

    alias: str = field(metadata=text(0))
    #: bytes
    size: int = field(metadata=size(0, 1024))


@kind(DOMAIN, 27, since="11.2.0")
@dataclass(frozen=True, slots=True)
class DomainNICMACChange(DomainEvent):
    """The guest changed the MAC address of an interface."""

    alias: str = field(metadata=text(0))
    old_mac: str = field(metadata=text(1))
    new_mac: str = field(metadata=text(2))


@kind(DOMAIN, 28, since="12.4.0")
@dataclass(frozen=True, slots=True)
class DomainVcpuRemoved(DomainEvent):
    """A vCPU was removed."""

    vcpu: int = field(metadata=number(0))


@kind(DOMAIN, 29, since="12.4.0")
@dataclass(frozen=True, slots=True)
class DomainChannelLifecycle(DomainEvent):
    """A program in the guest opened or closed a channel."""

    channel: str = field(metadata=text(0))
    state: ConnectDomainEventChannelLifecycleState = field(metadata=enum(0, ConnectDomainEventChannelLifecycleState))
    reason: ConnectDomainEventChannelLifecycleReason = field(metadata=enum(1, ConnectDomainEventChannelLifecycleReason))


@kind(QEMU_MONITOR, 0, only_by_name=True)
@dataclass(frozen=True, slots=True)
class QemuMonitorEvent(DomainEvent):
    """An event of QEMU's own monitor.  It is delivered only if it was asked for by this name.

    (virConnectDomainQemuMonitorEventRegister, virConnectDomainQemuMonitorEventDeregister)
    """

    #: ``"BALLOON_CHANGE"``
    event: str = field(metadata=text(0))
    #: when, since 1970
    seconds: int = field(metadata=number(0))
    microseconds: int = field(metadata=number(1))
    #: a JSON object, or ``None``
    details: str | None = field(metadata=text_or_none(1))
