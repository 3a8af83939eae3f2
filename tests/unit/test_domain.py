# SPDX-License-Identifier: LGPL-2.1-or-later
"""Identity and life cycle of a domain, with libvirt's test driver."""

from __future__ import annotations

import contextlib
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import pyvirt
from pyvirt import Domain, DomainState
from pyvirt.enums import (
    DomainControlErrorReason,
    DomainControlState,
    DomainCoreDumpFlags,
    DomainCoreDumpFormat,
    DomainDefineFlags,
    DomainLifecycleAction,
    DomainPausedReason,
    DomainRunningReason,
    DomainSaveRestoreFlags,
    DomainShutoffReason,
    DomainUndefineFlags,
    DomainXMLFlags,
    LifecycleType,
)
from pyvirt.errors import (
    AccessDeniedError,
    ClosedError,
    DomainNotFoundError,
    Error,
    InvalidArgumentError,
    NotSupportedError,
    OperationFailedError,
    OperationInvalidError,
    OperationTimeoutError,
    OperationUnsupportedError,
    XMLError,
)
from pyvirt.models import DomainStateReason
from pyvirt.testing.pytest_plugin import HostFactory
from pyvirt.xmldesc import parse
from tests.support.drivers import since
from tests.support.xml import domain_xml

NUMBER = uuid.UUID("6695eb01-f6a4-8304-79aa-97f2502e193e")
RUNNING, PAUSED, SHUTOFF = DomainState.RUNNING, DomainState.PAUSED, DomainState.SHUTOFF


def xml(name: str = "guest", *, number: uuid.UUID = NUMBER, vcpus: int = 2, elements: str = "") -> str:
    size = f"<currentMemory unit='MiB'>256</currentMemory><vcpu>{vcpus}</vcpu>"
    return domain_xml(name, uuid=number, memory=512 << 20, elements=size + elements)


@pytest.fixture
def conn(libvirt_test_uri: str) -> Iterator[pyvirt.Connection]:
    with pyvirt.connect(libvirt_test_uri) as conn:
        yield conn


@pytest.fixture
def guest(conn: pyvirt.Connection) -> Domain:
    """A defined, inactive domain."""
    return conn.domains.define(xml())


@pytest.fixture
def running(guest: Domain) -> Domain:
    guest.start()
    return guest


@pytest.fixture
def transient(conn: pyvirt.Connection) -> Domain:
    return conn.domains.create(xml())


def is_gone(domain: Domain) -> bool:
    """Return whether libvirt no longer knows it."""
    for call in (domain.state, domain.info, domain.xml_desc, domain.is_active, domain.start, domain.destroy):
        with pytest.raises(DomainNotFoundError, match=str(domain.uuid)):
            call()
    return domain not in domain.connection.domains


# ---- identity ----


def test_a_domain_has_name_uuid_and_connection(conn: pyvirt.Connection, guest: Domain) -> None:
    assert (guest.name, guest.uuid, guest.id) == ("guest", NUMBER, None)
    assert guest.connection is conn
    assert guest.os_type() == "linux"  # whatever the configuration contains


@pytest.mark.parametrize("name", ["grün", "客户", "with blank", "<&>\"'", "\N{CROISSANT}", "n" * 200])
def test_any_name_that_xml_can_hold_is_kept(conn: pyvirt.Connection, name: str) -> None:
    from xml.sax.saxutils import escape

    assert conn.domains.define(xml(escape(name))).name == name
    assert conn.domains[name].uuid == NUMBER
    assert name in conn.domains


def test_ids_change_with_every_start(conn: pyvirt.Connection, guest: Domain) -> None:
    early = conn.domains["guest"]
    guest.start()
    number = guest.id
    assert number is not None
    assert number > 0
    late = conn.domains.get(id=number)
    assert late == early == guest
    assert (early.id, late.id) == (None, number)  # a handle is updated by its own start only

    late.destroy()
    assert late.id is None  # the test driver updates the handle; not every driver does
    assert guest.id == number
    assert conn.domains["guest"].id is None
    with pytest.raises(DomainNotFoundError, match=str(number)):
        conn.domains.get(id=number)

    guest.start()
    assert guest.id not in (None, number)


def test_the_id_after_a_restore_needs_a_new_handle(running: Domain, tmp_path: Path) -> None:
    running.save(str(tmp_path / "image"))
    running.connection.domains.restore(str(tmp_path / "image"))
    assert running.id is None  # this handle was not updated
    assert running.connection.domains["guest"].id is not None


