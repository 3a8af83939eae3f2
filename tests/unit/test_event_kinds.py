# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every kind of event: each argument of the C callback arrives in the right field of the Python event.

These tests call the callbacks as libvirt does, with values that it could pass; tests/guests has real events.
"""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

import pyvirt
from pyvirt import enums
from pyvirt._core.lib import ffi, lib
from pyvirt._core.params import Params
from pyvirt.errors import ClosedError, NotSupportedError
from pyvirt.events import kinds
from tests.support.api_facts import SECTIONS

NULL = ffi.NULL
LIMIT = 60


class Feed:
    """Calls the callback of any kind, and returns the event that a listener receives."""

    def __init__(self, conn: pyvirt.Connection) -> None:
        self.conn = conn
        self.domain = conn.domains["test"]
        self.listener = conn.events.listen(kinds.ConnectionClosed, buffer=10)
        self.about = {
            kinds.NETWORK: conn.networks["default"],
            kinds.STORAGE_POOL: conn.storage_pools["default-pool"],
            kinds.NODE_DEVICE: conn.node_devices["computer"],
        }

    def __call__(self, kind: type[kinds.Event], signature: str, *arguments: Any) -> kinds.Event:
        """Call the callback of *kind* as libvirt would, with *arguments* of the C types in *signature*."""
        assert kind._kind is not None
        category, number = kind._kind
        function = lib.pv_event_callback(category, number)
        assert function
        source = ffi.gc(lib.pv_source_new(category, number), lib.pv_source_free)
        assert lib.pv_source_attach(source, self.listener._queue, 0) == 0
        about = self.about.get(category, self.domain)
        pointers = [self.conn._ptr] if category == kinds.CLOSE else [self.conn._ptr, ffi.cast("void *", about._ptr)]
        types = ", ".join([*["void *"] * len(pointers), *filter(None, [signature]), "void *"])
        result = "int" if kind is kinds.DomainLifecycle else "void"
        keep: list[Any] = [ffi.new("char[]", one) if isinstance(one, bytes) else one for one in arguments]
        ffi.cast(f"{result}(*)({types})", function)(*pointers, *keep, source)
        for one in keep:
            if isinstance(one, ffi.CData) and ffi.typeof(one) == ffi.typeof("char[]"):
                ffi.memmove(
                    one, b"?" * (len(one) - 1), len(one) - 1
                )  # libvirt owns the text, and only lends it during the call
        assert self.listener.wait(LIMIT)
        (event,) = self.listener.take()
        return event


@pytest.fixture
def feed() -> Iterator[Feed]:
    with pyvirt.connect("test:///default") as conn:
        yield Feed(conn)


TEXT = "const char *"
CASES: dict[type[kinds.Event], tuple[str, tuple[Any, ...], dict[str, Any]]] = {
    kinds.DomainLifecycle: (
        "int, int",
        (5, 3),
        {"event": enums.DomainEventType.STOPPED, "detail": enums.DomainEventStoppedDetailType.MIGRATED},
    ),
    kinds.DomainReboot: ("", (), {}),
    kinds.DomainRTCChange: ("long long", (-3600,), {"utc_offset": -3600}),
    kinds.DomainWatchdog: ("int", (6,), {"action": enums.DomainEventWatchdogAction.INJECTNMI}),
    kinds.DomainIOErrorBrief: (
        f"{TEXT}, {TEXT}, int",
        (b"/img", b"virtio-disk0", 1),
        {"path": "/img", "alias": "virtio-disk0", "action": enums.DomainEventIOErrorAction.PAUSE},
    ),
    kinds.DomainIOError: (
        f"{TEXT}, {TEXT}, int, {TEXT}",
        (b"/\xff", b"ide0-0-0", 2, b"enospc"),
        {
            "path": "/\udcff",
            "alias": "ide0-0-0",
            "action": enums.DomainEventIOErrorAction.REPORT,
            "reason": "enospc",
        },
    ),
    kinds.DomainControlError: ("", (), {}),
    kinds.DomainBlockJobByPath: (
        f"{TEXT}, int, int",
        (b"/img", 2, 3),
        {
            "path": "/img",
            "type": enums.DomainBlockJobType.COPY,
            "status": enums.ConnectDomainEventBlockJobStatus.READY,
        },
    ),
    kinds.DomainDiskChange: (
        f"{TEXT}, {TEXT}, {TEXT}, int",
        (b"/old", NULL, b"ide0-1-0", 1),
        {
            "old_path": "/old",
            "new_path": None,
            "alias": "ide0-1-0",
            "reason": enums.ConnectDomainEventDiskChangeReason.DROP_MISSING_ON_START,
        },
    ),
    kinds.DomainTrayChange: (
        f"{TEXT}, int",
        (b"ide0-1-0", 1),
        {"alias": "ide0-1-0", "reason": enums.DomainEventTrayChangeReason.CLOSE},
    ),
    kinds.DomainPMWakeup: ("int", (0,), {"reason": 0}),
    kinds.DomainPMSuspend: ("int", (0,), {"reason": 0}),
    kinds.DomainBalloonChange: ("unsigned long long", (1 << 53,), {"actual": 1 << 63}),
    kinds.DomainPMSuspendDisk: ("int", (0,), {"reason": 0}),
    kinds.DomainDeviceRemoved: (TEXT, (b"net0",), {"alias": "net0"}),
    kinds.DomainBlockJob: (
        f"{TEXT}, int, int",
        (b"vda", 1, 2),
        {
            "disk": "vda",
            "type": enums.DomainBlockJobType.PULL,
            "status": enums.ConnectDomainEventBlockJobStatus.CANCELED,
        },
    ),
    kinds.DomainAgentLifecycle: (
        "int, int",
        (1, 2),
        {
            "state": enums.ConnectDomainEventAgentLifecycleState.CONNECTED,
            "reason": enums.ConnectDomainEventAgentLifecycleReason.CHANNEL,
        },
    ),
    kinds.DomainDeviceAdded: (TEXT, (b"net1",), {"alias": "net1"}),
    kinds.DomainMigrationIteration: ("int", (7,), {"iteration": 7}),
    kinds.DomainDeviceRemovalFailed: (TEXT, (b"net2",), {"alias": "net2"}),
    kinds.DomainMetadataChange: (
        f"int, {TEXT}",
        (2, b"urn:mine"),
        {"type": enums.DomainMetadataType.ELEMENT, "uri": "urn:mine"},
    ),
    kinds.DomainBlockThreshold: (
        f"{TEXT}, {TEXT}, unsigned long long, unsigned long long",
        (b"vda[1]", NULL, (1 << 64) - 1, 5),
        {"disk": "vda[1]", "path": None, "threshold": (1 << 64) - 1, "excess": 5},
    ),
    kinds.DomainMemoryFailure: (
        "int, int, unsigned int",
        (1, 2, 3),
        {
            "recipient": enums.DomainMemoryFailureRecipientType.GUEST,
            "action": enums.DomainMemoryFailureActionType.FATAL,
            "flags": enums.DomainMemoryFailureFlags.ACTION_REQUIRED | enums.DomainMemoryFailureFlags.RECURSIVE,
        },
    ),
    kinds.DomainMemoryDeviceSizeChange: (
        f"{TEXT}, unsigned long long",
        (b"virtiomem0", 4096),
        {"alias": "virtiomem0", "size": 4 << 20},
    ),
    kinds.DomainNICMACChange: (
        f"{TEXT}, {TEXT}, {TEXT}",
        (b"net0", b"52:54:00:00:00:01", b"52:54:00:00:00:02"),
        {"alias": "net0", "old_mac": "52:54:00:00:00:01", "new_mac": "52:54:00:00:00:02"},
    ),
    kinds.DomainVcpuRemoved: ("unsigned int", (4294967295,), {"vcpu": 4294967295}),
    kinds.DomainChannelLifecycle: (
        f"{TEXT}, int, int",
        (b"org.qemu.guest_agent.0", 2, 1),
        {
            "channel": "org.qemu.guest_agent.0",
            "state": enums.ConnectDomainEventChannelLifecycleState.DISCONNECTED,
            "reason": enums.ConnectDomainEventChannelLifecycleReason.DOMAIN_STARTED,
        },
    ),
    kinds.QemuMonitorEvent: (
        f"{TEXT}, long long, unsigned int, {TEXT}",
        (b"RTC_CHANGE", 1 << 40, 999999, b'{"offset": 1}'),
        {"event": "RTC_CHANGE", "seconds": 1 << 40, "microseconds": 999999, "details": '{"offset": 1}'},
    ),
    kinds.NetworkLifecycle: ("int, int", (2, 0), {"event": enums.NetworkEventLifecycleType.STARTED, "detail": 0}),
    kinds.NetworkMetadataChange: (f"int, {TEXT}", (1, NULL), {"type": enums.NetworkMetadataType.TITLE, "uri": None}),
    kinds.StoragePoolLifecycle: (
        "int, int",
        (5, 0),
        {"event": enums.StoragePoolEventLifecycleType.DELETED, "detail": 0},
    ),
    kinds.StoragePoolRefresh: ("", (), {}),
    kinds.NodeDeviceLifecycle: (
        "int, int",
        (3, 0),
        {"event": enums.NodeDeviceEventLifecycleType.UNDEFINED, "detail": 0},
    ),
    kinds.NodeDeviceUpdate: ("", (), {}),
    kinds.ConnectionClosed: ("int", (2,), {"reason": enums.ConnectCloseReason.KEEPALIVE}),
}
# The test driver has no secrets; tests/daemon tests those of a daemon.
OF_SECRETS = {kinds.SecretLifecycle, kinds.SecretValueChanged}
OF_PARAMETERS = {kinds.DomainTunable, kinds.DomainJobCompleted}
ABOUT = {kinds.NETWORK: "network", kinds.STORAGE_POOL: "pool", kinds.NODE_DEVICE: "device"}


def test_every_kind_has_a_case_here() -> None:
    assert set(CASES) | {kinds.DomainGraphics, *OF_PARAMETERS, *OF_SECRETS} == set(kinds.KINDS.values())


@pytest.mark.parametrize("kind", kinds.KINDS.values(), ids=lambda kind: kind.__name__)
def test_every_kind_is_public_and_every_field_is_decoded(kind: type[kinds.Event]) -> None:
    assert kind.__name__ in pyvirt.events.__all__
    assert getattr(kinds, kind.__name__) is getattr(pyvirt.events, kind.__name__) is kind
    objects = [field for field in dataclasses.fields(kind) if not field.metadata]
    assert [field.name for field in objects] == [field.name for field in dataclasses.fields(kind)][: len(objects)]
    assert len(objects) == (0 if kind is kinds.ConnectionClosed else 1)


def test_every_event_number_of_libvirt_has_a_kind() -> None:
    enumerations = SECTIONS["libvirt"]["enums"]
    numbers = {
        (category, int(value))
        for category, enumeration in (
            (kinds.DOMAIN, "virDomainEventID"),
            (kinds.NETWORK, "virNetworkEventID"),
            (kinds.STORAGE_POOL, "virStoragePoolEventID"),
            (kinds.NODE_DEVICE, "virNodeDeviceEventID"),
            (kinds.SECRET, "virSecretEventID"),
        )
        for name, (value, _) in enumerations[enumeration].items()
        if not name.endswith("_LAST")
    }
    assert len(numbers) > 35
    assert numbers | {(kinds.QEMU_MONITOR, 0), (kinds.CLOSE, 0)} == set(kinds.KINDS)
    assert all(lib.pv_event_callback(*number) for number in kinds.KINDS)
    assert not any(lib.pv_event_callback(*number) for number in [(0, 30), (0, -1), (1, 2), (7, 0), (-1, 0)])


@pytest.mark.parametrize("kind", CASES, ids=lambda kind: kind.__name__)
def test_every_argument_of_the_callback_arrives_in_its_field(feed: Feed, kind: type[kinds.Event]) -> None:
    signature, arguments, fields = CASES[kind]
    event = feed(kind, signature, *arguments)
    category = kind._kind[0]  # type: ignore[index]
    about = {} if category == kinds.CLOSE else {ABOUT.get(category, "domain"): feed.about.get(category, feed.domain)}
    assert event == kind(**about, **fields)
    assert [type(getattr(event, name)) for name in fields] == [type(value) for value in fields.values()]
    with pytest.raises(AttributeError):
        setattr(event, dataclasses.fields(event)[0].name, None)


def test_a_graphics_event_has_addresses_and_identities(feed: Feed) -> None:
    def text(value: bytes) -> Any:
        keep.append(ffi.new("char[]", value))
        return keep[-1]

    keep: list[Any] = []
    local = ffi.new("virDomainEventGraphicsAddress *", {"family": 0, "node": text(b"::1"), "service": text(b"5900")})
    remote = ffi.new("virDomainEventGraphicsAddress *", {"family": 2, "node": text(b"/sock"), "service": NULL})
    identities = ffi.new(
        "virDomainEventGraphicsSubjectIdentity[]",
        [{"type": text(b"x509dname"), "name": text(b"CN=alice")}, {"type": text(b"saslUsername"), "name": NULL}],
    )
    subject = ffi.new("virDomainEventGraphicsSubject *", {"nidentity": 2, "identities": identities})
    signature = f"int, void *, void *, {TEXT}, void *"
    event = feed(kinds.DomainGraphics, signature, 1, local, remote, b"vnc", subject)
    assert event == kinds.DomainGraphics(
        feed.domain,
        enums.DomainEventGraphicsPhase.INITIALIZE,
        kinds.GraphicsAddress(enums.DomainEventGraphicsAddressType.IPV4, "::1", "5900"),
        kinds.GraphicsAddress(enums.DomainEventGraphicsAddressType.UNIX, "/sock", ""),
        "vnc",
        (("x509dname", "CN=alice"), ("saslUsername", "")),
    )
    bare = feed(kinds.DomainGraphics, signature, 2, NULL, NULL, NULL, NULL)
    assert isinstance(bare, kinds.DomainGraphics)
    assert (bare.local.node, bare.local.family, bare.auth_scheme, bare.identities) == ("", -1, "", ())


@pytest.mark.parametrize("kind", OF_PARAMETERS, ids=lambda kind: kind.__name__)
def test_typed_parameters_arrive_as_a_dictionary(feed: Feed, kind: Any) -> None:
    values: dict[str, int | float | bool | str] = {
        "text": "wert \u20ac",
        "none": 0,
        "big": (1 << 64) - 1,
        "small": -5,
        "half": 0.5,
        "yes": True,
    }
    with Params(values) as params:
        event = feed(kind, "void *, int", params.pointer, params.count)
    assert event == kind(feed.domain, values)
    assert feed(kind, "void *, int", NULL, 0) == kind(feed.domain, {})


@pytest.mark.parametrize(
    ("kind", "signature", "arguments", "field", "name"),
    [
        (kinds.DomainLifecycle, "int, int", (99, 3), "event", "UNKNOWN_99"),
        (kinds.DomainLifecycle, "int, int", (5, 88), "detail", "UNKNOWN_88"),
        (kinds.DomainWatchdog, "int", (77,), "action", "UNKNOWN_77"),
        (kinds.NetworkLifecycle, "int, int", (66, 0), "event", "UNKNOWN_66"),
        (kinds.ConnectionClosed, "int", (-1,), "reason", "UNKNOWN_-1"),
    ],
)
def test_unknown_numbers_become_unknown_members(
    feed: Feed, kind: type[kinds.Event], signature: str, arguments: tuple[int, ...], field: str, name: str
) -> None:
    assert getattr(feed(kind, signature, *arguments), field).name == name


def test_the_detail_of_an_unknown_event_stays_a_number(feed: Feed) -> None:
    event = feed(kinds.DomainLifecycle, "int, int", 99, 3)
    assert isinstance(event, kinds.DomainLifecycle)
    assert type(event.detail) is int


def test_names_and_uuids_are_known_after_the_connection_is_closed(feed: Feed) -> None:
    event = feed(kinds.DomainReboot, "")
    network = feed(kinds.NetworkLifecycle, "int, int", 3, 0)
    device = feed(kinds.NodeDeviceUpdate, "")
    assert isinstance(event, kinds.DomainReboot)
    assert isinstance(network, kinds.NetworkLifecycle)
    assert isinstance(device, kinds.NodeDeviceUpdate)
    assert (event.domain.name, event.domain.id) == ("test", 1)
    uuid = event.domain.uuid
    feed.conn.close()
    assert isinstance(uuid, UUID)
    assert (event.domain.name, event.domain.uuid, network.network.name, device.device.name) == (
        *("test", uuid),
        *("default", "computer"),
    )
    with pytest.raises(ClosedError):
        event.domain.state()


def test_the_handle_of_an_event_owns_its_reference(feed: Feed) -> None:
    """It works even after the C side of the event was freed."""
    event = feed(kinds.DomainReboot, "")
    assert isinstance(event, kinds.DomainReboot)
    del feed.domain
    gc.collect()
    event.domain.suspend()
    assert event.domain.state().state == enums.DomainState.PAUSED


def test_kinds_that_this_libvirt_lacks_raise_not_supported(feed: Feed) -> None:
    version = pyvirt.library_version()
    newer = [kind for kind in kinds.KINDS.values() if tuple(map(int, kind._since.split("."))) > version]
    for kind in newer:
        with pytest.raises(NotSupportedError):
            feed.conn.events.listen(kind)
    assert newer or version >= (12, 4, 0)
    with feed.conn.events.listen(kinds.DomainEvent):  # the kinds that this libvirt has
        pass


@pytest.mark.parametrize("kind", [kinds.NetworkEvent, kinds.SecretEvent, kinds.StoragePoolEvent, kinds.NodeDeviceEvent])
def test_a_base_class_stands_for_all_its_kinds(kind: type[kinds.Event]) -> None:
    found = kinds.kinds_of(kind)
    assert len(found) == len(set(found))
    assert set(found) == {one for one in kinds.KINDS.values() if issubclass(one, kind)}


def test_older_forms_must_be_asked_for_by_name() -> None:
    everything = kinds.kinds_of(kinds.Event)
    assert len(everything) == len(set(everything)) > 35
    by_name = {kinds.DomainIOErrorBrief, kinds.DomainBlockJobByPath, kinds.QemuMonitorEvent}
    assert set(kinds.KINDS.values()) - set(everything) == by_name
    for kind in by_name:
        assert kinds.kinds_of(kind) == [kind]
