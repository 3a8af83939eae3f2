# SPDX-License-Identifier: LGPL-2.1-or-later
"""Streams for asyncio and trio: the bytes of a volume, a console or a channel.

This module is not generated, because hardly any of its methods makes a request.  libvirt's event loop receives and
sends the data of a stream, so reading and writing never block.  A task that waits until a stream is ready waits in its
own event loop, and holds no request.  Data that a cancelled task was about to read is not lost: the next read returns
it.
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

_CHUNK = 1 << 18  # bytes that one step of a loop reads at most


class Stream(Async[SyncStream]):
    """A stream, which a method of a volume or a domain opens: ``async for chunk in stream``.

    Leaving its ``async with`` block closes the stream; an exception in the block aborts it.
    """

    __slots__ = ()

    @property
    def connection(self) -> Connection:
        """The connection that the stream belongs to."""
        from pyvirt.aio._generated.connection import Connection

        return Connection(self._runtime, self._sync.connection)

    @property
    def closed(self) -> bool:
        """Whether the stream has ended."""
        return self._sync.closed

    def readable(self) -> bool:
        """Return whether bytes can be read from the stream."""
        return self._sync.readable()

    def writable(self) -> bool:
        """Return whether bytes can be written to the stream."""
        return self._sync.writable()

    # ---- bytes ----

    async def _when_ready(self, call: Callable[[], int | None], events: StreamEventType) -> int:
        await checkpoint()  # lets other tasks run even if the stream is always ready
        while (count := call()) is None:
            await self.wait(events)
        return count

    async def read(self, size: int = -1) -> bytes:
        """Wait for at least one byte, and return the bytes that have arrived, at most *size*; ``b""`` is the end.

        (virStreamRecv)

        :param size: bytes; a negative number reads until the end
        """
        if size < 0:
            return b"".join([chunk async for chunk in self])
        buffer = bytearray(size)
        count = await self.readinto(buffer)
        return bytes(memoryview(buffer)[:count])

    async def readinto(self, buffer: Buffer, /) -> int:
        """Read the bytes that have arrived into *buffer*, and return their number; 0 is the end.  (virStreamRecv)"""
        return await self._when_ready(lambda: self._sync.readinto(buffer), StreamEventType.READABLE)

    async def readinto_or_hole(self, buffer: Buffer, /) -> int:
        """Read as :meth:`readinto` does, but stop at holes of a sparse stream: -1 means that a hole comes next.

        (virStreamRecvFlags)
        """
        return await self._when_ready(lambda: self._sync.readinto_or_hole(buffer), StreamEventType.READABLE)

    async def write(self, data: Buffer, /) -> int:
        """Send all of *data*, and return its number of bytes.  (virStreamSend)"""
        unsent = memoryview(data).cast("B")
        size = len(unsent)
        while unsent:
            count = await self._when_ready(lambda: self._sync.write(unsent), StreamEventType.WRITABLE)  # noqa: B023
            unsent = unsent[count:]
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
        """Skip the hole that comes next, and return its length in bytes.  (virStreamRecvHole)"""
        return self._sync.recv_hole()

    async def send_hole(self, length: int) -> None:
        """Send a hole of *length* bytes.  (virStreamSendHole)"""
        await self._runtime.call(None, lambda: self._sync.send_hole(length))

    # ---- readiness ----

    async def wait(self, events: StreamEventType, *, timeout: float | None = None) -> StreamEventType:
        """Wait until the stream is ready, and return the events that occurred; none of them after *timeout*.

        (virStreamEventAddCallback, virStreamEventUpdateCallback, virStreamEventRemoveCallback)

        :param events: what to wait for, ``READABLE`` or ``WRITABLE``; an error and the end are always returned too
        :param timeout: seconds; ``None`` waits indefinitely
        """
        watch = self._sync._watch_for(events)
        with anyio.move_on_after(timeout):
            await anyio.wait_readable(lib.pv_stream_watch_fd(watch))
        return self._sync._ready(watch)

    # ---- the end ----

    async def finish(self, *, timeout: float | None = None) -> None:
        """Finish the transfer and close the stream; without an error, all data has arrived.  (virStreamFinish)

        :raises Error: the data has not arrived
        """
        await self._runtime.call(timeout, self._sync.finish, essential=True)

    async def abort(self, *, timeout: float | None = None) -> None:
        """Abort the transfer and close the stream.  Calling it again has no effect.  (virStreamAbort)"""
        await self._runtime.call(timeout, self._sync.abort, essential=True)

    async def close(self, *, timeout: float | None = None) -> None:
        """Call :meth:`abort` if there may be more to read, else :meth:`finish`.  Calling it again has no effect."""
        await self._runtime.call(timeout, self._sync.close, essential=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            await self.close()
        else:
            await self._runtime.call_after_error(error, self._sync.abort)


async def open_volume(
    volume: StorageVolume, mode: str, *, offset: int, length: int, flags: StreamFlags, timeout: float | None
) -> Stream:
    """Open the content of a volume.  ``NONBLOCK`` is added to *flags*, because :class:`Stream` needs it."""
    runtime = volume._runtime
    flags |= StreamFlags.NONBLOCK
    return await runtime.call(
        timeout,
        lambda: Stream(runtime, volume._sync.open(mode, offset=offset, length=length, flags=flags)),
    )