# ---- renaming ----


def test_a_renamed_domain_keeps_its_handles(conn: pyvirt.Connection, guest: Domain) -> None:
    other, known = conn.domains["guest"], {guest: "known"}
    unasked = conn.domains.get(uuid=NUMBER)
    assert other.name == "guest"
    guest.rename("größer & besser")
    assert guest.name == "größer & besser"
    assert conn.domains["größer & besser"] == guest == other
    assert "guest" not in conn.domains
    assert guest.xml_desc().count("<name>größer &amp; besser</name>") == 1
    # Existing handles keep the name that they have read, and still work.
    assert (other.name, unasked.name) == ("guest", "guest")
    assert other.state() == guest.state()
    assert known[guest] == known[other] == "known"
    guest.rename("guest")
    assert guest.name == "guest"
    assert guest in conn.domains


def test_a_name_that_is_refused_changes_nothing(conn: pyvirt.Connection, guest: Domain) -> None:
    refused: dict[str, type[pyvirt.Error]] = {
        "vm-00001": OperationInvalidError,  # of another domain
        "guest": OperationInvalidError,  # its own
        "": InvalidArgumentError,
        "nul\0": InvalidArgumentError,
    }
    for name, error in refused.items():
        with pytest.raises(error):
            guest.rename(name)
        assert guest.name == "guest"
        assert guest in conn.domains
    guest.start()
    with pytest.raises(OperationInvalidError, match="active"):
        guest.rename("other")
    assert guest.name == "guest"


# ---- a life cycle ----


def test_a_persistent_domain_lives_from_define_to_undefine(conn: pyvirt.Connection) -> None:
    guest = conn.domains.define(xml())
    assert guest.state() == (SHUTOFF, DomainShutoffReason.UNKNOWN)
    assert (guest.is_active(), guest.is_persistent()) == (False, True)
    guest.start()
    assert guest.state() == (RUNNING, DomainRunningReason.BOOTED)
    assert (guest.is_active(), guest.is_persistent()) == (True, True)
    guest.suspend()
    assert guest.state() == (PAUSED, DomainPausedReason.USER)
    assert guest.is_active()
    guest.resume()
    assert guest.state() == (RUNNING, DomainRunningReason.UNPAUSED)
    guest.reboot()
    guest.reset()
    assert guest.state().state is RUNNING
    guest.shutdown()
    assert guest.state() == (SHUTOFF, DomainShutoffReason.SHUTDOWN)
    guest.start()
    guest.destroy()
    assert guest.state() == (SHUTOFF, DomainShutoffReason.DESTROYED)
    guest.undefine()
    assert is_gone(guest)


def test_a_transient_domain_disappears_when_destroyed(conn: pyvirt.Connection) -> None:
    guest = conn.domains.create(xml())
    assert guest.state() == (RUNNING, DomainRunningReason.BOOTED)
    assert (guest.is_active(), guest.is_persistent()) == (True, False)
    assert guest.id is not None
    guest.destroy()
    assert is_gone(guest)


@pytest.mark.parametrize("end", [Domain.destroy, Domain.shutdown], ids=lambda end: end.__name__)
def test_a_transient_domain_that_is_defined_becomes_persistent(
    conn: pyvirt.Connection, transient: Domain, end: Callable[[Domain], None]
) -> None:
    assert conn.domains.define(xml(vcpus=4)) == transient
    assert transient.is_persistent()
    assert transient.is_active()
    assert transient.info().vcpus == 2  # it runs as it was started
    end(transient)
    assert transient.state().state is SHUTOFF
    assert transient.info().vcpus == 4
    transient.start()
    assert transient.is_persistent()


def test_a_running_domain_that_is_undefined_disappears_when_it_stops(conn: pyvirt.Connection, running: Domain) -> None:
    running.undefine()
    assert (running.is_active(), running.is_persistent()) == (True, False)
    assert running in conn.domains
    assert running.state().state is RUNNING
    running.destroy()
    assert is_gone(running)


def test_a_running_domain_is_undefined_and_defined_repeatedly(conn: pyvirt.Connection, running: Domain) -> None:
    for vcpus in (3, 4, 5):
        running.undefine()
        assert not running.is_persistent()
        conn.domains.define(xml(vcpus=vcpus))
        assert running.is_persistent()
    running.destroy()
    assert running.info().vcpus == 5


