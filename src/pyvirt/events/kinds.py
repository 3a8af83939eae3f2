# SPDX-License-Identifier: LGPL-2.1-or-later
"""The events, a class each.

What an event is about is a handle, whose name and UUID it knows even when the object is gone or the connection closed.
Numbers newer than pyvirt arrive as members named ``UNKNOWN_<number>``, or where there is no enumeration as numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pyvirt._core.params import to_dict
from pyvirt._core.text import decode_or_none
from pyvirt.enums.common import ConnectCloseReason
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
from pyvirt.enums.network import NetworkEventLifecycleType, NetworkMetadataType
from pyvirt.enums.nodedev import NodeDeviceEventLifecycleType
from pyvirt.enums.secret import SecretEventLifecycleType
from pyvirt.enums.storage import StoragePoolEventLifecycleType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

    from pyvirt._core.handle import Handle
    from pyvirt._core.lib import CData
    from pyvirt._core.params import TypedValue
    from pyvirt.domain import Domain
    from pyvirt.network import Network
    from pyvirt.nodedev import NodeDevice
    from pyvirt.secret import Secret
    from pyvirt.storage import StoragePool

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

_DETAILS = {
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


def lifecycle(event: int, detail: int) -> tuple[DomainEventType, LifecycleDetail]:
    """Return what two numbers of a lifecycle event mean."""
    what = DomainEventType(event)
    details = _DETAILS.get(what)
    return what, detail if details is None else details(detail)


# The categories of native_events.h.
DOMAIN, NETWORK, STORAGE_POOL, NODE_DEVICE, SECRET, QEMU_MONITOR, CLOSE = range(7)


def _texts(event: CData) -> list[str | None]:
    return [decode_or_none(event.strings[i]) for i in range(event.nstrings)]


def _text(event: CData, index: int) -> str:
    return decode_or_none(event.strings[index]) or ""


def _size(number: int) -> int:
    """Return what C passed as an unsigned number."""
    return number & 0xFFFF_FFFF_FFFF_FFFF


@dataclass(frozen=True, slots=True)
class Event:
    """Anything that happened."""

    #: where libvirt has it, category and number; ``None`` for what is no kind itself
    _kind: ClassVar[tuple[int, int] | None] = None
    #: libvirt's version that brought it
    _since: ClassVar[str] = "6.0.0"
    #: whether it comes only when asked for by its own name
    _apart: ClassVar[bool] = False

    @classmethod
    def _read(cls, event: CData, about: Handle | None) -> Self:
        """Make one of what C took down."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class EventsLost(Event):
    """So many events did not fit into the queue, at this place."""

    count: int


@dataclass(frozen=True, slots=True)
class ConnectionClosed(Event):
    """The link to the daemon is gone, and this is the last event of the connection.  (virConnectRegisterCloseCallback)

    Closing the connection on this side does not make one.
    """

    _kind: ClassVar = (CLOSE, 0)

    reason: ConnectCloseReason

    @classmethod
    def _read(cls, event: CData, about: Handle | None) -> Self:
        return cls(ConnectCloseReason(event.numbers[0]))


# ---- domains ----


@dataclass(frozen=True, slots=True)
class DomainEvent(Event):
    """Something about a domain.  (virConnectDomainEventRegisterAny)"""

    domain: Domain

    @classmethod
    def _read(cls, event: CData, about: Handle | None) -> Self:
        return cls(about)  # type: ignore[arg-type]  # of the class that the category says


@dataclass(frozen=True, slots=True)
class DomainLifecycle(DomainEvent):
    """A domain was defined or undefined, started or stopped, …

    ``detail`` says why, in an enumeration of its own for each ``event``.
    """

    _kind: ClassVar = (DOMAIN, 0)

    event: DomainEventType
    detail: LifecycleDetail

    @classmethod
    def _read(cls, event: CData, about: Handle | None) -> Self:
        return cls(about, *lifecycle(event.numbers[0], event.numbers[1]))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class DomainReboot(DomainEvent):
    """The guest rebooted itself."""

    _kind: ClassVar = (DOMAIN, 1)


