# SPDX-License-Identifier: LGPL-2.1-or-later
"""Collectors on hosts that answer: frames, several hosts, schedules and closing."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator

import polars
import pyarrow
import pytest

import pyvirt
from pyvirt import Collector, StatsGroup
from pyvirt._core.lib import ffi, lib
from pyvirt._core.params import to_dict
from pyvirt.collector import CollectedFrame, CollectedRow, Missing
from pyvirt.collector._one_by_one import records_of
from pyvirt.collector._requests import Link, Request
from pyvirt.collector._schedule import Schedule
from pyvirt.collector._threads import Threads
from pyvirt.enums import ConnectGetAllDomainStatsFlags, TypedParameterType
from pyvirt.stats.frame import StatsFrame
from pyvirt.testing.hosts import temporary_host
from tests.support.any_stats import one_by_one, stats
from tests.support.drivers import since
from tests.support.processes import output_of
from tests.support.records import ULLONG, Feed
from tests.support.resources import used_memory
from tests.support.xml import domain_xml


@pytest.fixture(scope="module")
def conn() -> Iterator[pyvirt.Connection]:
    with temporary_host(domains=200, running=0.5, paused=0.25) as uri, pyvirt.connect(uri) as conn:
        yield conn


@pytest.fixture(autouse=True)
def _no_thread_left() -> Iterator[None]:
    yield
    gc.collect()
    ends = time.monotonic() + 30
    while any(thread.name.startswith("pyvirt-collector") for thread in threading.enumerate()):
        assert time.monotonic() < ends, threading.enumerate()


# ---- a frame ----


@since("virConnectGetAllDomainStats")
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_tick_equals_bulk_statistics(conn: pyvirt.Connection, workers: int) -> None:
    expected = conn.domains.stats()
    with Collector(conn, workers=workers, deadline=30) as collector:
        for _ in range(3):
            frame = collector.collect()
            rows = dict(zip(frame.domains.uuids, frame.to_dicts(), strict=True))
            assert rows == dict(zip(expected.domains.uuids, expected.to_dicts(), strict=True))
            assert (frame.missing, frame.errors, frame.skipped) == ({}, {}, 0)
            assert frame.domains.hosts.tolist() == [0] * 200
            assert 0 < frame.duration < 30
    assert repr(frame) == "<CollectedFrame of 200 domains on 1 host, 400 fields>"


def test_columns_keep_their_ids_between_ticks(conn: pyvirt.Connection) -> None:
    with Collector(conn) as collector:
        before, now = collector.collect(), collector.collect()
        assert {id: column.name for id, column in now.columns.items()} == {
            id: column.name for id, column in before.columns.items()
        }
        assert now.rates(before).seconds > 0


def test_a_frame_outlives_collector_and_connection() -> None:
    with temporary_host(domains=3) as uri, pyvirt.connect(uri) as conn, Collector(conn) as collector:
        names = sorted(domain.name for domain in conn.domains)
        frame = collector.collect()
    assert sorted(frame.domains.names) == names


def test_one_frame_holds_several_hosts(conn: pyvirt.Connection) -> None:
    with (
        temporary_host(domains=5) as uri,
        pyvirt.connect(uri) as other,
        pyvirt.connect("test:///default") as third,
        Collector([conn, other, third], deadline=30) as collector,
    ):
        before = collector.collect()
        frame = collector.collect()
        assert frame.hosts == (conn.uri(), other.uri(), third.uri())
        found = list(zip(frame.domains.hosts, frame.domains.names, strict=True))
        # Domains of the generated hosts have equal names and UUIDs: only the host distinguishes them.
        expected = [(0, one.name) for one in conn.domains] + [(1, one.name) for one in other.domains] + [(2, "test")]
        assert sorted(found) == sorted(expected)
        assert len(frame) == len(frame.to_dicts()) == 206
        some = frame.select("vm-00001")
        assert len(some) == 2
        assert some.rates(before).seconds > 0


@pytest.fixture
def two_hosts(conn: pyvirt.Connection) -> Iterator[CollectedFrame]:
    """A frame of ``large`` and ``small``, whose domains have equal names and UUIDs, and of a host that is down."""
    with (
        temporary_host(domains=2, running=1.0) as uri,
        pyvirt.connect(uri) as small,
        pyvirt.connect("test:///default") as down,
        Collector({"large": conn, "small": small, "down": down}, deadline=30) as collector,
    ):
        down.close()
        yield collector.collect()


def test_a_frame_is_keyed_by_host(conn: pyvirt.Connection, two_hosts: CollectedFrame) -> None:
    frame = two_hosts
    assert frame.hosts == ("large", "small", "down")
    assert frame["small", "vm-00001"].host == "small"
    assert frame["large", frame["small", "vm-00001"].uuid].host == "large"
    assert frame["vm-00199"].host == "large"
    assert [row.host for row in frame].count("small") == 2
    assert ("small", "vm-00001") in frame
    assert "vm-00001" in frame
    assert ("small", "vm-00199") not in frame
    assert ("elsewhere", "vm-00001") not in frame
    for key in ("vm-00001", frame["small", "vm-00001"].uuid):
        with pytest.raises(KeyError, match=rf"{key}' is on 2 hosts: use one of \('large', '{key}'\)"):
            frame[key]
    with pytest.raises(KeyError, match="no domain 'vm-00199' on host 'small'"):
        frame["small", "vm-00199"]
    with pytest.raises(KeyError, match="no domain 'vm-99999' among the 202"):
        frame["vm-99999"]


def test_a_selection_keeps_errors_and_missing_domains_of_its_hosts(two_hosts: CollectedFrame) -> None:
    frame = two_hosts
    assert set(frame.errors) == {"down"}
    some = frame.select("vm-0000[12]", tables="domain")
    assert sorted(zip(some.domains.host_names, some.domains.names, strict=True)) == [
        (host, name) for host in ("large", "small") for name in ("vm-00001", "vm-00002")
    ]
    assert (set(some.tables), some.errors, some.duration) == ({"domain"}, frame.errors, frame.duration)
    small = frame.select(hosts="sm*")
    assert small["vm-00001"].host == "small"
    assert (len(small), small.errors, small.missing, small.hosts) == (2, {}, {}, frame.hosts)
    assert [dict(row) for row in small] == [dict(frame["small", name]) for name in small.domains.names]
    assert repr(small).startswith("<CollectedFrame of 2 domains on 1 host, ")
    down = frame.select(hosts=["down"])
    assert (len(down), set(down.errors)) == (0, {"down"})
    assert len(frame.select("vm-00001", hosts=["large", "down"])) == 1
    assert repr(small.select("vm-00001")["vm-00001"]).startswith("<CollectedRow 'vm-00001' {")


def test_a_function_may_select_by_row_and_host(two_hosts: CollectedFrame) -> None:
    def is_first_of_small(row: CollectedRow) -> bool:
        return (row.host, row.name) == ("small", "vm-00001")

    for choice in (two_hosts.select(is_first_of_small), two_hosts.select([is_first_of_small])):
        assert list(zip(choice.domains.host_names, choice.domains.names, strict=True)) == [("small", "vm-00001")]


def test_exports_contain_the_host(two_hosts: CollectedFrame) -> None:
    for frame in (two_hosts, two_hosts.select(hosts=["small", "down"]), two_hosts.select("vm-00001")):
        for name, table in frame.tables.items():
            expected = [frame.domains.host_names[domain] for domain in table.domain]
            assert frame.to_numpy()[name]["domain.host"].tolist() == expected
            arrow = pyarrow.table(table)
            arrow.validate(full=True)
            assert arrow.column_names[:2] == ["domain.host", "domain.name"]
            assert arrow["domain.host"].to_pylist() == expected
            assert polars.DataFrame(table)["domain.host"].to_list() == expected
            assert frame.to_pandas()[name]["domain.host"].tolist() == expected
            assert frame.to_arrow()[name].to_pandas()["domain.host"].tolist() == expected


def test_host_names_that_are_not_utf8_are_readable(conn: pyvirt.Connection) -> None:
    with (
        pyvirt.connect("test:///default") as other,
        Collector({"Grüße": conn, "\udce4": other}, deadline=30) as collector,
    ):
        frame = collector.collect()
    assert frame["\udce4", "test"].host == "\udce4"
    assert set(frame.to_arrow()["domain"]["domain.host"].to_pylist()) == {"Grüße", "?"}
    assert set(frame.to_pandas()["domain"]["domain.host"]) == {"Grüße", "?"}


def test_exported_hosts_give_their_memory_back(two_hosts: CollectedFrame) -> None:
    def export() -> None:
        for table in two_hosts.select(hosts="large").tables.values():
            pyarrow.table(table)

    for _ in range(5):
        export()
    before = used_memory()
    for _ in range(50):
        export()
    assert used_memory() - before < 64 * 1024


def test_hosts_of_one_name_are_told_apart() -> None:
    with pyvirt.connect("test:///default") as one, pyvirt.connect("test:///default") as two:
        with pytest.raises(ValueError, match="several connections to 'test:///default': give each of them a name"):
            Collector([one, two])
        with Collector({"one": one, "two": two}) as collector:
            assert sorted(collector.collect().domains.host_names) == ["one", "two"]


def test_rates_compare_a_domain_on_one_host_only(conn: pyvirt.Connection) -> None:
    """A domain in migration has its UUID on two hosts, whose counters must not be mixed."""
    feed, domain = Feed(), conn.domains.list()[0]

    def frame(*rows: tuple[int, int]) -> StatsFrame:
        made = feed.frame([(domain, [("cpu.time", ULLONG, value)]) for _, value in rows])
        assert lib.pv_frame_set_hosts(made._frame, [host for host, _ in rows], [0, 1, 2, 3], b"abc", 3) == 0
        return made

    before = frame((0, 100), (1, 1000))
    now = frame((1, 1010), (0, 150), (2, 5))
    rates = now.rates(before)
    grown = [None if rate is None else round(rate * rates.seconds) for rate in rates["domain"]["cpu.time"].to_list()]
    assert grown == [10, 50, None]


def test_rates_find_a_host_by_its_name(conn: pyvirt.Connection) -> None:
    """A new collector may have more hosts, also in front of the old ones."""
    feed, domain = Feed(), conn.domains.list()[0]

    def frame(hosts: str, *values: int) -> StatsFrame:
        made = feed.frame([(domain, [("cpu.time", ULLONG, value)]) for value in values])
        count = len(values)
        names = [*range(count + 1)], hosts.encode()
        assert lib.pv_frame_set_hosts(made._frame, [*range(count)], *names, count) == 0
        return made

    before = frame("ab", 100, 1000)
    rates = frame("cab", 3, 150, 1010).rates(before)
    grown = [None if rate is None else round(rate * rates.seconds) for rate in rates["domain"]["cpu.time"].to_list()]
    assert grown == [None, 50, 10]


def test_new_and_removed_domains_are_noticed(conn: pyvirt.Connection) -> None:
    with temporary_host(domains=2) as uri, pyvirt.connect(uri) as changing, Collector(changing) as collector:
        assert len(collector.collect()) == 2
        domain = changing.domains.create(domain_xml("passing"))
        assert "passing" in collector.collect().domains.names
        domain.destroy()
        assert "passing" not in collector.collect().domains.names


def test_a_host_without_domains_gives_an_empty_frame() -> None:
    with temporary_host(domains=0) as uri, pyvirt.connect(uri) as conn, Collector(conn) as collector:
        frame = collector.collect()
        assert (len(frame), frame.missing, frame.tables) == (0, {}, {})


def test_the_reason_of_a_missing_domain_prints_as_words() -> None:
    # Python 3.10 and later releases format a mix of str and Enum differently.
    assert f"{Missing.NOT_ASKED} {Missing.STUCK!s} " + str(Missing.LATE) == "not asked stuck late"


# ---- groups ----


def test_rates_without_any_domain_are_empty() -> None:
    with temporary_host(domains=1, running=0) as uri, pyvirt.connect(uri) as conn, Collector(conn) as collector:
        before, all_before = collector.collect(), stats(conn)
        next(iter(conn.domains)).undefine()
        now, all_now = collector.collect(), stats(conn)
        assert [*now.rates(before)] == [*all_now.rates(all_before)] == []
        assert [*collector.collect().rates(now)] == [*stats(conn, []).rates(all_now)] == []
        assert before.time < all_before.time < now.time < all_now.time


def test_only_the_requested_groups_are_collected(conn: pyvirt.Connection) -> None:
    with Collector(conn, groups=StatsGroup.STATE) as collector:
        frame = collector.collect()
        assert frame.groups == StatsGroup.STATE
        assert set(frame.tables["domain"]) == {"state.state", "state.reason"}


def test_an_unknown_group_raises_not_supported(conn: pyvirt.Connection) -> None:
    with Collector(conn, groups=StatsGroup(1 << 30)) as collector, pytest.raises(pyvirt.NotSupportedError):
        collector.collect()


def test_each_group_has_its_interval() -> None:
    fast, slow = StatsGroup.STATE | StatsGroup.CPU_TOTAL, StatsGroup.BLOCK
    schedule = Schedule({fast: 1.0, slow: 3.0}, None)
    ticks = [schedule.take(100.0 + second) for second in range(7)]
    assert ticks == [(fast | slow if second % 3 == 0 else fast, 0) for second in range(7)]


def test_a_tick_of_all_groups_includes_the_others() -> None:
    schedule = Schedule({StatsGroup.STATE: 1.0, StatsGroup.ALL: 2.0}, None)
    assert [schedule.take(float(second))[0] for second in range(3)] == [
        StatsGroup.ALL,
        StatsGroup.STATE,
        StatsGroup.ALL,
    ]


def test_an_early_tick_takes_the_group_with_the_shortest_interval() -> None:
    schedule = Schedule({StatsGroup.STATE: 1.0, StatsGroup.BLOCK: 5.0}, None)
    schedule.take(0.0)
    assert schedule.take(0.25) == (StatsGroup.STATE, 0)
    assert schedule.next_time(0.25) == 1.0


def test_late_ticks_are_counted_and_not_repeated() -> None:
    schedule = Schedule(StatsGroup.ALL, 1.0)
    assert schedule.take(10.0) == (StatsGroup.ALL, 0)
    assert schedule.next_time(13.7) == 11.0
    assert schedule.take(13.7) == (StatsGroup.ALL, 2)  # the ticks of 11 and 12; this one is that of 13
    assert schedule.next_time(13.7) == 14.0


def test_the_schedule_does_not_drift() -> None:
    schedule = Schedule(StatsGroup.ALL, 0.1)
    for tick in range(10_000):
        assert schedule.take(schedule.next_time(5.0) + 0.03) == (StatsGroup.ALL, 0), tick
        # The first tick begins at once; the others at their scheduled time.
    assert schedule.next_time(0.0) == pytest.approx(5.03 + 10_000 * 0.1, abs=1e-6)


# ---- many ticks ----


def test_iterating_goes_on_until_it_is_closed(conn: pyvirt.Connection) -> None:
    frames = []
    with Collector(conn, groups=StatsGroup.STATE, interval=0.01) as collector:
        for frame in collector:
            frames.append(frame)
            if len(frames) == 3:
                break
        frames += [next(collector) for _ in range(2)]  # it continues where it was
        assert collector.ticks == 5
        assert collector.skipped == sum(frame.skipped for frame in frames)
    assert [frame.time for frame in frames] == sorted(frame.time for frame in frames)
    with pytest.raises(StopIteration):
        next(collector)


def test_closing_ends_an_iteration_that_waits(conn: pyvirt.Connection) -> None:
    collector = Collector(conn, interval=1000)
    next(collector)
    ended = threading.Event()

    def wait() -> None:
        assert list(collector) == []
        ended.set()

    thread = threading.Thread(target=wait)
    thread.start()
    collector.close()
    assert ended.wait(30)
    thread.join()


def test_iterating_without_an_interval_raises(conn: pyvirt.Connection) -> None:
    with Collector(conn) as collector, pytest.raises(ValueError, match="interval"):
        iter(collector)


# ---- errors ----


@pytest.mark.parametrize(
    ("error", "options"),
    [
        (ValueError, {"deadline": 0}),
        (ValueError, {"deadline": float("nan")}),
        (ValueError, {"workers": 0}),
        (ValueError, {"workers": 5}),
        (ValueError, {"interval": -1}),
        (ValueError, {"groups": {}}),
        (ValueError, {"groups": {StatsGroup.STATE: 0}}),
        (TypeError, {"groups": {StatsGroup.STATE: 1}, "interval": 1}),
        (ValueError, {"groups": {StatsGroup.STATE: 1, StatsGroup.BLOCK: float("inf")}}),
    ],
    ids=str,
)
def test_invalid_arguments_are_refused(
    conn: pyvirt.Connection, error: type[Exception], options: dict[str, object]
) -> None:
    with pytest.raises(error):
        Collector(conn, **options)  # type: ignore[arg-type]


def test_anything_but_connections_is_refused(conn: pyvirt.Connection) -> None:
    with pytest.raises(ValueError, match="no connection"):
        Collector([])
    with pytest.raises(TypeError):
        Collector([conn, "test:///default"])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="the names of hosts must be str, not int"):
        Collector({1: conn})  # type: ignore[arg-type]


def test_a_second_tick_at_the_same_time_is_refused(conn: pyvirt.Connection) -> None:
    with Collector(conn) as collector, collector._busy, pytest.raises(RuntimeError, match="middle of a tick"):
        collector.collect()


# ---- ends ----


def test_a_closed_collector_raises_closed_error(conn: pyvirt.Connection) -> None:
    collector = Collector(conn)
    collector.collect()
    collector.close()
    collector.close()
    with pytest.raises(pyvirt.ClosedError):
        collector.collect()
    assert not conn.closed
    assert "closed" in repr(collector)


def test_a_closed_connection_is_an_error_of_its_host(conn: pyvirt.Connection) -> None:
    with temporary_host(domains=2) as uri:
        one = pyvirt.connect(uri)
        with Collector(one) as collector:
            collector.collect()
            one.close()
            with pytest.raises(pyvirt.ClosedError):
                collector.collect()
        one = pyvirt.connect(uri)
        with Collector([one, conn]) as collector:
            collector.collect()
            one.close()
            frame = collector.collect()
            assert set(frame.domains.hosts) == {1}
            assert len(frame) == 200
            assert isinstance(frame.errors[frame.hosts[0]], pyvirt.ClosedError)


def test_an_unclosed_collector_warns(conn: pyvirt.Connection) -> None:
    forgotten = [Collector(conn)]
    forgotten[0].collect()
    with pytest.warns(ResourceWarning, match="unclosed <Collector of 1 hosts>"):
        forgotten.clear()


def test_a_forked_child_cannot_use_a_collector() -> None:
    assert (
        output_of(
            """
