# SPDX-License-Identifier: LGPL-2.1-or-later
"""Consoles, channels and displays of a domain: methods of :class:`~pyvirt.Domain`, in a file of their own."""

from __future__ import annotations

from pyvirt._core.caller import Caller
from pyvirt._core.lib import lib
from pyvirt._core.text import encode_or_null, take_string

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyvirt.connection import Connection
    from pyvirt.enums.domain_device import (
        DomainChannelFlags,
        DomainConsoleFlags,
        DomainGraphicsReloadType,
        DomainOpenGraphicsFlags,
    )
    from pyvirt.models import Screenshot
    from pyvirt.stream import Stream

    _ANY = DomainGraphicsReloadType.ANY
    _NO_GRAPHICS_FLAGS = DomainOpenGraphicsFlags(0)
    _NO_CONSOLE_FLAGS = DomainConsoleFlags(0)
    _NO_CHANNEL_FLAGS = DomainChannelFlags(0)
else:  # importing these enumerations would make importing pyvirt a tenth slower
    _ANY = _NO_GRAPHICS_FLAGS = _NO_CONSOLE_FLAGS = _NO_CHANNEL_FLAGS = 0


def _stream(conn: Connection) -> Stream:
    from pyvirt.enums.stream import StreamFlags
    from pyvirt.stream import Stream

    return Stream(conn, flags=StreamFlags.NONBLOCK)


class ConsoleMethods(Caller):
    """The methods of :class:`~pyvirt.Domain` for consoles, channels and displays."""

    __slots__ = ()

    _conn: Connection

    def console(self, name: str | None = None, *, flags: DomainConsoleFlags = _NO_CONSOLE_FLAGS) -> Stream:
        """Connect to a console, serial or parallel port of the running guest.  (virDomainOpenConsole)

        The stream is non-blocking: use ``stream.wait(READABLE)`` to wait.

        :param name: the alias of the device in its configuration; ``None`` takes the first console or serial port
        :param flags: with ``FORCE`` another client that is connected is disconnected
        :raises OperationFailedError: another client is connected
        """
        stream = _stream(self._conn)
        return stream._begin(lambda: self._call(lib.virDomainOpenConsole, encode_or_null(name), stream._ptr, flags))

    def channel(self, name: str | None = None, *, flags: DomainChannelFlags = _NO_CHANNEL_FLAGS) -> Stream:
        """Connect to a channel to the running guest.  (virDomainOpenChannel)

        The stream is non-blocking: use ``stream.wait(READABLE)`` to wait.

        :param name: its alias or its target's name, ``"org.qemu.guest_agent.0"``; ``None`` takes the first
        :param flags: with ``FORCE`` another client that is connected is disconnected
        """
        stream = _stream(self._conn)
        return stream._begin(lambda: self._call(lib.virDomainOpenChannel, encode_or_null(name), stream._ptr, flags))

    def screenshot(self, screen: int = 0) -> Screenshot:
        """Return what a display of the running guest shows.  (virDomainScreenshot)

        :param screen: the number of the screen, from 0
        :raises OperationUnsupportedError: the domain has no display
        """
        from pyvirt.models import Screenshot
        from pyvirt.stream import Stream

        kinds: list[str] = []

        def begin() -> int:
            kinds.append(take_string(self._call_nonzero(lib.virDomainScreenshot, stream._ptr, screen, 0)))
            return 0

        stream = Stream(self._conn, "r")
        with stream._begin(begin):
            return Screenshot(kinds[0], stream.readall())

    def open_graphics(self, fd: int, index: int = 0, *, flags: DomainOpenGraphicsFlags = _NO_GRAPHICS_FLAGS) -> None:
        """Connect one end of a socket pair to a display; the client uses the other end.  (virDomainOpenGraphics)

        :param fd: the file descriptor of that end; the caller closes it
        :param index: the number of the display, in the order of the configuration, from 0
        :param flags: with ``SKIPAUTH`` the display does not ask for a password
        """
        self._call(lib.virDomainOpenGraphics, index, fd, flags)

    def open_graphics_fd(self, index: int = 0, *, flags: DomainOpenGraphicsFlags = _NO_GRAPHICS_FLAGS) -> int:
        """Connect to a display; return the socket, which the caller closes.  (virDomainOpenGraphicsFD)

        :param index: the number of the display, in the order of the configuration, from 0
        :param flags: with ``SKIPAUTH`` the display does not ask for a password
        :raises NotSupportedError: the connection is not local
        """
        return self._call(lib.virDomainOpenGraphicsFD, index, flags)

    def graphics_reload(self, type: DomainGraphicsReloadType = _ANY) -> None:
        """Reload the TLS certificates of displays.  (virDomainGraphicsReload)

        :param type: the protocol of the displays
        """
        self._call(lib.virDomainGraphicsReload, type, 0)
