# SPDX-License-Identifier: LGPL-2.1-or-later
"""One guest domain: what it is, and its life from defined to gone."""

from __future__ import annotations

from pyvirt._core.call import last_error
from pyvirt._core.document import encode_xml, encode_xml_or_null, xml_text
from pyvirt._core.lib import ffi, lib
from pyvirt._core.text import encode
from pyvirt._model.object import Autostarting, NamedByUUID
from pyvirt.domain._console import ConsoleMethods
from pyvirt.domain._guest_io import GuestIOMethods
from pyvirt.domain._parts import PartProperties
from pyvirt.enums.domain import (
    DomainCreateFlags,
    DomainDefineFlags,
    DomainDestroyFlags,
    DomainModificationImpact,
    DomainRebootFlags,
    DomainSaveImageXMLFlags,
    DomainSaveRestoreFlags,
    DomainShutdownFlags,
    DomainState,
    DomainUndefineFlags,
    DomainXMLFlags,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from contextlib import AbstractContextManager

    from lxml.etree import _Element

    from pyvirt._core.params import Params, TypedValue
    from pyvirt.connection import Connection
    from pyvirt.enums.domain_guest import DomainLifecycleAction, LifecycleType
    from pyvirt.enums.domain_job import DomainCoreDumpFlags, DomainCoreDumpFormat
    from pyvirt.enums.host import NodeSuspendTarget
    from pyvirt.models import DomainControlInfo, DomainInfo, DomainStateReason
    from pyvirt.xmldesc import XML

    _NO_DUMP_FLAGS = DomainCoreDumpFlags(0)
else:  # importing that enumeration would make importing pyvirt slower
    _NO_DUMP_FLAGS = 0

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


def save_params(path: str, xml: XML | None, params: Mapping[str, TypedValue]) -> Params:
    """Return the array that virDomainSaveParams and virDomainRestoreParams take."""
    from pyvirt._core.params import INT, Params

    given = {"file": path} if xml is None else {"file": path, "dxml": xml_text(xml)}
    return Params({**given, **params}, {"parallel.channels": INT})


_states = _States()
_known_states = {state.value: state for state in DomainState}

# Looking them up in lib would add two percent to each call.
_get_state = lib.pv_domain_state
_get_info = lib.pv_domain_info


def _new_info() -> DomainInfo:
    """Load the models, which importing pyvirt does without, and step aside for the class."""
    global _new_info
    from pyvirt.models import DomainInfo

    _new_info = DomainInfo
    return DomainInfo()


class Domain(PartProperties, ConsoleMethods, GuestIOMethods, NamedByUUID, Autostarting[bytes]):
    """A guest domain, running or not."""

    __slots__ = ()

    _conn: Connection
    _release = lib.pv_release_domain
    _get_name = lib.virDomainGetName
    _get_uuid = lib.virDomainGetUUID
    _get_autostart = lib.virDomainGetAutostart
    _set_autostart = lib.virDomainSetAutostart

    @property
    def id(self) -> int | None:
        """The id it ran under when this handle last heard of it, ``None`` if it did not run.  (virDomainGetID)

        A handle hears of it when it is looked up and from its own :meth:`start`.  What others do passes it by.  After
        its own :meth:`destroy` or :meth:`save` some drivers forget the id, some do not.  A new handle knows:
        ``conn.domains.get(uuid=domain.uuid).id``.
        """
        number: int = lib.virDomainGetID(self._ptr)
        return None if number == _NO_ID else number

    # ---- state ----

    def state(self) -> DomainStateReason:
        """Return what it does and why.  (virDomainGetState)"""
        packed = _get_state(self._ptr)
        if packed < 0:
            raise last_error("virDomainGetState", self._conn)
        return _states[packed]

    def info(self) -> DomainInfo:
        """Return state, memory, vCPUs and CPU time at once.  (virDomainGetInfo)"""
        got = _get_info(self._ptr)
        info = _new_info()
        try:
            info.state = _known_states[got.state]
        except KeyError:  # an error, or a state newer than pyvirt
            if got.state < 0:
                raise last_error("virDomainGetInfo", self._conn) from None
            info.state = DomainState(got.state)
        info.max_memory = got.max_memory
        info.memory = got.memory
        info.vcpus = got.vcpus
        info.cpu_time = got.cpu_time
        return info

    def control_info(self) -> DomainControlInfo:
        """Return whether the hypervisor can be asked about it, without waiting.  (virDomainGetControlInfo)"""
        from pyvirt.enums.domain_state import DomainControlErrorReason, DomainControlState
        from pyvirt.models import DomainControlInfo

        out = ffi.new("virDomainControlInfo *")
        self._call(lib.virDomainGetControlInfo, out, 0)
        return DomainControlInfo(DomainControlState(out.state), DomainControlErrorReason(out.details), out.stateTime)

    def is_active(self) -> bool:
        """Return whether it runs.  (virDomainIsActive)"""
        return self._call(lib.virDomainIsActive) == 1

    def is_persistent(self) -> bool:
        """Return whether a configuration is stored, which outlives a stop.  (virDomainIsPersistent)"""
        return self._call(lib.virDomainIsPersistent) == 1

    def is_updated(self) -> bool:
        """Return whether the stored configuration differs from the running one.  (virDomainIsUpdated)"""
        return self._call(lib.virDomainIsUpdated) == 1

    def os_type(self) -> str:
        """Return what it boots, ``"hvm"`` or ``"exe"``.  (virDomainGetOSType)"""
        return self._call_string(lib.virDomainGetOSType)

    def wait_for(self, *states: DomainState, timeout: float | None = None, interval: float = 0.2) -> DomainStateReason:
        """Wait until it is in one of *states*, and return that one with its reason.

        Events tell when to look.  A transient domain that is gone counts as SHUTOFF, its reason as UNKNOWN.

        :param timeout: seconds; ``None`` waits without end, 0 looks once
        :param interval: seconds between looks where the driver has no events
        :raises OperationTimeoutError: it was in none of them within *timeout*
        :raises DomainNotFoundError: it is gone, and nobody waits for SHUTOFF
        :raises ClosedError: the connection was closed meanwhile
        """
        from pyvirt.domain._conditions import StateReached
        from pyvirt.domain._wait import wait

        return wait(StateReached(self, states), timeout, interval)

    # ---- life ----

    def start(self, *, files: Iterable[int] = (), flags: DomainCreateFlags = DomainCreateFlags(0)) -> None:
        """Start it; with a managed save it goes on from there.  (virDomainCreateWithFlags, virDomainCreateWithFiles)

        :param files: open file descriptors that the first process of a container inherits, there from 3 on
        :raises OperationInvalidError: it runs already
        """
        numbers = list(files)
        if numbers:
            self._call(lib.virDomainCreateWithFiles, len(numbers), ffi.new("int[]", numbers), flags)
        else:
            self._call(lib.virDomainCreateWithFlags, flags)

    def shutdown(self, *, flags: DomainShutdownFlags = DomainShutdownFlags(0)) -> None:
        """Ask the guest to shut down; it may take its time, or ignore it.  (virDomainShutdownFlags)"""
        self._call(lib.virDomainShutdownFlags, flags)

    def reboot(self, *, flags: DomainRebootFlags = DomainRebootFlags(0)) -> None:
        """Ask the guest to reboot; it may take its time, or ignore it.  (virDomainReboot)"""
        self._call(lib.virDomainReboot, flags)

    def reset(self) -> None:
        """Press the reset button.  (virDomainReset)"""
        self._call(lib.virDomainReset, 0)

    def destroy(self, *, flags: DomainDestroyFlags = DomainDestroyFlags(0)) -> None:
        """Stop it at once, as if by pulling the plug; nothing stored is lost.  (virDomainDestroyFlags)

        :raises OperationInvalidError: it does not run
        """
        self._call(lib.virDomainDestroyFlags, flags)

    def suspend(self) -> None:
        """Hold its vCPUs; memory stays.  (virDomainSuspend)"""
        self._call(lib.virDomainSuspend)

    def resume(self) -> None:
        """Let the vCPUs go on.  (virDomainResume)"""
        self._call(lib.virDomainResume)

    def pm_suspend(self, target: NodeSuspendTarget, *, duration: int = 0) -> None:
        """Make the guest sleep, by its agent.  (virDomainPMSuspendForDuration)

        :param duration: seconds until it is woken, 0 for until :meth:`pm_wakeup`
        """
        self._call(lib.virDomainPMSuspendForDuration, target, duration, 0)

    def pm_wakeup(self) -> None:
        """Wake a sleeping guest.  (virDomainPMWakeup)"""
        self._call(lib.virDomainPMWakeup, 0)

    def save(
        self,
        path: str,
        *,
        xml: XML | None = None,
        params: Mapping[str, TypedValue] | None = None,
        flags: DomainSaveRestoreFlags = DomainSaveRestoreFlags(0),
    ) -> None:
        """Write its memory to a file and stop it; ``conn.domains.restore(path)`` goes on.

        (virDomainSaveFlags, virDomainSaveParams)

        :param path: a file on the hypervisor's host
        :param xml: a configuration to store in place of the running one
        :param params: more of how to do it, the ``DOMAIN_SAVE_PARAM_…`` of :mod:`pyvirt.enums.params`
        """
        if params:
            with save_params(path, xml, params) as array:
                self._call(lib.virDomainSaveParams, array.pointer, array.count, flags)
        else:
            self._call(lib.virDomainSaveFlags, encode(path), encode_xml_or_null(xml), flags)

    def managed_save(self, *, flags: DomainSaveRestoreFlags = DomainSaveRestoreFlags(0)) -> None:
        """Save it where libvirt keeps such files; the next start goes on from there.  (virDomainManagedSave)"""
        self._call(lib.virDomainManagedSave, flags)

    def has_managed_save_image(self) -> bool:
        """Return whether the next start would go on from a saved state.  (virDomainHasManagedSaveImage)"""
        return self._call(lib.virDomainHasManagedSaveImage, 0) == 1

    def managed_save_remove(self) -> None:
        """Drop the saved state: the next start boots.  (virDomainManagedSaveRemove)"""
        self._call(lib.virDomainManagedSaveRemove, 0)

    def managed_save_xml_desc(self, *, flags: DomainSaveImageXMLFlags = DomainSaveImageXMLFlags(0)) -> str:
        """Return the configuration that the next start goes on with.  (virDomainManagedSaveGetXMLDesc)"""
        return self._call_string(lib.virDomainManagedSaveGetXMLDesc, flags)

    def managed_save_define_xml(self, xml: XML, *, flags: DomainSaveRestoreFlags = DomainSaveRestoreFlags(0)) -> None:
        """Change the configuration that the next start goes on with.  (virDomainManagedSaveDefineXML)

        :param flags: also whether it then runs or is paused
        """
        self._call(lib.virDomainManagedSaveDefineXML, encode_xml(xml), flags)

    def undefine(self, *, flags: DomainUndefineFlags = DomainUndefineFlags(0)) -> None:
        """Drop the stored configuration; if it runs it becomes transient.  (virDomainUndefineFlags)

        :raises OperationInvalidError: there is something, a saved state or a snapshot, that *flags* do not cover
        """
        self._call(lib.virDomainUndefineFlags, flags)

    def rename(self, name: str) -> None:
        """Give a stopped domain another name.  (virDomainRename)"""
        self._call(lib.virDomainRename, encode(name), 0)
        # Some drivers tell libvirt's own handle, some do not, so this one has to be told.
        self._name = name

    def autostart_once(self) -> bool:
        """Return whether it starts when the host next does, and that time only.  (virDomainGetAutostartOnce)"""
        return self._call_bool(lib.virDomainGetAutostartOnce)

    def set_autostart_once(self, autostart: bool) -> None:
        """Say whether it starts when the host next does, and that time only.  (virDomainSetAutostartOnce)"""
        self._call(lib.virDomainSetAutostartOnce, bool(autostart))

    def core_dump(
        self,
        path: str,
        *,
        format: DomainCoreDumpFormat | None = None,
        flags: DomainCoreDumpFlags = _NO_DUMP_FLAGS,
    ) -> None:
        """Write its memory to a file, for a debugger; it is held meanwhile, unless ``LIVE``.

        (virDomainCoreDump, or with *format* virDomainCoreDumpWithFormat)

        :param path: a file on the hypervisor's host
        :param format: one of those that are smaller needs ``MEMORY_ONLY``
        :raises OperationInvalidError: it does not run
        """
        if format is None:
            self._call(lib.virDomainCoreDump, encode(path), flags)
        else:
            self._call(lib.virDomainCoreDumpWithFormat, encode(path), format, flags)

    def set_lifecycle_action(
        self,
        event: LifecycleType,
        action: DomainLifecycleAction,
        *,
        flags: DomainModificationImpact = DomainModificationImpact.CURRENT,
    ) -> None:
        """Say what becomes of it when the guest powers off, reboots or crashes.  (virDomainSetLifecycleAction)

        :raises NotSupportedError: the driver does not do *action* on *event*
        """
        self._call(lib.virDomainSetLifecycleAction, event, action, flags)

    # ---- configuration ----

    def xml_desc(self, *, flags: DomainXMLFlags = DomainXMLFlags(0)) -> str:
        """Return its configuration: the running one, or with ``INACTIVE`` the stored.  (virDomainGetXMLDesc)"""
        return self._call_string(lib.virDomainGetXMLDesc, flags)

    def edit(self, *, flags: DomainDefineFlags = DomainDefineFlags(0)) -> AbstractContextManager[_Element]:
        """Change the stored configuration as a tree: ``with dom.edit() as root: …``

        Read with its secrets, defined again when the block ends, left as it was when the block raises.  A domain that
        runs gets it at its next start.  (virDomainGetXMLDesc, virDomainDefineXMLFlags)

        :raises OperationInvalidError: a transient domain has no stored configuration
        :raises XMLError: the block has made something of it that is no domain
        """
        from pyvirt._model.edit import edit, stored

        return edit(
            lambda: stored(self, DomainXMLFlags.INACTIVE | DomainXMLFlags.SECURE),
            lambda xml: self._conn.domains.define(xml, flags=flags),
        )