import os, pyvirt, warnings
warnings.filterwarnings("ignore", ".*multi-threaded")  # newer Pythons say so: the collector has threads
with pyvirt.connect("test:///default") as conn, pyvirt.Collector(conn) as collector:
    collector.collect()
    read, write = os.pipe()
    if os.fork() == 0:
        try:
            collector.collect()
        except pyvirt.ClosedError as error:
            os.write(write, str(error).encode())
        os._exit(0)
    os.wait()
    print(os.read(read, 1000).decode())
    print(len(collector.collect()))
""",
            strict=False,
        )
        == "the collector was made before fork() and belongs to the parent process\n1\n"
    )


def test_threads_are_as_many_as_there_are_jobs() -> None:
    threads = Threads("pyvirt-collector")
    release = threading.Event()
    started = threading.Semaphore(0)

    def hang() -> None:
        started.release()
        release.wait()

    for _ in range(5):
        threads.run(hang)
    for _ in range(5):
        assert started.acquire(timeout=30)
    threads.close(0.01)  # they hang, and are abandoned
    release.set()


def test_threads_may_be_closed_from_one_of_them() -> None:
    # As happens when Python garbage-collects a collector in that thread.
    threads = Threads("pyvirt-collector")
    failed: list[BaseException | None] = []
    done = threading.Event()

    def close() -> None:
        try:
            threads.close(30)
            failed.append(None)
        except RuntimeError as error:
            failed.append(error)
        done.set()

    threads.run(close)
    assert done.wait(30)
    assert failed == [None]


def test_a_failure_to_start_a_thread_is_raised_and_not_fatal(
    conn: pyvirt.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with Collector(conn, deadline=60) as collector:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            with pytest.raises(RuntimeError, match="new thread"):
                collector.collect()
        assert len(collector.collect()) == 200


def test_an_infinite_deadline_is_accepted(conn: pyvirt.Connection) -> None:
    with Collector(conn, deadline=float("inf")) as collector:
        assert len(collector.collect()) == 200


def test_no_wake_up_is_planned_where_progress_cannot_be_seen(conn: pyvirt.Connection) -> None:
    with Collector(conn, deadline=60) as collector:
        (host,) = collector._hosts
        flags = ConnectGetAllDomainStatsFlags(0)
        host.begin_tick(1, StatsGroup.STATE, flags, 60)
        request = Request(1, Link(conn), list(conn.domains)[:2], StatsGroup.STATE, flags, one_by_one=False)
        host._calls.requests.append(request)
        assert host.next_wakeup() == request.probe_at
        host._learned.can_probe = False  # as LXC's driver reports it
        assert host.next_wakeup() == float("inf")
        host._calls.requests.clear()


# ---- drivers without bulk statistics ----


@since("virConnectGetAllDomainStats")
def test_statistics_one_by_one_have_the_names_and_types_of_bulk_ones(conn: pyvirt.Connection) -> None:
    made, bulk = one_by_one(conn, conn.domains.list()), conn.domains.stats()
    assert len(made) == 200
    expected = dict(zip(bulk.domains.uuids, bulk.to_dicts(), strict=True))
    for uuid, row in zip(made.domains.uuids, made.to_dicts(), strict=True):
        assert expected[uuid].items() <= row.items()


def test_one_by_one_statistics_contain_the_common_fields(conn: pyvirt.Connection) -> None:
    made = one_by_one(conn, conn.domains.list())
    running = made.domains.names.index("vm-00001")
    row = made.to_dicts()[running]
    assert {
        "cpu.time",
        "balloon.current",
        "vcpu.current",
        "net.count",
        "net.0.rx.bytes",
        "block.0.rd.reqs",
    } <= row.keys()
    assert made.tables["net"]["rx.bytes"].type is TypedParameterType.ULLONG


def test_an_unknown_group_raises_one_by_one_too() -> None:
    with pytest.raises(pyvirt.NotSupportedError, match="groups 0x10000000"):
        records_of([], StatsGroup.STATE | StatsGroup(1 << 28))


def test_one_by_one_skips_removed_domains_and_other_groups() -> None:
    with temporary_host(domains=3) as uri, pyvirt.connect(uri) as conn:
        domains = conn.domains.list()
        domains[1].destroy()
        domains[1].undefine()
        records, count = records_of(domains, StatsGroup.STATE)
        try:
            assert count == 2
            assert {*to_dict(records[0].params, records[0].nparams)} == {"state.state", "state.reason"}
            assert records[2] == ffi.NULL
        finally:
            lib.virDomainStatsRecordListFree(records)


def test_selected_records_of_an_answer_are_kept(conn: pyvirt.Connection) -> None:
    domains = conn.domains.list()[:5]
    records, count = records_of(domains, StatsGroup.STATE)
    wanted = domains[1]._identity() + domains[4]._identity()
    kept = lib.pv_records_keep(records, count, wanted, 2)
    names = [ffi.string(lib.virDomainGetName(records[at].dom)).decode() for at in range(kept)]
    assert names == [domains[1].name, domains[4].name]
    assert lib.pv_records_keep(records, kept, b"", 0) == 0
    lib.virDomainStatsRecordListFree(records)
