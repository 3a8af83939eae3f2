# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rules for a whole process: only one of libvirt's libraries, and what happens at a fork and at exit.

The order matters, so there is one list.  At a fork and at exit the participant that was added last acts first, and then
the event loop stops.  Importing this module installs the hooks; :mod:`pyvirt.connection` imports it.
"""

from __future__ import annotations

import atexit
import os
from _thread import _count as count_threads
from threading import Lock

from pyvirt._core.handle import _gc
from pyvirt._core.lib import ffi, lib
from pyvirt._core.root import Root, _open_roots
from pyvirt._core.slot import Slot
from pyvirt.errors import ClosedError, NotSupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from pyvirt._core.lib import CData

    class Participant(Protocol):
        """A part of pyvirt that has threads or locks of its own."""

        def before_fork(self) -> None: ...
        def after_fork_in_parent(self) -> None: ...
        def after_fork_in_child(self) -> None: ...
        def at_exit(self) -> None: ...


_EXIT_TIMEOUT = 1000  # milliseconds
_CONNECTION = ffi.typeof("virConnectPtr")  # and not that of libvirt-admin, which only its own library can close

_library: Slot[str] = Slot()
_participants: list[Participant] = []


def use_library(name: str) -> None:
    """Reserve this process for the library *name*, before a connection through it is opened.

    libvirt and libvirt-admin each bring the same classes and register them with GLib, which knows them by name: the
    second to do so crashes the process (libvirt 9.0 to 11.3 at least, in C too).

    :raises NotSupportedError: this process uses the other one
    """
    used = _library.put(name)
    if used != name:
        raise NotSupportedError(
            f"{used} and {name} cannot be used in one process (libvirt would crash); use a separate process"
        )


def add_participant(participant: Participant) -> None:
    """Call the methods of *participant* at each fork and at exit."""
    _participants.append(participant)


def _before_fork() -> None:
    for participant in reversed(_participants):
        participant.before_fork()
    # Not during a callback, which may hold locks of libvirt; and Python does not warn about a fork if the loop's
    # thread has stopped.
    lib.pv_loop_pause(_EXIT_TIMEOUT)


def _after_fork_in_parent() -> None:
    lib.pv_loop_resume()
    for participant in _participants:
        participant.after_fork_in_parent()


def _after_fork_in_child() -> None:
    lib.pv_loop_resume()
    for root in _open_roots():
        root._purging = Lock()  # the thread that held the old one does not exist in the child
        root._disown("the connection was opened before fork() and belongs to the parent process")
    for participant in _participants:
        participant.after_fork_in_child()


def _at_exit() -> None:
    """Stop the participants, close what is open, and stop the event loop.

    Connections are closed in order, so that no daemon logs a vanished client, but only for a limited time.
    """
    for participant in reversed(_participants):
        participant.at_exit()
    _close_connections()
    lib.pv_loop_pause(_EXIT_TIMEOUT)


def _close_connections() -> None:
    Root._exiting = True
    roots = _open_roots()
    if count_threads():
        # A thread may be in a call, and would report an error if the connection were closed, although Python is about
        # to stop that thread silently.  The connections end with the process.
        for root in roots:
            try:
                _gc(root._ptr, None)
            except ClosedError:
                pass
        return
    pointers: list[CData] = []
    sources: list[CData] = []
    owners: list[int] = []
    for root in roots:
        root._close_children()
        registered = root._take_sources()
        pointer = root._disown("the connection is closed, as the interpreter exits")
        if pointer is not None and ffi.typeof(pointer) is _CONNECTION:
            sources += registered
            owners += [len(pointers)] * len(registered)
            pointers.append(pointer)
    if pointers:
        connections = ffi.new("virConnectPtr[]", pointers)
        array = ffi.new("pv_source *[]", sources)
        lib.pv_close_within(connections, len(pointers), array, owners, len(sources), _EXIT_TIMEOUT)


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
atexit.register(_at_exit)
