# SPDX-License-Identifier: LGPL-2.1-or-later
"""One guest domain: what it is, and its life from defined to gone."""

from __future__ import annotations

import struct

from pyvirt._convert import decode, encode, encode_or_null, take_string
from pyvirt._handle import Handle
from pyvirt._lib import ffi, lib
from pyvirt.enums.domain import (
    DomainCreateFlags,
    DomainDefineFlags,
    DomainDestroyFlags,
    DomainRebootFlags,
    DomainSaveRestoreFlags,
    DomainShutdownFlags,
    DomainState,
    DomainUndefineFlags,
    DomainXMLFlags,
)
from pyvirt.errors import DomainNotFoundError, OperationInvalidError, OperationTimeoutError, check, last_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from typing import ClassVar
    from uuid import UUID

    from lxml.etree import _Element

    from pyvirt._lib import CData
    from pyvirt.connection import Connection
    from pyvirt.enums.host import NodeSuspendTarget
    from pyvirt.models import DomainControlInfo, DomainInfo, DomainStateReason

_UUID_BUFFER = ffi.typeof("unsigned char[16]")
_NO_ID = 0xFFFFFFFF


class _States(dict[int, "DomainStateReason"]):
    """What pv_domain_state returns -> the tuple it means: there are few, and each is asked for without end."""

    def __missing__(self, packed: int) -> DomainStateReason:
        from pyvirt.models import DomainStateReason

        state, reason = packed >> 32, packed & 0xFFFFFFFF
        made = DomainStateReason.decode(state, reason)
        if len(self) < 1000:  # a broken daemon cannot make it grow for ever
            self[packed] = made
        return made


_states = _States()
_known_states = {state.value: state for state in DomainState}

# Room for virDomainGetInfo, used over and over: an address for C, and the bytes behind it for Python.  list.pop and
# list.append are atomic, so a thread has the room that it took for itself.
_unpack_info = struct.Struct("=5Q").unpack
_info_room: list[tuple[int, bytearray, object]] = []


def _new_info_room() -> tuple[int, bytearray, object]:
    data = bytearray(40)
    pointer = ffi.from_buffer(data)
    return int(ffi.cast("uintptr_t", pointer)), data, pointer


def _make_info(values: tuple[object, ...]) -> DomainInfo:
    """Load the models, which importing pyvirt does without, and step aside for the constructor."""
    global _make_info
    from functools import partial

    from pyvirt.models import DomainInfo

    made: Callable[[tuple[object, ...]], DomainInfo] = partial(tuple.__new__, DomainInfo)
    _make_info = made  # type: ignore[assignment]
    return made(values)


