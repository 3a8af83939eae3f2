# SPDX-License-Identifier: LGPL-2.1-or-later
"""``pyvirt stats``: print bulk statistics, once or repeatedly."""

from __future__ import annotations

import csv
import json
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

import pyvirt
from pyvirt.collector import CollectedFrame
from pyvirt.stats import RateTable, StatsFrame

GROUPS = [group.name.lower() for group in pyvirt.StatsGroup if group and group.name]


class Sample(NamedTuple):
    """One tick: the frame, the rates since the tick before, and the duration."""

    frame: CollectedFrame
    rates: dict[str, RateTable]
    seconds: float


def read_groups(ctx: click.Context, param: click.Parameter, value: str | None) -> pyvirt.StatsGroup:
    """Turn ``state,vcpu`` into flags."""
    groups = pyvirt.StatsGroup.ALL
    for name in value.split(",") if value else ():
        try:
            groups |= pyvirt.StatsGroup[name.strip().upper()]
        except KeyError:
            raise click.BadParameter(f"unknown group {name.strip()!r}; expected one of {', '.join(GROUPS)}") from None
    return groups


class Seconds(click.FloatRange):
    """A number of seconds that is not larger than the longest timeout of Python."""

    name = "number of seconds"

    def convert(self, value: float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number, or fail if it is too large."""
        seconds: float = super().convert(value, param, ctx)
        if not seconds <= threading.TIMEOUT_MAX:  # also true for infinity and NaN
            self.fail(f"expected at most {threading.TIMEOUT_MAX:.0f} seconds, got {seconds}", param, ctx)
        return seconds


WAIT = Seconds(min=0, min_open=True)


@click.command()
@click.argument("uri", required=False)
@click.option("-i", "--interval", type=WAIT, metavar="SECONDS", help="Time between ticks; without it, one tick.")
@click.option("-n", "--count", type=click.IntRange(min=1), help="Exit after this number of ticks, including the first.")
@click.option("-g", "--groups", callback=read_groups, metavar="NAME,…", help=f"Only these groups: {', '.join(GROUPS)}.")
@click.option("-f", "--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Show only N domains (table: the busiest); 0: all.",
)
@click.option(
    "--deadline",
    type=WAIT,
    metavar="SECONDS",
    default=10,
    show_default=True,
    help="How long a tick waits for guests that do not answer.",
)
@click.option("--timeout", type=WAIT, metavar="SECONDS", help="Exit with an error if connecting takes longer.")
def stats(
    uri: str | None,
    interval: float | None,
    count: int | None,
    groups: pyvirt.StatsGroup,
    form: str,
    limit: int,
    deadline: float,
    timeout: float | None,
) -> None:
    """Print the statistics of all domains.

    With --interval, each tick shows the growth per second since the tick before.  The first tick is not printed: there
    is nothing to compare it with.  The format json prints one object per tick, each on one line; csv prints one field
    per line.
    """
    show = {"table": show_table, "json": show_json, "csv": show_csv}[form]
    with pyvirt.connect(uri, readonly=True, timeout=timeout) as conn:
        if form == "csv":
            csv.writer(sys.stdout).writerow(["time", "domain", "uuid", "field", "value", "rate"])
        wanted = count if count is not None else None if interval else 1
        for number, tick in enumerate(ticks(conn, groups, interval, wanted, deadline), 1):
            if number > 1 or wanted == 1:
                show(tick, limit)


def ticks(
    conn: pyvirt.Connection, groups: pyvirt.StatsGroup, interval: float | None, count: int | None, deadline: float
) -> Iterator[Sample]:
    """Yield *count* ticks, or ticks indefinitely, every *interval* seconds."""
    before: StatsFrame | None = None
    with pyvirt.Collector(conn, groups=groups, interval=interval or 1, deadline=deadline) as collector:
        for frame in islice(collector, count):
            yield Sample(frame, dict(frame.rates(before)) if before else {}, frame.duration)
            before = frame


# ---- table ----


class Output(Console):
    """The standard output: a terminal, a file or a pipe."""

    def on_broken_pipe(self) -> None:
        """Raise the error again, for the group of commands to handle."""
        raise  # rich would exit with code 1


def per_domain(tick: Sample, table: str, column: str) -> list[float | None]:
    """Return for each domain the sum of the rates of its items, ``None`` if no item has a rate."""
    sums: list[float | None] = [None] * len(tick.frame)
    if table not in tick.rates or column not in tick.rates[table]:
        return sums
    for domain, rate in zip(tick.frame.tables[table].domain, tick.rates[table][column].to_list(), strict=True):
        if rate is not None:
            sums[domain] = (sums[domain] or 0.0) + rate
    return sums


def values(tick: Sample, column: str) -> list[object]:
    """Return a field of each domain, ``None`` if it is missing."""
    found = tick.frame.tables["domain"].get(column) if len(tick.frame) else None
    return [None] * len(tick.frame) if found is None else list(found.to_list())


def si(number: float | None, unit: str = "") -> str:
    """Return a number with three digits and an SI prefix."""
    if number is None:
        return "-"
    for prefix in ("", "k", "M", "G", "T"):
        if abs(number) < 999.5:
            return f"{number:.3g} {prefix}{unit}".rstrip()
        number /= 1000
    return f"{number:.3g} P{unit}"


def memory(kib: object) -> str:
    """Return an amount of memory in MiB."""
    return f"{kib / 1024:,.0f} MiB" if isinstance(kib, int) else "-"


def show_table(tick: Sample, limit: int) -> None:
    """Print one line per domain, the busiest first, and the duration of the tick."""
    rated: list[tuple[str, list[float | None], Callable[[float | None], str]]] = [
        ("CPU %", per_domain(tick, "domain", "cpu.time"), lambda rate: "-" if rate is None else f"{rate / 1e7:.1f}"),
        ("net rx", per_domain(tick, "net", "rx.bytes"), lambda rate: si(rate, "B/s")),
        ("net tx", per_domain(tick, "net", "tx.bytes"), lambda rate: si(rate, "B/s")),
        ("disk rd", per_domain(tick, "block", "rd.bytes"), lambda rate: si(rate, "B/s")),
        ("disk wr", per_domain(tick, "block", "wr.bytes"), lambda rate: si(rate, "B/s")),
    ]
    states, current, vcpus = (values(tick, name) for name in ("state.state", "balloon.current", "vcpu.current"))
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("domain", overflow="fold")
    table.add_column("state")
    titles = [title for title, _, _ in rated]
    for title in ["vCPUs", "memory", *titles]:
        table.add_column(title, justify="right", no_wrap=True)
    names = tick.frame.domains.names
    busiest = sorted(range(len(names)), key=lambda i: tuple(-(rates[i] or 0) for _, rates, _ in rated))
    for i in busiest[: limit or None]:
        state = states[i]
        table.add_row(
            Text(names[i]),
            pyvirt.DomainState(state).name.lower() if isinstance(state, int) else "-",
            "-" if vcpus[i] is None else str(vcpus[i]),
            memory(current[i]),
            *(write(rates[i]) for _, rates, write in rated),
        )
    console = Output(highlight=False)
    console.print(table)
    hidden = f" ({len(names) - limit:,} not shown)" if limit and len(names) > limit else ""
    speed = f"{len(names) / tick.seconds:,.0f} domains/s, {tick.frame.fields / tick.seconds:,.0f} fields/s"
    console.print(
        f"{len(names):,} domains{hidden}, {tick.frame.fields:,} fields in {tick.seconds * 1000:.1f} ms: {speed}",
        style="dim",
    )
    for why, number in Counter(tick.frame.missing.values()).items():
        console.print(f"missing: {number:,} {why.value}", style="yellow")


# ---- formats for programs ----


def rates_by_field(tick: Sample) -> list[dict[str, float]]:
    """Return for each domain its rates, by libvirt's names of the fields."""
    found: list[dict[str, float]] = [{} for _ in range(len(tick.frame))]
    for name, rates in tick.rates.items():
        table = tick.frame.tables[name]
        for column, rate_column in rates.items():
            for row, rate in enumerate(rate_column.to_list()):
                if rate is not None:
                    found[table.domain[row]][table.field_name(column, row)] = rate
    return found


def show_json(tick: Sample, limit: int) -> None:
    """Print one JSON object, on one line."""
    domains = tick.frame.domains
    rates = rates_by_field(tick)
    json.dump(
        {
            "time": tick.frame.time,
            "seconds": tick.seconds,
            "missing": {str(uuid): why.value for uuid, why in tick.frame.missing.items()},
            "domains": [
                {"name": name, "uuid": str(uuid), "id": None if id < 0 else id, "stats": fields, "rates": grown}
                for name, uuid, id, fields, grown in zip(
                    domains.names, domains.uuids, domains.ids, tick.frame.to_dicts(), rates, strict=True
                )
            ][: limit or None],
        },
        sys.stdout,
    )
    sys.stdout.write("\n")


def show_csv(tick: Sample, limit: int) -> None:
    """Print one line per field."""
    writer = csv.writer(sys.stdout)
    domains = tick.frame.domains
    rows = zip(domains.names, domains.uuids, tick.frame.to_dicts(), rates_by_field(tick), strict=True)
    for name, uuid, fields, grown in list(rows)[: limit or None]:
        for field, value in fields.items():
            writer.writerow([f"{tick.frame.time:.6f}", name, uuid, field, value, grown.get(field, "")])
