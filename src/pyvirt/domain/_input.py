# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a domain is given from outside, keys, signals, files, and what it shows: displays, messages, labels.

Methods of :class:`~pyvirt.Domain`, kept apart for its length.
"""

from __future__ import annotations

from pyvirt._core.call import check
from pyvirt._core.lib import ffi, lib
from pyvirt._core.text import decode, encode, encode_or_null, take_string, take_strings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyvirt._core.lib import CData
    from pyvirt.connection import Connection
    from pyvirt.enums.domain_device import (
        DomainChannelFlags,
        DomainConsoleFlags,
        DomainFDAssociateFlags,
        DomainGraphicsReloadType,
        DomainOpenGraphicsFlags,
    )
    from pyvirt.enums.domain_guest import DomainMessageType, DomainProcessSignal, KeycodeSet
    from pyvirt.models import Screenshot, SecurityLabel
    from pyvirt.stream import Stream

    _LINUX = KeycodeSet.LINUX
    _ALL_TYPES = DomainMessageType(0)
    _ANY = DomainGraphicsReloadType.ANY
    _NO_GRAPHICS_FLAGS = DomainOpenGraphicsFlags(0)
    _NO_ASSOCIATE_FLAGS = DomainFDAssociateFlags(0)
    _NO_CONSOLE_FLAGS = DomainConsoleFlags(0)
    _NO_CHANNEL_FLAGS = DomainChannelFlags(0)
else:  # importing these enumerations would make importing pyvirt a tenth slower
    _LINUX = _ALL_TYPES = _ANY = 0
    _NO_GRAPHICS_FLAGS = _NO_ASSOCIATE_FLAGS = _NO_CONSOLE_FLAGS = _NO_CHANNEL_FLAGS = 0


def _stream(conn: Connection) -> Stream:
    from pyvirt.enums.stream import StreamFlags
    from pyvirt.stream import Stream

    return Stream(conn, flags=StreamFlags.NONBLOCK)


class Input:
    """A base of :class:`~pyvirt.Domain`."""

    __slots__ = ()

    _conn: Connection
    _ptr: CData

    def send_key(self, keycodes: Iterable[int], *, codeset: KeycodeSet = _LINUX, holdtime: int = 0) -> None:
        """Press keys of the guest's keyboard together, and let them go.  (virDomainSendKey)

        :param keycodes: numbers of keys, at most 16
        :param codeset: whose numbers they are; by default Linux's, ``KEY_…`` in ``input-event-codes.h``
        :param holdtime: milliseconds until they are let go, 0 for the driver's choice
        """
        codes = ffi.new("unsigned int[]", list(keycodes))
        check(lib.virDomainSendKey(self._ptr, codeset, holdtime, codes, len(codes), 0))

    def send_process_signal(self, pid: int, signal: DomainProcessSignal) -> None:
        """Send a signal to a process of the guest.  (virDomainSendProcessSignal)

        :param pid: its number in the guest, which for drivers may have to be 1; a negative one is a group's
        """
        check(lib.virDomainSendProcessSignal(self._ptr, pid, signal, 0))

    def inject_nmi(self) -> None:
        """Send a non-maskable interrupt, of which many systems crash and write a dump.  (virDomainInjectNMI)"""
        check(lib.virDomainInjectNMI(self._ptr, 0))

    def messages(self, types: DomainMessageType = _ALL_TYPES) -> list[str]:
        """Return the warnings that libvirt holds about it: deprecated settings, taints, …  (virDomainGetMessages)

        :param types: only these, all without any
        """
        out = ffi.new("char ***")
        count = check(lib.virDomainGetMessages(self._ptr, out, types))
        return take_strings(out[0], count)

    def open_graphics_fd(self, index: int = 0, *, flags: DomainOpenGraphicsFlags = _NO_GRAPHICS_FLAGS) -> int:
        """Connect to a display; return the socket, which the caller closes.  (virDomainOpenGraphicsFD)

        :param index: which display, in the order of its configuration
        :param flags: with ``SKIPAUTH`` it asks for no password
        :raises NotSupportedError: the connection is not local
        """
        return check(lib.virDomainOpenGraphicsFD(self._ptr, index, flags))

    def open_graphics(self, fd: int, index: int = 0, *, flags: DomainOpenGraphicsFlags = _NO_GRAPHICS_FLAGS) -> None:
        """Connect one end of a socket pair to a display; the other is the client's.  (virDomainOpenGraphics)

        :param fd: that end, which stays the caller's to close
        :param index: which display, in the order of its configuration
        :param flags: with ``SKIPAUTH`` it asks for no password
        """
        check(lib.virDomainOpenGraphics(self._ptr, index, fd, flags))

    def console(self, name: str | None = None, *, flags: DomainConsoleFlags = _NO_CONSOLE_FLAGS) -> Stream:
        """Connect to a console, serial or parallel port of the running guest.  (virDomainOpenConsole)

        The stream does not block: ``stream.wait(READABLE)`` waits.

        :param name: the alias of the device in its configuration; ``None`` takes the first console or serial port
        :param flags: with ``FORCE`` whoever is connected is thrown out
        :raises OperationFailedError: somebody is connected
        """
        stream = _stream(self._conn)
        return stream._begin(lambda: lib.virDomainOpenConsole(self._ptr, encode_or_null(name), stream._ptr, flags))

    def channel(self, name: str | None = None, *, flags: DomainChannelFlags = _NO_CHANNEL_FLAGS) -> Stream:
        """Connect to a channel to the running guest.  (virDomainOpenChannel)

        The stream does not block: ``stream.wait(READABLE)`` waits.

        :param name: its alias or its target's name, ``"org.qemu.guest_agent.0"``; ``None`` takes the first
        :param flags: with ``FORCE`` whoever is connected is thrown out
        """
        stream = _stream(self._conn)
        return stream._begin(lambda: lib.virDomainOpenChannel(self._ptr, encode_or_null(name), stream._ptr, flags))

    def screenshot(self, screen: int = 0) -> Screenshot:
        """Return what a display of the running guest shows.  (virDomainScreenshot)

        :param screen: which, counted from 0
        :raises OperationUnsupportedError: it has no display
        """
        from pyvirt.models import Screenshot
        from pyvirt.stream import Stream

        kinds: list[str] = []

        def begin() -> int:
            kinds.append(take_string(lib.virDomainScreenshot(self._ptr, stream._ptr, screen, 0)))
            return 0

        stream = Stream(self._conn, "r")
        with stream._begin(begin):
            return Screenshot(kinds[0], stream.readall())

    def graphics_reload(self, type: DomainGraphicsReloadType = _ANY) -> None:
        """Have displays read their TLS certificates again.  (virDomainGraphicsReload)

        :param type: of which protocol
        """
        check(lib.virDomainGraphicsReload(self._ptr, type, 0))

    def security_label(self) -> SecurityLabel:
        """Return what keeps the running guest apart, the first label where it has several.  (virDomainGetSecurityLabel)

        :returns: with an empty label where nothing does
        """
        out = ffi.new("virSecurityLabel *")
        check(lib.virDomainGetSecurityLabel(self._ptr, out))
        return _label(out)

    def security_labels(self) -> list[SecurityLabel]:
        """Return a label of each security driver.  (virDomainGetSecurityLabelList)"""
        out = ffi.new("virSecurityLabelPtr *")
        count = check(lib.virDomainGetSecurityLabelList(self._ptr, out))
        try:
            return [_label(out[0][i]) for i in range(count)]
        finally:
            lib.free(out[0])

    def fd_associate(
        self, name: str, files: Iterable[int], *, flags: DomainFDAssociateFlags = _NO_ASSOCIATE_FLAGS
    ) -> None:
        """Hand over open files for ``<source fdgroup='name'/>`` of a disk to use.  (virDomainFDAssociate)

        libvirt holds them for as long as this connection is open.

        :param name: the ``fdgroup``
        :param files: file descriptors, which stay the caller's to close
        :raises NotSupportedError: the connection is not local
        """
        numbers = ffi.new("int[]", list(files))
        check(lib.virDomainFDAssociate(self._ptr, encode(name), len(numbers), numbers, flags))


def _label(label: CData) -> SecurityLabel:
    from pyvirt.models import SecurityLabel

    return SecurityLabel(decode(label.label), bool(label.enforcing))
