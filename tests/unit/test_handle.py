# SPDX-License-Identifier: LGPL-2.1-or-later
from __future__ import annotations

import copy
import gc
import pickle
import threading
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import pyvirt
from pyvirt._core.lib import ffi, lib
from pyvirt.errors import ClosedError
from tests.support.any_stats import stats

URI = "test:///default"


# ---- identity ----


def test_handles_of_one_domain_are_equal(conn: pyvirt.Connection, domain: pyvirt.Domain) -> None:
    others = [*conn.domains, conn.domains.get(id=domain.id), conn.domains.get(uuid=domain.uuid)]
    assert all(other is not domain and other == domain and hash(other) == hash(domain) for other in others)
    assert len({domain, *others}) == 1
    assert domain in conn.domains


def test_handles_of_different_objects_differ(conn: pyvirt.Connection, domain: pyvirt.Domain) -> None:
    xml = domain.xml_desc().replace(str(domain.uuid), "6695eb01-f6a4-8304-79aa-97f2502e193e")
    another = conn.domains.define(xml.replace("<name>test<", "<name>another<"))
    assert another != domain
    assert domain != "test"
    assert domain != domain.uuid
    with pyvirt.connect(URI) as elsewhere:  # a separate host with a domain of that UUID
        assert elsewhere.domains["test"] != domain
        assert elsewhere.domains["test"].uuid == domain.uuid


def test_a_domain_keeps_its_hash_when_it_is_closed(domain: pyvirt.Domain) -> None:
    known = {domain: "known"}
    domain.close()
    assert known[domain] == "known"
    assert not domain != domain  # noqa: SIM202


def test_a_repr_names_the_object_and_never_fails(conn: pyvirt.Connection, domain: pyvirt.Domain) -> None:
    assert repr(conn) == "<pyvirt.Connection 'test:///default'>"
    assert repr(conn.domains) == "<pyvirt.Domains of <pyvirt.Connection 'test:///default'>>"
    assert repr(domain) == f"<pyvirt.Domain 'test' {domain.uuid}>"
    unknown = conn.domains.list()[0]
    conn.close()
    assert repr(domain) == f"<pyvirt.Domain 'test' {domain.uuid}>"
    assert repr(unknown) == "<pyvirt.Domain closed>"
    assert repr(conn) == "<pyvirt.Connection 'test:///default' closed>"


def test_an_unknown_attribute_raises(conn: pyvirt.Connection, domain: pyvirt.Domain) -> None:
    handles: list[Any] = [conn, domain]
    for handle in handles:
        for _ in ("open", "closed"):
            with pytest.raises(AttributeError, match=f"'{type(handle).__name__}' object has no attribute 'nothing'"):
                handle.nothing  # noqa: B018
            assert not hasattr(handle, "nothing")
            handle.close()
        with pytest.raises(AttributeError):
            handle.nothing = 1


@pytest.mark.parametrize("refused", [copy.copy, copy.deepcopy, pickle.dumps], ids=lambda call: call.__name__)
def test_handles_refuse_to_be_copied(
    refused: Callable[[object], object], conn: pyvirt.Connection, domain: pyvirt.Domain
) -> None:
    for handle in (conn, domain):
        for _ in ("open", "closed"):
            with pytest.raises(TypeError, match=f"{type(handle).__name__} objects belong to one process"):
                refused(handle)
            handle.close()


# ---- closing ----


def test_a_closed_domain_raises_closed_error(conn: pyvirt.Connection, domain: pyvirt.Domain) -> None:
    assert not domain.closed
    for _ in range(3):
        domain.close()
        assert domain.closed
        with pytest.raises(ClosedError, match="this Domain is closed"):
            domain.state()
    assert conn.domains["test"].state()


USES: dict[str, Callable[[pyvirt.Connection], object]] = {
    "alive": lambda conn: conn.alive(),
    "uri": lambda conn: conn.uri(),
    "type": lambda conn: conn.type(),
    "version": lambda conn: conn.version(),
    "lib_version": lambda conn: conn.lib_version(),
    "encrypted": lambda conn: conn.encrypted(),
    "secure": lambda conn: conn.secure(),
    "with": lambda conn: conn.__enter__(),
    "hostname": lambda conn: conn.host.hostname(),
    "len": lambda conn: len(conn.domains),
    "iteration": lambda conn: list(conn.domains),
    "name": lambda conn: conn.domains["test"],
    "in": lambda conn: "test" in conn.domains,
    "id": lambda conn: conn.domains.get(id=1),
    "uuid": lambda conn: conn.domains.get(uuid=bytes(16), default=None),
    "define": lambda conn: conn.domains.define("<domain/>"),
    "stats": lambda conn: conn.domains.stats(),
}


@pytest.mark.parametrize("use", USES)
def test_every_use_of_a_closed_connection_raises_closed_error(use: str) -> None:
    conn = pyvirt.connect(URI)
    conn.close()
    with pytest.raises(ClosedError, match=r"^the connection is closed$") as caught:
        USES[use](conn)
    assert caught.value.code == 0


DOMAIN_USES: dict[str, Callable[[pyvirt.Domain], object]] = {
    "state": lambda domain: domain.state(),
    "info": lambda domain: domain.info(),
    "name": lambda domain: domain.name,
    "uuid": lambda domain: domain.uuid,
    "id": lambda domain: domain.id,
    "hash": hash,
    "xml_desc": lambda domain: domain.xml_desc(),
    "start": lambda domain: domain.start(),
    "edit": lambda domain: domain.edit().__enter__(),
    "autostart": lambda domain: domain.autostart(),
    "wait_for": lambda domain: domain.wait_for(pyvirt.DomainState.SHUTOFF, timeout=60),
    "stats": lambda domain: domain.connection.domains.stats(domains=[domain]),
}


