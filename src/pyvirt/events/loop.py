# SPDX-License-Identifier: LGPL-2.1-or-later
"""The event loop: whose it is, and what else it can wait for.

Nobody has to know of this.  The first connection starts a loop in a thread of C.  A program that has to run libvirt's
loop itself says so before its first connection, and then has to keep it running: without it there are no events, and
nobody notices that a daemon is gone.  :func:`register` gives libvirt a loop written in Python, :func:`use_default`
takes libvirt's own, and :func:`use_foreign` leaves it to somebody else in the process, another binding perhaps.  One
that was registered before pyvirt opens its first connection is used by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pyvirt._core import codes
from pyvirt._core.call import check
from pyvirt._core.lib import ffi, lib
from pyvirt.enums.event import EventHandleType
from pyvirt.errors import OperationFailedError, OperationInvalidError
from pyvirt.events._callbacks import Adapter, adapters, kept

if TYPE_CHECKING:
    from collections.abc import Callable


class Loop(Protocol):
    """What a loop written in Python has to do for libvirt.

    libvirt calls these from any thread, while it holds locks: they must neither raise nor call back before they return.
    """

    def add_handle(self, fd: int, events: EventHandleType, callback: Callable[[int, int, int], object]) -> int:
        """Call ``callback(watch, fd, events)`` whenever one of *events* is there; return a number for it, the watch.

        *events* may be none at all, until :meth:`update_handle`.
        """

    def update_handle(self, watch: int, events: EventHandleType) -> object:
        """Wait for *events* from here on."""

    def remove_handle(self, watch: int) -> object:
        """Wait no more: the descriptor is about to be closed."""

    def add_timeout(self, interval: int, callback: Callable[[int], object]) -> int:
        """Call ``callback(timer)`` every *interval* milliseconds; return a number for it, the timer.

        0 means at every turn of the loop, a negative number not at all, until :meth:`update_timeout`.
        """

    def update_timeout(self, timer: int, interval: int) -> object:
        """Call it every *interval* milliseconds from here on."""

    def remove_timeout(self, timer: int) -> object:
        """Call it no more."""


# ---- a loop that is not ours ----


def _leave(what: str) -> None:
    taken = lib.pv_loop_leave()
    if taken < 0:
        raise OperationInvalidError(
            f"{what} comes too late: with the first connection pyvirt's own loop was registered"
        )
    if taken:
        raise OperationInvalidError(f"{what} comes too late: libvirt has a loop already")


def register(loop: Loop) -> None:
    """Let *loop* wait for libvirt; it has to run from here on.  (virEventRegisterImpl)

    :raises OperationInvalidError: there is a loop already
    """
    _leave("this loop")
    adapters.append(Adapter(loop))
    lib.virEventRegisterImpl(
        lib.pv_py_add_handle,
        lib.pv_py_update_handle,
        lib.pv_py_remove_handle,
        lib.pv_py_add_timeout,
        lib.pv_py_update_timeout,
        lib.pv_py_remove_timeout,
    )


def use_default() -> None:
    """Take libvirt's own loop: :func:`run_default` has to be called over and over.  (virEventRegisterDefaultImpl)

    :raises OperationInvalidError: there is a loop already
    """
    _leave("libvirt's own loop")
    check(lib.virEventRegisterDefaultImpl(), "virEventRegisterDefaultImpl")


def run_default() -> None:
    """Wait until there is something to do, and do it.  (virEventRunDefaultImpl)"""
    check(lib.virEventRunDefaultImpl(), "virEventRunDefaultImpl")


def use_foreign() -> None:
    """Register no loop: somebody else in this process will, before the first connection.

    :raises OperationInvalidError: pyvirt's own is registered already
    """
    if lib.pv_loop_leave() < 0:
        _leave("this")


def is_own() -> bool:
    """Return whether the loop is pyvirt's own, which runs by itself."""
    return bool(lib.pv_loop_owner() == 1)


# ---- what else a loop can wait for ----


class Watch:
    """A file descriptor that the loop waits for; made by :func:`add_handle`."""

    def __init__(self, fd: int, events: EventHandleType, callback: Callable[[Watch, EventHandleType], object]) -> None:
        self.fd = fd
        self._callback = callback
        opaque = ffi.new_handle(self)
        kept[opaque] = self
        self._id = lib.virEventAddHandle(fd, events, lib.pv_py_handle, opaque, lib.pv_py_forget)
        if self._id < 0:
            del kept[opaque]
            raise OperationFailedError(
                f"the event loop cannot wait for file descriptor {fd}", code=codes.OPERATION_FAILED
            )

    def update(self, events: EventHandleType) -> None:
        """Wait for *events*, none of them perhaps, from here on.  (virEventUpdateHandle)"""
        lib.virEventUpdateHandle(self._id, events)

    def remove(self) -> None:
        """Wait no more.  Harmless when repeated.  (virEventRemoveHandle)"""
        lib.virEventRemoveHandle(self._id)


class Timer:
    """Something that the loop does every so often; made by :func:`add_timeout`."""

    def __init__(self, interval: int, callback: Callable[[Timer], object]) -> None:
        self._callback = callback
        opaque = ffi.new_handle(self)
        kept[opaque] = self
        self._id = lib.virEventAddTimeout(interval, lib.pv_py_timeout, opaque, lib.pv_py_forget)
        if self._id < 0:
            del kept[opaque]
            raise OperationFailedError("the event loop takes no timer", code=codes.OPERATION_FAILED)

    def update(self, interval: int) -> None:
        """Do it every *interval* milliseconds from here on, never if that is negative.  (virEventUpdateTimeout)"""
        lib.virEventUpdateTimeout(self._id, interval)

    def remove(self) -> None:
        """Do it no more.  Harmless when repeated.  (virEventRemoveTimeout)"""
        lib.virEventRemoveTimeout(self._id)


def _ensure() -> None:
    if lib.pv_loop_start() < 0:
        raise OSError(ffi.errno, "no event loop for libvirt")


def add_handle(fd: int, events: EventHandleType, callback: Callable[[Watch, EventHandleType], object]) -> Watch:
    """Let libvirt's loop wait for a file descriptor too.  (virEventAddHandle)

    *callback* runs in the thread of the loop: until it returns there are no events, and no daemon is answered.
    """
    _ensure()
    return Watch(fd, events, callback)


def add_timeout(interval: int, callback: Callable[[Timer], object]) -> Timer:
    """Let libvirt's loop call *callback* every *interval* milliseconds.  (virEventAddTimeout)

    It runs in the thread of the loop: until it returns there are no events, and no daemon is answered.

    :param interval: 0 for at every turn of the loop, negative for not at all
    """
    _ensure()
    return Timer(interval, callback)
