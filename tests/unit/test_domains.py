# SPDX-License-Identifier: LGPL-2.1-or-later
"""``conn.domains``: finding and listing them, in libvirt's test driver."""

from __future__ import annotations

import enum
import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import pyvirt
from pyvirt.enums import ConnectListAllDomainsFlags
from pyvirt.errors import ClosedError, DomainNotFoundError, InvalidArgumentError
from pyvirt.testing.hosts import domain_name, object_uuid
from pyvirt.testing.pytest_plugin import HostFactory
from tests.support import ROOT
from tests.support.processes import output_of
from tests.support.xml import domain_xml

Flags = ConnectListAllDomainsFlags
FIRST = domain_name(1)
FIRST_UUID = object_uuid(FIRST)
# What the host has: two run, one is paused, one is off.
NAMES = {domain_name(number) for number in range(1, 5)}


@pytest.fixture
def conn(libvirt_test_uri: str) -> Iterator[pyvirt.Connection]:
    with pyvirt.connect(libvirt_test_uri) as conn:
        yield conn


# ---- one of them ----


def test_by_name(conn: pyvirt.Connection) -> None:
    for domain in (conn.domains[FIRST], conn.domains.get(FIRST), conn.domains.get(name=FIRST)):
        assert isinstance(domain, pyvirt.Domain)
        assert (domain.name, domain.uuid) == (FIRST, FIRST_UUID)


@pytest.mark.parametrize(
    "form",
    [
        FIRST_UUID,
        str(FIRST_UUID),
        str(FIRST_UUID).upper(),
        FIRST_UUID.hex,
        "{" + str(FIRST_UUID) + "}",
        FIRST_UUID.urn,
        FIRST_UUID.bytes,
        bytearray(FIRST_UUID.bytes),
    ],
    ids=repr,
)
def test_by_uuid(conn: pyvirt.Connection, form: Any) -> None:
    assert conn.domains.get(uuid=form).name == FIRST


class Numbers(enum.IntEnum):
    FIRST = 1


class Number(int):
    pass


@pytest.mark.parametrize("number", [1, True, Numbers.FIRST, Number(1)], ids=repr)
def test_by_id(conn: pyvirt.Connection, number: int) -> None:
    assert conn.domains.get(id=number) == conn.domains[FIRST]
    assert conn.domains.get(id=number).id == 1


def test_however_it_is_found_it_is_the_same(conn: pyvirt.Connection) -> None:
    found = [
        conn.domains[FIRST],
        conn.domains.get(uuid=FIRST_UUID),
        conn.domains.get(id=1),
        *(domain for domain in conn.domains if domain.name == FIRST),
    ]
    assert len(found) == 4
    assert len(set(found)) == 1
    assert dict.fromkeys(conn.domains).keys() >= set(found)


@pytest.mark.parametrize(
    ("what", "named"),
    [
        ({"name": "nobody"}, "'nobody'"),
        ({"name": "größer"}, "'größer'"),
        ({"uuid": uuid.UUID(int=5)}, "00000000-0000-0000-0000-000000000005"),
        ({"uuid": uuid.UUID(int=5).bytes}, "00000000-0000-0000-0000-000000000005"),
        ({"id": 77}, "77"),
    ],
)
def test_what_is_not_there(conn: pyvirt.Connection, what: dict[str, Any], named: str) -> None:
    with pytest.raises(DomainNotFoundError, match=named) as caught:
        conn.domains.get(**what)
    assert isinstance(caught.value, LookupError)
    for default in (None, 0, "", conn):
        assert conn.domains.get(**what, default=default) is default
    assert conn.domains.get(**what, default=DomainNotFoundError) is DomainNotFoundError


def test_a_default_hides_nothing_else(conn: pyvirt.Connection) -> None:
    with pytest.raises(InvalidArgumentError):
        conn.domains.get(uuid="no uuid", default=None)
    with pytest.raises(TypeError):
        conn.domains.get(default=None)
    assert conn.domains.get(FIRST, default=None) == conn.domains[FIRST]
    conn.close()
    with pytest.raises(ClosedError):
        conn.domains.get(FIRST, default=None)


@pytest.mark.parametrize(
    "what", [{}, {"name": FIRST, "id": 1}, {"name": FIRST, "uuid": FIRST_UUID}, {"uuid": FIRST_UUID, "id": 1}], ids=repr
)
def test_one_way_at_a_time(conn: pyvirt.Connection, what: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="exactly one of name, uuid and id"):
        conn.domains.get(**what)


def test_the_id_of_a_domain_that_is_off(conn: pyvirt.Connection) -> None:
    off = conn.domains[domain_name(4)]
    with pytest.raises(TypeError, match="exactly one"):
        conn.domains.get(id=off.id)


# ---- all of them ----


def test_all_domains(conn: pyvirt.Connection) -> None:
    assert {domain.name for domain in conn.domains} == NAMES
    assert {domain.name for domain in conn.domains.list()} == NAMES
    assert len(conn.domains) == 4
    assert type(conn.domains.list()) is list


def test_a_host_without_domains(libvirt_host: HostFactory) -> None:
    with pyvirt.connect(libvirt_host(domains=0)) as conn:
        assert list(conn.domains) == []
        assert len(conn.domains) == 0
        assert FIRST not in conn.domains


