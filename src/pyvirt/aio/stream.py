# SPDX-License-Identifier: LGPL-2.1-or-later
"""Streams that are awaited: the bytes of a volume, a console, a channel.

Written by hand, as hardly anything of it is a request.  libvirt keeps what has come for a stream and sends what is to
go from its own event loop, so reading and writing never wait here: a task waits for readiness, in its own event loop,
and holds no request meanwhile.  What a cancelled task was about to read is not lost, the next one gets it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING

import anyio
from anyio.lowlevel import checkpoint

from pyvirt._core.lib import lib
from pyvirt.aio._base import Async
from pyvirt.enums.stream import StreamEventType, StreamFlags
from pyvirt.stream import Stream as SyncStream

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer, Self

    from pyvirt.aio._generated.connection import Connection
    from pyvirt.aio._generated.storage.volumes import StorageVolume

_CHUNK = 1 << 18  # bytes that come at once, unless somebody wants another number


class Stream(Async[SyncStream]):
    """A stream, for a method of a volume or a domain to open: ``async for chunk in stream``.

    Leaving its ``async with`` block closes the stream, and an exception there aborts it.
    """

    __slots__ = ()

    @property
    def connection(self) -> Connection:
        """The connection it belongs to."""
        from pyvirt.aio._generated.connection import Connection

        return Connection(self._runtime, self._sync.connection)

    @property
    def closed(self) -> bool:
        """Whether it has ended."""
        return self._sync.closed

    def readable(self) -> bool:
        """Return whether it brings bytes."""
        return self._sync.readable()

    def writable(self) -> bool:
        """Return whether it takes bytes."""
        return self._sync.writable()

    # ---- bytes ----

    async def _when_ready(self, call: Callable[[], int | None], events: StreamEventType) -> int:
        await checkpoint()  # also when bytes are there at every turn: others want theirs
        while (count := call()) is None:
            await self.wait(events)
        return count

    async def read(self, size: int = -1) -> bytes:
        """Read what has come, up to *size* bytes, and wait until that is something; ``b""`` is the end.

        (virStreamRecv)

        :param size: bytes; a negative number reads until the end
        """
        if size < 0:
            return b"".join([chunk async for chunk in self])
        buffer = bytearray(size)
        count = await self.readinto(buffer)
        return bytes(memoryview(buffer)[:count])

    async def readinto(self, buffer: Buffer, /) -> int:
        """Read what has come, up to the length of *buffer*; 0 is the end.  (virStreamRecv)"""
        return await self._when_ready(lambda: self._sync.readinto(buffer), StreamEventType.READABLE)

    async def readinto_or_hole(self, buffer: Buffer, /) -> int:
        """Read as :meth:`readinto` does, but stop at the holes of a sparse stream: -1 says that one comes next.

        (virStreamRecvFlags)
        """
        return await self._when_ready(lambda: self._sync.readinto_or_hole(buffer), StreamEventType.READABLE)

    async def write(self, data: Buffer, /) -> int:
        """Send all of *data*, and return how many bytes that was.  (virStreamSend)"""
        rest = memoryview(data).cast("B")
        size = len(rest)
        while rest:
            count = await self._when_ready(lambda: self._sync.write(rest), StreamEventType.WRITABLE)  # noqa: B023
            rest = rest[count:]
        return size

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        chunk = await self.read(_CHUNK)
        if not chunk:
            raise StopAsyncIteration
        return chunk

    # ---- holes ----

    async def recv_hole(self) -> int:
        """Return how many bytes the hole has that comes next, and pass it.  (virStreamRecvHole)"""
        return self._sync.recv_hole()

    async def send_hole(self, length: int) -> None:
        """Send a hole of *length* bytes.  (virStreamSendHole)"""
        await self._runtime.call(None, lambda: self._sync.send_hole(length))

    # ---- readiness ----

    async def wait(self, events: StreamEventType, *, timeout: float | None = None) -> StreamEventType:
        """Wait until it is ready, and return for what; for nothing when the time is over.

        (virStreamEventAddCallback, virStreamEventUpdateCallback, virStreamEventRemoveCallback)

        :param events: what to wait for, ``READABLE`` or ``WRITABLE``; an error and the end are told anyhow
        :param timeout: seconds; ``None`` waits without end
        """
        watch = self._sync._watch_for(events)
        with anyio.move_on_after(timeout):
            await anyio.wait_readable(lib.pv_stream_watch_fd(watch))
        return self._sync._ready(watch)

    # ---- the end ----

    async def finish(self, *, timeout: float | None = None) -> None:
        """Say that all is sent, or read, and close it: only now it is certain that it has arrived.  (virStreamFinish)

        :raises Error: it has not
        """
        await self._runtime.call(timeout, self._sync.finish, essential=True)

    async def abort(self, *, timeout: float | None = None) -> None:
        """Break it off, and close it.  Harmless when repeated.  (virStreamAbort)"""
        await self._runtime.call(timeout, self._sync.abort, essential=True)

    async def close(self, *, timeout: float | None = None) -> None:
        """End it: :meth:`abort` if there may be more to read, else :meth:`finish`.  Harmless when repeated."""
        await self._runtime.call(timeout, self._sync.close, essential=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            await self.close()
        else:
            await self._runtime.last_words(error, self._sync.abort)


async def open_volume(
    volume: StorageVolume, mode: str, *, offset: int, length: int, flags: StreamFlags, timeout: float | None
) -> Stream:
    """Open the content of a volume; what is below waits for nothing, so *flags* have ``NONBLOCK`` in any case."""
    runtime = volume._runtime
    flags |= StreamFlags.NONBLOCK
    return await runtime.call(
        timeout,
        lambda: Stream(runtime, volume._sync.open(mode, offset=offset, length=length, flags=flags)),
    )
