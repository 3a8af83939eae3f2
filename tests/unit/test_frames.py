# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a frame offers besides its columns: rows, selections, exports and units."""

from __future__ import annotations

import copy
import gc
import glob
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import numpy
import pandas
import polars
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pyvirt
from pyvirt import Domain, DomainState, StatsFrame
from pyvirt.enums import VcpuState
from pyvirt.stats import UNITS, Unit, unit_of
from pyvirt.testing.hosts import temporary_host
from tests.support import ROOT
from tests.support.any_stats import stats
from tests.support.api_facts import macros
from tests.support.records import BOOLEAN, DOUBLE, INT, STRING, UINT, ULLONG, Feed, Field, record_fields
from tests.support.resources import used_memory

DOCUMENT = ROOT / "docs" / "statistics.md"


@pytest.fixture(scope="module")
def conn() -> Iterator[pyvirt.Connection]:
    with temporary_host(domains=20, running=0.5, paused=0.25) as uri, pyvirt.connect(uri) as conn:
        yield conn


@pytest.fixture(scope="module")
def domains(conn: pyvirt.Connection) -> list[Domain]:
    return sorted(conn.domains, key=lambda domain: domain.name)


def guest(number: int) -> list[Field]:
    """Return the fields of a domain with *number* disks, without some values that others have."""
    fields: list[Field] = [("state.state", INT, 1 + number % 2), ("cpu.time", ULLONG, 2**64 - 1 - number)]
    if number != 1:
        fields.append(("balloon.rss", ULLONG, 100 + number))
    for disk in range(number):
        fields += [
            (f"block.{disk}.name", STRING, f"vd{'abc'[disk]}"),
            (f"block.{disk}.rd.bytes", ULLONG, 1000 * number + disk),
        ]
        if disk == 1:
            fields.append((f"block.{disk}.path", STRING, "/Grüße"))
    fields += [("vcpu.0.time", ULLONG, number), ("vcpu.3.time", ULLONG, 5), ("vcpu.3.halted", BOOLEAN, number % 2)]
    fields += [("vcpu.3.state", INT, 1), ("block.count", UINT, number), ("load.x", DOUBLE, number / 4)]
    fields.append((f"cpu.cache.monitor.{number}.bank.1.bytes", ULLONG, 64))
    return fields


@pytest.fixture
def frame(domains: list[Domain]) -> StatsFrame:
    return Feed().frame([(domain, guest(number)) for number, domain in enumerate(domains[:4])])


def dicts(*numbers: int) -> list[dict[str, object]]:
    return [{name: value for name, _, value in guest(number)} for number in numbers]


# ---- rows ----


def test_rows_offer_fields_as_attributes_and_items(frame: StatsFrame, domains: list[Domain]) -> None:
    row = frame[domains[2].name]
    assert row.block["vdb"].rd_bytes == 2001
    assert row["block"]["vdb"]["rd.bytes"] == 2001
    assert row.block[1].path == "/Grüße"
    assert row.vcpu[3].time == 5
    assert row.cpu_time == row["cpu.time"] == 2**64 - 3
    assert row.state is row.state_state is DomainState(1)
    assert row.vcpu[3].state is VcpuState(1)
    assert row.cpu_cache_monitor_bank[2, 1].bytes == 64
    assert (row.name, row.uuid, row.id) == (domains[2].name, domains[2].uuid, domains[2].id)
    assert frame[domains[2].uuid].cpu_time == row.cpu_time


def test_a_row_contains_only_fields_with_a_value(frame: StatsFrame, domains: list[Domain]) -> None:
    row = frame[domains[1].name]
    assert "balloon.rss" not in row
    assert row.get("balloon.rss") is None
    assert len(row) == len(list(row)) == 4
    assert dict(row.vcpu[0]) == {"time": 1}
    assert list(row.block) == ["vda"]
    assert list(frame[domains[0].name].block) == []
    assert list(row.vcpu) == [0, 3]
    assert [len(one.block) for one in frame] == [0, 1, 2, 3]