@pytest.mark.parametrize("use", DOMAIN_USES)
def test_a_domain_of_a_closed_connection_raises_closed_error(use: str) -> None:
    with pyvirt.connect(URI) as conn:
        domain = conn.domains["test"]
        listed = conn.domains.list()[0]
    for handle in (domain, listed):
        assert handle.closed
        with pytest.raises(ClosedError, match=r"^the connection is closed$"):
            DOMAIN_USES[use](handle)
        handle.close()


def test_closing_again_has_no_effect() -> None:
    with pyvirt.connect(URI) as conn:
        assert not conn.closed
        conn.close()
        assert conn.closed
        conn.close()
    conn.close()
    with pytest.raises(ClosedError), conn:
        pass


def test_a_block_closes_when_it_raises() -> None:
    with pytest.raises(KeyError), pyvirt.connect(URI) as conn:
        raise KeyError
    assert conn.closed


def test_a_pointer_received_after_the_close_is_freed() -> None:
    """Another thread closes between the call and the handle."""
    conn = pyvirt.connect(URI)
    pointers = [lib.virDomainLookupByName(conn._ptr, b"test") for _ in range(3)]
    assert all(pointers)
    conn.close()
    assert pyvirt.Domain(conn, pointers[0]).closed
    assert [handle.closed for handle in pyvirt.Domain._many(conn, pointers[1:])] == [True, True]
    assert [child for child in conn._children if child()] == []


def test_a_connection_forgets_freed_handles(conn: pyvirt.Connection) -> None:
    kept = conn.domains.list() * 1
    for _ in range(5000):
        conn.domains["test"]
        conn.domains.list()
    assert len(conn._children) < 1000
    many = [conn.domains["test"] for _ in range(5000)]
    assert {child() for child in conn._children} >= {*kept, *many}
    conn.close()
    assert all(handle.closed for handle in kept + many)


def test_a_freed_handle_leaves_nothing_behind(conn: pyvirt.Connection) -> None:
    domain = conn.domains["test"]
    gone = weakref.ref(domain)
    del domain
    assert gone() is None  # at once, without the garbage collector


def test_a_finaliser_may_close_a_connection_that_is_closing() -> None:
    conn = pyvirt.connect(URI)

    class Closer:
        """Is kept among the handles of a connection, as a frame of statistics is."""

        def close(self) -> None:
            conn.close()

        def _disown(self) -> None:
            raise NotImplementedError

    first, closer, last = conn.domains["test"], Closer(), conn.domains["test"]
    conn._children.insert(1, weakref.ref(closer))
    thread = threading.Thread(target=conn.close)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert first.closed
    assert last.closed


def test_a_finaliser_may_close_while_dead_handles_are_removed() -> None:
    conn = pyvirt.connect(URI)
    alive = [conn.domains["test"] for _ in range(10)]

    class Interrupted(list[Any]):
        """The list of handles, at the moment when the garbage collector runs a finaliser."""

        def __getitem__(self, index: Any) -> Any:
            conn.close()
            return super().__getitem__(index)

    conn._children = Interrupted(conn._children)
    conn._forget_dead()
    assert all(handle.closed for handle in alive)


# ---- unclosed connections ----


def abandon() -> weakref.ref[pyvirt.Connection]:
    return weakref.ref(pyvirt.connect(URI))


def abandon_in_a_cycle() -> weakref.ref[pyvirt.Connection]:
    conn = pyvirt.connect(URI)
    cycle: list[Any] = [conn, conn.domains.list(), stats(conn)]
    cycle.append(cycle)
    return weakref.ref(conn)


@pytest.mark.parametrize("forget", [abandon, abandon_in_a_cycle])
def test_an_unclosed_connection_warns(forget: Callable[[], weakref.ref[pyvirt.Connection]]) -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        gone = forget()
        gc.collect()
    assert [(warning.category, str(warning.message)) for warning in warned] == [
        (ResourceWarning, "unclosed <pyvirt.Connection 'test:///default'>")
    ]
    del warned
    assert gone() is None


def test_a_warning_turned_into_an_error_does_not_keep_the_connection_open() -> None:
    conn = pyvirt.connect(URI)
    domain = conn.domains["test"]
    with pytest.raises(ResourceWarning):  # as in all of these tests
        conn.__del__()
    assert conn.closed
    assert domain.closed


@pytest.mark.parametrize("how", ["close", "with"])
def test_a_closed_connection_does_not_warn(how: str, recwarn: pytest.WarningsRecorder) -> None:
    conn = pyvirt.connect(URI)
    domain = conn.domains["test"]
    if how == "close":
        conn.close()
    else:
        with conn:
            pass
    del conn, domain
    gc.collect()
    assert not recwarn.list


def test_a_failed_connection_does_not_warn(recwarn: pytest.WarningsRecorder) -> None:
    with pytest.raises(pyvirt.Error):
        pyvirt.connect("test:///nowhere/at/all.xml")
    empty = pyvirt.Connection.__new__(pyvirt.Connection)
    with pytest.raises((AttributeError, ClosedError)):
        empty.alive()
    del empty
    gc.collect()
    assert not recwarn.list


def test_a_reference_held_elsewhere_is_released_once(conn: pyvirt.Connection) -> None:
    """libvirt counts references: its own must be the last when all handles have been freed."""
    pointer = lib.virDomainLookupByName(conn._ptr, b"test")
    assert lib.virDomainRef(pointer) == 0
    handle = pyvirt.Domain(conn, pointer)
    handle.close()
    handle.close()
    del handle
    gc.collect()
    assert ffi.string(lib.virDomainGetName(pointer)) == b"test"  # this test still holds one
    lib.pv_release_domain(pointer)
