# SPDX-License-Identifier: LGPL-2.1-or-later
"""Interfaces of QEMU guests only: the monitor, and an agent that accepts any command.

libvirt does not support changes that it does not make itself: it marks such a domain as tainted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyvirt._core.lib import ffi, lib, load_extension
from pyvirt._core.text import encode, take_string
from pyvirt.domain import Domain
from pyvirt.domain._part import Part
from pyvirt.enums.qemu import DomainQemuAgentCommandTimeout, DomainQemuMonitorCommandFlags
from pyvirt.errors import NotSupportedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyvirt.connection import Connection

try:
    _qemu, _ = load_extension("qemu")
except ImportError:
    raise NotSupportedError("this build of pyvirt has no libvirt-qemu") from None


def attach(conn: Connection, pid: int) -> Domain:
    """Make a domain of a QEMU process that libvirt did not start.  (virDomainQemuAttach)"""
    return conn._call_object(Domain, _qemu.virDomainQemuAttach, pid, 0)


class QemuDomain(Part):
    """``domain.qemu``: QEMU's own interfaces to a domain."""

    __slots__ = ()

    def monitor_command(
        self, command: str, *, flags: DomainQemuMonitorCommandFlags = DomainQemuMonitorCommandFlags.DEFAULT
    ) -> str:
        """Send a command to the monitor and return its answer.  (virDomainQemuMonitorCommand)

        :param command: QMP, a JSON object; with ``HMP`` a line of the human monitor
        """
        out = ffi.new("char **")
        self._call(_qemu.virDomainQemuMonitorCommand, encode(command), out, flags)
        return take_string(out[0])

    def monitor_command_with_files(
        self,
        command: str,
        files: Sequence[int] = (),
        *,
        flags: DomainQemuMonitorCommandFlags = DomainQemuMonitorCommandFlags.DEFAULT,
    ) -> tuple[str, list[int]]:
        """Send a command and file descriptors; return its answer and the descriptors that it returns.

        The caller closes them.

        (virDomainQemuMonitorCommandWithFiles)
        """
        out = ffi.new("char **")
        count = ffi.new("unsigned int *")
        given = ffi.new("int **")
        self._call(
            _qemu.virDomainQemuMonitorCommandWithFiles,
            encode(command),
            len(files),
            ffi.new("int[]", files),
            count,
            given,
            out,
            flags,
        )
        try:
            return take_string(out[0]), [given[0][i] for i in range(count[0])]
        finally:
            lib.free(given[0])

    def agent_command(self, command: str, *, timeout: int = DomainQemuAgentCommandTimeout.DEFAULT) -> str:
        """Send a command to the guest agent and return its answer.  (virDomainQemuAgentCommand)

        :param command: a JSON object
        :param timeout: seconds, or one of :class:`~pyvirt.enums.DomainQemuAgentCommandTimeout`
        :raises AgentUnresponsiveError: there is no agent, or it does not answer
        """
        return self._call_string(_qemu.virDomainQemuAgentCommand, encode(command), timeout, 0)
