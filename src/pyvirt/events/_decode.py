# SPDX-License-Identifier: LGPL-2.1-or-later
"""From what C took down to events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyvirt._lib import ffi, lib
from pyvirt.domain import Domain
from pyvirt.events.kinds import CLOSE, DOMAIN, KINDS, NETWORK, NODE_DEVICE, QEMU_MONITOR, SECRET, Event, EventsLost

if TYPE_CHECKING:
    from pyvirt._handle import Handle
    from pyvirt._lib import CData
    from pyvirt.connection import Connection

_cast = ffi.cast
_MOST = 20_000


def _class_of(category: int) -> type[Handle]:
    """Return what events of that category are about; most programs need one of the modules, if any."""
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


class Decoder(dict[int, Event]):
    """What pv_queue_take returns -> the event.

    Events that come again are kept, and so are their C counterparts, which makes sure that an address stands for one
    event.  To look one up costs a tenth of making it.
    """

    __slots__ = ("_conn",)

    def __init__(self, conn: Connection) -> None:
        super().__init__()
        self._conn = conn

    def __missing__(self, item: int) -> Event:
        if item & 1:
            return EventsLost(item >> 1)
        event = _cast("pv_event *", item)
        about = self._about(event)
        if about is None and event.category != CLOSE:  # no memory for a reference
            return EventsLost(1)
        made = KINDS[event.category, event.id]._read(event, about)
        if event.interned:
            self._keep(item, event, made)
        return made

    def _about(self, event: CData) -> Handle | None:
        pointer = lib.pv_event_take_object(event)
        if not pointer:
            return None
        conn = self._conn
        if event.category in (DOMAIN, QEMU_MONITOR):
            domain = Domain(conn, _cast("virDomainPtr", pointer))
            domain.name  # noqa: B018  # asked for now, it can be told when the connection is closed
            domain._identity()
            return domain
        handle = _class_of(event.category)(conn, pointer)
        handle._identity()
        if event.category != SECRET:
            handle.name  # type: ignore[attr-defined]  # noqa: B018
        return handle

    def _keep(self, item: int, event: CData, made: Event) -> None:
        if len(self) >= _MOST:
            self.forget()
        lib.pv_event_ref(event)
        if self.setdefault(item, made) is not made:  # another thread was faster
            lib.pv_event_unref(event)

    def forget(self) -> None:
        """Drop what is kept."""
        while self:
            try:
                item, _ = self.popitem()
            except KeyError:  # another thread does the same
                return
            lib.pv_event_unref(_cast("pv_event *", item))
