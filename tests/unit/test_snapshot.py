# SPDX-License-Identifier: LGPL-2.1-or-later
"""Snapshots of the domains of libvirt's test driver, which only keeps a tree; tests/guests has real ones."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable

import pytest

import pyvirt
from pyvirt.domain import Domain
from pyvirt.domain.snapshots import Snapshot, Snapshots
from pyvirt.enums import (
    DomainSnapshotCreateFlags,
    DomainSnapshotDeleteFlags,
    DomainSnapshotListFlags,
    DomainSnapshotRevertFlags,
    DomainState,
    DomainUndefineFlags,
)
from pyvirt.errors import (
    AccessDeniedError,
    ClosedError,
    DomainNotFoundError,
    DomainSnapshotNotFoundError,
    InvalidArgumentError,
    OperationFailedError,
    OperationInvalidError,
    XMLError,
)
from pyvirt.xmldesc import parse

List, Create, Delete, Revert = (
    DomainSnapshotListFlags,
    DomainSnapshotCreateFlags,
    DomainSnapshotDeleteFlags,
    DomainSnapshotRevertFlags,
)

Call = Callable[[Snapshots], object]


@pytest.fixture
def snapshots(domain: Domain) -> Snapshots:
    return Snapshots(domain)


@pytest.fixture
def tree(snapshots: Snapshots) -> Snapshots:
    """A tree: left and right follow first, and last follows right."""
    first = snapshots.create(name="first")
    snapshots.create(name="left")
    first.revert()
    snapshots.create(name="right")
    snapshots.create(name="last")
    return snapshots


def names(found: list[Snapshot]) -> list[str]:
    return sorted(snapshot.name for snapshot in found)


# ---- the collection ----


def test_the_collection_lists_and_finds_snapshots(tree: Snapshots, domain: Domain) -> None:
    assert names(tree.list()) == names(list(tree)) == sorted(tree.names()) == ["first", "last", "left", "right"]
    assert len(tree) == 4
    assert tree.domain is domain
    assert "left" in tree
    assert "nobody" not in tree
    assert tree["left"] in tree
    assert tree["left"].name == tree.get("left").name == "left"
    assert 5 not in tree


def test_a_domain_without_snapshots_has_an_empty_collection(snapshots: Snapshots) -> None:
    assert snapshots.list() == snapshots.names() == snapshots.roots() == snapshots.leaves() == []
    assert len(snapshots) == 0
    assert not snapshots.has_current()
    assert snapshots.current() is None


def test_flags_filter_the_list(tree: Snapshots) -> None:
    assert names(tree.roots()) == tree.names(List.ROOTS) == ["first"]
    assert names(tree.leaves()) == sorted(tree.names(List.LEAVES)) == ["last", "left"]
    assert names(tree.list(List.NO_LEAVES)) == ["first", "right"]
    order = [snapshot.name for snapshot in tree.list(List.TOPOLOGICAL)]
    assert order[0] == "first"
    assert order.index("right") < order.index("last")
    assert tree.list(List.NO_METADATA) == tree.list(List.INACTIVE) == []
    assert tree["first"].has_metadata()


def test_lookup_of_a_missing_snapshot_raises_not_found(tree: Snapshots) -> None:
    default = object()
    assert tree.get("nobody", default=default) is default
    assert tree.get("left", default=default) == tree["left"]
    for look_up in (tree.get, tree.__getitem__):
        with pytest.raises(DomainSnapshotNotFoundError, match="'nobody'") as caught:
            look_up("nobody")
        assert caught.value.function == "virDomainSnapshotLookupByName"


# ---- the tree ----


def test_parents_and_children_are_found(tree: Snapshots) -> None:
    first, last = tree["first"], tree["last"]
    assert last.parent() == tree["right"]
    assert tree["left"].parent() == first
    assert first.parent() is None
    assert names(first.children()) == sorted(first.children_names()) == ["left", "right"]
    everybody = ["last", "left", "right"]
    assert names(first.children(flags=List.DESCENDANTS)) == everybody
    assert sorted(first.children_names(flags=List.DESCENDANTS)) == everybody
    assert last.children() == last.children_names() == []


def test_the_current_snapshot_changes_with_revert(tree: Snapshots) -> None:
    assert tree.has_current()
    assert tree.current() == tree["last"]
    assert tree["last"].is_current()
    assert not tree["first"].is_current()
    tree["first"].revert()
    assert tree.current() == tree["first"]


def test_revert_restores_the_state(tree: Snapshots, domain: Domain) -> None:
    tree["first"].revert(flags=Revert.PAUSED)
    assert domain.state().state is DomainState.PAUSED
    domain.destroy()
    tree["first"].revert()
    assert domain.state().state is DomainState.RUNNING
    with pytest.raises(InvalidArgumentError, match="mutually exclusive"):
        tree["first"].revert(flags=Revert.PAUSED | Revert.RUNNING)


def test_delete_removes_one_or_its_children(tree: Snapshots) -> None:
    last = tree["last"]
    tree["right"].delete()
    assert last.parent() == tree["first"]
    tree["first"].delete(flags=Delete.CHILDREN_ONLY)
    assert tree.names() == ["first"]
    tree["first"].delete(flags=Delete.CHILDREN)
    assert len(tree) == 0
    calls: list[Callable[[], object]] = [last.parent, last.xml_desc, last.is_current, last.has_metadata, last.delete]
    calls += [last.children, last.children_names, last.revert]
    for call in calls:
        with pytest.raises(DomainSnapshotNotFoundError, match="'last'"):
            call()
    assert last.name == "last"


# ---- creating snapshots ----


def test_create_accepts_a_name_and_a_description(snapshots: Snapshots) -> None:
    root = parse(snapshots.create(name="<a> & 'b'", description='Tom & "Jerry"').xml_desc())
    assert (root.findtext("name"), root.findtext("description")) == ("<a> & 'b'", 'Tom & "Jerry"')
    assert root.findtext("domain/name") == "test"
    assert snapshots["<a> & 'b'"].is_current()


def test_libvirt_chooses_a_name_where_none_is_given(snapshots: Snapshots) -> None:
    assert snapshots.create(description="of no name").name.isdigit()  # the time
    snapshots.current().delete()  # type: ignore[union-attr]
    assert snapshots.create().name.isdigit()


def test_create_accepts_a_document(snapshots: Snapshots, domain: Domain) -> None:
    xml = "<domainsnapshot><name>off</name><memory snapshot='no'/></domainsnapshot>"
    running = snapshots.create(name="on")
    assert snapshots.list(List.ACTIVE) == snapshots.list(List.INTERNAL) == [running]
    domain.destroy()
    stopped = snapshots.create(xml)
    assert snapshots.list(List.INACTIVE) == [stopped]
    assert snapshots.list(List.EXTERNAL) == snapshots.list(List.DISK_ONLY) == []


def test_a_tree_is_redefined_from_its_documents(tree: Snapshots) -> None:
    documents = [snapshot.xml_desc() for snapshot in tree.list(List.TOPOLOGICAL)]
    tree["first"].delete(flags=Delete.CHILDREN)
    assert len(tree) == 0
    for document in documents:
        tree.create(document, flags=Create.REDEFINE | Create.CURRENT)
    assert tree["last"].parent() == tree["right"]
    assert tree["last"].xml_desc() in documents


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (XMLError, lambda snapshots: snapshots.create("no XML")),
        (XMLError, lambda snapshots: snapshots.create("")),
        (XMLError, lambda snapshots: snapshots.create("<domain/>")),
        (XMLError, lambda snapshots: snapshots.create(name="\1")),
        (XMLError, lambda snapshots: snapshots.create("<domainsnapshot/>", flags=Create.REDEFINE)),
        (InvalidArgumentError, lambda snapshots: snapshots.create("<domainsnapshot>\0")),
        (InvalidArgumentError, lambda snapshots: snapshots.create(name="a\0b")),
        (InvalidArgumentError, lambda snapshots: snapshots.create(description="\ud800")),
        (InvalidArgumentError, lambda snapshots: snapshots.create(flags=Create(1 << 30))),
        (OperationFailedError, lambda snapshots: snapshots.create(name="there")),
        (InvalidArgumentError, lambda snapshots: snapshots.list(List(1 << 30))),
        (InvalidArgumentError, lambda snapshots: snapshots.names(List(1 << 30))),
        (InvalidArgumentError, lambda snapshots: snapshots["\ud800"]),
        (DomainSnapshotNotFoundError, lambda snapshots: snapshots[""]),
        (DomainSnapshotNotFoundError, lambda snapshots: snapshots["n" * 10_000]),
        (InvalidArgumentError, lambda snapshots: snapshots["there"].delete(flags=Delete(1 << 30))),
        (InvalidArgumentError, lambda snapshots: snapshots["there"].delete(flags=Delete.CHILDREN_ONLY | 1)),
        (TypeError, lambda snapshots: snapshots.create(["<domainsnapshot/>"])),
        (TypeError, lambda snapshots: snapshots.create(name=5)),
        (TypeError, lambda snapshots: snapshots.create("<domainsnapshot/>", name="two names")),
        (TypeError, lambda snapshots: snapshots.get(5)),
        (TypeError, lambda snapshots: snapshots.list("roots")),
    ],
)  # fmt: skip
def test_bad_input_changes_nothing(snapshots: Snapshots, error: type[Exception], call: Call) -> None:
    snapshots.create(name="there")
    with pytest.raises(error):
        call(snapshots)
    assert snapshots.names() == ["there"]


def test_snapshots_of_a_removed_domain_raise_not_found(tree: Snapshots, domain: Domain) -> None:
    left = tree["left"]
    domain.destroy()
    with pytest.raises(OperationInvalidError, match="4 snapshots"):
        domain.undefine()
    domain.undefine(flags=DomainUndefineFlags.SNAPSHOTS_METADATA)
    calls: list[Callable[[], object]] = [tree.list, tree.names, tree.current, tree.has_current, tree.create]
    calls += [lambda: len(tree), lambda: tree["left"], left.xml_desc, left.parent]
    for call in calls:
        with pytest.raises(DomainNotFoundError):
            call()
    assert left.domain.name == "test"


def test_a_read_only_connection_refuses_to_create() -> None:
    with pyvirt.connect("test:///default", readonly=True) as conn:
        snapshots = Snapshots(conn.domains["test"])
        assert len(snapshots) == 0
        with pytest.raises(AccessDeniedError) as caught:
            snapshots.create()
        assert caught.value.function == "virDomainSnapshotCreateXML"


# ---- handles ----


def test_handles_compare_by_name_and_domain(tree: Snapshots, domain: Domain) -> None:
    again = Snapshots(domain.connection.domains.get(uuid=domain.uuid))
    assert tree["left"] == again["left"]
    assert len({tree["left"], again["left"], tree["right"]}) == 2
    assert tree["left"].domain == domain
    assert tree["left"].connection is domain.connection
    other = Snapshots(domain.connection.domains.create(domain.xml_desc().replace("test</name>", "two</name>")
                      .replace(str(domain.uuid), "00000000-0000-0000-0000-000000000077")))  # fmt: skip
    assert other.create(name="left") != tree["left"]


def test_reprs_never_fail(domain: Domain) -> None:
    snapshots = Snapshots(domain)
    one, other = snapshots.create(name="one"), snapshots.create(name="other")
    assert repr(one) == f"<pyvirt.Snapshot 'one' of {domain!r}>"
    assert repr(snapshots) == f"<pyvirt.Snapshots of {domain!r}>"
    domain.connection.close()
    assert (repr(one), repr(other)) == ("<pyvirt.Snapshot closed>", "<pyvirt.Snapshot closed>")
    assert repr(snapshots).startswith("<pyvirt.Snapshots of")


def test_closed_handles_raise_closed_error(tree: Snapshots, domain: Domain) -> None:
    left, right = tree["left"], tree["right"]
    right.close()
    with pytest.raises(ClosedError, match="this Snapshot is closed"):
        right.xml_desc()
    domain.connection.close()
    assert left.closed
    calls: list[Callable[[], object]] = [tree.list, tree.names, tree.current, tree.create, left.revert, left.delete]
    calls += [left.children, left.children_names, left.parent, lambda: left.domain]
    for call in calls:
        with pytest.raises(ClosedError):
            call()


def test_a_snapshot_keeps_its_domain_alive() -> None:
    with pyvirt.connect("test:///default") as conn:
        snapshot = Snapshots(conn.domains["test"]).create(name="alone")
        gc.collect()
        assert snapshot.domain.name == "test"
        assert snapshot.is_current()


def test_assigning_an_unknown_attribute_raises(snapshots: Snapshots) -> None:
    with pytest.raises(AttributeError):
        snapshots.create().typo = 1  # type: ignore[attr-defined]


def test_docstrings_name_the_c_function() -> None:
    for cls in (Snapshot, Snapshots):
        for name, member in vars(cls).items():
            if not name.startswith("_"):
                assert re.search(r"\(virDomain\w*Snapshot\w*(, virDomain\w*Snapshot\w*)*\)", member.__doc__ or ""), name