def test_a_stored_domain_may_be_started_with_another_configuration(conn: pyvirt.Connection, guest: Domain) -> None:
    assert conn.domains.create(xml(vcpus=7)) == guest
    assert guest.info().vcpus == 7
    assert guest.is_persistent()
    guest.destroy()
    assert guest.info().vcpus == 2


def test_defining_again_replaces_what_is_stored(conn: pyvirt.Connection, running: Domain) -> None:
    assert conn.domains.define(xml(vcpus=6)) == running
    assert running.info().vcpus == 2
    assert "6</vcpu>" not in running.xml_desc()
    assert "6</vcpu>" in running.xml_desc(flags=DomainXMLFlags.INACTIVE)
    assert running.is_updated() is False  # the test driver does not report it
    assert len(conn.domains) == 5


WRONG_MOMENTS = [
    ("guest", lambda domain: domain.destroy()),
    ("guest", lambda domain: domain.reboot()),
    ("guest", lambda domain: domain.reset()),
    ("guest", lambda domain: domain.save("/nowhere/at/all")),
    ("guest", lambda domain: domain.managed_save()),
    pytest.param("guest", lambda domain: domain.control_info(), marks=since("virDomainGetControlInfo")),
    ("running", lambda domain: domain.rename("other")),
    ("running", lambda domain: domain.connection.domains.create(domain.xml_desc())),
    ("transient", lambda domain: domain.managed_save()),
    ("transient", lambda domain: domain.rename("other")),
    ("transient", lambda domain: domain.edit().__enter__()),
]


@pytest.mark.parametrize(("kind", "call"), WRONG_MOMENTS)
def test_an_operation_in_the_wrong_state_raises_operation_invalid(
    kind: str, call: Callable[[Domain], object], request: pytest.FixtureRequest
) -> None:
    domain: Domain = request.getfixturevalue(kind)
    before = domain.state()
    with pytest.raises(OperationInvalidError) as caught:
        call(domain)
    assert type(caught.value) is OperationInvalidError
    assert caught.value.code == 55
    assert domain.state() == before


def test_starting_a_running_domain_raises(running: Domain) -> None:
    with pytest.raises(pyvirt.Error, match="already running") as caught:
        running.start()
    assert caught.value.function == "virDomainCreateWithFlags"


def test_a_name_or_uuid_of_another_domain_is_refused(conn: pyvirt.Connection, guest: Domain) -> None:
    for document in (xml(number=uuid.uuid4()), xml("other")):
        for call in (conn.domains.define, conn.domains.create):
            with pytest.raises(OperationFailedError, match=r"'guest' (already exists|is already defined) with uuid"):
                call(document)
    assert len(conn.domains) == 5
    assert guest.state().state is SHUTOFF


def test_open_files_are_passed_at_start(conn: pyvirt.Connection, guest: Domain) -> None:
    with open("/dev/null") as file:
        guest.start(files=[file.fileno()])
        transient = conn.domains.create(xml("other", number=uuid.uuid4()), files=iter([file.fileno()] * 2))
    assert guest.is_active()
    assert transient.is_active()
    with pytest.raises(TypeError):
        guest.start(files=["3"])  # type: ignore[list-item]
    for call in (lambda: guest.start(files=[0]), lambda: conn.domains.create("<domain/>", files=[0])):
        with pytest.raises(pyvirt.Error) as caught:
            call()
        assert caught.value.function in ("virDomainCreateWithFiles", "virDomainCreateXMLWithFiles")


def test_a_read_only_connection_refuses_changes(libvirt_test_uri: str) -> None:
    with pyvirt.connect(libvirt_test_uri, readonly=True) as conn:
        domain = conn.domains["vm-00001"]
        assert domain.info().vcpus == 1
        for call in (
            domain.destroy,
            domain.suspend,
            domain.undefine,
            lambda: domain.set_autostart(True),
            lambda: domain.rename("x"),
            lambda: domain.edit().__enter__(),
            lambda: conn.domains.define(xml()),
        ):
            with pytest.raises(AccessDeniedError):
                call()


# ---- operations ----


def test_states_are_tuples_with_names(running: Domain) -> None:
    state, reason = running.state()
    assert (state, reason) == (RUNNING, DomainRunningReason.BOOTED)
    assert running.state().state is RUNNING
    assert running.state() is running.state()  # read often, so created once


