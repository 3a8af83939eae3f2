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
# The domains of the host: two are running, one is paused, one is inactive.
NAMES = {domain_name(number) for number in range(1, 5)}


@pytest.fixture
def conn(libvirt_test_uri: str) -> Iterator[pyvirt.Connection]:
    with pyvirt.connect(libvirt_test_uri) as conn:
        yield conn


# ---- one of them ----


def test_get_finds_a_domain_by_name(conn: pyvirt.Connection) -> None:
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
def test_get_finds_a_domain_by_uuid(conn: pyvirt.Connection, form: Any) -> None:
    assert conn.domains.get(uuid=form).name == FIRST


class Numbers(enum.IntEnum):
    FIRST = 1


class Number(int):
    pass


@pytest.mark.parametrize("number", [1, True, Numbers.FIRST, Number(1)], ids=repr)
def test_get_finds_a_domain_by_id(conn: pyvirt.Connection, number: int) -> None:
    assert conn.domains.get(id=number) == conn.domains[FIRST]
    assert conn.domains.get(id=number).id == 1


def test_every_lookup_returns_an_equal_handle(conn: pyvirt.Connection) -> None:
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
def test_lookup_of_a_missing_domain_raises_not_found(conn: pyvirt.Connection, what: dict[str, Any], named: str) -> None:
    with pytest.raises(DomainNotFoundError, match=named) as caught:
        conn.domains.get(**what)
    assert isinstance(caught.value, LookupError)
    for default in (None, 0, "", conn):
        assert conn.domains.get(**what, default=default) is default
    assert conn.domains.get(**what, default=DomainNotFoundError) is DomainNotFoundError


def test_a_default_replaces_only_a_missing_domain(conn: pyvirt.Connection) -> None:
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
def test_get_takes_exactly_one_key(conn: pyvirt.Connection, what: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="exactly one of name, uuid and id"):
        conn.domains.get(**what)


def test_an_inactive_domain_has_no_id(conn: pyvirt.Connection) -> None:
    off = conn.domains[domain_name(4)]
    with pytest.raises(TypeError, match="exactly one"):
        conn.domains.get(id=off.id)


# ---- all of them ----


def test_list_and_iteration_return_all_domains(conn: pyvirt.Connection) -> None:
    assert {domain.name for domain in conn.domains} == NAMES
    assert {domain.name for domain in conn.domains.list()} == NAMES
    assert len(conn.domains) == 4
    assert type(conn.domains.list()) is list


def test_a_host_without_domains_has_an_empty_collection(libvirt_host: HostFactory) -> None:
    with pyvirt.connect(libvirt_host(domains=0)) as conn:
        assert list(conn.domains) == []
        assert len(conn.domains) == 0
        assert FIRST not in conn.domains


def test_an_iteration_keeps_the_domains_of_its_start(conn: pyvirt.Connection) -> None:
    iteration = iter(conn.domains)
    conn.domains[FIRST].undefine()
    conn.domains[FIRST].destroy()
    assert (len(conn.domains), len(list(iteration))) == (3, 4)  # the iteration uses a list made at its beginning


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
def test_flags_filter_the_list(conn: pyvirt.Connection, flags: ConnectListAllDomainsFlags) -> None:
    conn.domains[domain_name(1)].set_autostart(True)
    conn.domains[domain_name(2)].undefine()
    assert {domain.name for domain in conn.domains.list(flags)} == FOUND[flags]
    assert {domain.name for domain in conn.domains.list(int(flags))} == FOUND[flags]  # type: ignore[arg-type]


@pytest.mark.parametrize("flags", FOUND, ids=repr)
def test_a_list_in_parts_equals_the_list(conn: pyvirt.Connection, flags: ConnectListAllDomainsFlags) -> None:
    """This is done when a list does not fit into one message."""
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


def test_the_in_operator_finds_names(conn: pyvirt.Connection) -> None:
    assert FIRST in conn.domains
    assert "nobody" not in conn.domains


def test_the_in_operator_finds_domains(conn: pyvirt.Connection, libvirt_test_uri: str) -> None:
    domain = conn.domains[FIRST]
    assert domain in conn.domains
    assert conn.domains.get(uuid=FIRST_UUID) in conn.domains
    with pyvirt.connect(libvirt_test_uri) as elsewhere:
        assert elsewhere.domains[FIRST] not in conn.domains  # a domain with that UUID exists, but on another connection
    domain.undefine()
    assert domain in conn.domains
    domain.destroy()
    assert domain not in conn.domains


def test_the_in_operator_finds_a_renamed_domain(conn: pyvirt.Connection) -> None:
    stale = conn.domains[domain_name(4)]
    assert stale.name == domain_name(4)
    conn.domains[domain_name(4)].rename("other")
    assert stale in conn.domains


def test_the_in_operator_looks_up_one_domain_only(libvirt_host: HostFactory) -> None:
    with pyvirt.connect(libvirt_host(domains=1000)) as conn:
        domain = conn.domains[FIRST]
        known = len(conn._children)
        assert domain in conn.domains
        assert len(conn._children) <= known + 1


def test_a_closed_domain_is_in_the_collection_if_its_uuid_is_known(conn: pyvirt.Connection) -> None:
    domain, unknown = conn.domains[FIRST], conn.domains[FIRST]
    assert domain.uuid == FIRST_UUID
    domain.close()
    unknown.close()
    assert domain in conn.domains
    with pytest.raises(ClosedError):
        assert unknown in conn.domains


@pytest.mark.parametrize("item", [None, 1, b"vm-00001", FIRST_UUID, object()], ids=repr)
def test_objects_of_other_types_are_not_in_the_collection(conn: pyvirt.Connection, item: object) -> None:
    assert item not in conn.domains


# ---- new ones ----


@pytest.mark.parametrize(
    ("call", "active"), [(pyvirt.domain.Domains.define, False), (pyvirt.domain.Domains.create, True)]
)
def test_define_and_create_return_the_new_domain(
    conn: pyvirt.Connection, call: Callable[[pyvirt.domain.Domains, str], pyvirt.Domain], active: bool
) -> None:
    new = call(conn.domains, domain_xml("new"))
    assert (new.name, new.is_active()) == ("new", active)
    assert new.uuid.version == 4  # libvirt chose it
    assert new in conn.domains
    assert conn.domains["new"] == new
    assert len(conn.domains) == 5


# ---- the documentation ----

PAGE = ROOT / "docs" / "domains.md"


@pytest.mark.parametrize("number", range(3))
def test_the_examples_in_docs_domains_run(number: int) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 3
    assert output_of(blocks[number])
