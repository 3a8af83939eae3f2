# SPDX-License-Identifier: LGPL-2.1-or-later
"""Checkpoints of the domains of libvirt's test driver, which only keeps a list; tests/guests has real ones."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

import pyvirt
from pyvirt.domain import Domain
from pyvirt.domain.checkpoints import Checkpoint, Checkpoints
from pyvirt.enums import (
    DomainCheckpointCreateFlags,
    DomainCheckpointDeleteFlags,
    DomainCheckpointListFlags,
    DomainCheckpointXMLFlags,
)
from pyvirt.errors import (
    AccessDeniedError,
    ClosedError,
    DomainCheckpointNotFoundError,
    InvalidArgumentError,
    OperationFailedError,
    XMLError,
)
from pyvirt.xmldesc import parse

List, Create, Delete, XML = (
    DomainCheckpointListFlags,
    DomainCheckpointCreateFlags,
    DomainCheckpointDeleteFlags,
    DomainCheckpointXMLFlags,
)

Call = Callable[[Checkpoints], object]


@pytest.fixture
def checkpoints(domain: Domain) -> Checkpoints:
    return Checkpoints(domain)


@pytest.fixture
def chain(checkpoints: Checkpoints) -> Checkpoints:
    for name in ("first", "second", "third"):
        checkpoints.create(name=name)
    return checkpoints


def names(found: list[Checkpoint]) -> list[str]:
    return sorted(checkpoint.name for checkpoint in found)


def test_the_collection_lists_and_finds_checkpoints(chain: Checkpoints, domain: Domain) -> None:
    assert names(chain.list()) == names(list(chain)) == ["first", "second", "third"]
    assert len(chain) == 3
    assert chain.domain is domain
    assert "second" in chain
    assert "nobody" not in chain
    assert chain["second"] in chain
    assert chain.get("second") == chain["second"]
    assert chain.get("nobody", default=chain["first"]) == chain["first"]
    with pytest.raises(DomainCheckpointNotFoundError, match="'nobody'") as caught:
        chain["nobody"]
    assert caught.value.function == "virDomainCheckpointLookupByName"


def test_roots_leaves_parents_and_children_are_found(chain: Checkpoints) -> None:
    first, second, third = (chain[name] for name in ("first", "second", "third"))
    assert chain.roots() == [first]
    assert chain.leaves() == [third]
    assert [one.name for one in chain.list(List.TOPOLOGICAL)] == ["first", "second", "third"]
    assert (first.parent(), second.parent(), third.parent()) == (None, first, second)
    assert (first.children(), third.children()) == ([second], [])
    assert names(first.children(flags=List.DESCENDANTS)) == ["second", "third"]


def test_delete_removes_one_or_its_children(chain: Checkpoints) -> None:
    third = chain["third"]
    chain["second"].delete()
    assert third.parent() == chain["first"]
    chain["first"].delete(flags=Delete.CHILDREN_ONLY)
    assert names(chain.list()) == ["first"]
    chain["first"].delete(flags=Delete.CHILDREN)
    assert len(chain) == 0
    calls: list[Callable[[], object]] = [third.parent, third.children, third.xml_desc, third.delete]
    for call in calls:
        with pytest.raises(DomainCheckpointNotFoundError, match="'third'"):
            call()


def test_create_accepts_a_name_and_a_description(checkpoints: Checkpoints) -> None:
    made = checkpoints.create(name="a_b", description="<nothing>")
    root = parse(made.xml_desc())
    assert (root.findtext("name"), root.findtext("description")) == ("a_b", "<nothing>")
    assert root.findtext("domain/name") == "test"
    assert parse(made.xml_desc(flags=XML.NO_DOMAIN)).find("domain") is None
    assert checkpoints.create().name.isdigit()  # the time


def test_create_accepts_a_document(checkpoints: Checkpoints) -> None:
    xml = "<domaincheckpoint><name>some</name><disks><disk name='vda' checkpoint='no'/></disks></domaincheckpoint>"
    disk = parse(checkpoints.create(xml).xml_desc()).find("disks/disk")
    assert disk is not None
    assert disk.get("checkpoint") == "no"


def test_a_chain_is_redefined_from_its_documents(chain: Checkpoints) -> None:
    documents = [one.xml_desc() for one in chain.list(List.TOPOLOGICAL)]
    chain["first"].delete(flags=Delete.CHILDREN | Delete.METADATA_ONLY)
    assert len(chain) == 0
    for document in documents:
        chain.create(document, flags=Create.REDEFINE)
    assert chain["third"].parent() == chain["second"]


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (XMLError, lambda checkpoints: checkpoints.create("no XML")),
        (XMLError, lambda checkpoints: checkpoints.create("<domainsnapshot/>")),
        (XMLError, lambda checkpoints: checkpoints.create("<domaincheckpoint/>", flags=Create.REDEFINE)),
        (InvalidArgumentError, lambda checkpoints: checkpoints.create(name="a\0b")),
        (InvalidArgumentError, lambda checkpoints: checkpoints.create(flags=Create(1 << 30))),
        (InvalidArgumentError, lambda checkpoints: checkpoints.create(flags=Create.REDEFINE | Create.QUIESCE)),
        (OperationFailedError, lambda checkpoints: checkpoints.create(name="there")),
        (InvalidArgumentError, lambda checkpoints: checkpoints.list(List(1 << 30))),
        (InvalidArgumentError, lambda checkpoints: checkpoints["\ud800"]),
        (InvalidArgumentError, lambda checkpoints: checkpoints["there"].delete(flags=Delete(1 << 30))),
        (TypeError, lambda checkpoints: checkpoints.create("<domaincheckpoint/>", description="twice")),
        (TypeError, lambda checkpoints: checkpoints.create(name=b"there")),
        (TypeError, lambda checkpoints: checkpoints[0]),
    ],
)  # fmt: skip
def test_bad_input_changes_nothing(checkpoints: Checkpoints, error: type[Exception], call: Call) -> None:
    checkpoints.create(name="there")
    with pytest.raises(error):
        call(checkpoints)
    assert names(checkpoints.list()) == ["there"]


def test_a_read_only_connection_refuses_to_create() -> None:
    with pyvirt.connect("test:///default", readonly=True) as conn:
        checkpoints = Checkpoints(conn.domains["test"])
        assert len(checkpoints) == 0
        with pytest.raises(AccessDeniedError) as caught:
            checkpoints.create()
        assert caught.value.function == "virDomainCheckpointCreateXML"


def test_handles_compare_by_name_and_domain(chain: Checkpoints, domain: Domain) -> None:
    again = Checkpoints(domain.connection.domains["test"])
    assert len({chain["first"], again["first"], again["third"]}) == 2
    assert chain["first"].domain == domain
    assert chain["first"].connection is domain.connection
    assert repr(chain["first"]) == f"<pyvirt.Checkpoint 'first' of {domain!r}>"
    assert repr(chain) == f"<pyvirt.Checkpoints of {domain!r}>"
    with pytest.raises(AttributeError):
        chain["first"].typo = 1  # type: ignore[attr-defined]


def test_closed_handles_raise_closed_error(chain: Checkpoints, domain: Domain) -> None:
    first, second = chain["first"], chain["second"]
    second.close()
    with pytest.raises(ClosedError, match="this Checkpoint is closed"):
        second.xml_desc()
    assert repr(second) == "<pyvirt.Checkpoint closed>"
    domain.connection.close()
    calls: list[Callable[[], object]] = [chain.list, chain.roots, chain.create, first.parent, first.children]
    calls += [first.xml_desc, first.delete, lambda: len(chain)]
    for call in calls:
        with pytest.raises(ClosedError):
            call()


def test_docstrings_name_the_c_function() -> None:
    for cls in (Checkpoint, Checkpoints):
        for name, member in vars(cls).items():
            if not name.startswith("_"):
                assert re.search(r"\(virDomain\w*Checkpoint\w*\)", member.__doc__ or ""), name
