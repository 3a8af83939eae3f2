# SPDX-License-Identifier: LGPL-2.1-or-later
"""``dom.agent``: the agent inside a guest."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING

from pyvirt._core.lib import ffi, lib
from pyvirt._core.text import decode, encode, encode_or_null, string_array, take_strings
from pyvirt.domain._part import Part, take_array
from pyvirt.domain.guest_info import nest
from pyvirt.enums.domain_guest import (
    DomainAuthorizedSSHKeysSetFlags,
    DomainGetHostnameFlags,
    DomainGuestInfoTypes,
    DomainSetTimeFlags,
    DomainSetUserPasswordFlags,
)
from pyvirt.errors import InvalidArgumentError
from pyvirt.models import FilesystemInfo

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyvirt._core.lib import CData
    from pyvirt.domain.guest_info import GuestInfo

_SECOND = 10**9  # nanoseconds


class Agent(Part):
    """The guest's agent.

    Every method waits for the agent, see :meth:`set_response_timeout`.  It raises :class:`OperationInvalidError` if the
    domain is not running, and :class:`AgentUnresponsiveError` if there is no agent or the agent does not answer.  If
    the agent refuses a command, that is an :class:`AgentError`, or with an old libvirt a plain :class:`Error`.  The
    addresses that the agent reports are in ``dom.interfaces``.
    """

    __slots__ = ()

    def guest_info(self, types: DomainGuestInfoTypes = DomainGuestInfoTypes(0)) -> GuestInfo:
        """Return the guest's description of itself, nested as :class:`~pyvirt.domain.guest_info.GuestInfo` shows.

        (virDomainGetGuestInfo)

        :param types: which kinds of information; 0 for all that the agent supports
        :raises NotSupportedError: the agent lacks one of *types*
        """
        call = lib.virDomainGetGuestInfo
        return nest(self._call_params(call, 0, before=(types,)))

    def hostname(self, *, flags: DomainGetHostnameFlags = DomainGetHostnameFlags.AGENT) -> str:
        """Return the guest's host name.  (virDomainGetHostname)

        :param flags: the source: with ``AGENT`` the agent, with ``LEASE`` libvirt's own DHCP server, with 0 the
            driver's default, which drivers without agents need
        """
        return self._call_string(lib.virDomainGetHostname, flags)

    def time(self) -> int:
        """Return the guest's clock: nanoseconds since 1970, as ``time.time_ns()``.  (virDomainGetTime)"""
        seconds = ffi.new("long long *")
        nanoseconds = ffi.new("unsigned int *")
        self._call(lib.virDomainGetTime, seconds, nanoseconds, 0)
        now: int = seconds[0] * _SECOND + nanoseconds[0]
        return now

    def set_time(self, time: int) -> None:
        """Set the guest's clock, and its hardware clock too.  (virDomainSetTime)

        :param time: nanoseconds since 1970
        """
        self._call(lib.virDomainSetTime, *divmod(index(time), _SECOND), 0)

    def sync_time(self) -> None:
        """Set the guest's clock from its hardware clock, for example after a long pause.  (virDomainSetTime)"""
        self._call(lib.virDomainSetTime, 0, 0, DomainSetTimeFlags.SYNC)

    def fs_info(self) -> list[FilesystemInfo]:
        """Return the mounted file systems and their disks.  (virDomainGetFSInfo)"""
        out = ffi.new("virDomainFSInfoPtr **")
        count = self._call(lib.virDomainGetFSInfo, out, 0)
        return take_array(out[0], count, _filesystem, lib.virDomainFSInfoFree)

    def fs_freeze(self, mountpoints: Iterable[str] | None = None) -> int:
        """Freeze file systems until :meth:`fs_thaw`, and return their number.  (virDomainFSFreeze)

        While they are frozen the agent refuses almost all other commands.

        :param mountpoints: only the file systems mounted there; ``None`` for all
        :raises InvalidArgumentError: *mountpoints* is empty, which libvirt would take for all
        """
        pointer, count, _kept = _mountpoints(mountpoints)
        return self._call(lib.virDomainFSFreeze, pointer, count, 0)

    def fs_thaw(self, mountpoints: Iterable[str] | None = None) -> int:
        """Thaw frozen file systems, and return their number.  (virDomainFSThaw)

        :param mountpoints: only the file systems mounted there; ``None`` for all, the only value that QEMU's driver
            accepts
        """
        pointer, count, _kept = _mountpoints(mountpoints)
        return self._call(lib.virDomainFSThaw, pointer, count, 0)

    def fs_trim(self, mountpoint: str | None = None, *, minimum: int = 0) -> None:
        """Discard the unused blocks of file systems.  (virDomainFSTrim)

        :param mountpoint: a file system; ``None`` for all, the only value that QEMU's driver accepts
        :param minimum: the smallest free range to discard, in bytes; a hint
        """
        self._call(lib.virDomainFSTrim, encode_or_null(mountpoint), minimum, 0)

    def set_user_password(
        self, user: str, password: str, *, flags: DomainSetUserPasswordFlags = DomainSetUserPasswordFlags(0)
    ) -> None:
        """Set the password of a user of the guest.  (virDomainSetUserPassword)

        :param password: in clear text, or encrypted as the guest stores it, with ``ENCRYPTED`` in *flags*
        """
        self._call(lib.virDomainSetUserPassword, encode(user), encode(password), flags)

    def authorized_ssh_keys(self, user: str) -> list[str]:
        """Return the authorized SSH keys of a user, one line each.  (virDomainAuthorizedSSHKeysGet)"""
        out = ffi.new("char ***")
        count = self._call(lib.virDomainAuthorizedSSHKeysGet, encode(user), out, 0)
        return take_strings(out[0], count)

    def set_authorized_ssh_keys(
        self,
        user: str,
        keys: Iterable[str],
        *,
        flags: DomainAuthorizedSSHKeysSetFlags = DomainAuthorizedSSHKeysSetFlags(0),
    ) -> None:
        """Set the authorized SSH keys of a user.  (virDomainAuthorizedSSHKeysSet)

        :param keys: lines as in ``authorized_keys``; an empty list removes all keys
        :param flags: with ``APPEND`` *keys* are added to the others, with ``REMOVE`` they are removed
        """
        pointer, count, _kept = _array_of(keys)
        self._call(lib.virDomainAuthorizedSSHKeysSet, encode(user), pointer, count, flags)

    def set_response_timeout(self, timeout: int) -> None:
        """Set how long to wait for the agent; valid until the domain stops.  (virDomainAgentSetResponseTimeout)

        :param timeout: seconds, or one of :class:`~pyvirt.enums.DomainAgentResponseTimeout`
        """
        self._call(lib.virDomainAgentSetResponseTimeout, timeout, 0)


def _array_of(items: Iterable[str]) -> tuple[CData, int, CData]:
    """Return an array for libvirt, its length, and an object that must stay alive as long as the array."""
    if isinstance(items, str):  # iterating would yield its letters, and "/" is a mount point
        raise TypeError(f"expected a list of strings, got one string: {items[:40]!r}")
    texts = list(items)
    pointer, kept = string_array(texts)
    return pointer, len(texts), kept


def _mountpoints(items: Iterable[str] | None) -> tuple[CData, int, CData]:
    if items is None:
        return ffi.NULL, 0, ffi.NULL
    array = _array_of(items)
    if not array[1]:
        raise InvalidArgumentError("mountpoints must not be empty; use None for all")
    return array


def _filesystem(info: CData) -> FilesystemInfo:
    devices = tuple(decode(info.devAlias[i]) for i in range(info.ndevAlias))
    return FilesystemInfo(decode(info.mountpoint), decode(info.name), decode(info.fstype), devices)
