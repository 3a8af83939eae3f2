# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where C calls Python for an event loop: for a loop of the program, or for a callback that the program gave a loop.

An exception in here cannot be raised, so it is logged.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pyvirt._core.lib import ffi
from pyvirt._core.slot import Slot
from pyvirt.enums.event import EventHandleType

if TYPE_CHECKING:
    from types import TracebackType

    from pyvirt._core.lib import CData
    from pyvirt.events.loop import Loop, Timer, Watch

_log = logging.getLogger("pyvirt.events")

#: the objects that C holds a pointer to
kept: dict[CData, Watch | Timer] = {}


class Adapter:
    """Passes the calls of libvirt to a loop that is written in Python."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._free: dict[tuple[str, int], tuple[CData, CData]] = {}

    def add_handle(self, fd: int, events: int, callback: CData, opaque: CData, free: CData) -> int:
        watch = self._loop.add_handle(
            fd, EventHandleType(events), lambda watch, fd, events: callback(watch, fd, events, opaque)
        )
        self._free["handle", watch] = free, opaque
        return watch

    def add_timeout(self, interval: int, callback: CData, opaque: CData, free: CData) -> int:
        timer = self._loop.add_timeout(interval, lambda timer: callback(timer, opaque))
        self._free["timeout", timer] = free, opaque
        return timer

    def update_handle(self, watch: int, events: int) -> None:
        self._loop.update_handle(watch, EventHandleType(events))

    def update_timeout(self, timer: int, interval: int) -> None:
        if timer >= 0:  # it is -1 if an event arrives on a connection that another thread is closing
            self._loop.update_timeout(timer, interval)

    def remove_handle(self, watch: int) -> int:
        self._loop.remove_handle(watch)
        return self._forget(("handle", watch))

    def remove_timeout(self, timer: int) -> int:
        self._loop.remove_timeout(timer)
        return self._forget(("timeout", timer))

    def _forget(self, key: tuple[str, int]) -> int:
        """Free what libvirt passed for a handle or timeout: later, because libvirt now holds the locks it needs."""
        free, opaque = self._free.pop(key, (ffi.NULL, ffi.NULL))
        if free:

            def free_later(timer: int) -> None:
                self._loop.remove_timeout(timer)
                free(opaque)

            self._loop.add_timeout(0, free_later)
        return 0


#: the loop of the program's own, if it has registered one
adapter: Slot[Adapter] = Slot()


def _adapter() -> Adapter:
    found = adapter.get()
    assert found is not None
    return found


def _failed(kind: type[BaseException], error: BaseException, where: TracebackType) -> None:
    _log.error("the event loop failed", exc_info=error)


@ffi.def_extern(error=-1, onerror=_failed)
def pv_py_add_handle(fd: int, events: int, callback: CData, opaque: CData, free: CData) -> int:
    return _adapter().add_handle(fd, events, callback, opaque, free)


@ffi.def_extern(onerror=_failed)
def pv_py_update_handle(watch: int, events: int) -> None:
    _adapter().update_handle(watch, events)


@ffi.def_extern(error=-1, onerror=_failed)
def pv_py_remove_handle(watch: int) -> int:
    return _adapter().remove_handle(watch)


@ffi.def_extern(error=-1, onerror=_failed)
def pv_py_add_timeout(interval: int, callback: CData, opaque: CData, free: CData) -> int:
    return _adapter().add_timeout(interval, callback, opaque, free)


@ffi.def_extern(onerror=_failed)
def pv_py_update_timeout(timer: int, interval: int) -> None:
    _adapter().update_timeout(timer, interval)


@ffi.def_extern(error=-1, onerror=_failed)
def pv_py_remove_timeout(timer: int) -> int:
    return _adapter().remove_timeout(timer)


@ffi.def_extern(onerror=_failed)
def pv_py_handle(watch: int, fd: int, events: int, opaque: CData) -> None:
    found: Watch = ffi.from_handle(opaque)
    found._callback(found, EventHandleType(events))


@ffi.def_extern(onerror=_failed)
def pv_py_timeout(timer: int, opaque: CData) -> None:
    found: Timer = ffi.from_handle(opaque)
    found._callback(found)


@ffi.def_extern(onerror=_failed)
def pv_py_forget(opaque: CData) -> None:
    kept.pop(opaque, None)