@dataclass(frozen=True, slots=True)
class DomainRTCChange(DomainEvent):
    """The guest set its clock."""

    _kind: ClassVar = (DOMAIN, 2)

    #: seconds that it is ahead of UTC
    utc_offset: int

    @classmethod
    def _read(cls, event: CData, about: Handle | None) -> Self:
        return cls(about, event.numbers[0])  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class DomainWatchdog(DomainEvent):
    """A watchdog device fired."""

    _kind: ClassVar = (DOMAIN, 3)

    action: DomainEventWatchdogAction

    @classmethod
    def _read(cls, event: CData, about: Handle | None) -> Self:
        return cls(about, DomainEventWatchdogAction(event.numbers[0]))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class DomainIOErrorBrief(DomainEvent):
    """A disk failed, without a reason: the older form of :class:`DomainIOError`."""

    _kind: ClassVar = (DOMAIN, 4)
    _apart: ClassVar = True

    path: str
    alias: str
    action: DomainEventIOErrorAction

    @classmethod
    def _read(cls, event: CData, about: Handle | None) -> Self:
        action = DomainEventIOErrorAction(event.numbers[0])
        return cls(about, _text(event, 0), _text(event, 1), action)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class GraphicsAddress:
    """One end of a connection to a screen."""

    family: DomainEventGraphicsAddressType
    #: IP address or path
    node: str
    #: port
    service: str


@dataclass(frozen=True, slots=True)
class DomainGraphics(DomainEvent):
    """Somebody connected to a screen, was let in, or left."""

    _kind: ClassVar = (DOMAIN, 5)

    phase: DomainEventGraphicsPhase
    local: GraphicsAddress
    remote: GraphicsAddress
    #: ``"none"``, ``"vnc"``, …
    auth_scheme: str
    #: who it is, as pairs of what kind of name it is and the name
    identities: tuple[tuple[str, str], ...]

    @classmethod
    def _read(cls, event: CData, about: Handle | None) -> Self:
        texts = [text or "" for text in _texts(event)]
        local, remote = map(DomainEventGraphicsAddressType, (event.numbers[1], event.numbers[2]))
        return cls(
            about,  # type: ignore[arg-type]
            DomainEventGraphicsPhase(event.numbers[0]),
            GraphicsAddress(local, *texts[0:2]),
            GraphicsAddress(remote, *texts[2:4]),
            texts[4],
            tuple(zip(texts[5::2], texts[6::2], strict=True)),
        )


@dataclass(frozen=True, slots=True)
class DomainIOError(DomainEvent):
    """A disk failed."""

    _kind: ClassVar = (DOMAIN, 6)

    path: str
    #: of the device, ``"virtio-disk0"``
    alias: str
    action: DomainEventIOErrorAction
    #: ``"enospc"``, or ``""`` for any other
    reason: str

    @classmethod
    def _read(cls, event: CData, about: Handle | None) -> Self:
        action = DomainEventIOErrorAction(event.numbers[0])
        return cls(about, _text(event, 0), _text(event, 1), action, _text(event, 2))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class DomainControlError(DomainEvent):
    """The hypervisor cannot control the domain any more."""

    _kind: ClassVar = (DOMAIN, 7)


@dataclass(frozen=True, slots=True)
class DomainBlockJobByPath(DomainEvent):
    """The older form of :class:`DomainBlockJob`, which says the path of the image."""

    _kind: ClassVar = (DOMAIN, 8)
    _apart: ClassVar = True

    path: str
    type: DomainBlockJobType
    status: ConnectDomainEventBlockJobStatus

    @classmethod
    def _read(cls, event: CData, about: Handle | None) -> Self:
        kind, status = DomainBlockJobType(event.numbers[0]), ConnectDomainEventBlockJobStatus(event.numbers[1])
        return cls(about, _text(event, 0), kind, status)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class DomainDiskChange(DomainEvent):
    """At the start a missing disk was dropped or replaced."""

    _kind: ClassVar = (DOMAIN, 9)

    #: ``None`` where there was, or now is, none
    old_path: str | None
    new_path: str | None
    alias: str
    reason: ConnectDomainEventDiskChangeReason

    @classmethod
    def _read(cls, event: CData, about: Handle | None) -> Self:
        old, new, alias = _texts(event)
        reason = ConnectDomainEventDiskChangeReason(event.numbers[0])
        return cls(about, old, new, alias or "", reason)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class DomainTrayChange(DomainEvent):
    """The tray of a drive was opened or closed."""

    _kind: ClassVar = (DOMAIN, 10)

    alias: str
    reason: DomainEventTrayChangeReason

    @classmethod
    def _read(cls, event: CData, about: Handle | None) -> Self:
        return cls(about, _text(event, 0), DomainEventTrayChangeReason(event.numbers[0]))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class _WithReason(DomainEvent):
    #: 0; libvirt has no reasons yet
    reason: int

    @classmethod
    def _read(cls, event: CData, about: Handle | None) -> Self:
        return cls(about, event.numbers[0])  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class DomainPMWakeup(_WithReason):
    """The guest woke up."""

    _kind: ClassVar = (DOMAIN, 11)


