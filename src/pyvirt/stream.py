# SPDX-License-Identifier: LGPL-2.1-or-later
"""Streams: bytes to and from the daemon, as raw binary files.

``volume.open()`` and ``domain.console()`` make one.  Files of Python, and descriptors, are filled without a Python call
per chunk by ``volume.download()`` and ``volume.upload()``.
"""

from __future__ import annotations

import io
import os
import warnings
from typing import TYPE_CHECKING

from pyvirt._core.call import check, last_error
from pyvirt._core.caller import Caller
from pyvirt._core.handle import Handle
from pyvirt._core.lib import ffi, lib
from pyvirt._core.poll import wait_readable
from pyvirt.enums.stream import StreamEventType, StreamFlags, StreamRecvFlags
from pyvirt.errors import Error

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ClassVar

    from typing_extensions import Buffer

    from pyvirt._core.lib import CData, CFunction
    from pyvirt.connection import Connection

_MOST = 1 << 22  # bytes of one call; a message carries 4 MiB less a little, libvirt takes what fits
_WOULD_BLOCK, _AT_HOLE = -2, -3


class StreamHandle(Handle):
    """The C object, which its connection empties when it closes."""

    __slots__ = ("_watch",)

    _conn: Connection
    _release: ClassVar[CFunction[[CData], object]] = lib.pv_release_stream
    _watch: CData | None

    def __init__(self, conn: Connection, ptr: CData) -> None:
        self._watch = None
        super().__init__(conn, ptr)

    def _identity(self) -> int:
        return id(self)

    def watch(self) -> CData:
        """Return what tells that it is ready."""
        if self._watch is None:
            watch = lib.pv_stream_watch_new(self._ptr)
            if not watch:
                number = ffi.errno
                if number:
                    raise OSError(number, f"cannot wait for the stream: {os.strerror(number)}")
                raise last_error("virStreamEventAddCallback", self._conn)
            self._watch = ffi.gc(watch, lib.pv_stream_watch_free)
        return self._watch

    def _drop(self) -> None:
        watch, self._watch = self._watch, None  # which holds the stream as well
        super()._drop()
        if watch is not None:
            os.eventfd_write(lib.pv_stream_watch_fd(watch), 1)  # one who waits holds it for as long

    def _disown(self) -> None:
        if self._watch is not None:
            ffi.gc(self._watch, None)
            self._watch = None  # the parent has the same eventfd: nobody is to wake there
        super()._disown()