def test_unknown_states_are_kept() -> None:
    known = DomainStateReason.decode(SHUTOFF, 77)
    assert (known.state, repr(known.reason)) == (SHUTOFF, "<DomainShutoffReason.UNKNOWN_77: 77>")
    unknown = DomainStateReason.decode(99, 3)
    assert (repr(unknown.state), unknown.reason) == ("<DomainState.UNKNOWN_99: 99>", 3)


def test_info_has_sizes_in_bytes(running: Domain) -> None:
    info = running.info()
    assert (info.state, info.vcpus) == (RUNNING, 2)
    assert info.state is RUNNING
    assert (info.max_memory, info.memory) == (512 << 20, 256 << 20)
    assert info.cpu_time > 0
    assert repr(info).startswith("DomainInfo(state=<DomainState.RUNNING: 1>, max_memory=536870912, memory=268435456, ")
    running.destroy()
    off = running.info()
    assert off.state is SHUTOFF
    assert off != info
    with pytest.raises(AttributeError):
        info.maxmem = 1  # type: ignore[attr-defined]


def test_info_shares_nothing_between_threads(libvirt_host: HostFactory) -> None:
    """Calls in several threads share nothing."""
    with pyvirt.connect(libvirt_host(domains=8, vcpus=range(1, 9), memory=[n << 20 for n in range(1, 9)])) as conn:
        domains = sorted(conn.domains, key=lambda domain: domain.name)

        def ask(number: int) -> set[tuple[int, int]]:
            infos = [domains[number].info() for _ in range(2000)]
            return {(info.vcpus, info.max_memory >> 20) for info in infos}

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(ask, range(8))) == [{(number, number)} for number in range(1, 9)]


@since("virDomainGetControlInfo")
def test_control_info_reports_the_state_of_the_monitor(running: Domain) -> None:
    info = running.control_info()
    assert (info.state, info.details) == (DomainControlState.OK, DomainControlErrorReason.NONE)
    assert info.state_time == 0


@pytest.mark.parametrize("call", [Domain.state, Domain.info], ids=lambda call: call.__name__)
def test_a_failed_specialised_call_names_its_c_function(transient: Domain, call: Callable[[Domain], object]) -> None:
    transient.destroy()
    with pytest.raises(DomainNotFoundError) as caught:
        call(transient)
    assert caught.value.function == {"state": "virDomainGetState", "info": "virDomainGetInfo"}[call.__name__]


def test_autostart_is_set_and_cleared(guest: Domain) -> None:
    other = guest.connection.domains["guest"]
    assert guest.autostart() is False
    guest.set_autostart(True)
    assert other.autostart() is True
    assert guest in guest.connection.domains.list(pyvirt.enums.ConnectListAllDomainsFlags.AUTOSTART)
    guest.set_autostart(False)
    assert other.autostart() is False


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda domain: domain.autostart_once(), NotSupportedError),  # depends on libvirt and the driver
        (lambda domain: domain.set_autostart_once(True), NotSupportedError),
        (lambda domain: domain.pm_suspend(pyvirt.enums.NodeSuspendTarget.MEM), OperationUnsupportedError),
        (lambda domain: domain.pm_wakeup(), OperationUnsupportedError),
        (lambda domain: domain.managed_save_xml_desc(), OperationUnsupportedError),
        (lambda domain: domain.managed_save_define_xml(xml()), OperationUnsupportedError),
        (lambda domain: domain.save("/nowhere", params={"parallel.channels": 2}), NotSupportedError),
        (lambda domain: domain.connection.domains.restore("/n", params={"image_format": "raw"}), NotSupportedError),
        (lambda domain: domain.save("/nowhere", xml=xml()), NotSupportedError),
    ],
)
def test_calls_that_the_driver_lacks_raise_unsupported(
    running: Domain, call: Callable[[Domain], object], error: type[NotSupportedError]
) -> None:
    with pytest.raises(error) as caught:
        call(running)
    assert caught.value.function is not None
    assert caught.value.function.startswith("virDomain")


# ---- saved states ----


def test_a_saved_domain_is_restored(conn: pyvirt.Connection, running: Domain, tmp_path: Path) -> None:
    path = str(tmp_path / "an image of größe")
    running.save(path)
    assert running.state() == (SHUTOFF, DomainShutoffReason.SAVED)
    assert "<name>guest</name>" in conn.domains.save_image_xml_desc(path)
    conn.domains.restore(path)
    assert running.state() == (RUNNING, DomainRunningReason.RESTORED)
    with pytest.raises(OperationInvalidError, match="already active"):
        conn.domains.restore(path)


