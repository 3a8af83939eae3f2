# SPDX-License-Identifier: LGPL-2.1-or-later
"""``dom.agent``: what the agent inside a guest does and tells."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING

from pyvirt._core.lib import ffi, lib
from pyvirt._core.text import decode, encode, encode_or_null, string_array, take_strings
from pyvirt.domain._part import Part
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

    Every method waits for it, see :meth:`set_response_timeout`, and raises :class:`OperationInvalidError` when the
    domain does not run, :class:`AgentUnresponsiveError` when there is no agent, or none that answers.  When it refuses
    that is an :class:`AgentError`, or in libvirts that do not tell a plain :class:`Error`.  The addresses that it knows
    are in ``dom.interfaces``.
    """

    __slots__ = ()

    def guest_info(self, types: DomainGuestInfoTypes = DomainGuestInfoTypes(0)) -> GuestInfo:
        """Return what the guest says about itself, nested as :class:`~pyvirt.domain.guest_info.GuestInfo` shows.

        (virDomainGetGuestInfo)

        :param types: what to ask for, without any all that the agent supports
        :raises NotSupportedError: the agent lacks one that was asked for
        """
        call = lib.virDomainGetGuestInfo
        return nest(self._call_params(call, 0, before=(types,)))

    def hostname(self, *, flags: DomainGetHostnameFlags = DomainGetHostnameFlags.AGENT) -> str:
        """Return the guest's host name.  (virDomainGetHostname)

        :param flags: who is asked: with ``LEASE`` libvirt's own DHCP server in place of the agent, without any whom the
            driver likes, which those that know no agents want
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
        """Set the guest's clock, and its hardware clock by it.  (virDomainSetTime)

        :param time: nanoseconds since 1970
        """
        self._call(lib.virDomainSetTime, *divmod(index(time), _SECOND), 0)

    def sync_time(self) -> None:
        """Set the guest's clock by its hardware clock, as after a long pause.  (virDomainSetTime)"""
        self._call(lib.virDomainSetTime, 0, 0, DomainSetTimeFlags.SYNC)

    def fs_info(self) -> list[FilesystemInfo]:
        """Return the file systems that are mounted from disks.  (virDomainGetFSInfo)"""
        out = ffi.new("virDomainFSInfoPtr **")
        count = self._call(lib.virDomainGetFSInfo, out, 0)
        return _take_filesystems(out[0], count)

    def fs_freeze(self, mountpoints: Iterable[str] | None = None) -> int:
        """Hold all writing to file systems until :meth:`fs_thaw`; return how many.  (virDomainFSFreeze)

        While they are held the agent does hardly anything else.

        :param mountpoints: only those mounted there; ``None`` for all
        :raises InvalidArgumentError: *mountpoints* is empty, which to libvirt would be all
        """
        pointer, count, _kept = _mountpoints(mountpoints)
        return self._call(lib.virDomainFSFreeze, pointer, count, 0)

    def fs_thaw(self, mountpoints: Iterable[str] | None = None) -> int:
        """Let writing go on; return for how many file systems.  (virDomainFSThaw)

        :param mountpoints: only those mounted there; ``None`` for all, QEMU's driver takes nothing else
        """
        pointer, count, _kept = _mountpoints(mountpoints)
        return self._call(lib.virDomainFSThaw, pointer, count, 0)

    def fs_trim(self, mountpoint: str | None = None, *, minimum: int = 0) -> None:
        """Tell the disks what file systems do not use.  (virDomainFSTrim)

        :param mountpoint: ``None`` for all; QEMU's driver takes nothing else
        :param minimum: bytes that are worth it, a hint
        """
        self._call(lib.virDomainFSTrim, encode_or_null(mountpoint), minimum, 0)

    def set_user_password(
        self, user: str, password: str, *, flags: DomainSetUserPasswordFlags = DomainSetUserPasswordFlags(0)
    ) -> None:
        """Change the password of a user of the guest.  (virDomainSetUserPassword)

        :param password: in clear, or with ``ENCRYPTED`` as the guest stores it
        """
        self._call(lib.virDomainSetUserPassword, encode(user), encode(password), flags)

    def authorized_ssh_keys(self, user: str) -> list[str]:
        """Return the keys that let in as that user, a line each.  (virDomainAuthorizedSSHKeysGet)"""
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
        """Let in who has one of these keys, and nobody else.  (virDomainAuthorizedSSHKeysSet)

        :param keys: lines as in ``authorized_keys``; none lets nobody in
        :param flags: with ``APPEND`` others stay, with ``REMOVE`` these go and others stay
        """
        pointer, count, _kept = _texts(keys)
        self._call(lib.virDomainAuthorizedSSHKeysSet, encode(user), pointer, count, flags)

    def set_response_timeout(self, timeout: int) -> None:
        """Say how long to wait for the agent, until the domain stops.  (virDomainAgentSetResponseTimeout)

        :param timeout: seconds, or one of :class:`~pyvirt.enums.DomainAgentResponseTimeout`
        """
        self._call(lib.virDomainAgentSetResponseTimeout, timeout, 0)


def _texts(items: Iterable[str]) -> tuple[CData, int, CData]:
    """Return an array for libvirt, how long it is, and what must stay alive as long as it."""
    if isinstance(items, str):  # its letters would do, and one of them be "/"
        raise TypeError(f"expected texts, got one: {items[:40]!r}")
    texts = list(items)
    pointer, kept = string_array(texts)
    return pointer, len(texts), kept


def _mountpoints(items: Iterable[str] | None) -> tuple[CData, int, CData]:
    if items is None:
        return ffi.NULL, 0, ffi.NULL
    array = _texts(items)
    if not array[1]:
        raise InvalidArgumentError("there are no mountpoints: None stands for all")
    return array


def _take_filesystems(array: CData, count: int) -> list[FilesystemInfo]:
    """Return what a call allocated, and free it."""
    try:
        return [_filesystem(array[i]) for i in range(count)]
    finally:
        for i in range(count):
            lib.virDomainFSInfoFree(array[i])
        lib.free(array)


def _filesystem(info: CData) -> FilesystemInfo:
    devices = tuple(decode(info.devAlias[i]) for i in range(info.ndevAlias))
    return FilesystemInfo(decode(info.mountpoint), decode(info.name), decode(info.fstype), devices)
