# SPDX-License-Identifier: LGPL-2.1-or-later
"""Turn the events that C has collected into dataclasses."""

from __future__ import annotations

from collections import deque
from itertools import repeat
from operator import itemgetter
from typing import TYPE_CHECKING

from pyvirt._core.lib import ffi, lib
from pyvirt.domain import Domain
from pyvirt.enums.domain_event import DomainEventType
from pyvirt.events.kinds import (
    CLOSE,
    DOMAIN,
    KINDS,
    NETWORK,
    NODE_DEVICE,
    QEMU_MONITOR,
    SECRET,
    DomainLifecycle,
    Event,
    EventsLost,
    lifecycle_detail,
)

if TYPE_CHECKING:
    from pyvirt._core.handle import Handle
    from pyvirt._core.lib import CData
    from pyvirt.connection import Connection
    from pyvirt.events.kinds import LifecycleDetail

_cast = ffi.cast
_unpack = ffi.unpack
_MAX_KNOWN = 20_000
_CODES, _DOMAINS = ffi.typeof("int64_t[]"), ffi.typeof("virDomainPtr[]")


def _class_of(category: int) -> type[Handle]:
    """Return the class of the objects of a category.  Modules are imported late, because few programs need all."""
    if category in (DOMAIN, QEMU_MONITOR):
        return Domain
    if category == NETWORK:
        from pyvirt.network import Network

        return Network
    if category == NODE_DEVICE:
        from pyvirt.nodedev import NodeDevice

        return NodeDevice
    if category == SECRET:
        from pyvirt.secret import Secret

        return Secret
    from pyvirt.storage import StoragePool

    return StoragePool


class _Lifecycles(dict[int, "tuple[DomainEventType, LifecycleDetail]"]):
    """The code of pv_events_lifecycle -> event and detail; there are few codes."""

    def __missing__(self, code: int) -> tuple[DomainEventType, LifecycleDetail]:
        meaning = DomainEventType(code >> 32), lifecycle_detail(code >> 32, code & 0xFFFF_FFFF)
        if len(self) < 1000:  # a broken daemon must not make it grow without limit
            self[code] = meaning
        return meaning


_lifecycles = _Lifecycles()
_first, _second = itemgetter(0), itemgetter(1)
_new = DomainLifecycle.__new__
# This does what the __init__ of a frozen dataclass does, in a third of the time.  The slots must be those of the class
# itself: Python 3.10 repeats the slots of the bases in each class.
_set_domain, _set_event, _set_detail = (
    getattr(DomainLifecycle, name).__set__ for name in ("domain", "event", "detail")
)


class Decoder:
    """Creates the events of one connection from the items that pv_queue_take returns.

    Events that may come again are kept, and so are their C counterparts: while one is kept, its address stands for this
    event only.  Looking an event up costs a tenth of creating it.
    """

    __slots__ = ("_conn", "_ended", "_known")

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._known: dict[int, Event] = {}
        self._ended = False

    def read(self, room: CData, count: int) -> list[Event]:
        """Return the events of the first *count* items in *room*."""
        items = _unpack(room, count)
        try:
            return list(map(self._known.__getitem__, items))
        except KeyError:
            return self._make(room, items)

    def _make(self, room: CData, items: list[int]) -> list[Event]:
        """Create the events that are not kept.  The most common kind comes first, with few calls for all of them."""
        count = len(items)
        codes, pointers = ffi.new(_CODES, count), ffi.new(_DOMAINS, count)
        lib.pv_events_lifecycle(room, count, codes, pointers)
        plain = _unpack(codes, count)
        found = _unpack(pointers, count)
        new = _lifecycle_events(
            Domain._many(self._conn, [found[at] for at, code in enumerate(plain) if code >= 0]),
            [_lifecycles[code] for code in plain if code >= 0],
        )
        if len(new) == count:
            return new
        made = iter(new)
        return [self._decode_one(item) if code < 0 else next(made) for item, code in zip(items, plain, strict=True)]

    def _decode_one(self, item: int) -> Event:
        known = self._known.get(item)
        if known is not None:
            return known
        if item & 1:
            return EventsLost(item >> 1)
        event = _cast("pv_event *", item)
        about = self._object_of(event)
        if about is None and event.category != CLOSE:  # there was no memory for a reference
            return EventsLost(1)
        made = KINDS[event.category, event.id]._read(event, about)
        if event.interned:
            self._keep(item, event, made)
        return made

    def _object_of(self, event: CData) -> Handle | None:
        pointer = lib.pv_event_take_object(event)
        if not pointer:
            return None
        kind = _class_of(event.category)
        if kind is Domain:
            return Domain(self._conn, _cast("virDomainPtr", pointer))
        return kind(self._conn, pointer)

    def _keep(self, item: int, event: CData, made: Event) -> None:
        if len(self._known) >= _MAX_KNOWN:
            self.forget()
        lib.pv_event_ref(event)
        if self._known.setdefault(item, made) is not made:  # another thread has just kept it
            lib.pv_event_unref(event)
        if self._ended:  # during this call: end() has not seen this event
            self.forget()

    def end(self) -> None:
        """Keep no event from now on: each holds a reference to its object in C, which keeps the connection open."""
        self._ended = True
        self.forget()

    def forget(self) -> None:
        """Drop all kept events."""
        while self._known:
            try:
                item, _ = self._known.popitem()
            except KeyError:  # another thread drops them too
                return
            lib.pv_event_unref(_cast("pv_event *", item))


def _lifecycle_events(domains: list[Domain], meanings: list[tuple[DomainEventType, LifecycleDetail]]) -> list[Event]:
    made = list(map(_new, repeat(DomainLifecycle, len(domains))))
    for set_field, values in (
        (_set_domain, domains),
        (_set_event, map(_first, meanings)),
        (_set_detail, map(_second, meanings)),
    ):
        deque(map(set_field, made, values), 0)
    return made  # type: ignore[return-value]