def test_a_saved_transient_domain_is_restored_as_transient(
    conn: pyvirt.Connection, transient: Domain, tmp_path: Path
) -> None:
    path = str(tmp_path / "image")
    transient.save(path)
    assert is_gone(transient)
    conn.domains.restore(path)
    assert transient.state() == (RUNNING, DomainRunningReason.RESTORED)
    assert not transient.is_persistent()


def test_the_configuration_in_a_saved_image_is_replaced(
    conn: pyvirt.Connection, running: Domain, tmp_path: Path
) -> None:
    path = str(tmp_path / "image")
    running.save(path)
    conn.domains.save_image_define_xml(path, xml(vcpus=3, elements="<title>größer</title>"))
    assert "<title>größer</title>" in conn.domains.save_image_xml_desc(path)
    conn.domains.restore(path)
    assert running.info().vcpus == 3


def test_an_invalid_image_is_refused(conn: pyvirt.Connection, running: Domain, tmp_path: Path) -> None:
    for call in (conn.domains.restore, conn.domains.save_image_xml_desc):
        with pytest.raises(pyvirt.Error, match="cannot read domain image '/nowhere'"):
            call("/nowhere")
        (tmp_path / "image").write_text("something else")
        with pytest.raises(pyvirt.Error, match="save header"):
            call(str(tmp_path / "image"))
    with pytest.raises(pyvirt.Error, match="No such file or directory"):
        running.save("/nowhere/at/all")
    assert running.is_active()


def test_a_managed_save_is_restored_at_the_next_start(conn: pyvirt.Connection, running: Domain) -> None:
    assert running.has_managed_save_image() is False
    running.managed_save()
    assert running.state() == (SHUTOFF, DomainShutoffReason.SAVED)
    assert running.has_managed_save_image() is True
    assert running in conn.domains.list(pyvirt.enums.ConnectListAllDomainsFlags.MANAGEDSAVE)
    running.start()
    assert running.has_managed_save_image() is False
    running.managed_save(flags=DomainSaveRestoreFlags.PAUSED)
    running.managed_save_remove()
    assert running.has_managed_save_image() is False


def test_undefine_with_a_managed_save_needs_a_flag(running: Domain) -> None:
    running.managed_save()
    with pytest.raises(OperationInvalidError, match="managed save image"):
        running.undefine()
    assert running.has_managed_save_image()
    running.undefine(flags=DomainUndefineFlags.MANAGED_SAVE)
    assert is_gone(running)


# ---- waiting ----


def test_wait_for_returns_at_once_in_a_wanted_state(guest: Domain) -> None:
    assert guest.wait_for(SHUTOFF, timeout=0) == guest.state()
    assert guest.wait_for(RUNNING, SHUTOFF) == guest.state()
    assert guest.wait_for(5) == guest.state()  # type: ignore[arg-type]


@contextlib.contextmanager
def soon(call: Callable[[], object]) -> Iterator[None]:
    """Call it while the block runs; the result of the tests is the same whether that is early or late."""
    timer = threading.Timer(0.03, call)
    timer.start()
    yield
    timer.join()


@pytest.mark.parametrize("timeout", [None, 60])
def test_wait_for_returns_when_the_state_is_reached(running: Domain, timeout: float | None) -> None:
    with soon(running.connection.domains["guest"].suspend):
        assert running.wait_for(PAUSED, SHUTOFF, timeout=timeout) == (PAUSED, DomainPausedReason.USER)


@pytest.mark.parametrize("timeout", [0, -1, 0.001, 0.05, 0.3])
@pytest.mark.parametrize("interval", [0.2, 0.01, 1000])
def test_wait_for_raises_at_its_timeout(running: Domain, timeout: float, interval: float) -> None:
    begun = time.monotonic()
    with pytest.raises(OperationTimeoutError) as caught:
        running.wait_for(SHUTOFF, DomainState.CRASHED, timeout=timeout, interval=interval)
    assert max(timeout, 0) <= time.monotonic() - begun < timeout + 10
    assert isinstance(caught.value, TimeoutError)
    assert str(caught.value) == f"domain 'guest' is RUNNING, not SHUTOFF or CRASHED, after {timeout:g} s"
    assert caught.value.function == "virDomainGetState"


