# SPDX-License-Identifier: LGPL-2.1-or-later
"""Interfaces of LXC containers only: namespaces, control groups and labels that this process can enter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyvirt._core.call import check
from pyvirt._core.lib import ffi, lib, load_extension
from pyvirt._core.text import decode, encode
from pyvirt.domain._part import Part
from pyvirt.errors import InvalidArgumentError, NotSupportedError
from pyvirt.models import SecurityModel

if TYPE_CHECKING:
    from collections.abc import Sequence

try:
    _lxc, _ = load_extension("lxc")
except ImportError:
    raise NotSupportedError("this build of pyvirt was made without libvirt-lxc") from None


_PATIENCE = 1000  # milliseconds


def enter_security_label(model: SecurityModel, label: str, *, enforcing: bool = False) -> str:
    """Set the security label of this thread, and return the previous one.  (virDomainLxcEnterSecurityLabel)"""
    security = ffi.new("virSecurityModel *")
    wanted = ffi.new("virSecurityLabel *", {"enforcing": enforcing})
    before = ffi.new("virSecurityLabel *")
    for target, text in ((security.model, model.model), (security.doi, model.doi), (wanted.label, label)):
        data = encode(text)
        if len(data) >= len(target):
            raise InvalidArgumentError(f"{text[:40]!r} must have at most {len(target) - 1} bytes, not {len(data)}")
        ffi.memmove(target, data, len(data))
    check(_lxc.virDomainLxcEnterSecurityLabel(security, wanted, before, 0), "virDomainLxcEnterSecurityLabel")
    return decode(before.label)


class LxcDomain(Part):
    """``domain.lxc``: a container's own interfaces."""

    __slots__ = ()

    def open_namespace(self) -> list[int]:
        """Return file descriptors of the container's namespaces, which the caller closes.

        (virDomainLxcOpenNamespace)
        """
        out = ffi.new("int **")
        count = self._call(_lxc.virDomainLxcOpenNamespace, out, 0)
        try:
            return [out[0][i] for i in range(count)]
        finally:
            lib.free(out[0])

    def enter_namespace(self, namespaces: Sequence[int]) -> list[int]:
        """Move this process into namespaces; return those it was in, which the caller closes.

        Use it in a process with one thread that was forked for this: libvirt does not report that a process with
        several threads cannot enter a mount namespace.  After entering a process namespace no thread can be started,
        so events
        and keepalive of its connections stop: do the work in child processes.  (virDomainLxcEnterNamespace)
        """
        count = ffi.new("unsigned int *")
        out = ffi.new("int **")
        array = ffi.new("int[]", namespaces)
        lib.pv_loop_pause(_PATIENCE)  # stops a thread of pyvirt
        try:
            self._call(_lxc.virDomainLxcEnterNamespace, len(namespaces), array, count, out, 0)
        finally:
            lib.pv_loop_resume()
        try:
            return [out[0][i] for i in range(count[0])]
        finally:
            lib.free(out[0])

    def enter_cgroup(self) -> None:
        """Move this process into the container's control groups.  (virDomainLxcEnterCGroup)"""
        self._call(_lxc.virDomainLxcEnterCGroup, 0)
