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
    """The methods of :class:`~pyvirt.Domain` for keys, signals, files, messages and labels."""

    __slots__ = ()

    _conn: Connection

    def send_key(self, keycodes: Iterable[int], *, codeset: KeycodeSet = _LINUX, holdtime: int = 0) -> None:
        """Press keys of the guest's keyboard together, and release them.  (virDomainSendKey)

        :param keycodes: numbers of keys, at most 16
        :param codeset: which numbering it is; by default Linux's, ``KEY_…`` in ``input-event-codes.h``
        :param holdtime: milliseconds until they are released, 0 for the driver's default
        """
        codes = ffi.new("unsigned int[]", list(keycodes))
        self._call(lib.virDomainSendKey, codeset, holdtime, codes, len(codes), 0)

    def send_process_signal(self, pid: int, signal: DomainProcessSignal) -> None:
        """Send a signal to a process of the guest.  (virDomainSendProcessSignal)

        :param pid: the process id in the guest; some drivers accept only 1; a negative number means a process group
        """
        self._call(lib.virDomainSendProcessSignal, pid, signal, 0)

    def inject_nmi(self) -> None:
        """Send a non-maskable interrupt; many systems then crash and write a dump.  (virDomainInjectNMI)"""
        self._call(lib.virDomainInjectNMI, 0)

    def messages(self, types: DomainMessageType = _ALL_TYPES) -> list[str]:
        """Return libvirt's warnings about the domain: deprecated settings, taints, …  (virDomainGetMessages)

        :param types: only these, all without any
        """
        out = ffi.new("char ***")
        count = self._call(lib.virDomainGetMessages, out, types)
        return take_strings(out[0], count)

    def security_label(self) -> SecurityLabel:
        """Return the security label of the running guest, the first one if it has several.  (virDomainGetSecurityLabel)

        :returns: the label is empty if no security driver confines the guest
        """
        out = ffi.new("virSecurityLabel *")
        self._call(lib.virDomainGetSecurityLabel, out)
        return _label(out)

    def security_labels(self) -> list[SecurityLabel]:
        """Return the label of each security driver.  (virDomainGetSecurityLabelList)"""
        out = ffi.new("virSecurityLabelPtr *")
        count = self._call(lib.virDomainGetSecurityLabelList, out)
        try:
            return [_label(out[0][i]) for i in range(count)]
        finally:
            lib.free(out[0])

    def fd_associate(
        self, name: str, files: Iterable[int], *, flags: DomainFDAssociateFlags = _NO_ASSOCIATE_FLAGS
    ) -> None:
        """Pass open files to libvirt, for disks with ``<source fdgroup='name'/>``.  (virDomainFDAssociate)

        libvirt keeps them open as long as this connection is open.

        :param name: the ``fdgroup``
        :param files: file descriptors; the caller closes its own
        :raises NotSupportedError: the connection is not local
        """
        numbers = ffi.new("int[]", list(files))
        self._call(lib.virDomainFDAssociate, encode(name), len(numbers), numbers, flags)


def _label(label: CData) -> SecurityLabel:
    from pyvirt.models import SecurityLabel

    return SecurityLabel(decode(label.label), bool(label.enforcing))