@dataclass(frozen=True, slots=True)
class DomainPMSuspend(_WithReason):
    """The guest went to sleep, in memory."""

    _kind: ClassVar = (DOMAIN, 12)


@dataclass(frozen=True, slots=True)
class DomainBalloonChange(DomainEvent):
    """The guest has more memory, or less."""

    _kind: ClassVar = (DOMAIN, 13)

    #: bytes
    actual: int

    @classmethod
    def _read(cls, event: CData, about: Handle | None) -> Self:
        return cls(about, _size(event.numbers[0]) * 1024)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class DomainPMSuspendDisk(_WithReason):
    """The guest went to sleep, on disk."""

    _kind: ClassVar = (DOMAIN, 14)


@dataclass(frozen=True, slots=True)
class _OfDevice(DomainEvent):
    #: of the device, ``"net0"``
    alias: str

    @classmethod
    def _read(cls, event: CData, about: Handle | None) -> Self:
        return cls(about, _text(event, 0))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class DomainDeviceRemoved(_OfDevice):
    """A device is gone."""

    _kind: ClassVar = (DOMAIN, 15)


@dataclass(frozen=True, slots=True)
class DomainBlockJob(DomainEvent):
    """The job of a disk is ready, or has ended."""

    _kind: ClassVar = (DOMAIN, 16)

    #: as in its ``<target>``, ``"vda"``
    disk: str
    type: DomainBlockJobType
    status: ConnectDomainEventBlockJobStatus

    @classmethod
    def _read(cls, event: CData, about: Handle | None) -> Self:
        kind, status = DomainBlockJobType(event.numbers[0]), ConnectDomainEventBlockJobStatus(event.numbers[1])
        return cls(about, _text(event, 0), kind, status)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class _WithParams(DomainEvent):
    #: by the names of :mod:`pyvirt.enums.params`
    params: dict[str, TypedValue]

    @classmethod
    def _read(cls, event: CData, about: Handle | None) -> Self:
        return cls(about, to_dict(event.params, event.nparams))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class DomainTunable(_WithParams):
    """A limit has changed.  ``params`` have the names ``DOMAIN_TUNABLE_…``."""

    _kind: ClassVar = (DOMAIN, 17)


@dataclass(frozen=True, slots=True)
class DomainAgentLifecycle(DomainEvent):
    """The guest agent has come, or gone."""

    _kind: ClassVar = (DOMAIN, 18)

    state: ConnectDomainEventAgentLifecycleState
    reason: ConnectDomainEventAgentLifecycleReason

    @classmethod
    def _read(cls, event: CData, about: Handle | None) -> Self:
        state = ConnectDomainEventAgentLifecycleState(event.numbers[0])
        return cls(about, state, ConnectDomainEventAgentLifecycleReason(event.numbers[1]))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class DomainDeviceAdded(_OfDevice):
    """A device has come."""

    _kind: ClassVar = (DOMAIN, 19)


@dataclass(frozen=True, slots=True)
class DomainMigrationIteration(DomainEvent):
    """A migration goes over the memory once more."""

    _kind: ClassVar = (DOMAIN, 20)

    iteration: int

    @classmethod
    def _read(cls, event: CData, about: Handle | None) -> Self:
        return cls(about, event.numbers[0])  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class DomainJobCompleted(_WithParams):
    """The job of the domain has ended.  ``params`` have the names ``DOMAIN_JOB_…``."""

    _kind: ClassVar = (DOMAIN, 21)


@dataclass(frozen=True, slots=True)
class DomainDeviceRemovalFailed(_OfDevice):
    """The guest does not let go of a device."""

    _kind: ClassVar = (DOMAIN, 22)


