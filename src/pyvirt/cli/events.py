# SPDX-License-Identifier: LGPL-2.1-or-later
"""``pyvirt events``: print events as they happen."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum, Flag

import click

import pyvirt
import pyvirt.events
from pyvirt.cli.stats import WAIT
from pyvirt.events import ConnectionClosed, Event, QemuMonitorEvent

CLASSES: dict[str, type[Event]] = {
    name: found
    for name in pyvirt.events.__all__
    if isinstance(found := getattr(pyvirt.events, name), type) and issubclass(found, Event)
}
#: base classes of several events, by the name of the group
GROUPS = {name.removesuffix("Event").lower(): kind for name, kind in CLASSES.items() if kind.__subclasses__()}
GROUPS["all"] = GROUPS.pop("")


def read_kinds(ctx: click.Context, param: click.Parameter, value: str | None) -> list[type[Event]]:
    """Turn ``DomainLifecycle,network`` into classes."""
    known = {name.lower(): kind for name, kind in CLASSES.items()} | GROUPS
    kinds = []
    for name in value.split(",") if value else ():
        kind = known.get(name.strip().replace("-", "").replace("_", "").lower())
        if kind is None:
            names = ", ".join([*sorted(GROUPS), *sorted(set(CLASSES) - {kind.__name__ for kind in GROUPS.values()})])
            raise click.BadParameter(f"unknown kind {name.strip()!r}; expected one of {names}")
        kinds.append(kind)
    return kinds


@click.command()
@click.argument("uri", required=False)
@click.option(
    "-k",
    "--kinds",
    callback=read_kinds,
    metavar="NAME,…",
    help=f"Only these kinds of events, or groups: {', '.join(GROUPS)}.",
)
@click.option("-d", "--domain", metavar="NAME", help="Only events about this domain.")
@click.option("-n", "--count", type=click.IntRange(min=1), help="Exit after this number of events.")
@click.option("-t", "--timeout", type=WAIT, metavar="SECONDS", help="Exit after this time.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@click.option("--connect-timeout", type=WAIT, metavar="SECONDS", help="Exit with an error if connecting takes longer.")
def events(
    uri: str | None,
    kinds: list[type[Event]],
    domain: str | None,
    count: int | None,
    timeout: float | None,
    as_json: bool,
    connect_timeout: float | None,
) -> int:
    """Print events of domains, networks, storage pools, devices and secrets, until interrupted.

    Without --kinds, all events of the driver are printed except QemuMonitorEvent, which are QEMU's own messages.  The
    exit code is 1 if the connection is lost.
    """
    readonly = QemuMonitorEvent not in kinds  # libvirt sends these events only to clients that may change domains
    with pyvirt.connect(uri, readonly=readonly, timeout=connect_timeout) as conn:
        source = None if domain is None else conn.domains[domain]
        with conn.events.listen(*kinds, domain=source) as listener:
            for number, event in enumerate(received(listener, timeout), 1):
                click.echo(json.dumps(to_json(event)) if as_json else to_line(event))
                sys.stdout.flush()
                if isinstance(event, ConnectionClosed):
                    return 1
                if number == count:
                    break
    return 0


def received(listener: pyvirt.events.Listener[Event], timeout: float | None) -> Iterator[Event]:
    """Yield events, for *timeout* seconds if it is not ``None``."""
    end = None if timeout is None else time.monotonic() + timeout
    while listener.wait(None if end is None else max(0.0, end - time.monotonic())):
        yield from listener.take()


def identity(source: object) -> dict[str, object]:
    """Return the name and the UUID of an object, as far as it has them."""
    if isinstance(source, pyvirt.Domain):
        return {"name": source.name, "uuid": str(source.uuid), "id": source.id}
    if isinstance(source, pyvirt.Network | pyvirt.StoragePool):
        return {"name": source.name, "uuid": str(source.uuid)}
    if isinstance(source, pyvirt.Secret):
        return {"uuid": str(source.uuid), "usage_id": source.usage_id}
    assert isinstance(source, pyvirt.NodeDevice)
    return {"name": source.name}


def plain(value: object) -> object:
    """Return the value of a field as objects that JSON can represent."""
    if isinstance(value, Flag):
        return [flag.name for flag in type(value) if flag in value]
    if isinstance(value, Enum):
        return value.name
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str | dict):
        return value
    return identity(value)


def to_json(event: Event) -> dict[str, object]:
    """Return an event as a JSON object."""
    return {
        "time": time.time(),
        "kind": type(event).__name__,
        **{field.name: plain(getattr(event, field.name)) for field in fields(event)},
    }


def to_line(event: Event) -> str:
    """Return an event as a line of text."""
    words: list[str] = []
    for field in fields(event):
        value = plain(getattr(event, field.name))
        if isinstance(value, dict) and ("name" in value or "uuid" in value):
            words.insert(0, click.style(str(value.get("name") or value["uuid"]), bold=True))
        else:
            words.append(f"{field.name}={value}")
    now = click.style(datetime.now().strftime("%H:%M:%S.%f")[:-3], dim=True)
    return " ".join([now, click.style(type(event).__name__, fg="cyan"), *words])