class Domain(Handle):
    """A guest domain, running or not."""

    __slots__ = ("_name", "_uuid")

    _conn: Connection
    _release: ClassVar[Callable[[CData], None]] = lib.pv_release_domain
    _name: str
    _uuid: bytes

    def __repr__(self) -> str:
        try:
            return f"<pyvirt.Domain {self.name!r} {self.uuid}>"
        except Exception:  # closed before anybody asked for the name: a repr never fails
            return "<pyvirt.Domain closed>"

    # ---- identity: what the handle knows ----

    @property
    def connection(self) -> Connection:
        """The connection it belongs to."""
        return self._conn

    @property
    def name(self) -> str:
        """The name, as far as this handle has heard.  (virDomainGetName)"""
        try:
            return self._name
        except AttributeError:
            self._name = decode(lib.virDomainGetName(self._ptr))
            return self._name

    @property
    def uuid(self) -> UUID:
        """The UUID.  (virDomainGetUUID)"""
        from uuid import UUID

        return UUID(bytes=self._identity())

    @property
    def id(self) -> int | None:
        """The id it runs under, ``None`` if it did not run, as far as this handle has heard.  (virDomainGetID)"""
        number: int = lib.virDomainGetID(self._ptr)
        return None if number == _NO_ID else number

    def _identity(self) -> bytes:
        try:
            return self._uuid
        except AttributeError:
            buffer = ffi.new(_UUID_BUFFER)
            check(lib.virDomainGetUUID(self._ptr, buffer))
            self._uuid = bytes(buffer)
            return self._uuid

    # ---- state ----

    def state(self) -> DomainStateReason:
        """Return what it does and why.  (virDomainGetState)"""
        packed = lib.pv_domain_state(self._ptr)
        if packed < 0:
            raise last_error("virDomainGetState")
        return _states[packed]

    def info(self) -> DomainInfo:
        """Return state, memory, vCPUs and CPU time at once.  (virDomainGetInfo)"""
        try:
            room = _info_room.pop()
        except IndexError:
            room = _new_info_room()
        if lib.pv_domain_info(self._ptr, room[0]) < 0:
            raise last_error("virDomainGetInfo")
        state, max_memory, memory, vcpus, cpu_time = _unpack_info(room[1])
        _info_room.append(room)
        return _make_info((_known_states.get(state) or DomainState(state), max_memory, memory, vcpus, cpu_time))

    def control_info(self) -> DomainControlInfo:
        """Return whether the hypervisor can be asked about it, without waiting.  (virDomainGetControlInfo)"""
        from pyvirt.enums.domain_state import DomainControlErrorReason, DomainControlState
        from pyvirt.models import DomainControlInfo

        out = ffi.new("virDomainControlInfo *")
        check(lib.virDomainGetControlInfo(self._ptr, out, 0))
        return DomainControlInfo(DomainControlState(out.state), DomainControlErrorReason(out.details), out.stateTime)

    def is_active(self) -> bool:
        """Return whether it runs.  (virDomainIsActive)"""
        return check(lib.virDomainIsActive(self._ptr)) == 1

    def is_persistent(self) -> bool:
        """Return whether a configuration is stored, which outlives a stop.  (virDomainIsPersistent)"""
        return check(lib.virDomainIsPersistent(self._ptr)) == 1

    def is_updated(self) -> bool:
        """Return whether the stored configuration differs from the running one.  (virDomainIsUpdated)"""
        return check(lib.virDomainIsUpdated(self._ptr)) == 1

    def os_type(self) -> str:
        """Return what it boots, ``"hvm"`` or ``"exe"``.  (virDomainGetOSType)"""
        return take_string(lib.virDomainGetOSType(self._ptr))

    def wait_for(self, *states: DomainState, timeout: float | None = None, interval: float = 0.2) -> DomainStateReason:
        """Wait until it is in one of *states*, and return that one with its reason.

        The state is asked for again and again, at first every few milliseconds, then every *interval* seconds.
        A transient domain that is gone counts as SHUTOFF.

        :param timeout: seconds; ``None`` waits without end
        :raises OperationTimeoutError: it was in none of them within *timeout*
        """
        import time

        if not states:
            raise TypeError("wait_for() takes at least one state")
        end = None if timeout is None else time.monotonic() + timeout
        pause = 0.005
        while True:
            now = self._state_or_gone(DomainState.SHUTOFF in states)
            if now.state in states:
                return now
            left = interval if end is None else end - time.monotonic()
            if left <= 0:
                wanted = " or ".join(state.name for state in states)
                raise OperationTimeoutError(
                    f"domain {self.name!r} is {now.state.name}, not {wanted}, after {timeout:g} s",
                    function="virDomainGetState",
                )
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, interval)

    def _state_or_gone(self, gone_is_fine: bool) -> DomainStateReason:
        try:
            return self.state()
        except DomainNotFoundError:
            if not gone_is_fine:
                raise
            return _states[DomainState.SHUTOFF << 32]

    # ---- life ----

    def start(self, *, flags: DomainCreateFlags = DomainCreateFlags(0)) -> None:
        """Start it.  (virDomainCreateWithFlags)

        :raises OperationInvalidError: it runs already
        """
        check(lib.virDomainCreateWithFlags(self._ptr, flags))

    def shutdown(self, *, flags: DomainShutdownFlags = DomainShutdownFlags(0)) -> None:
        """Ask the guest to shut down; it may take its time, or ignore it.  (virDomainShutdownFlags)"""
        check(lib.virDomainShutdownFlags(self._ptr, flags))

    def reboot(self, *, flags: DomainRebootFlags = DomainRebootFlags(0)) -> None:
        """Ask the guest to reboot; it may take its time, or ignore it.  (virDomainReboot)"""
        check(lib.virDomainReboot(self._ptr, flags))

    def reset(self) -> None:
        """Press the reset button.  (virDomainReset)"""
        check(lib.virDomainReset(self._ptr, 0))

    def destroy(self, *, flags: DomainDestroyFlags = DomainDestroyFlags(0)) -> None:
        """Stop it at once, as if by pulling the plug; nothing stored is lost.  (virDomainDestroyFlags)

        :raises OperationInvalidError: it does not run
        """
        check(lib.virDomainDestroyFlags(self._ptr, flags))

    def suspend(self) -> None:
        """Hold its vCPUs; memory stays.  (virDomainSuspend)"""
        check(lib.virDomainSuspend(self._ptr))

    def resume(self) -> None:
        """Let the vCPUs go on.  (virDomainResume)"""
        check(lib.virDomainResume(self._ptr))

    def pm_suspend(self, target: NodeSuspendTarget, *, duration: int = 0) -> None:
        """Make the guest sleep, by its agent.  (virDomainPMSuspendForDuration)

        :param duration: seconds until it is woken, 0 for until :meth:`pm_wakeup`
        """
        check(lib.virDomainPMSuspendForDuration(self._ptr, target, duration, 0))

    def pm_wakeup(self) -> None:
        """Wake a sleeping guest.  (virDomainPMWakeup)"""
        check(lib.virDomainPMWakeup(self._ptr, 0))

    def save(
        self,
        path: str,
        *,
        xml: str | None = None,
        flags: DomainSaveRestoreFlags = DomainSaveRestoreFlags(0),
    ) -> None:
        """Write its memory to a file and stop it; ``conn.domains.restore(path)`` goes on.  (virDomainSaveFlags)

        :param path: a file on the hypervisor's host
        :param xml: a configuration to store in place of the running one
        """
        check(lib.virDomainSaveFlags(self._ptr, encode(path), encode_or_null(xml), flags))

    def managed_save(self, *, flags: DomainSaveRestoreFlags = DomainSaveRestoreFlags(0)) -> None:
        """Save it where libvirt keeps such files; the next start goes on from there.  (virDomainManagedSave)"""
        check(lib.virDomainManagedSave(self._ptr, flags))

    def has_managed_save(self) -> bool:
        """Return whether the next start would go on from a saved state.  (virDomainHasManagedSaveImage)"""
        return check(lib.virDomainHasManagedSaveImage(self._ptr, 0)) == 1

    def managed_save_remove(self) -> None:
        """Drop the saved state: the next start boots.  (virDomainManagedSaveRemove)"""
        check(lib.virDomainManagedSaveRemove(self._ptr, 0))

    def undefine(self, *, flags: DomainUndefineFlags = DomainUndefineFlags(0)) -> None:
        """Drop the stored configuration; if it runs it becomes transient.  (virDomainUndefineFlags)

        :raises OperationInvalidError: there is something, a saved state or a snapshot, that *flags* do not cover
        """
        check(lib.virDomainUndefineFlags(self._ptr, flags))

    def rename(self, name: str) -> None:
        """Give a stopped domain another name.  (virDomainRename)"""
        check(lib.virDomainRename(self._ptr, encode(name), 0))
        # libvirt's own handle keeps the old name, so this one has to be told.
        self._name = name

    def autostart(self) -> bool:
        """Return whether it starts with the host.  (virDomainGetAutostart)"""
        out = ffi.new("int *")
        check(lib.virDomainGetAutostart(self._ptr, out))
        return bool(out[0])

    def set_autostart(self, autostart: bool) -> None:
        """Say whether it starts with the host.  (virDomainSetAutostart)"""
        check(lib.virDomainSetAutostart(self._ptr, bool(autostart)))

    # ---- configuration ----

    def xml_desc(self, *, flags: DomainXMLFlags = DomainXMLFlags(0)) -> str:
        """Return its configuration: the running one, or with ``INACTIVE`` the stored.  (virDomainGetXMLDesc)"""
        return take_string(lib.virDomainGetXMLDesc(self._ptr, flags))

    def edit(self, *, flags: DomainDefineFlags = DomainDefineFlags(0)) -> AbstractContextManager[_Element]:
        """Change the stored configuration as a tree: ``with dom.edit() as root: …``

        Read with its secrets, defined again when the block ends, left as it was when the block raises.
        (virDomainGetXMLDesc, virDomainDefineXMLFlags)

        :raises OperationInvalidError: a transient domain has no stored configuration
        """
        from contextlib import contextmanager

        return contextmanager(self._edit)(flags)

    def _edit(self, flags: DomainDefineFlags) -> Iterator[_Element]:
        from pyvirt.xmldesc import parse, serialize

        if not self.is_persistent():
            raise OperationInvalidError(
                f"domain {self.name!r} is transient: it has no stored configuration to edit", code=55
            )
        root = parse(self.xml_desc(flags=DomainXMLFlags.INACTIVE | DomainXMLFlags.SECURE))
        yield root
        self._conn.domains.define(serialize(root), flags=flags)