def test_wait_for_refuses_invalid_states(guest: Domain) -> None:
    with pytest.raises(TypeError, match="at least one state"):
        guest.wait_for()
    for nonsense in ("SHUTOFF", (SHUTOFF, RUNNING), None):
        with pytest.raises(ValueError, match="not a valid DomainState"):
            guest.wait_for(nonsense)  # type: ignore[arg-type]


def test_a_transient_domain_that_disappears_counts_as_shut_off(transient: Domain) -> None:
    with soon(transient.connection.domains["guest"].destroy):
        assert transient.wait_for(PAUSED, SHUTOFF, timeout=60) == (SHUTOFF, DomainShutoffReason.UNKNOWN)
    assert transient.wait_for(SHUTOFF, timeout=0).state is SHUTOFF


@pytest.mark.parametrize("timeout", [None, 60])
def test_waiting_for_another_state_of_a_removed_domain_raises(transient: Domain, timeout: float | None) -> None:
    with soon(transient.connection.domains["guest"].destroy), pytest.raises(DomainNotFoundError):
        transient.wait_for(PAUSED, DomainState.CRASHED, timeout=timeout)


@pytest.mark.parametrize("timeout", [None, 60])
def test_closing_the_connection_ends_wait_for(libvirt_test_uri: str, timeout: float | None) -> None:
    with pyvirt.connect(libvirt_test_uri) as conn:
        domain = conn.domains["vm-00001"]
        with soon(conn.close), pytest.raises(ClosedError, match="the connection is closed"):
            domain.wait_for(SHUTOFF, timeout=timeout)


# ---- editing ----

ELEMENTS = """
<title>Größe &amp; mehr: &lt;客户&gt;</title>
<description>one
two\tthree &quot;four&quot; &#233;</description>
<metadata>
  <app:note xmlns:app="http://example.com/app?a=1&amp;b=2" app:level="&lt;5"><app:text>é</app:text></app:note>
</metadata>
<devices><graphics type='vnc' passwd='geheim &amp; ü'/></devices>
"""


def test_edit_stores_the_change(guest: Domain) -> None:
    with guest.edit() as root:
        assert root.tag == "domain"
        assert root.findtext("name") == "guest"
        vcpu = root.find("vcpu")
        assert vcpu is not None
        vcpu.text = "4"
    assert guest.info().vcpus == 4
    assert guest.info().max_memory == 512 << 20
    assert guest.uuid == NUMBER
    assert len(guest.connection.domains) == 5


def test_edit_keeps_what_it_does_not_touch(conn: pyvirt.Connection) -> None:
    guest = conn.domains.define(xml(elements=ELEMENTS))
    before = guest.xml_desc(flags=DomainXMLFlags.SECURE)
    assert before.count("geheim &amp; ü") == 1
    assert "geheim" not in guest.xml_desc()
    with guest.edit():
        pass
    after = guest.xml_desc(flags=DomainXMLFlags.SECURE)
    assert after == before
    root = parse(after)
    assert root.findtext("title") == "Größe & mehr: <客户>"
    assert root.findtext("description") == 'one\ntwo\tthree "four" é'
    note = root.find("metadata/{http://example.com/app?a=1&b=2}note")
    assert note is not None
    assert note.prefix == "app"
    assert note.get("{http://example.com/app?a=1&b=2}level") == "<5"


def test_edit_escapes_text(guest: Domain) -> None:
    text = "a < b & c > d \"e\" 'f' ü 客户 \N{CROISSANT}"
    with guest.edit() as root:
        for tag in ("title", "description"):
            root.append(root.makeelement(tag))
            root[-1].text = text
    with guest.edit() as root:
        assert [root.findtext(tag) for tag in ("title", "description")] == [text, text]


def test_an_exception_in_the_edit_block_changes_nothing(guest: Domain) -> None:
    before = guest.xml_desc(flags=DomainXMLFlags.SECURE)

    def spoil(error: type[BaseException]) -> None:
        with guest.edit() as root:
            root.clear()
            raise error

    for error in (KeyError, KeyboardInterrupt, GeneratorExit, StopIteration):
        with pytest.raises(error):
            spoil(error)
        assert guest.xml_desc(flags=DomainXMLFlags.SECURE) == before


