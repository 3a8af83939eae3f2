# SPDX-License-Identifier: LGPL-2.1-or-later
"""Keys, signals and files for a guest, and its messages and labels: methods of :class:`~pyvirt.Domain`."""

from __future__ import annotations

from pyvirt._core.caller import Caller
from pyvirt._core.lib import ffi, lib
from pyvirt._core.text import decode, encode, take_strings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyvirt._core.lib import CData
    from pyvirt.connection import Connection
    from pyvirt.enums.domain_device import DomainFDAssociateFlags
    from pyvirt.enums.domain_guest import DomainMessageType, DomainProcessSignal, KeycodeSet
    from pyvirt.models import SecurityLabel

    _LINUX = KeycodeSet.LINUX
    _ALL_TYPES = DomainMessageType(0)
    _NO_ASSOCIATE_FLAGS = DomainFDAssociateFlags(0)
else:  # importing these enumerations would make importing pyvirt a tenth slower
    _LINUX = _ALL_TYPES = _NO_ASSOCIATE_FLAGS = 0


class GuestIOMethods(Caller):
    """A base of :class:`~pyvirt.Domain`."""

    __slots__ = ()

    _conn: Connection

    def send_key(self, keycodes: Iterable[int], *, codeset: KeycodeSet = _LINUX, holdtime: int = 0) -> None:
        """Press keys of the guest's keyboard together, and let them go.  (virDomainSendKey)

        :param keycodes: numbers of keys, at most 16
        :param codeset: whose numbers they are; by default Linux's, ``KEY_…`` in ``input-event-codes.h``
        :param holdtime: milliseconds until they are let go, 0 for the driver's choice
        """
        codes = ffi.new("unsigned int[]", list(keycodes))
        self._call(lib.virDomainSendKey, codeset, holdtime, codes, len(codes), 0)

    def send_process_signal(self, pid: int, signal: DomainProcessSignal) -> None:
        """Send a signal to a process of the guest.  (virDomainSendProcessSignal)

        :param pid: its number in the guest, which for drivers may have to be 1; a negative one is a group's
        """
        self._call(lib.virDomainSendProcessSignal, pid, signal, 0)

    def inject_nmi(self) -> None:
        """Send a non-maskable interrupt, of which many systems crash and write a dump.  (virDomainInjectNMI)"""
        self._call(lib.virDomainInjectNMI, 0)

    def messages(self, types: DomainMessageType = _ALL_TYPES) -> list[str]:
        """Return the warnings that libvirt holds about it: deprecated settings, taints, …  (virDomainGetMessages)

        :param types: only these, all without any
        """
        out = ffi.new("char ***")
        count = self._call(lib.virDomainGetMessages, out, types)
        return take_strings(out[0], count)

    def security_label(self) -> SecurityLabel:
        """Return what keeps the running guest apart, the first label where it has several.  (virDomainGetSecurityLabel)

        :returns: with an empty label where nothing does
        """
        out = ffi.new("virSecurityLabel *")
        self._call(lib.virDomainGetSecurityLabel, out)
        return _label(out)

    def security_labels(self) -> list[SecurityLabel]:
        """Return a label of each security driver.  (virDomainGetSecurityLabelList)"""
        out = ffi.new("virSecurityLabelPtr *")
        count = self._call(lib.virDomainGetSecurityLabelList, out)
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
        self._call(lib.virDomainFDAssociate, encode(name), len(numbers), numbers, flags)


def _label(label: CData) -> SecurityLabel:
    from pyvirt.models import SecurityLabel

    return SecurityLabel(decode(label.label), bool(label.enforcing))
