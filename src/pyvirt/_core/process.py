# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a whole process has to respect: one library of libvirt's, forks, and the end of the interpreter."""

from __future__ import annotations

import atexit
import os
from _thread import _count as count_threads
from threading import Lock

from pyvirt._core.handle import _gc
from pyvirt._core.lib import ffi, lib
from pyvirt._core.root import Root, _open_roots
from pyvirt.errors import ClosedError, NotSupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyvirt._core.lib import CData

_in_use: list[str] = []


def use_library(name: str) -> None:
    """Say that a connection through the library *name* is about to be opened.

    libvirt and libvirt-admin each bring the same classes and register them with GLib, which knows them by name: the
    second to do so crashes the process (libvirt 9.0 to 11.3 at least, in C too).

    :raises NotSupportedError: this process uses the other one
    """
    if not _in_use:
        _in_use.append(name)
    elif _in_use[0] != name:
        raise NotSupportedError(
            f"{name} cannot be used in a process that uses {_in_use[0]}, or libvirt crashes: use another process"
        )


def _before_fork() -> None:
    # Not in the middle of a callback, which may hold locks of libvirt's; and a process of one thread can be forked
    # without a warning.
    lib.pv_loop_pause(_FAREWELL)


def _after_fork_in_parent() -> None:
    lib.pv_loop_resume()


def _after_fork() -> None:
    lib.pv_loop_resume()
    for root in _open_roots():
        root._purging = Lock()  # the thread that held the old one does not exist here
        root._disown("the connection was opened before fork() and belongs to the parent process")


def _at_exit() -> None:
    """Close what is open: politely, so that no daemon logs a client that vanished, but not at any price."""
    Root._exiting = True
    roots = _open_roots()
    if count_threads():
        # Somebody is perhaps in a call, and would complain if the connection went away, while Python would soon have
        # stopped that thread without a word.  The connections end with the process.
        for root in roots:
            try:
                _gc(root._ptr, None)
            except ClosedError:
                pass
        lib.pv_loop_pause(_FAREWELL)
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
        lib.pv_close_within(connections, len(pointers), array, owners, len(sources), _FAREWELL)
    lib.pv_loop_pause(_FAREWELL)


_FAREWELL = 1000  # milliseconds
_CONNECTION = ffi.typeof("virConnectPtr")  # and not that of libvirt-admin, which only its own library can close

os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork)
atexit.register(_at_exit)
