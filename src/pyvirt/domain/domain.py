# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest domain: its identity, its state, and its life cycle."""

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
    """Maps the result of pv_domain_state to a tuple: there are few, and monitoring asks for each again and again."""

    def __missing__(self, packed: int) -> DomainStateReason:
        from pyvirt.models import DomainStateReason

        state, reason = packed >> 32, packed & 0xFFFFFFFF
        made = DomainStateReason.decode(state, reason)
        if len(self) < 1000:  # a limit, in case a broken daemon sends ever new values
            self[packed] = made
        return made


def save_params(path: str, xml: XML | None, params: Mapping[str, TypedValue]) -> Params:
    """Return the array that virDomainSaveParams and virDomainRestoreParams take."""
    from pyvirt._core.params import INT, Params

    given = {"file": path} if xml is None else {"file": path, "dxml": xml_text(xml)}
    return Params({**given, **params}, {"parallel.channels": INT})


_states = _States()
_known_states = {state.value: state for state in DomainState}

# Looking them up in lib adds two percent to each call.
_get_state = lib.pv_domain_state
_get_info = lib.pv_domain_info


def _new_info() -> DomainInfo:
    """Load the models, which importing pyvirt does not, and replace this function by the class."""
    global _new_info
    from pyvirt.models import DomainInfo

    _new_info = DomainInfo
    return DomainInfo()