def test_an_unknown_field_raises_and_names_the_known_ones(frame: StatsFrame, domains: list[Domain]) -> None:
    row = frame[domains[1].name]
    with pytest.raises(AttributeError, match=rf"domain '{domains[1].name}' has no 'balloon_rss'; it has .*cpu_time"):
        row.balloon_rss  # noqa: B018
    with pytest.raises(AttributeError, match=r"this row of 'vcpu' has no 'halted'; it has time"):
        row.vcpu[0].halted  # noqa: B018
    with pytest.raises(KeyError, match="no block 'vdb' in this row; it has 'vda'"):
        row.block["vdb"]
    with pytest.raises(KeyError, match="no vcpu 1 in this row; it has 0, 3"):
        row.vcpu[1]
    with pytest.raises(KeyError, match="no domain 'nobody' among the 4"):
        frame["nobody"]
    assert "nobody" not in frame
    assert domains[1].name in frame
    assert domains[1].uuid in frame


def test_tab_completion_lists_the_fields_of_a_row(frame: StatsFrame, domains: list[Domain]) -> None:
    row = frame[domains[3].name]
    assert {"block", "vcpu", "cpu_cache_monitor_bank", "state", "cpu_time", "load_x", "name", "uuid"} <= set(dir(row))
    assert {"rd_bytes", "name"} <= set(dir(row.block["vda"]))
    assert "path" not in dir(row.block["vda"])
    assert repr(row.block["vda"]) == "<ItemRow {'name': 'vda', 'rd.bytes': 3000}>"
    assert copy.copy(row.block["vda"]) == row.block["vda"]
    assert repr(row.block) == "<Items 'block': 'vda', 'vdb', 'vdc'>"
    assert repr(row).startswith(f"<DomainRow {domains[3].name!r}")


def test_a_backing_image_is_found_by_its_number(domains: list[Domain]) -> None:
    fields: list[Field] = [(f"block.{i}.name", STRING, name) for i, name in enumerate(["vda", "vda", "vdb"])]
    items = Feed().frame([(domains[0], fields)])[domains[0].name].block
    assert list(items) == ["vda", 1, "vdb"]
    assert [items[key].name for key in items] == ["vda", "vda", "vdb"]


# ---- selections ----


@pytest.mark.parametrize(
    ("choose", "chosen"),
    [
        (lambda all: all[1].name, [1]),
        (lambda all: all[3].uuid, [3]),
        (lambda all: all[0], [0]),
        (lambda all: [all[3], all[1].uuid, all[1].name], [1, 3]),
        (lambda all: "*", [0, 1, 2, 3]),
        (lambda all: f"{all[0].name[:-1]}[{all[0].name[-1]}{all[2].name[-1]}]", [0, 2]),
        (lambda all: lambda row: "balloon.rss" in row and row.balloon_rss > 100, [2, 3]),
        (lambda all: [lambda row: row.block.get("vdc"), all[0].name], [0, 3]),
        (lambda all: ["nobody", UUID(int=0)], []),
        (lambda all: [], []),
    ],
)
def test_select_chooses_domains(
    frame: StatsFrame, domains: list[Domain], choose: Callable[[list[Domain]], Any], chosen: list[int]
) -> None:
    selection = frame.select(choose(domains))
    assert selection.to_dicts() == dicts(*chosen)
    assert selection.domains.names == [domains[at].name for at in chosen]
    assert selection.domains.uuids == [domains[at].uuid for at in chosen]
    assert selection.domains.ids.tolist() == [-1 if domains[at].id is None else domains[at].id for at in chosen]
    assert selection.fields == sum(map(len, dicts(*chosen)))
    assert selection.time == frame.time


def test_a_name_that_looks_like_a_glob_is_a_name(frame: StatsFrame) -> None:
    from pyvirt.stats.select import chosen_names

    assert chosen_names(["a*", "ab"], "a*") == {"a*"}
    assert chosen_names(["ac", "ab"], ["a*", "x"]) == {"ac", "ab"}


def test_select_refuses_a_number(frame: StatsFrame) -> None:
    with pytest.raises(TypeError, match=r"expected a name, .*got int"):
        frame.select([1])  # type: ignore[list-item]


