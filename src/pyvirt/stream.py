# SPDX-License-Identifier: LGPL-2.1-or-later
"""Streams: bytes to and from the daemon, as raw binary files.

``volume.open()`` and ``domain.console()`` return one.  ``volume.download()`` and ``volume.upload()`` transfer between a
volume and a file without a Python call per chunk.
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

_MOST = 1 << 22  # bytes of one call; a message carries slightly less than 4 MiB, and libvirt takes what fits
_WOULD_BLOCK, _AT_HOLE = -2, -3


class StreamHandle(Handle):
    """The C object of a stream."""

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
        """Return the C object that waits for readiness, made at first use."""
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
        watch, self._watch = self._watch, None  # it holds the stream too
        super()._drop()
        if watch is not None:
            # Wake the waiting threads; each of them holds the object until it returns.
            os.eventfd_write(lib.pv_stream_watch_fd(watch), 1)

    def _disown(self) -> None:
        if self._watch is not None:
            ffi.gc(self._watch, None)
            self._watch = None  # the parent has the same eventfd, and must not be woken
        super()._disown()


class Stream(Caller, io.RawIOBase):
    """A stream, for a method of a volume or a domain to open.

    Reading returns ``b""`` at the end.  A non-blocking stream returns ``None`` where a blocking one would wait; use
    :meth:`wait` to wait.  While a blocking stream waits for the daemon, all other calls of its connection wait too:
    use a separate connection for a console, or a non-blocking stream.

    Leaving its ``with`` block closes the stream, and an exception there aborts it.
    """

    def __init__(self, conn: Connection, mode: str = "r+", *, flags: StreamFlags = StreamFlags(0)) -> None:
        """Make a stream that is not connected yet.  (virStreamNew)

        :param mode: ``"r"`` to read, ``"w"`` to write, ``"r+"`` for both
        :param flags: with ``NONBLOCK`` only :meth:`wait` waits
        """
        super().__init__()
        self._over = True  # in case the next lines raise
        if mode not in ("r", "w", "r+"):
            raise ValueError(f"mode must be 'r', 'w' or 'r+', not {mode!r}")
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
        """Return whether it can be read."""
        return self._mode != "w"

    def writable(self) -> bool:
        """Return whether it can be written."""
        return self._mode != "r"

    # ---- bytes ----

    def readinto(self, buffer: Buffer, /) -> int | None:
        """Read the received bytes, at most the length of *buffer*; return 0 at the end.  (virStreamRecv)"""
        view = memoryview(buffer).cast("B")
        room = min(len(view), _MOST)
        return self._received(self._transfer(lib.virStreamRecv, ffi.from_buffer(view), room), room)

    def readinto_or_hole(self, buffer: Buffer, /) -> int | None:
        """Read as :meth:`readinto` does, but stop at the holes of a sparse stream: -1 means that a hole is next.

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
        """Send some of *data*, and return the number of bytes sent.  (virStreamSend)"""
        view = memoryview(data).cast("B")
        count = self._transfer(lib.virStreamSend, ffi.from_buffer(view), min(len(view), _MOST))
        return None if count == _WOULD_BLOCK else count

    # ---- holes ----

    def recv_hole(self) -> int:
        """Skip the hole that is next, and return its length in bytes.  (virStreamRecvHole)"""
        out = ffi.new("long long *")
        self._call(lib.virStreamRecvHole, out, 0)
        length: int = out[0]
        return length

    def send_hole(self, length: int) -> None:
        """Send a hole of *length* bytes.  (virStreamSendHole)"""
        self._call(lib.virStreamSendHole, length, 0)

    # ---- readiness ----

    def wait(self, events: StreamEventType, *, timeout: float | None = None) -> StreamEventType:
        """Wait until a non-blocking stream is ready, and return the events; none after *timeout*.

        (virStreamEventAddCallback, virStreamEventUpdateCallback, virStreamEventRemoveCallback)

        :param events: ``READABLE``, ``WRITABLE`` or both; an error and the end are always reported
        :param timeout: seconds; ``None`` waits indefinitely
        :raises ClosedError: the connection was closed while this waited
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
        """Finish the stream and close it; only then all sent data has certainly arrived.  (virStreamFinish)

        :raises Error: some data has not arrived
        :raises ClosedError: the connection was closed before, so the outcome is unknown
        """
        self._end_with(self._finish)

    def abort(self) -> None:
        """Abort the stream and close it.  Calling it again has no effect.  (virStreamAbort)"""
        self._end_with(self._abort)

    def close(self) -> None:
        """Close it, by :meth:`abort` if there may be more to read, else by :meth:`finish`.

        Calling it again has no effect.
        """
        sends = self._mode == "w"
        # Data that was read to the end is complete even if the connection is closed; sent data may not have arrived.
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
            pass  # it had already ended

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def __del__(self) -> None:
        if not self._over and not self.closed:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)
            self.abort()