def test_what_comes_and_goes_is_seen(conn: pyvirt.Connection) -> None:
    iteration = iter(conn.domains)
    conn.domains[FIRST].undefine()
    conn.domains[FIRST].destroy()
    assert (len(conn.domains), len(list(iteration))) == (3, 4)  # a list was made when the iteration began


FOUND = {
    Flags(0): NAMES,
    Flags.ACTIVE: {domain_name(1), domain_name(2), domain_name(3)},
    Flags.INACTIVE: {domain_name(4)},
    Flags.RUNNING: {domain_name(1), domain_name(2)},
    Flags.PAUSED: {domain_name(3)},
    Flags.SHUTOFF: {domain_name(4)},
    Flags.OTHER: set[str](),
    Flags.RUNNING | Flags.PAUSED: {domain_name(1), domain_name(2), domain_name(3)},
    Flags.PERSISTENT: NAMES - {domain_name(2)},
    Flags.TRANSIENT: {domain_name(2)},
    Flags.TRANSIENT | Flags.PERSISTENT: NAMES,
    Flags.TRANSIENT | Flags.PAUSED: set[str](),
    Flags.PERSISTENT | Flags.RUNNING: {domain_name(1)},
    Flags.AUTOSTART: {domain_name(1)},
    Flags.NO_AUTOSTART: NAMES - {domain_name(1)},
    Flags.MANAGEDSAVE: set[str](),
    Flags.NO_SNAPSHOT: NAMES,
}


@pytest.mark.parametrize("flags", FOUND, ids=repr)
def test_some_domains(conn: pyvirt.Connection, flags: ConnectListAllDomainsFlags) -> None:
    conn.domains[domain_name(1)].set_autostart(True)
    conn.domains[domain_name(2)].undefine()
    assert {domain.name for domain in conn.domains.list(flags)} == FOUND[flags]
    assert {domain.name for domain in conn.domains.list(int(flags))} == FOUND[flags]  # type: ignore[arg-type]


@pytest.mark.parametrize("flags", FOUND, ids=repr)
def test_a_list_in_parts_is_the_list(conn: pyvirt.Connection, flags: ConnectListAllDomainsFlags) -> None:
    """As it is done when a list does not fit into one message."""
    conn.domains[domain_name(1)].set_autostart(True)
    conn.domains[domain_name(2)].undefine()
    whole = conn.domains.list(flags)
    for group in pyvirt.domain.collection._PARTS:
        chosen = [flag for flag in group if flags & flag] or group
        others = flags & ~sum(group)
        parts = [domain for flag in chosen for domain in conn.domains.list(others | flag)]
        assert len(parts) == len(whole)
        assert set(parts) == set(whole)


# ---- in ----


def test_names_that_are_in(conn: pyvirt.Connection) -> None:
    assert FIRST in conn.domains
    assert "nobody" not in conn.domains


def test_domains_that_are_in(conn: pyvirt.Connection, libvirt_test_uri: str) -> None:
    domain = conn.domains[FIRST]
    assert domain in conn.domains
    assert conn.domains.get(uuid=FIRST_UUID) in conn.domains
    with pyvirt.connect(libvirt_test_uri) as elsewhere:
        assert elsewhere.domains[FIRST] not in conn.domains  # one of that UUID is there, but it is another one
    domain.undefine()
    assert domain in conn.domains
    domain.destroy()
    assert domain not in conn.domains


def test_a_domain_that_was_renamed_is_in(conn: pyvirt.Connection) -> None:
    stale = conn.domains[domain_name(4)]
    assert stale.name == domain_name(4)
    conn.domains[domain_name(4)].rename("other")
    assert stale in conn.domains


def test_in_asks_for_one_domain_only(libvirt_host: HostFactory) -> None:
    with pyvirt.connect(libvirt_host(domains=1000)) as conn:
        domain = conn.domains[FIRST]
        known = len(conn._children)
        assert domain in conn.domains
        assert len(conn._children) <= known + 1


def test_closed_domains_are_in_if_they_are_known(conn: pyvirt.Connection) -> None:
    domain, unknown = conn.domains[FIRST], conn.domains[FIRST]
    assert domain.uuid == FIRST_UUID
    domain.close()
    unknown.close()
    assert domain in conn.domains
    with pytest.raises(ClosedError):
        assert unknown in conn.domains


@pytest.mark.parametrize("item", [None, 1, b"vm-00001", FIRST_UUID, object()], ids=repr)
def test_other_things_are_not_in(conn: pyvirt.Connection, item: object) -> None:
    assert item not in conn.domains


# ---- new ones ----


@pytest.mark.parametrize(
    ("call", "active"), [(pyvirt.domain.Domains.define, False), (pyvirt.domain.Domains.create, True)]
)
def test_a_new_domain(
    conn: pyvirt.Connection, call: Callable[[pyvirt.domain.Domains, str], pyvirt.Domain], active: bool
) -> None:
    new = call(conn.domains, domain_xml("new"))
    assert (new.name, new.is_active()) == ("new", active)
    assert new.uuid.version == 4  # libvirt gave it one
    assert new in conn.domains
    assert conn.domains["new"] == new
    assert len(conn.domains) == 5


# ---- what the documentation says ----

PAGE = ROOT / "docs" / "domains.md"


@pytest.mark.parametrize("number", range(3))
def test_the_code_on_the_page_runs(number: int) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 3
    assert output_of(blocks[number])