def test_select_chooses_tables(frame: StatsFrame) -> None:
    selection = frame.select(tables=["vcpu", "cpu.*", "nothing"])
    assert set(selection.tables) == {"vcpu", "cpu.cache.monitor.bank"}
    expected = [{k: v for k, v in row.items() if re.match(r"vcpu\.|cpu\.cache", k)} for row in dicts(0, 1, 2, 3)]
    assert selection.to_dicts() == expected
    assert selection.fields == sum(map(len, expected))
    assert selection.tables["vcpu"]["time"].values.tolist() == frame.tables["vcpu"]["time"].values.tolist()
    address = numpy.asarray(selection.tables["vcpu"]["time"].values).ctypes.data
    assert address == numpy.asarray(frame.tables["vcpu"]["time"].values).ctypes.data  # no copy
    assert set(selection.select(tables="*").tables) == set(selection.tables)
    assert frame.select(tables="block").to_dicts()[2]["block.1.name"] == "vdb"


def test_a_selection_behaves_like_a_frame(domains: list[Domain]) -> None:
    feed = Feed()
    before = feed.frame([(domain, guest(number)) for number, domain in enumerate(domains[:4])])
    now = feed.frame([(domain, guest(number)) for number, domain in enumerate(domains[:4])])
    selection = now.select(domains[2].name, tables="block")
    rates = selection.rates(before)
    assert list(rates) == ["block"]
    assert rates["block"]["rd.bytes"].to_list() == [0.0, 0.0]
    assert selection.to_arrow()["block"]["rd.bytes"].to_pylist() == [2000, 2001]
    assert selection[domains[2].name].block["vda"].rd_bytes == 2000
    assert selection.select(lambda row: False).to_dicts() == []
    chosen = now.select([domains[1], domains[3]])
    del now, before
    gc.collect()
    assert chosen.to_dicts() == dicts(1, 3)
    assert chosen.tables["vcpu"].domain.tolist() == [0, 0, 1, 1]


# ---- closing ----


def test_a_closed_frame_raises_closed_error(frame: StatsFrame) -> None:
    with frame as entered:
        values = entered.tables["vcpu"]["time"].values
        row = next(iter(entered))
    frame.close()  # once more
    for use in (len, list, repr):
        if use is repr:
            assert use(frame) == "<StatsFrame, closed>"
        else:
            with pytest.raises(pyvirt.ClosedError, match="this StatsFrame is closed"):
                use(frame)
    with pytest.raises(pyvirt.ClosedError):
        frame.tables  # noqa: B018
    with pytest.raises(pyvirt.ClosedError):
        row.uuid  # noqa: B018
    assert values.tolist() == [0, 5, 1, 5, 2, 5, 3, 5]  # values that were read before remain valid


def test_closing_gives_the_memory_back(domains: list[Domain]) -> None:
    feed = Feed()
    shape: list[Field] = [(f"vcpu.{i}.path", STRING, "x" * 1000) for i in range(100)]
    records = [(domain, shape) for domain in domains]
    feed.frame(records).close()  # its memory is kept for the next frame
    small = feed.frame([])
    kept = [feed.frame(records) for _ in range(3)]
    before = used_memory()
    for frame in kept:
        frame.close()
    assert before - used_memory() > 3_000_000  # of six, one is kept again
    assert len(small) == 0


# ---- exports ----