@dataclass(frozen=True, slots=True)
class DomainMetadataChange(DomainEvent):
    """Title, description or a custom element have changed."""

    _kind: ClassVar = (DOMAIN, 23)

    type: DomainMetadataType
    #: the namespace of a custom element, otherwise ``None``
    uri: str | None

    @classmethod
    def _read(cls, event: CData, about: Handle | None) -> Self:
        return cls(about, DomainMetadataType(event.numbers[0]), decode_or_none(event.strings[0]))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class DomainBlockThreshold(DomainEvent):
    """More than a threshold was written to an image."""

    _kind: ClassVar = (DOMAIN, 24)

    #: ``"vda"``, or of an image below it ``"vda[1]"``
    disk: str
    path: str | None
    #: bytes, as the next: how far the guest wrote beyond it
    threshold: int
    excess: int

    @classmethod
    def _read(cls, event: CData, about: Handle | None) -> Self:
        threshold, excess = _size(event.numbers[0]), _size(event.numbers[1])
        return cls(about, _text(event, 0), decode_or_none(event.strings[1]), threshold, excess)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class DomainMemoryFailure(DomainEvent):
    """The host's memory failed under it."""

    _kind: ClassVar = (DOMAIN, 25)
    _since: ClassVar = "6.9.0"

    recipient: DomainMemoryFailureRecipientType
    action: DomainMemoryFailureActionType
    flags: DomainMemoryFailureFlags

    @classmethod
    def _read(cls, event: CData, about: Handle | None) -> Self:
        return cls(
            about,  # type: ignore[arg-type]
            DomainMemoryFailureRecipientType(event.numbers[0]),
            DomainMemoryFailureActionType(event.numbers[1]),
            DomainMemoryFailureFlags(event.numbers[2]),
        )


@dataclass(frozen=True, slots=True)
class DomainMemoryDeviceSizeChange(DomainEvent):
    """A memory device has another size."""

    _kind: ClassVar = (DOMAIN, 26)
    _since: ClassVar = "7.9.0"

    alias: str
    #: bytes
    size: int

    @classmethod
    def _read(cls, event: CData, about: Handle | None) -> Self:
        return cls(about, _text(event, 0), _size(event.numbers[0]) * 1024)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class DomainNICMACChange(DomainEvent):
    """The guest gave an interface another MAC address."""

    _kind: ClassVar = (DOMAIN, 27)
    _since: ClassVar = "11.2.0"

    alias: str
    old_mac: str
    new_mac: str

    @classmethod
    def _read(cls, event: CData, about: Handle | None) -> Self:
        return cls(about, _text(event, 0), _text(event, 1), _text(event, 2))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class DomainVcpuRemoved(DomainEvent):
    """A vCPU is gone."""

    _kind: ClassVar = (DOMAIN, 28)
    _since: ClassVar = "12.4.0"

    vcpu: int

    @classmethod
    def _read(cls, event: CData, about: Handle | None) -> Self:
        return cls(about, event.numbers[0])  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class DomainChannelLifecycle(DomainEvent):
    """Something in the guest has opened a channel, or closed it."""

    _kind: ClassVar = (DOMAIN, 29)
    _since: ClassVar = "12.4.0"

    channel: str
    state: ConnectDomainEventChannelLifecycleState
    reason: ConnectDomainEventChannelLifecycleReason

    @classmethod
    def _read(cls, event: CData, about: Handle | None) -> Self:
        return cls(
            about,  # type: ignore[arg-type]
            _text(event, 0),
            ConnectDomainEventChannelLifecycleState(event.numbers[0]),
            ConnectDomainEventChannelLifecycleReason(event.numbers[1]),
        )


@dataclass(frozen=True, slots=True)
class QemuMonitorEvent(DomainEvent):
    """What QEMU said in its own words.  It comes only when asked for by this name.

    (virConnectDomainQemuMonitorEventRegister, virConnectDomainQemuMonitorEventDeregister)
    """

    _kind: ClassVar = (QEMU_MONITOR, 0)
    _apart: ClassVar = True

    #: ``"BALLOON_CHANGE"``
    event: str
    #: when, since 1970
    seconds: int
    microseconds: int
    #: a JSON object, or ``None``
    details: str | None

    @classmethod
    def _read(cls, event: CData, about: Handle | None) -> Self:
        details = decode_or_none(event.strings[1])
        return cls(about, _text(event, 0), event.numbers[0], event.numbers[1], details)  # type: ignore[arg-type]


# ---- networks, storage pools, devices of the host, secrets ----


