# SPDX-License-Identifier: LGPL-2.1-or-later
"""Statistics as columns, compared with libvirt's own records and with records that no available driver makes."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pyvirt
from pyvirt import Domain, StatsGroup
from pyvirt._core.lib import ffi, lib
from pyvirt._core.params import to_dict
from pyvirt.testing.hosts import temporary_host
from tests.support.any_stats import stats
from tests.support.drivers import since
from tests.support.processes import output_of
from tests.support.records import (
    BOOLEAN,
    DOUBLE,
    INT,
    LLONG,
    STRING,
    UINT,
    ULLONG,
    Feed,
    Field,
    record_fields,
)
from tests.support.resources import used_memory

if TYPE_CHECKING:
    from pyvirt._core.params import TypedValue


@pytest.fixture(scope="module")
def conn() -> Iterator[pyvirt.Connection]:
    with temporary_host(domains=20, running=0.5, paused=0.25) as uri, pyvirt.connect(uri) as conn:
        yield conn


@pytest.fixture(scope="module")
def domains(conn: pyvirt.Connection) -> list[Domain]:
    return conn.domains.list()


def plain_call(conn: pyvirt.Connection, groups: int = 0) -> dict[bytes, dict[str, TypedValue]]:
    """Return the fields from virConnectGetAllDomainStats, by UUID."""
    records = ffi.new("virDomainStatsRecordPtr **")
    count = lib.virConnectGetAllDomainStats(conn._ptr, groups, records, 0)
    assert count >= 0
    try:
        found: dict[bytes, dict[str, TypedValue]] = {}
        for record in ffi.unpack(records[0], count):
            uuid = ffi.new("unsigned char[16]")
            lib.virDomainGetUUID(record.dom, uuid)
            found[bytes(uuid)] = dict(to_dict(record.params, record.nparams))
        return found
    finally:
        lib.virDomainStatsRecordListFree(records[0])


# ---- from the driver ----


@since("virConnectGetAllDomainStats")
def test_every_field_of_every_domain_is_kept(conn: pyvirt.Connection) -> None:
    frame = conn.domains.stats()
    expected = plain_call(conn)
    assert len(frame) == len(expected) == 20
    got = dict(zip((uuid.bytes for uuid in frame.domains.uuids), frame.to_dicts(), strict=True))
    assert got == expected
    assert frame.fields == sum(map(len, expected.values())) > 0


def test_domains_have_the_names_of_their_handles(conn: pyvirt.Connection) -> None:
    frame = stats(conn)
    handles = {domain.uuid: domain for domain in conn.domains}
    assert len(frame.domains.names) == len(handles)
    for name, uuid, id in zip(frame.domains.names, frame.domains.uuids, frame.domains.ids, strict=True):
        assert (name, None if id == -1 else id) == (handles[uuid].name, handles[uuid].id)
    assert -1 in frame.domains.ids


@since("virDomainListGetStats")
def test_only_the_requested_domains_are_in_the_frame(conn: pyvirt.Connection, domains: list[Domain]) -> None:
    frame = conn.domains.stats(domains=domains[3:6])
    assert sorted(frame.domains.names) == sorted(domain.name for domain in domains[3:6])
    assert len(conn.domains.stats(domains=[])) == 0
    assert conn.domains.stats(domains=[]).to_dicts() == []
    assert conn.domains.stats(domains=[]).tables == {}


@since("virConnectGetAllDomainStats")
def test_filters_of_the_listing_apply(conn: pyvirt.Connection) -> None:
    frame = conn.domains.stats(flags=pyvirt.ConnectGetAllDomainStatsFlags.INACTIVE)
    assert frame.domains.ids.tolist() == [-1] * 5


@since("virConnectGetAllDomainStats")
def test_an_unknown_group_is_refused(conn: pyvirt.Connection) -> None:
    with pytest.raises(pyvirt.NotSupportedError, match="0x10000000"):
        conn.domains.stats(StatsGroup(1 << 28))


@since("virDomainListGetStats")
def test_domains_of_another_connection_are_refused(conn: pyvirt.Connection, domains: list[Domain]) -> None:
    with pyvirt.connect("test:///default") as other, pytest.raises(pyvirt.InvalidArgumentError):
        other.domains.stats(domains=[*domains[:1], *other.domains])


def test_a_closed_connection_raises_closed_error() -> None:
    with pyvirt.connect("test:///default") as conn:
        frame = stats(conn)
    with pytest.raises(pyvirt.ClosedError):
        conn.domains.stats()
    assert frame.to_dicts()[0]["state.state"] == pyvirt.DomainState.RUNNING  # a frame needs no connection


def test_ids_of_columns_stay_between_ticks(conn: pyvirt.Connection) -> None:
    first, second = stats(conn), stats(conn)
    ids = {name: column.id for name, column in first.tables["domain"].items()}
    assert ids
    assert ids == {name: column.id for name, column in second.tables["domain"].items()}


def test_a_view_outlives_its_frame(conn: pyvirt.Connection) -> None:
    frame = stats(conn)
    expected = frame.tables["domain"]["state.state"].values.tolist()
    gone = weakref.ref(frame)
    values = frame.tables["domain"]["state.state"].values
    ids = frame.domains.ids
    expected_ids = ids.tolist()
    del frame
    gc.collect()
    assert gone() is None
    for _ in range(20):  # would reuse the memory if it were freed
        stats(conn)
    assert values.tolist() == expected
    assert ids.tolist() == expected_ids
    assert values.readonly


# ---- records of every shape ----


def test_numbers_in_names_are_rows(domains: list[Domain]) -> None:
    fields: list[Field] = [
        ("state.state", INT, 1),
        ("vcpu.current", UINT, 3),
        ("vcpu.0.time", ULLONG, 10),
        ("vcpu.0.halted", BOOLEAN, 1),
        ("vcpu.2.time", ULLONG, 12),
        ("net.0.name", STRING, "vnet0"),
        ("cpu.cache.monitor.1.name", STRING, "m1"),
        ("cpu.cache.monitor.1.bank.0.bytes", ULLONG, 77),
        ("cpu.cache.monitor.1.bank.3.bytes", ULLONG, 78),
    ]
    frame = Feed().frame([(domains[0], fields)])
    assert {name: table.rows for name, table in frame.tables.items()} == {
        "domain": 1,
        "vcpu": 2,
        "net": 1,
        "cpu.cache.monitor": 1,
        "cpu.cache.monitor.bank": 2,
    }
    vcpu = frame.tables["vcpu"]
    assert [index.tolist() for index in vcpu.index] == [[0, 2]]
    assert vcpu["time"].to_list() == [10, 12]
    assert vcpu["halted"].to_list() == [True, None]
    assert vcpu["halted"].valid is not None
    assert vcpu["halted"].present == 1
    bank = frame.tables["cpu.cache.monitor.bank"]
    assert [index.tolist() for index in bank.index] == [[1, 1], [0, 3]]
    assert frame.to_dicts() == [{name: value for name, _, value in fields}]
    for table in frame.tables.values():
        for name, column in table.items():
            for row, value in enumerate(column.to_list()):
                if value is not None:
                    assert (table.field_name(name, row), column.type, value) in fields


def test_integers_keep_every_bit(domains: list[Domain]) -> None:
    fields: list[Field] = [
        ("a", ULLONG, 2**64 - 1),
        ("b", LLONG, -(2**63)),
        ("c", UINT, 2**32 - 1),
        ("d", INT, -(2**31)),
        ("e", DOUBLE, 0.1),
        ("f", BOOLEAN, 0),
    ]
    frame = Feed().frame([(domains[0], fields)])
    assert frame.to_dicts() == [{"a": 2**64 - 1, "b": -(2**63), "c": 2**32 - 1, "d": -(2**31), "e": 0.1, "f": False}]
    assert [type(value) for value in frame.to_dicts()[0].values()] == [int, int, int, int, float, bool]
    assert {c.name: c.values.format for c in frame.tables["domain"].values()} == {
        "a": "Q", "b": "q", "c": "I", "d": "i", "e": "d", "f": "?",
    }  # fmt: skip


def test_an_absent_value_is_not_zero(domains: list[Domain]) -> None:
    records: list[tuple[Domain, list[Field]]] = [
        (domains[0], [("cpu.time", ULLONG, 5), ("name", STRING, "a")]),
        (domains[1], []),
        (domains[2], [("name", STRING, "ccc")]),
        (domains[3], [("cpu.time", ULLONG, 0)]),
        (domains[4], []),
    ]
    frame = Feed().frame(records)
    assert frame.tables["domain"]["cpu.time"].to_list() == [5, None, None, 0, None]
    assert frame.tables["domain"]["name"].to_list() == ["a", None, "ccc", None, None]
    assert frame.to_dicts() == [{n: v for n, _, v in fields} for _, fields in records]


def test_a_name_of_two_types_is_two_columns(domains: list[Domain]) -> None:
    records: list[tuple[Domain, list[Field]]] = [(domains[0], [("x", INT, 1)]), (domains[1], [("x", STRING, "one")])]
    frame = Feed().frame(records)
    assert {name: column.to_list() for name, column in frame.tables["domain"].items()} == {
        "x": [1, None],
        "x:string": [None, "one"],
    }
    assert frame.to_dicts() == [{"x": 1}, {"x": "one"}]


def test_the_last_of_two_values_with_one_name_is_kept(domains: list[Domain]) -> None:
    twice: list[Field] = [("s", STRING, "first"), ("n", INT, 1), ("s", STRING, "2"), ("n", INT, 2), ("t", STRING, "t")]
    frame = Feed().frame([(domains[0], twice), (domains[1], [("s", STRING, "other")])])
    assert frame.to_dicts() == [{"s": "2", "n": 2, "t": "t"}, {"s": "other"}]
    assert frame.tables["domain"]["s"].to_list() == ["2", "other"]


@pytest.mark.parametrize(
    "name",
    ["", ".", "a.", ".1", "1", "1.a", "a.01.b", "a.1", "a.*.b", "a.4294967296.b", "a..b", "é.1.ü", "a.1.1", "x" * 79],
)
def test_odd_names_are_kept(domains: list[Domain], name: str) -> None:
    # Besides names that a careless parser would confuse with it.
    others = ["a.1.b", "a.1.c", ".a.1.b", "a.*.1.b", "a.1.*.b", "b"]
    fields: list[Field] = [(other, INT, number) for number, other in enumerate([*others, name])]
    frame = Feed().frame([(domains[0], fields)])
    assert frame.to_dicts() == [{field: value for field, _, value in fields}]


def test_parts_of_a_host_make_one_frame(domains: list[Domain]) -> None:
    shape = [("cpu.time", ULLONG, 1), ("net.0.rx.bytes", ULLONG, 2), ("net.1.rx.bytes", ULLONG, 3)]
    parts = [[(domain, shape)] for domain in domains[:7]]
    frame = Feed().frame(*parts)
    assert frame.domains.names == [domain.name for domain in domains[:7]]
    assert frame.tables["net"].domain.tolist() == [row // 2 for row in range(14)]


def test_text_beyond_ascii_is_kept(domains: list[Domain]) -> None:
    texts = ["Grüße", "", "日本", "\udcff", "plain"]
    frame = Feed().frame([(domain, [("t", STRING, text)]) for domain, text in zip(domains, texts, strict=False)])
    assert frame.tables["domain"]["t"].to_list() == texts
    assert [row["t"] for row in frame.to_dicts()] == texts


@settings(max_examples=400, deadline=None)
@given(ticks=st.lists(st.lists(record_fields, max_size=6), min_size=1, max_size=4))
def test_any_records_are_returned_unchanged(
    domains: list[Domain], ticks: list[list[list[tuple[str, tuple[int, object]]]]]
) -> None:
    feed = Feed()
    for records in ticks:
        frame = feed.frame(
            [
                (domain, [(name, kind, value) for name, (kind, value) in fields])
                for domain, fields in zip(domains, records, strict=False)
            ]
        )
        assert frame.to_dicts() == [{name: value for name, (_, value) in fields} for fields in records]
        # The columns contain the same values.
        found: list[dict[str, object]] = [{} for _ in records]
        for table in frame.tables.values():
            for name, column in table.items():
                for row, value in enumerate(column.to_list()):
                    if value is not None:
                        found[table.domain[row]].setdefault(table.field_name(name, row), value)
        assert [set(row) for row in found] == [{name for name, _ in fields} for fields in records]


# ---- rates ----


def rates_of(frame: pyvirt.StatsFrame, before: pyvirt.StatsFrame, table: str, column: str) -> list[float | None]:
    """Return the growth, not per second: the values of the test."""
    rates = frame.rates(before)
    return [None if rate is None else round(rate * rates.seconds, 6) for rate in rates[table][column].to_list()]


def test_rates_find_domains_by_uuid_and_devices_by_name(domains: list[Domain]) -> None:
    feed = Feed()

    def net(index: int, name: str, rx: int) -> list[Field]:
        return [(f"net.{index}.name", STRING, name), (f"net.{index}.rx.bytes", ULLONG, rx)]

    before = feed.frame(
        [
            (domains[0], [("cpu.time", ULLONG, 100), *net(0, "vnet0", 10), *net(1, "vnet1", 20)]),
            (domains[1], [("cpu.time", ULLONG, 2**64 - 10)]),
            (domains[2], [("cpu.time", ULLONG, 7)]),
        ]
    )
    now = feed.frame(
        [
            (domains[3], [("cpu.time", ULLONG, 50)]),  # new
            (domains[2], [("cpu.time", ULLONG, 3)]),  # restarted
            (domains[1], [("cpu.time", ULLONG, 2**64 - 1)]),
            (domains[0], [("cpu.time", ULLONG, 160), *net(0, "vnet1", 25), *net(1, "vnet2", 1)]),  # vnet0 was removed
        ]
    )
    assert rates_of(now, before, "domain", "cpu.time") == [None, None, 9, 60]
    assert rates_of(now, before, "net", "rx.bytes") == [5, None]
    rates = now.rates(before)
    assert rates["domain"]["cpu.time"].valid.tolist() == [0b1100]
    assert rates["domain"]["cpu.time"].values.format == "d"
    assert rates["domain"]["cpu.time"].present == 2


def test_rates_find_vcpus_by_their_number(domains: list[Domain]) -> None:
    feed = Feed()
    before = feed.frame([(domains[0], [("vcpu.0.time", ULLONG, 1), ("vcpu.2.time", ULLONG, 5)])])
    now = feed.frame([(domains[0], [("vcpu.1.time", ULLONG, 9), ("vcpu.2.time", ULLONG, 8)])])
    assert rates_of(now, before, "vcpu", "time") == [None, 3]


def test_rates_use_the_time_at_which_each_domain_was_read(domains: list[Domain]) -> None:
    feed = Feed()
    slow, fast = domains[:2]
    # The slow domain arrives last in the second frame, and would distort the rate of the other one.
    before = feed.frame([(slow, [("cpu.time", ULLONG, 0)])], [(fast, [("cpu.time", ULLONG, 0)])])
    now = feed.frame([(fast, [("cpu.time", ULLONG, 10**9)])], [(slow, [("cpu.time", ULLONG, 10**9)])])
    rates = now.rates(before)
    of_fast, of_slow = rates["domain"]["cpu.time"].values
    assert of_fast > 10**9 / rates.seconds > of_slow
    assert now.select(fast).rates(before.select(fast))["domain"]["cpu.time"].to_list() == [of_fast]


def test_a_domain_started_anew_has_no_rates() -> None:
    with temporary_host(domains=2, running=1.0) as uri, pyvirt.connect(uri) as conn:
        feed, (same, again) = Feed(), conn.domains.list()
        before = feed.frame([(same, [("cpu.time", ULLONG, 10)]), (again, [("cpu.time", ULLONG, 10)])])
        assert len(before.domains.ids) == 2
        again.destroy()
        again.start()
        # Its counter is nevertheless higher than before.
        now = feed.frame([(same, [("cpu.time", ULLONG, 15)]), (again, [("cpu.time", ULLONG, 500)])])
        assert rates_of(now, before, "domain", "cpu.time") == [5, None]


def test_rates_match_frames_of_different_connections(domains: list[Domain]) -> None:
    before = Feed().frame([(domains[0], [("other", INT, 1), ("net.0.name", STRING, "a"), ("cpu.time", ULLONG, 10)])])
    now = Feed().frame([(domains[0], [("cpu.time", ULLONG, 11)])])
    assert rates_of(now, before, "domain", "cpu.time") == [1]


def test_gauges_have_no_rate(domains: list[Domain]) -> None:
    feed = Feed()
    fields = [("state.state", INT, 1), ("balloon.current", ULLONG, 4096), ("cpu.time", ULLONG, 1)]
    rates = feed.frame([(domains[0], fields)])
    assert {name: list(table) for name, table in feed.frame([(domains[0], fields)]).rates(rates).items()} == {
        "domain": ["cpu.time"]
    }


def test_rates_need_an_older_frame(conn: pyvirt.Connection) -> None:
    first = stats(conn)
    second = stats(conn)
    with pytest.raises(ValueError, match="older"):
        first.rates(second)


# ---- memory ----


def test_frames_give_their_memory_back(domains: list[Domain]) -> None:
    """After many frames the C library counts as many bytes in use as after one."""
    feed = Feed()
    shape: list[Field] = [(f"vcpu.{i}.time", ULLONG, i) for i in range(50)] + [("block.0.path", STRING, "/x" * 50)]
    records = [(domain, shape) for domain in domains]

    def make() -> None:
        frame = feed.frame(records)
        frame.to_dicts()
        for table in frame.tables.values():
            for column in table.values():
                column.to_list()

    for _ in range(20):
        make()
    before = used_memory()
    for _ in range(200):
        make()
    assert used_memory() - before < 64 * 1024


def test_the_heap_does_not_grow_between_ticks() -> None:
    """glibc returns the end of the heap to the system, and each tick of a small host would fault it in again.

    An engine prevents that.
    """
    program = """
        import ctypes
        from pyvirt.stats.engine import new_schema
        libc = ctypes.CDLL(None)
        libc.malloc.restype = ctypes.c_void_p
        libc.free.argtypes = [ctypes.c_void_p]
        libc.sbrk.restype = ctypes.c_ssize_t
        blocks = [0] * 1500

        def given_back():
            for at in range(len(blocks)):
                blocks[at] = libc.malloc(4096)
            end = libc.sbrk(0)
            for block in blocks:
                libc.free(block)
            return end - libc.sbrk(0)

        print(given_back() > 0)
        schema = new_schema()
        print(given_back())
    """
    assert output_of(dedent(program)).split() == ["True", "0"]
