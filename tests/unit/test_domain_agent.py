# SPDX-License-Identifier: LGPL-2.1-or-later
"""Agent, input, labels and launch security of a domain, as far as libvirt's test driver supports them."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pyvirt
from pyvirt.domain import Domain, Domains
from pyvirt.domain._console import ConsoleMethods
from pyvirt.domain._guest_io import GuestIOMethods
from pyvirt.domain._native_config import NativeConfig
from pyvirt.domain.agent import Agent
from pyvirt.domain.guest_info import nest
from pyvirt.domain.launch_security import LaunchSecurity
from pyvirt.enums import (
    DomainGetHostnameFlags,
    DomainGraphicsReloadType,
    DomainGuestInfoTypes,
    DomainMessageType,
    DomainProcessSignal,
    DomainSetUserPasswordFlags,
    DomainState,
    KeycodeSet,
    params,
)
from pyvirt.errors import (
    InvalidArgumentError,
    NotSupportedError,
    OperationInvalidError,
    OperationUnsupportedError,
)
from pyvirt.models import FilesystemInfo, SecurityLabel
from tests.support.drivers import lacking, since
from tests.support.method_tables import Call, check_closed, check_lacking, functions_named, invalid, public_names

KEY_A = 30

CLASSES: tuple[type, ...] = (Agent, LaunchSecurity, ConsoleMethods, GuestIOMethods, NativeConfig)
OWNERS: dict[str, Callable[[Domain], object]] = {
    "Agent": Agent,
    "LaunchSecurity": LaunchSecurity,
    "ConsoleMethods": lambda domain: domain,
    "GuestIOMethods": lambda domain: domain,
    "NativeConfig": lambda domain: domain.connection.domains,
}


def run(call: Call, domain: Domain) -> object:
    return call(OWNERS[call.cls](domain))


# Calls that libvirt's test driver supports.  It accepts input for the guest, but shows nothing of it.
SUPPORTED = [
    Call("virDomainGetHostname", Agent.hostname, keywords={"flags": DomainGetHostnameFlags(0)}, expected="testhost"),
    Call("virDomainGetTime", Agent.time, expected=627_319_920 * 10**9),  # a constant
    Call("virDomainSetTime", Agent.set_time, (10**18,)),
    Call("virDomainSetTime", Agent.sync_time),
    Call("virDomainGetFSInfo", Agent.fs_info, expected=["/", "/boot"], look=lambda _, found: mountpoints(found)),
    Call("virDomainFSFreeze", Agent.fs_freeze, expected=2),
    Call("virDomainFSThaw", Agent.fs_thaw, expected=0),
    Call("virDomainFSTrim", Agent.fs_trim),
    Call("virDomainSetUserPassword", Agent.set_user_password, ("root", "secret")),
    Call("virDomainSendKey", Domain.send_key, ([KEY_A],)),
    Call("virDomainInjectNMI", Domain.inject_nmi),
    Call("virDomainScreenshot", Domain.screenshot, expected="image/png", look=lambda _, shot: shot.mime_type),
    Call("virDomainGetMessages", Domain.messages, expected=[]),
    Call("virDomainGetSecurityLabel", Domain.security_label, expected=SecurityLabel("libvirt-test", True)),
    Call("virDomainSendProcessSignal", Domain.send_process_signal, (1, DomainProcessSignal.TERM)),
]
UNSUPPORTED = [
    Call("virDomainGetGuestInfo", Agent.guest_info),
    Call("virDomainAuthorizedSSHKeysGet", Agent.authorized_ssh_keys, ("root",)),
    Call("virDomainAuthorizedSSHKeysSet", Agent.set_authorized_ssh_keys, ("root", ["ssh-rsa A"])),
    Call("virDomainAgentSetResponseTimeout", Agent.set_response_timeout, (3,)),
    Call("virDomainSetLaunchSecurityState", LaunchSecurity.set_state, ({"sev-secret": "x"},)),
    Call("virDomainOpenConsole", Domain.console),
    Call("virDomainOpenChannel", Domain.channel, ("org.example.port",)),
    Call("virDomainGetSecurityLabelList", Domain.security_labels),
    Call("virDomainFDAssociate", Domain.fd_associate, ("disk", [0])),
    Call("virConnectDomainXMLFromNative", Domains.xml_from_native, ("qemu-argv", "qemu")),
    Call("virConnectDomainXMLToNative", Domains.xml_to_native, ("qemu-argv", "<domain/>")),
]
ELSEWHERE = [
    # The driver refuses a flag that libvirt itself adds.
    Call("virDomainGetLaunchSecurityInfo", LaunchSecurity.info),
    Call("virDomainGraphicsReload", Domain.graphics_reload),
    # libvirt itself may report that no file can be passed.
    Call("virDomainOpenGraphics", Domain.open_graphics, (0,)),
    Call("virDomainOpenGraphicsFD", Domain.open_graphics_fd),
]
TABLE = [*SUPPORTED, *UNSUPPORTED, *ELSEWHERE]


def mountpoints(found: list[FilesystemInfo]) -> list[str]:
    return [one.mountpoint for one in found]


def test_all_methods_are_in_the_table() -> None:
    assert {call.name for call in TABLE} == public_names(*CLASSES)
    assert issubclass(Domain, ConsoleMethods)
    assert issubclass(Domain, GuestIOMethods)
    assert issubclass(Domains, NativeConfig)


@pytest.mark.parametrize("call", TABLE, ids=str)
def test_docstrings_name_the_c_function(call: Call) -> None:
    assert functions_named(call.method) == {call.function}


@pytest.mark.parametrize("call", TABLE, ids=str)
def test_every_call_on_a_closed_connection_raises_closed_error(call: Call) -> None:
    check_closed(partial(run, call))


@pytest.mark.parametrize("call", [pytest.param(call, marks=since(call.function), id=str(call)) for call in SUPPORTED])
def test_calls_that_the_driver_supports_have_the_expected_effect(domain: Domain, call: Call) -> None:
    call.check(OWNERS[call.cls](domain))


@pytest.mark.parametrize("call", UNSUPPORTED, ids=str)
def test_calls_that_the_driver_lacks_raise_unsupported(domain: Domain, call: Call) -> None:
    check_lacking(domain, call.function, partial(run, call))


def test_graphics_calls_raise_not_supported(domain: Domain) -> None:
    with pytest.raises(NotSupportedError) as caught:
        domain.graphics_reload()
    assert caught.value.function == "virDomainGraphicsReload"
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(NotSupportedError) as caught:
        domain.open_graphics(theirs.fileno())
    assert caught.value.function == "virDomainOpenGraphics"
    with pytest.raises(NotSupportedError) as caught:
        domain.open_graphics_fd()
    assert caught.value.function == "virDomainOpenGraphicsFD"


def test_defaults_of_0_equal_their_enumeration() -> None:
    """A default of 0 has the value that its annotation names."""
    assert [int(KeycodeSet.LINUX), int(DomainGraphicsReloadType.ANY)] == [0, 0]


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (InvalidArgumentError, lambda domain: Agent(domain).hostname()),  # the driver has no agent
        (OperationInvalidError, lambda domain: Agent(domain).fs_freeze(["/", "/nope"])),
        (InvalidArgumentError, lambda domain: Agent(domain).fs_freeze([])),
        (InvalidArgumentError, lambda domain: Agent(domain).fs_freeze(["/\0"])),
        (TypeError, lambda domain: Agent(domain).fs_freeze("/boot")),
        (TypeError, lambda domain: Agent(domain).fs_freeze([b"/"])),  # type: ignore[list-item]
        (InvalidArgumentError, lambda domain: Agent(domain).fs_thaw([])),
        (TypeError, lambda domain: Agent(domain).fs_thaw("/")),
        (OperationInvalidError, lambda domain: Agent(domain).fs_trim("/nope")),
        (OverflowError, lambda domain: Agent(domain).fs_trim(minimum=-1)),
        (OverflowError, lambda domain: Agent(domain).set_time(10**40)),
        (TypeError, lambda domain: Agent(domain).set_time("now")),  # type: ignore[arg-type]
        (InvalidArgumentError, lambda domain: Agent(domain).set_user_password("ro\0ot", "x")),
        (
            InvalidArgumentError,
            lambda domain: Agent(domain).set_user_password("root", "x", flags=DomainSetUserPasswordFlags(1 << 20)),
        ),
        (TypeError, lambda domain: Agent(domain).set_authorized_ssh_keys("root", "ssh-rsa A")),
        (InvalidArgumentError, lambda domain: Agent(domain).set_authorized_ssh_keys("root", ["\ud800"])),
        (OverflowError, lambda domain: Agent(domain).set_response_timeout(1 << 40)),
        (TypeError, lambda domain: Agent(domain).set_response_timeout(0.5)),  # type: ignore[arg-type]
        (invalid("virDomainSetLaunchSecurityState"), lambda domain: LaunchSecurity(domain).set_state({})),
        (InvalidArgumentError, lambda domain: LaunchSecurity(domain).set_state({"x" * 99: 1})),
        (InvalidArgumentError, lambda domain: domain.send_key([])),
        (InvalidArgumentError, lambda domain: domain.send_key(range(1, 18))),
        (InvalidArgumentError, lambda domain: domain.send_key([KEY_A], codeset=KeycodeSet(99))),
        (OverflowError, lambda domain: domain.send_key([1 << 40])),
        (OverflowError, lambda domain: domain.send_key([KEY_A], holdtime=-1)),
        (TypeError, lambda domain: domain.send_key("a")),
        (InvalidArgumentError, lambda domain: domain.send_process_signal(0, DomainProcessSignal.TERM)),
        (InvalidArgumentError, lambda domain: domain.send_process_signal(2, DomainProcessSignal.TERM)),
        (invalid("virDomainGetMessages"), lambda domain: domain.messages(DomainMessageType(1 << 20))),
        (InvalidArgumentError, lambda domain: domain.open_graphics(-1)),
        (InvalidArgumentError, lambda domain: domain.open_graphics(0)),  # no socket
        (OverflowError, lambda domain: domain.open_graphics_fd(-1)),
        (invalid("virDomainFDAssociate"), lambda domain: domain.fd_associate("disk", [])),
        (TypeError, lambda domain: domain.fd_associate("disk", ["0"])),
        (TypeError, lambda domain: domain.connection.domains.xml_to_native("x", None)),
        (InvalidArgumentError, lambda domain: domain.connection.domains.xml_from_native("\0", "")),
    ],
)
def test_bad_input_raises_and_changes_nothing(
    domain: Domain, error: type[Exception], call: Callable[[Domain], object]
) -> None:
    with pytest.raises(error):
        call(domain)
    assert Agent(domain).fs_thaw() == 0  # nothing was frozen
    assert domain.state().state is DomainState.RUNNING


@pytest.mark.parametrize("password", ["pass\0word", "pass\ud800word", b"password"])
def test_a_password_is_in_no_exception(domain: Domain, password: str) -> None:
    with pytest.raises((InvalidArgumentError, TypeError)) as caught:
        Agent(domain).set_user_password("root", password)
    assert "pass" not in str(caught.value)


def test_a_stopped_domain_raises_operation_invalid(domain: Domain) -> None:
    domain.destroy()
    agent = Agent(domain)
    calls: list[Callable[[], object]] = [
        *(agent.fs_info, agent.fs_freeze, agent.fs_thaw, agent.fs_trim, agent.time, agent.sync_time),
        lambda: agent.set_user_password("root", "secret"),
        lambda: agent.set_time(0),
        lambda: domain.send_key([KEY_A]),
        domain.inject_nmi,
    ]
    for call in calls:
        with pytest.raises(OperationInvalidError):
            call()


def test_the_guest_of_the_test_driver_answers(domain: Domain) -> None:
    agent = Agent(domain)
    assert agent.hostname(flags=DomainGetHostnameFlags(0)) == "testhost"
    assert agent.time() == 627_319_920 * 10**9  # always
    assert agent.fs_info() == [
        FilesystemInfo("/", "vda1", "ext4", ("vda",)),
        FilesystemInfo("/boot", "vda2", "ext4", ("vda",)),
    ]


@since("virDomainGetSecurityLabel")
def test_security_label_returns_the_label(domain: Domain) -> None:
    assert domain.security_label() == SecurityLabel("libvirt-test", True)


@since("virDomainGetMessages")
def test_messages_of_an_untainted_domain_are_empty(domain: Domain) -> None:
    assert domain.messages(DomainMessageType.TAINTING) == []


def test_fs_freeze_freezes_some_file_systems_or_all(domain: Domain) -> None:
    agent = Agent(domain)
    assert agent.fs_freeze(iter(["/boot"])) == 1
    assert agent.fs_freeze(["/boot"]) == 0  # it is already
    assert agent.fs_freeze() == 1
    assert agent.fs_thaw(["/"]) == 1
    assert agent.fs_thaw() == 1


def test_a_repr_names_the_domain() -> None:
    with pyvirt.connect("test:///default") as conn:
        agent = Agent(conn.domains["test"])
        assert repr(agent).startswith("<pyvirt.Agent of <pyvirt.Domain 'test'")
    assert repr(agent).startswith("<pyvirt.Agent of ")


# What an agent reports


def test_guest_information_is_nested() -> None:
    flat: dict[str, int | float | bool | str] = {
        "user.count": 1,
        "user.0.name": "root",
        "user.0.login-time": 1_700_000_000_000,
        "os.id": "debian",
        "timezone.offset": -3600,
        "hostname": "web-1",
        "fs.count": 2,
        "fs.0.mountpoint": "/",
        "fs.0.disk.count": 1,
        "fs.0.disk.0.alias": "vda",
        "fs.1.mountpoint": "/proc",
        "fs.1.disk.count": 0,
        "disk.count": 1,
        "disk.0.partition": True,
        "disk.0.dependency.count": 2,
        "disk.0.dependency.0.name": "/dev/sda",
        "disk.0.dependency.1.name": "/dev/sdb",
        "if.count": 0,
        "load.15m": 0.5,
    }
    info = nest(flat)
    assert info == {
        "user": [{"name": "root", "login-time": 1_700_000_000_000}],
        "os": {"id": "debian"},
        "timezone": {"offset": -3600},
        "hostname": "web-1",
        "fs": [{"mountpoint": "/", "disk": [{"alias": "vda"}]}, {"mountpoint": "/proc", "disk": []}],
        "disk": [{"partition": True, "dependency": [{"name": "/dev/sda"}, {"name": "/dev/sdb"}]}],
        "if": [],
        "load": {"15m": 0.5},
    }
    assert info["fs"][0]["disk"][0]["alias"] == "vda"
    assert json.loads(json.dumps(info)) == info


def test_lists_are_in_the_order_of_their_numbers() -> None:
    flat = {f"user.{number}.name": str(number) for number in (10, 9, 2, 0)}
    assert nest({**flat, "user.count": 4}) == {"user": [{"name": name} for name in ("0", "2", "9", "10")]}


def test_names_of_newer_libvirts_are_kept() -> None:
    flat: dict[str, int | str] = {
        "hostname": "web-1",
        "hostname.alias.first": "www",
        "gpu.count": 1,
        "gpu.0.name": "A",
        "gpu.total": 5,
        "plain": 1,
    }
    assert nest(flat) == {
        "hostname": "web-1",
        "hostname.alias.first": "www",
        "gpu": {"count": 1, "0": {"name": "A"}, "total": 5},
        "plain": 1,
    }


def leaves(node: object) -> Iterator[object]:
    if isinstance(node, dict | list):
        for inner in node.values() if isinstance(node, dict) else node:
            yield from leaves(inner)
    else:
        yield node


@given(st.dictionaries(st.from_regex(r"\A(a|b|0|1|count)(\.(a|0|1|count)){0,3}\Z"), st.integers(), max_size=12))
def test_any_names_can_be_nested(flat: dict[str, int]) -> None:
    nested = nest(flat)
    assert json.loads(json.dumps(nested)) == nested
    assert {value for name, value in flat.items() if "count" not in name} <= set(leaves(nested))


def test_nesting_does_not_depend_on_the_order_of_fields() -> None:
    expected: dict[str, int] = {"a": 1, "a.a": 0}

    assert dict(nest({"a.a": 0, "a": 1})) == expected
    assert dict(nest({"a": 1, "a.a": 0})) == expected


def test_there_are_constants_for_the_names_of_launches(domain: Domain) -> None:
    values = {params.DOMAIN_LAUNCH_SECURITY_SEV_SECRET_HEADER: "aa", params.DOMAIN_LAUNCH_SECURITY_SEV_SECRET: "bb"}
    with pytest.raises(lacking("virDomainSetLaunchSecurityState")[0]):
        LaunchSecurity(domain).set_state(values)
    with pytest.raises(OperationUnsupportedError):
        Agent(domain).guest_info(DomainGuestInfoTypes.OS | DomainGuestInfoTypes.USERS)