@dataclass(frozen=True, slots=True)
class NetworkEvent(Event):
    """Something about a network.  (virConnectNetworkEventRegisterAny)"""

    network: Network


@dataclass(frozen=True, slots=True)
class NetworkLifecycle(NetworkEvent):
    """A network was defined or undefined, started or stopped."""

    _kind: ClassVar = (NETWORK, 0)

    event: NetworkEventLifecycleType
    #: 0; libvirt has no details yet
    detail: int

    @classmethod
    def _read(cls, event: CData, about: Handle | None) -> Self:
        return cls(about, NetworkEventLifecycleType(event.numbers[0]), event.numbers[1])  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class NetworkMetadataChange(NetworkEvent):
    """Title, description or a custom element have changed."""

    _kind: ClassVar = (NETWORK, 1)
    _since: ClassVar = "9.8.0"

    type: NetworkMetadataType
    uri: str | None

    @classmethod
    def _read(cls, event: CData, about: Handle | None) -> Self:
        return cls(about, NetworkMetadataType(event.numbers[0]), decode_or_none(event.strings[0]))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class StoragePoolEvent(Event):
    """Something about a storage pool.  (virConnectStoragePoolEventRegisterAny)"""

    pool: StoragePool


@dataclass(frozen=True, slots=True)
class StoragePoolLifecycle(StoragePoolEvent):
    """A pool was defined or undefined, started or stopped, created or deleted."""

    _kind: ClassVar = (STORAGE_POOL, 0)

    event: StoragePoolEventLifecycleType
    detail: int

    @classmethod
    def _read(cls, event: CData, about: Handle | None) -> Self:
        return cls(about, StoragePoolEventLifecycleType(event.numbers[0]), event.numbers[1])  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class StoragePoolRefresh(StoragePoolEvent):
    """The volumes of a pool were looked up again."""

    _kind: ClassVar = (STORAGE_POOL, 1)

    @classmethod
    def _read(cls, event: CData, about: Handle | None) -> Self:
        return cls(about)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class NodeDeviceEvent(Event):
    """Something about a device of the host.  (virConnectNodeDeviceEventRegisterAny)"""

    device: NodeDevice


@dataclass(frozen=True, slots=True)
class NodeDeviceLifecycle(NodeDeviceEvent):
    """A device came or went, was defined or undefined."""

    _kind: ClassVar = (NODE_DEVICE, 0)

    event: NodeDeviceEventLifecycleType
    detail: int

    @classmethod
    def _read(cls, event: CData, about: Handle | None) -> Self:
        return cls(about, NodeDeviceEventLifecycleType(event.numbers[0]), event.numbers[1])  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class NodeDeviceUpdate(NodeDeviceEvent):
    """A device has changed."""

    _kind: ClassVar = (NODE_DEVICE, 1)

    @classmethod
    def _read(cls, event: CData, about: Handle | None) -> Self:
        return cls(about)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class SecretEvent(Event):
    """Something about a secret.  (virConnectSecretEventRegisterAny)"""

    secret: Secret


@dataclass(frozen=True, slots=True)
class SecretLifecycle(SecretEvent):
    """A secret was defined or undefined."""

    _kind: ClassVar = (SECRET, 0)

    event: SecretEventLifecycleType
    detail: int

    @classmethod
    def _read(cls, event: CData, about: Handle | None) -> Self:
        return cls(about, SecretEventLifecycleType(event.numbers[0]), event.numbers[1])  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class SecretValueChanged(SecretEvent):
    """A secret has another value."""

    _kind: ClassVar = (SECRET, 1)

    @classmethod
    def _read(cls, event: CData, about: Handle | None) -> Self:
        return cls(about)  # type: ignore[arg-type]


def _below(cls: type[Event]) -> Iterator[type[Event]]:
    if cls._kind is not None:
        yield cls
    for sub in cls.__subclasses__():
        if globals().get(sub.__name__) is sub:  # and not what it was before it got slots
            yield from _below(sub)


#: category and number -> class
KINDS: dict[tuple[int, int], type[Event]] = {cls._kind: cls for cls in _below(Event) if cls._kind is not None}


def kinds_of(cls: type[Event]) -> list[type[Event]]:
    """Return what *cls* stands for: itself, or all kinds that it is the base of, without those that stand apart."""
    if cls._kind is not None:
        return [cls]
    return [kind for kind in _below(cls) if not kind._apart]