def test_to_numpy_exports_every_table(frame: StatsFrame, domains: list[Domain]) -> None:
    tables = frame.to_numpy()
    assert set(tables) == set(frame.tables)
    domain, vcpu, bank = tables["domain"], tables["vcpu"], tables["cpu.cache.monitor.bank"]
    assert domain["domain.name"].tolist() == [one.name for one in domains[:4]]
    assert [bytes(one) for one in domain["domain.uuid"]] == [one.uuid.bytes for one in domains[:4]]
    assert domain["cpu.time"].dtype == numpy.uint64
    assert domain["cpu.time"].tolist() == [2**64 - 1, 2**64 - 2, 2**64 - 3, 2**64 - 4]
    assert domain["balloon.rss"].tolist() == [100, None, 102, 103]
    assert vcpu["halted"].tolist() == [None, False, None, True, None, False, None, True]
    assert vcpu["index"].tolist() == [0, 3] * 4
    assert vcpu["domain.name"].tolist() == [one.name for one in domains[:4] for _ in range(2)]
    assert bank["index.0"].tolist() == [0, 1, 2, 3]
    assert bank["index.1"].tolist() == [1] * 4
    assert tables["block"]["path"].tolist() == [None, None, "/Grüße", None, "/Grüße", None]
    values = frame.tables["domain"]["cpu.time"].values
    assert numpy.shares_memory(domain["cpu.time"], numpy.asarray(values))
    assert numpy.shares_memory(domain["balloon.rss"].data, numpy.asarray(frame.tables["domain"]["balloon.rss"].values))
    assert not domain["cpu.time"].flags.writeable


def test_to_arrow_exports_every_table(frame: StatsFrame, domains: list[Domain]) -> None:
    tables = frame.to_arrow()
    for table in tables.values():
        table.validate(full=True)
    domain = tables["domain"]
    assert domain.column_names[:3] == ["domain.name", "domain.uuid", "domain.id"]
    assert domain["domain.uuid"].to_pylist() == [one.uuid.bytes for one in domains[:4]]
    assert domain["cpu.time"].type == pyarrow.uint64()
    assert domain["cpu.time"].to_pylist() == [2**64 - 1, 2**64 - 2, 2**64 - 3, 2**64 - 4]
    assert domain["balloon.rss"].to_pylist() == [100, None, 102, 103]
    assert tables["block"]["path"].type == pyarrow.large_string()
    assert tables["block"]["path"].to_pylist() == [None, None, "/Grüße", None, "/Grüße", None]
    assert tables["vcpu"]["halted"].to_pylist() == [None, False, None, True, None, False, None, True]
    assert tables["vcpu"]["domain.name"].to_pylist() == [one.name for one in domains[:4] for _ in range(2)]
    assert tables["cpu.cache.monitor.bank"].column_names[3:] == ["index.0", "index.1", "bytes"]


def test_arrow_copies_no_numbers_and_no_texts(frame: StatsFrame) -> None:
    block = frame.to_arrow()["block"]
    for name in ("rd.bytes", "name", "path"):
        column = frame.tables["block"][name]
        valid, values, *text = block[name].chunk(0).buffers()
        assert values.address == numpy.asarray(column.values).ctypes.data
        assert (valid is None) == (column.valid is None)
        if column.valid is not None:
            assert valid.address == numpy.asarray(column.valid).ctypes.data
        if text:
            assert text[0].address == numpy.asarray(column.text).ctypes.data


def test_arrow_outlives_the_frame(domains: list[Domain]) -> None:
    with pyvirt.connect("test:///default") as conn:
        frame = stats(conn)
        expected = frame.to_dicts()[0]["state.state"]
        table = frame.to_arrow()["domain"]
        batch = pyarrow.record_batch(frame.tables["domain"])
        column = pyarrow.array(frame.tables["domain"]["state.state"])
        frame.close()
        for _ in range(20):  # would reuse the memory if it were freed
            stats(conn)
    gc.collect()
    assert table["state.state"].to_pylist() == column.to_pylist() == [expected]
    assert batch["domain.name"].to_pylist() == ["test"]


def test_arrow_gives_its_memory_back(domains: list[Domain]) -> None:
    feed = Feed()
    shape: list[Field] = [(f"vcpu.{i}.path", STRING, "x" * 1000) for i in range(100)]
    records = [(domain, shape) for domain in domains]

    def export() -> None:
        frame = feed.frame(records)
        frame.to_arrow()
        frame.tables["vcpu"].__arrow_c_stream__()  # which is never read
        frame.tables["vcpu"].__arrow_c_array__()
        polars.Series(frame.tables["vcpu"]["path"]).len()

    for _ in range(3):
        export()
    before = used_memory()
    for _ in range(20):
        export()
    assert used_memory() - before < 2_000_000  # one of them needs as much


