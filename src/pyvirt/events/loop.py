# SPDX-License-Identifier: LGPL-2.1-or-later
"""The event loop: which one libvirt uses, and what else it can wait for.

Most programs do not need this module: the first connection starts a loop in a thread of C.  A program that must run
libvirt's loop itself chooses one before its first connection.  It must then keep the loop running: otherwise no events
arrive, and the loss of a daemon goes unnoticed.  :func:`register` gives libvirt a loop written in Python,
:func:`use_default` takes libvirt's own, and :func:`use_foreign` leaves the choice to other code in the process, such as
another binding.  pyvirt uses a loop that was registered before its first connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pyvirt._core import codes
from pyvirt._core.call import check
from pyvirt._core.lib import ffi, lib
from pyvirt.enums.event import EventHandleType
from pyvirt.errors import OperationFailedError, OperationInvalidError
from pyvirt.events._callbacks import Adapter, adapter, kept

if TYPE_CHECKING:
    from collections.abc import Callable


class Loop(Protocol):
    """The methods that a loop written in Python must have.

    libvirt calls them from any thread, while it holds locks: they must not raise, and must return before they call a
    callback.
    """

    def add_handle(self, fd: int, events: EventHandleType, callback: Callable[[int, int, int], object]) -> int:
        """Call ``callback(watch, fd, events)`` whenever one of *events* occurs; return a number for it, the watch.

        *events* may be 0, until :meth:`update_handle` changes them.
        """

    def update_handle(self, watch: int, events: EventHandleType) -> object:
        """Wait for *events* from now on."""

    def remove_handle(self, watch: int) -> object:
        """Stop waiting: the descriptor is about to be closed."""

    def add_timeout(self, interval: int, callback: Callable[[int], object]) -> int:
        """Call ``callback(timer)`` every *interval* milliseconds; return a number for it, the timer.

        0 means in every iteration of the loop; a negative number means never, until :meth:`update_timeout`.
        """

    def update_timeout(self, timer: int, interval: int) -> object:
        """Call the callback every *interval* milliseconds from now on."""

    def remove_timeout(self, timer: int) -> object:
        """Stop calling the callback."""


# ---- a loop other than pyvirt's ----


def _reserve(what: str) -> None:
    """Keep pyvirt from registering its loop, or raise if there is a loop already."""
    taken = lib.pv_loop_leave()
    if taken < 0:
        raise OperationInvalidError(
            f"too late to register {what}: the first connection has registered pyvirt's; register it before that"
        )
    if taken:
        raise OperationInvalidError(f"too late to register {what}: libvirt already has a loop")


def register(loop: Loop) -> None:
    """Let libvirt use *loop*, which must run from now on.  (virEventRegisterImpl)

    :raises OperationInvalidError: libvirt already has a loop
    """
    _reserve("this loop")
    adapter.put(Adapter(loop))
    lib.virEventRegisterImpl(
        lib.pv_py_add_handle,
        lib.pv_py_update_handle,
        lib.pv_py_remove_handle,
        lib.pv_py_add_timeout,
        lib.pv_py_update_timeout,
        lib.pv_py_remove_timeout,
    )


def use_default() -> None:
    """Let libvirt use its own loop; call :func:`run_default` repeatedly.  (virEventRegisterDefaultImpl)

    :raises OperationInvalidError: libvirt already has a loop
    """
    _reserve("libvirt's own loop")
    check(lib.virEventRegisterDefaultImpl(), "virEventRegisterDefaultImpl")


def run_default() -> None:
    """Run one iteration of libvirt's own loop.  (virEventRunDefaultImpl)"""
    check(lib.virEventRunDefaultImpl(), "virEventRunDefaultImpl")


def use_foreign() -> None:
    """Register no loop: other code in this process registers one before the first connection.

    :raises OperationInvalidError: pyvirt's loop is already registered
    """
    if lib.pv_loop_leave() < 0:
        _reserve("another loop")


def is_own() -> bool:
    """Return whether libvirt uses pyvirt's loop, which needs no calls of the program."""
    return bool(lib.pv_loop_owner() == 1)


# ---- what else a loop can wait for ----


class Watch:
    """A file descriptor that the loop waits for; :func:`add_handle` returns it."""

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
        """Wait for *events*, which may be 0, from now on.  (virEventUpdateHandle)"""
        lib.virEventUpdateHandle(self._id, events)

    def remove(self) -> None:
        """Stop waiting.  Calling it again has no effect.  (virEventRemoveHandle)"""
        lib.virEventRemoveHandle(self._id)


class Timer:
    """A callback that the loop calls periodically; :func:`add_timeout` returns it."""

    def __init__(self, interval: int, callback: Callable[[Timer], object]) -> None:
        self._callback = callback
        opaque = ffi.new_handle(self)
        kept[opaque] = self
        self._id = lib.virEventAddTimeout(interval, lib.pv_py_timeout, opaque, lib.pv_py_forget)
        if self._id < 0:
            del kept[opaque]
            raise OperationFailedError("the event loop cannot add a timer", code=codes.OPERATION_FAILED)

    def update(self, interval: int) -> None:
        """Call it every *interval* milliseconds from now on, or never if negative.  (virEventUpdateTimeout)"""
        lib.virEventUpdateTimeout(self._id, interval)

    def remove(self) -> None:
        """Stop calling it.  Calling this again has no effect.  (virEventRemoveTimeout)"""
        lib.virEventRemoveTimeout(self._id)


def _require_loop() -> None:
    if lib.pv_loop_start() < 0:
        raise OSError(ffi.errno, "cannot start an event loop for libvirt")


def add_handle(fd: int, events: EventHandleType, callback: Callable[[Watch, EventHandleType], object]) -> Watch:
    """Let libvirt's loop wait for a file descriptor too.  (virEventAddHandle)

    *callback* runs in the thread of the loop: until it returns, no events arrive and no daemon is answered.
    """
    _require_loop()
    return Watch(fd, events, callback)


def add_timeout(interval: int, callback: Callable[[Timer], object]) -> Timer:
    """Let libvirt's loop call *callback* every *interval* milliseconds.  (virEventAddTimeout)

    It runs in the thread of the loop: until it returns, no events arrive and no daemon is answered.

    :param interval: 0 calls it in every iteration of the loop; a negative number never calls it
    """
    _require_loop()
    return Timer(interval, callback)