class Stream(Caller, io.RawIOBase):
    """A stream, for a method of a volume or a domain to open.

    Reading yields ``b""`` at the end.  A non-blocking stream returns ``None`` where a blocking one would wait, and
    :meth:`wait` does that.  While a blocking one waits for the daemon every other call of its connection waits with it:
    give a console a connection of its own, or no blocking stream.

    Leaving its ``with`` block closes the stream, and an exception there aborts it.
    """

    def __init__(self, conn: Connection, mode: str = "r+", *, flags: StreamFlags = StreamFlags(0)) -> None:
        """Make one that nothing has opened yet.  (virStreamNew)

        :param mode: whether it brings bytes, ``"r"``, takes them, ``"w"``, or both, ``"r+"``
        :param flags: with ``NONBLOCK`` nothing waits but :meth:`wait`
        """
        super().__init__()
        self._over = True  # should the next lines fail
        if mode not in ("r", "w", "r+"):
            raise ValueError(f"the mode of a stream is 'r', 'w' or 'r+', not {mode!r}")
        self._mode = mode
        self._end = False
        self._handle = conn._call_object(StreamHandle, lib.virStreamNew, flags)
        self._over = False

    def __repr__(self) -> str:
        state = "closed" if self.closed else "at its end" if self._end else "open"
        return f"<pyvirt.Stream of {self._handle._conn!r}, {state}>"

    @property
    def _ptr(self) -> CData:
        if self.closed:
            raise ValueError("I/O operation on closed stream")
        return self._handle._ptr

    @property
    def _conn(self) -> Connection:
        return self._handle._conn

    @property
    def connection(self) -> Connection:
        """The connection it belongs to."""
        return self._handle._conn

    def _begin(self, call: Callable[[], object]) -> Stream:
        """Call *call*, which opens this stream; if that fails there is nothing to end."""
        try:
            call()
        except BaseException:
            self._over = True
            self.close()
            raise
        return self

    def readable(self) -> bool:
        """Return whether it brings bytes."""
        return self._mode != "w"

    def writable(self) -> bool:
        """Return whether it takes bytes."""
        return self._mode != "r"

    # ---- bytes ----

    def readinto(self, buffer: Buffer, /) -> int | None:
        """Read what has come, up to the length of *buffer*; 0 is the end.  (virStreamRecv)"""
        view = memoryview(buffer).cast("B")
        room = min(len(view), _MOST)
        return self._received(self._transfer(lib.virStreamRecv, ffi.from_buffer(view), room), room)

    def readinto_or_hole(self, buffer: Buffer, /) -> int | None:
        """Read as :meth:`readinto` does, but stop at the holes of a sparse stream: -1 says that one comes next.

        (virStreamRecvFlags)
        """
        view = memoryview(buffer).cast("B")
        room = min(len(view), _MOST)
        flags = StreamRecvFlags.STOP_AT_HOLE
        count = self._transfer(lib.virStreamRecvFlags, ffi.from_buffer(view), room, flags)
        return -1 if count == _AT_HOLE else self._received(count, room)

    def _transfer(self, function: Callable[..., int], *args: object) -> int:
        """Call *function* and return its result, ``_WOULD_BLOCK`` and ``_AT_HOLE`` included; -1 is an error."""
        count = function(self._ptr, *args)
        if count == -1:
            self._over = True  # libvirt has aborted it
            raise self._error(function)
        return count

    def _received(self, count: int, room: int) -> int | None:
        if count == _WOULD_BLOCK:
            return None
        if room:
            self._end = count == 0
        return count

    def write(self, data: Buffer, /) -> int | None:
        """Send some of *data*, and return how many bytes that was.  (virStreamSend)"""
        view = memoryview(data).cast("B")
        count = self._transfer(lib.virStreamSend, ffi.from_buffer(view), min(len(view), _MOST))
        return None if count == _WOULD_BLOCK else count

    # ---- holes ----

    def recv_hole(self) -> int:
        """Return how many bytes the hole has that comes next, and pass it.  (virStreamRecvHole)"""
        out = ffi.new("long long *")
        self._call(lib.virStreamRecvHole, out, 0)
        length: int = out[0]
        return length

    def send_hole(self, length: int) -> None:
        """Send a hole of *length* bytes.  (virStreamSendHole)"""
        self._call(lib.virStreamSendHole, length, 0)

    # ---- readiness ----

    def wait(self, events: StreamEventType, *, timeout: float | None = None) -> StreamEventType:
        """Wait until a non-blocking stream is ready, and return for what; for nothing when the time is over.

        (virStreamEventAddCallback, virStreamEventUpdateCallback, virStreamEventRemoveCallback)

        :param events: what to wait for, ``READABLE`` or ``WRITABLE``; an error and the end are told anyhow
        :param timeout: seconds; ``None`` waits without end
        :raises ClosedError: the connection was closed meanwhile
        """
        watch = self._watch_for(events)
        wait_readable(lib.pv_stream_watch_fd(watch), timeout)
        return self._ready(watch)

    def _watch_for(self, events: StreamEventType) -> CData:
        self._require_open()
        watch = self._handle.watch()
        check(lib.pv_stream_watch_for(watch, events), "virStreamEventUpdateCallback", self._conn)
        self._require_open()  # again: the line before has dropped a wake-up that a close may have sent
        return watch

    def _ready(self, watch: CData) -> StreamEventType:
        ready = StreamEventType(lib.pv_stream_watch_ready(watch))
        if not ready:
            self._require_open()
        return ready

    # ---- the end ----

    def finish(self) -> None:
        """Say that all is sent, or read, and close it: only now it is certain that it has arrived.  (virStreamFinish)

        :raises Error: it has not
        :raises ClosedError: nobody knows, as its connection was closed before
        """
        self._end_with(self._finish)

    def abort(self) -> None:
        """Break it off, and close it.  Harmless when repeated.  (virStreamAbort)"""
        self._end_with(self._abort)

    def close(self) -> None:
        """End it: :meth:`abort` if there may be more to read, else :meth:`finish`.  Harmless when repeated."""
        sends = self._mode == "w"
        # What was read to its end is there, whatever becomes of the connection; what was sent is perhaps not.
        self._end_with(self._finish if sends or (self._end and not self._handle.closed) else self._abort)

    def _end_with(self, end: Callable[[], None]) -> None:
        if self.closed:
            return
        over, self._over = self._over, True
        try:
            if not over:
                end()
        finally:
            super().close()
            if not over:
                self._handle.close()

    def _finish(self) -> None:
        self._handle._call(lib.virStreamFinish)

    def _abort(self) -> None:
        if self._handle.closed:
            return
        try:
            self._handle._call(lib.virStreamAbort)
        except Error:
            pass  # it was over already

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def __del__(self) -> None:
        if not self._over and not self.closed:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)
            self.abort()