def test_texts_that_are_not_utf8_are_readable(domains: list[Domain]) -> None:
    texts = ["ok", "\udcff", "a\udce2\udc82", "é\udced\udca0\udc80"]
    frame = Feed().frame([(domain, [("t", STRING, text)]) for domain, text in zip(domains, texts, strict=False)])
    table = frame.to_arrow()["domain"]
    table.validate(full=True)
    assert table["t"].to_pylist() == ["ok", "?", "a??", "é???"]
    assert frame.to_pandas()["domain"]["t"].tolist() == ["ok", "?", "a??", "é???"]
    assert frame.tables["domain"]["t"].to_list() == texts  # the frame keeps them unchanged


def test_polars_reads_a_table(frame: StatsFrame, domains: list[Domain]) -> None:
    table = polars.DataFrame(frame.tables["vcpu"])
    assert table.columns[:4] == ["domain.name", "domain.uuid", "domain.id", "index"]
    assert table["domain.name"].to_list() == [one.name for one in domains[:4] for _ in range(2)]
    assert table["time"].to_list() == [0, 5, 1, 5, 2, 5, 3, 5]
    assert table["time"].dtype == polars.UInt64
    assert polars.Series(frame.tables["vcpu"]["halted"]).to_list() == [None, False, None, True] * 2


def test_to_pandas_exports_every_table(frame: StatsFrame, domains: list[Domain]) -> None:
    tables = frame.to_pandas()
    assert str(tables["domain"]["cpu.time"].dtype) == "uint64"
    assert str(tables["domain"]["balloon.rss"].dtype) == "UInt64"
    assert tables["domain"]["balloon.rss"].isna().tolist() == [False, True, False, False]
    assert tables["domain"]["domain.uuid"].tolist() == [str(one.uuid) for one in domains[:4]]
    assert str(tables["vcpu"]["halted"].dtype) == "boolean"
    joined = tables["vcpu"].merge(tables["domain"], on="domain.uuid")
    assert joined["load.x"].tolist() == [0, 0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75]
    whole = pyarrow.table(frame.tables["vcpu"]).to_pandas()
    pandas.testing.assert_series_equal(whole["time"], tables["vcpu"]["time"])


def test_an_empty_frame_exports_no_tables(domains: list[Domain]) -> None:
    frame = Feed().frame([])
    assert frame.to_numpy() == frame.to_arrow() == frame.to_pandas() == {}