def test_a_refused_edit_changes_nothing(guest: Domain) -> None:
    before = guest.xml_desc(flags=DomainXMLFlags.SECURE)

    def edit(tag: str, text: str) -> None:
        with guest.edit() as root:
            element = root.find(tag)
            assert element is not None
            element.text = text

    for tag, text in (("vcpu", "many"), ("memory", "0"), ("os/type", "")):
        with pytest.raises(pyvirt.Error):
            edit(tag, text)
    with pytest.raises(OperationFailedError, match="already defined"):
        edit("name", "other")  # rename() does that
    with pytest.raises(ValueError, match="XML compatible"):
        edit("name", "nul\0")
    assert guest.xml_desc(flags=DomainXMLFlags.SECURE) == before
    assert len(guest.connection.domains) == 5


def test_an_edit_of_a_running_domain_applies_at_its_next_start(running: Domain) -> None:
    with running.edit() as root:
        vcpu = root.find("vcpu")
        assert vcpu is not None
        vcpu.text = "4"
    assert running.info().vcpus == 2
    with running.edit() as root:
        assert root.findtext("vcpu") == "4"  # the stored configuration, not the running one
    running.destroy()
    assert running.info().vcpus == 4


def test_edit_passes_its_flags(guest: Domain) -> None:
    def add_nonsense(flags: DomainDefineFlags) -> None:
        with guest.edit(flags=flags) as root:
            root.append(root.makeelement("nonsense"))

    with pytest.raises(XMLError, match="nonsense"):
        add_nonsense(DomainDefineFlags.VALIDATE)
    add_nonsense(DomainDefineFlags(0))  # libvirt ignores what it does not know
    with pytest.raises(InvalidArgumentError, match="unsupported flags"):
        add_nonsense(DomainDefineFlags(1 << 20))


def test_edit_of_a_transient_domain_raises(conn: pyvirt.Connection, transient: Domain) -> None:
    with pytest.raises(OperationInvalidError, match="'guest' is transient"), transient.edit():
        pytest.fail("the block must not run")
    assert not transient.is_persistent()
    conn.domains.define(xml())
    with transient.edit() as root:
        assert root.findtext("vcpu") == "2"


def test_nested_edits_do_not_break(guest: Domain) -> None:
    with guest.edit() as outer:
        outer.append(outer.makeelement("title"))
        outer[-1].text = "outer"
        with guest.edit() as inner:
            inner.append(inner.makeelement("title"))
            inner[-1].text = "inner"
    assert re.findall("<title>(.*)</title>", guest.xml_desc()) == ["outer"]  # the last one wins


def test_an_edit_that_is_never_entered_has_no_effect(guest: Domain) -> None:
    edit: Any = guest.edit()
    del edit
    guest.undefine()
    late = guest.edit()
    with pytest.raises(DomainNotFoundError):
        late.__enter__()


def test_core_dump_writes_a_file(running: Domain, tmp_path: Path) -> None:
    running.core_dump(str(tmp_path / "dump"))
    assert (tmp_path / "dump").stat().st_size > 0
    running.core_dump(str(tmp_path / "raw"), format=DomainCoreDumpFormat.RAW)
    with pytest.raises(OperationUnsupportedError, match="kdump") as caught:
        running.core_dump(str(tmp_path / "other"), format=DomainCoreDumpFormat.KDUMP_ZLIB)
    assert caught.value.function == "virDomainCoreDumpWithFormat"
    with pytest.raises(Error, match="/nowhere"):
        running.core_dump("/nowhere/at all")
    running.core_dump(str(tmp_path / "last"), flags=DomainCoreDumpFlags.CRASH)
    assert running.state() == DomainStateReason(DomainState.SHUTOFF, DomainShutoffReason.CRASHED)
    with pytest.raises(OperationInvalidError) as late:
        running.core_dump(str(tmp_path / "none"))
    assert late.value.function == "virDomainCoreDump"


def test_lifecycle_actions_are_set(running: Domain) -> None:
    running.set_lifecycle_action(LifecycleType.CRASH, DomainLifecycleAction.PRESERVE)
    assert "<on_crash>preserve</on_crash>" in running.xml_desc()
    with pytest.raises(NotSupportedError, match="coredump-destroy"):
        running.set_lifecycle_action(LifecycleType.REBOOT, DomainLifecycleAction.COREDUMP_DESTROY)
    with pytest.raises(InvalidArgumentError, match="'77'"):
        running.set_lifecycle_action(LifecycleType(77), DomainLifecycleAction.DESTROY)