class Domain(PartProperties, ConsoleMethods, GuestIOMethods, NamedByUUID, Autostarting[bytes]):
    """A guest domain, active or not."""

    __slots__ = ()

    _conn: Connection
    _release = lib.pv_release_domain
    _get_name = lib.virDomainGetName
    _get_uuid = lib.virDomainGetUUID
    _get_autostart = lib.virDomainGetAutostart
    _set_autostart = lib.virDomainSetAutostart

    @property
    def id(self) -> int | None:
        """The id of the running domain as this handle knows it, ``None`` if it was not running.  (virDomainGetID)

        A handle gets the id when it is looked up and when its own :meth:`start` is called.  It does not notice when
        another program starts or stops the domain.  After its own :meth:`destroy` or :meth:`save` some drivers reset
        the id, some do not.  A new handle has the current id: ``conn.domains.get(uuid=domain.uuid).id``.
        """
        number: int = lib.virDomainGetID(self._ptr)
        return None if number == _NO_ID else number

    # ---- state ----

    def state(self) -> DomainStateReason:
        """Return the state and its reason.  (virDomainGetState)"""
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
        """Return the state of the hypervisor's control interface for the domain, without waiting for it.

        (virDomainGetControlInfo)
        """
        from pyvirt.enums.domain_state import DomainControlErrorReason, DomainControlState
        from pyvirt.models import DomainControlInfo

        out = ffi.new("virDomainControlInfo *")
        self._call(lib.virDomainGetControlInfo, out, 0)
        return DomainControlInfo(DomainControlState(out.state), DomainControlErrorReason(out.details), out.stateTime)

    def is_active(self) -> bool:
        """Return whether the domain is active; a paused domain is active too.  (virDomainIsActive)"""
        return self._call(lib.virDomainIsActive) == 1

    def is_persistent(self) -> bool:
        """Return whether a configuration is stored, which remains when the domain stops.  (virDomainIsPersistent)"""
        return self._call(lib.virDomainIsPersistent) == 1

    def is_updated(self) -> bool:
        """Return whether the stored configuration differs from the running one.  (virDomainIsUpdated)"""
        return self._call(lib.virDomainIsUpdated) == 1

    def os_type(self) -> str:
        """Return the type of operating system that it boots: ``"hvm"``, ``"exe"``, …  (virDomainGetOSType)"""
        return self._call_string(lib.virDomainGetOSType)

    def wait_for(self, *states: DomainState, timeout: float | None = None, interval: float = 0.2) -> DomainStateReason:
        """Wait until the domain is in one of *states*, and return that state with its reason.

        The state is checked after each event.  A transient domain that no longer exists counts as SHUTOFF, with the
        reason UNKNOWN.

        :param timeout: seconds; ``None`` waits indefinitely, 0 checks once
        :param interval: seconds between two checks where the driver has no events
        :raises OperationTimeoutError: it did not reach one of them within *timeout*
        :raises DomainNotFoundError: the domain no longer exists, and SHUTOFF is not one of *states*
        :raises ClosedError: the connection was closed while this waited
        """
        from pyvirt.domain._conditions import StateReached
        from pyvirt.domain._wait import wait

        return wait(StateReached(self, states), timeout, interval)

    # ---- life cycle ----

    def start(self, *, files: Iterable[int] = (), flags: DomainCreateFlags = DomainCreateFlags(0)) -> None:
        """Start the domain; a managed save image is resumed.  (virDomainCreateWithFlags, virDomainCreateWithFiles)

        :param files: open file descriptors that the first process of a container inherits, numbered from 3 there
        :raises OperationInvalidError: the domain is already running
        """
        numbers = list(files)
        if numbers:
            self._call(lib.virDomainCreateWithFiles, len(numbers), ffi.new("int[]", numbers), flags)
        else:
            self._call(lib.virDomainCreateWithFlags, flags)

    def shutdown(self, *, flags: DomainShutdownFlags = DomainShutdownFlags(0)) -> None:
        """Ask the guest to shut down; it may do so later, or never.  (virDomainShutdownFlags)"""
        self._call(lib.virDomainShutdownFlags, flags)

    def reboot(self, *, flags: DomainRebootFlags = DomainRebootFlags(0)) -> None:
        """Ask the guest to reboot; it may do so later, or never.  (virDomainReboot)"""
        self._call(lib.virDomainReboot, flags)

    def reset(self) -> None:
        """Reset the guest, as the reset button does.  (virDomainReset)"""
        self._call(lib.virDomainReset, 0)

    def destroy(self, *, flags: DomainDestroyFlags = DomainDestroyFlags(0)) -> None:
        """Stop the domain at once, as by pulling the plug; nothing stored is deleted.  (virDomainDestroyFlags)

        :raises OperationInvalidError: the domain is not running
        """
        self._call(lib.virDomainDestroyFlags, flags)

    def suspend(self) -> None:
        """Pause the vCPUs; the guest's memory stays.  (virDomainSuspend)"""
        self._call(lib.virDomainSuspend)

    def resume(self) -> None:
        """Resume the paused vCPUs.  (virDomainResume)"""
        self._call(lib.virDomainResume)

    def pm_suspend(self, target: NodeSuspendTarget, *, duration: int = 0) -> None:
        """Suspend the guest by its agent, as its own power management does.  (virDomainPMSuspendForDuration)

        :param duration: seconds until the guest is woken; 0 waits for :meth:`pm_wakeup`
        """
        self._call(lib.virDomainPMSuspendForDuration, target, duration, 0)

    def pm_wakeup(self) -> None:
        """Wake a suspended guest.  (virDomainPMWakeup)"""
        self._call(lib.virDomainPMWakeup, 0)

    def save(
        self,
        path: str,
        *,
        xml: XML | None = None,
        params: Mapping[str, TypedValue] | None = None,
        flags: DomainSaveRestoreFlags = DomainSaveRestoreFlags(0),
    ) -> None:
        """Write the memory to a file and stop the domain; ``conn.domains.restore(path)`` resumes it.

        (virDomainSaveFlags, virDomainSaveParams)

        :param path: a file on the hypervisor's host
        :param xml: a configuration to store instead of the running one
        :param params: further options, the ``DOMAIN_SAVE_PARAM_…`` of :mod:`pyvirt.enums.params`
        """
        if params:
            with save_params(path, xml, params) as array:
                self._call(lib.virDomainSaveParams, array.pointer, array.count, flags)
        else:
            self._call(lib.virDomainSaveFlags, encode(path), encode_xml_or_null(xml), flags)

    def managed_save(self, *, flags: DomainSaveRestoreFlags = DomainSaveRestoreFlags(0)) -> None:
        """Write the memory to a file that libvirt manages; the next start resumes it.  (virDomainManagedSave)"""
        self._call(lib.virDomainManagedSave, flags)

    def has_managed_save_image(self) -> bool:
        """Return whether the next start resumes a saved state.  (virDomainHasManagedSaveImage)"""
        return self._call(lib.virDomainHasManagedSaveImage, 0) == 1

    def managed_save_remove(self) -> None:
        """Delete the saved state, so that the next start boots.  (virDomainManagedSaveRemove)"""
        self._call(lib.virDomainManagedSaveRemove, 0)

    def managed_save_xml_desc(self, *, flags: DomainSaveImageXMLFlags = DomainSaveImageXMLFlags(0)) -> str:
        """Return the configuration in the managed save image.  (virDomainManagedSaveGetXMLDesc)"""
        return self._call_string(lib.virDomainManagedSaveGetXMLDesc, flags)

    def managed_save_define_xml(self, xml: XML, *, flags: DomainSaveRestoreFlags = DomainSaveRestoreFlags(0)) -> None:
        """Set the configuration in the managed save image.  (virDomainManagedSaveDefineXML)

        :param flags: whether the next start resumes the domain running or paused
        """
        self._call(lib.virDomainManagedSaveDefineXML, encode_xml(xml), flags)

    def undefine(self, *, flags: DomainUndefineFlags = DomainUndefineFlags(0)) -> None:
        """Delete the stored configuration; a running domain becomes transient.  (virDomainUndefineFlags)

        :raises OperationInvalidError: the domain has a saved state or snapshots, and *flags* do not include them
        """
        self._call(lib.virDomainUndefineFlags, flags)

    def rename(self, name: str) -> None:
        """Rename a stopped domain.  (virDomainRename)"""
        self._call(lib.virDomainRename, encode(name), 0)
        # Only some drivers change the name in libvirt's own handle, so this handle sets it.
        self._name = name

    def autostart_once(self) -> bool:
        """Return whether the domain starts with the next start of the host only.  (virDomainGetAutostartOnce)"""
        return self._call_bool(lib.virDomainGetAutostartOnce)

    def set_autostart_once(self, autostart: bool) -> None:
        """Set whether the domain starts with the next start of the host only.  (virDomainSetAutostartOnce)"""
        self._call(lib.virDomainSetAutostartOnce, bool(autostart))

    def core_dump(
        self,
        path: str,
        *,
        format: DomainCoreDumpFormat | None = None,
        flags: DomainCoreDumpFlags = _NO_DUMP_FLAGS,
    ) -> None:
        """Write the memory to a file for a debugger; the domain is paused for that time, unless *flags* have ``LIVE``.

        (virDomainCoreDump, or with *format* virDomainCoreDumpWithFormat)

        :param path: a file on the hypervisor's host
        :param format: the compressed formats need ``MEMORY_ONLY`` in *flags*
        :raises OperationInvalidError: the domain is not running
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
        """Set what happens to the domain when the guest powers off, reboots or crashes.  (virDomainSetLifecycleAction)

        :raises NotSupportedError: the driver does not support *action* for *event*
        """
        self._call(lib.virDomainSetLifecycleAction, event, action, flags)

    # ---- configuration ----

    def xml_desc(self, *, flags: DomainXMLFlags = DomainXMLFlags(0)) -> str:
        """Return the configuration: the running one, or with ``INACTIVE`` the stored one.  (virDomainGetXMLDesc)"""
        return self._call_string(lib.virDomainGetXMLDesc, flags)

    def edit(self, *, flags: DomainDefineFlags = DomainDefineFlags(0)) -> AbstractContextManager[_Element]:
        """Change the stored configuration as a tree: ``with dom.edit() as root: …``

        The configuration is read with its secrets, and defined again when the block ends.  It is left as it was if the
        block raises.  A running domain uses it from its next start on.  (virDomainGetXMLDesc, virDomainDefineXMLFlags)

        :raises OperationInvalidError: a transient domain has no stored configuration
        :raises XMLError: the changed document does not describe a domain
        """
        from pyvirt._model.edit import edit, stored

        return edit(
            lambda: stored(self, DomainXMLFlags.INACTIVE | DomainXMLFlags.SECURE),
            lambda xml: self._conn.domains.define(xml, flags=flags),
        )