@pytest.mark.parametrize("module", ["numpy", "pyarrow", "pandas"])
def test_a_missing_package_is_named(frame: StatsFrame, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    method = {"pyarrow": "arrow"}.get(module, module)
    with pytest.raises(ImportError, match=rf"to_{method}\(\) needs {module}: pip install 'pyvirt\[{method}\]'"):
        getattr(frame, f"to_{method}")()


@settings(max_examples=100, deadline=None)
@given(records=st.lists(record_fields, max_size=5), kept=st.sets(st.integers(0, 4)))
def test_any_records_can_be_exported_and_selected(
    domains: list[Domain], records: list[list[tuple[str, tuple[int, object]]]], kept: set[int]
) -> None:
    frame = Feed().frame(
        [
            (domain, [(name, kind, value) for name, (kind, value) in fields])
            for domain, fields in zip(domains, records, strict=False)
        ]
    )
    expected = [{name: value for name, (_, value) in fields} for fields in records]
    arrays = frame.to_numpy()
    for name, exported in frame.to_arrow().items():
        exported.validate(full=True)
        table = frame.tables[name]
        keys = len(exported.column_names) - len(table)
        assert exported.column_names[keys:] == list(table)
        assert exported.column_names == list(arrays[name])
        for at, column in enumerate(table.values(), keys):
            assert exported.column(at).to_pylist() == column.to_list()
            assert [column[row] for row in range(len(column))] == column.to_list()
    chosen = frame.select(lambda row: [one.name for one in domains].index(row.name) in kept)
    assert chosen.to_dicts() == [fields for at, fields in enumerate(expected) if at in kept]
    for name in frame.tables:
        alone = frame.select(tables=glob.escape(name))
        assert set(alone.tables) == {name}


# ---- units ----


def known_fields() -> Iterator[tuple[str, str, str]]:
    """Yield every field that libvirt's headers name: the macro, its table and its column."""
    values = {name.removeprefix("VIR_DOMAIN_STATS_"): value for name, value, _ in macros() if "_DOMAIN_STATS_" in name}

    def prefixes(stem: str) -> Iterator[str]:
        """Return the prefix of the names that belong to *stem*, with a * for each number."""
        for name, value in values.items():
            if not name.endswith("_PREFIX") or not (name == f"{stem}_PREFIX" or is_kind_of(name, stem)):
                continue
            outer, suffix, _ = name.removesuffix("_PREFIX").rpartition("_SUFFIX_")
            number = "" if is_kind_of(name, stem) else "*"
            for before in prefixes(outer) if suffix else ("",):
                yield f"{before}{value}{number}"

    def is_kind_of(name: str, stem: str) -> bool:
        """LATENCY_HISTOGRAM_READ_PREFIX belongs to LATENCY_HISTOGRAM: no number follows."""
        return stem.endswith("_LATENCY_HISTOGRAM") and name.startswith(f"{stem}_") and "_SUFFIX_BIN" not in name

    for name, value in values.items():
        if name.endswith("_PREFIX"):
            continue
        stem, suffix, _ = name.rpartition("_SUFFIX_")
        if stem == "CUSTOM":
            yield name, "domain", f"vm.exits{value}"
            continue
        for before in prefixes(stem) if suffix else ("",):
            full = before + value
            table, star, column = full.rpartition("*")
            yield name, table.replace(".*", "").rstrip(".") if star else "domain", column.lstrip(".")


def test_every_field_of_libvirt_has_a_unit() -> None:
    fields = list(known_fields())
    assert len(fields) > 140
    assert ("BLOCK_SUFFIX_RD_BYTES", "block", "rd.bytes") in fields
    assert ("CPU_CACHE_MONITOR_SUFFIX_BANK_SUFFIX_ID", "cpu.cache.monitor.bank", "id") in fields
    histogram = "BLOCK_SUFFIX_LATENCY_HISTOGRAM_SUFFIX_BIN_SUFFIX_START"
    assert (histogram, "block.latency_histogram.flush.bin", "start") in fields
    unknown = [field for field in fields if field[2] not in UNITS.get(field[1], {}) and not field[0].startswith("CUST")]
    assert unknown == []


def test_units_belong_to_existing_fields() -> None:
    named = {(table, column) for _, table, column in known_fields()}
    # Counters of vCPUs from releases before QEMU named them, and of energy whatever the processor counts.
    unnamed = {("vcpu", "exits"), ("vcpu", "halt_exits")}
    unnamed |= {("cpu.energy.monitor.pkg", "core_energy"), ("cpu.energy.monitor.pkg", "activity")}
    assert {(table, column) for table, columns in UNITS.items() for column in columns} - named == unnamed


def test_units_of_counters_of_qemu_follow_their_names() -> None:
    assert unit_of("vcpu", "halt_wait_ns.sum") == Unit(True, "ns")
    assert unit_of("domain", "vm.remote_tlb_flush.sum") == Unit(True, "")
    assert unit_of("vcpu", "guest_mode.cur") == Unit(False, "")
    assert unit_of("vcpu", "halt_poll_ns.max") == Unit(False, "ns")
    assert unit_of("domain", "never.heard.of") == Unit(False, "")


def fields_table() -> str:
    """Return the table of the documentation, made from the units."""
    lines = ["| table | columns | unit | |", "| --- | --- | --- | --- |"]
    for table, columns in UNITS.items():
        groups: dict[Unit, list[str]] = {}
        for column, unit in columns.items():
            groups.setdefault(unit, []).append(column)
        for unit, names in groups.items():
            listed = " ".join(f"`{name}`" for name in names)
            lines.append(f"| `{table}` | {listed} | {unit.unit} | {'counter' if unit.counter else ''} |")
    return "\n".join(lines)


def test_the_documentation_lists_the_units() -> None:
    assert fields_table() in DOCUMENT.read_text(), f"docs/statistics.md lacks:\n{fields_table()}"
