# SPDX-License-Identifier: LGPL-2.1-or-later
"""``conn.domains``"""

from __future__ import annotations

from pyvirt._core.document import encode_xml, encode_xml_or_null
from pyvirt._core.lib import ffi, lib
from pyvirt._core.text import encode
from pyvirt._model.collection import RAISE, Collection
from pyvirt.domain._native_config import NativeConfig
from pyvirt.domain.domain import Domain, save_params
from pyvirt.enums.domain import (
    ConnectGetAllDomainStatsFlags,
    ConnectListAllDomainsFlags,
    DomainCreateFlags,
    DomainDefineFlags,
    DomainSaveImageXMLFlags,
    DomainSaveRestoreFlags,
    DomainState,
    StatsGroup,
)
from pyvirt.errors import DomainNotFoundError, Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import TypeAlias
    from uuid import UUID

    from lxml.etree import _Element

    from pyvirt._core.params import TypedValue
    from pyvirt._model.collection import D
    from pyvirt._model.where import Pattern
    from pyvirt.events.watch import DomainWatch
    from pyvirt.inventory import DomainInventory
    from pyvirt.stats import StatsFrame
    from pyvirt.xmldesc import XML

    DomainList: TypeAlias = list[Domain]  # in the class below, list is a method
    IntList: TypeAlias = list[int]

# Every domain is in exactly one flag of each group.
_Flags = ConnectListAllDomainsFlags
_PARTS = (
    (_Flags.ACTIVE, _Flags.INACTIVE),
    (_Flags.RUNNING, _Flags.PAUSED, _Flags.SHUTOFF, _Flags.OTHER),
    (_Flags.AUTOSTART, _Flags.NO_AUTOSTART),
    (_Flags.PERSISTENT, _Flags.TRANSIENT),
    (_Flags.HAS_SNAPSHOT, _Flags.NO_SNAPSHOT),
)


class Domains(NativeConfig, Collection[Domain]):
    """The domains of a connection, active or not.

    ``for domain in conn.domains``, ``len(conn.domains)``, ``"web-1" in conn.domains``, ``conn.domains["web-1"]``.
    """

    __slots__ = ()
    _kind = Domain
    _not_found = DomainNotFoundError
    _pointer = "virDomainPtr"
    _list_all = lib.virConnectListAllDomains
    _look_up_by_name = lib.virDomainLookupByName
    _look_up_by_uuid = lib.virDomainLookupByUUID

    def list(self, flags: ConnectListAllDomainsFlags = ConnectListAllDomainsFlags(0)) -> DomainList:
        """Return the domains that match *flags*, all without any.  (virConnectListAllDomains)

        Flags of one group (active or inactive; persistent or transient; …) are combined with "or", the groups with
        "and".
        """
        return self._list(flags)

    def where(
        self,
        *,
        name: Pattern | None = None,
        state: DomainState | Iterable[DomainState] | None = None,
        active: bool | None = None,
        persistent: bool | None = None,
        autostart: bool | None = None,
        managed_save: bool | None = None,
        snapshots: bool | None = None,
        title: Pattern | None = None,
        description: Pattern | None = None,
        metadata: str | Mapping[str, Callable[[_Element], object]] | None = None,
    ) -> DomainList:
        """Return the domains that meet all given conditions; those deleted during the call are left out.

        :param name: a glob, ``"web-*"``; a compiled expression, searched for; or a callable
        :param state: one state, or any of several
        :param managed_save: whether it has a managed save image, which its next start resumes
        :param snapshots: whether it has snapshots
        :param title: a pattern like *name*; a domain without a title never matches.  Costs a call for each domain
        :param description: the same for the description
        :param metadata: a namespace of which it must have an element; or several, each with a function that returns
            whether the element matches: ``{"http://example.com/backup": lambda element: element.get("day") == "1"}``.
            Costs a call for each domain
        """
        from pyvirt.domain._where import domains_where

        switches = {
            "active": active,
            "persistent": persistent,
            "autostart": autostart,
            "managed_save": managed_save,
            "snapshots": snapshots,
        }
        return domains_where(self, _Flags, switches, state, name, title, description, metadata)

    def _list(self, flags: int) -> DomainList:
        found: DomainList = []
        calls = self._in_parts(flags, lambda part: found.extend(self._wrap_list(lib.virConnectListAllDomains, part)))
        return found if calls == 1 else [*dict.fromkeys(found)]  # a domain that stopped between two calls is in both

    def _in_parts(
        self, flags: int, ask: Callable[[int], object], groups: tuple[tuple[_Flags, ...], ...] = _PARTS
    ) -> int:
        """Call *ask* with *flags*; if its answer is larger than a message, call it once for each state instead.

        Return the number of calls that succeeded.
        """
        try:
            ask(flags)
            return 1
        except Error as error:
            if not groups or not self._conn._too_large(error):
                raise
        group, *rest = groups
        chosen = [flag for flag in group if flags & flag] or group
        others = flags & ~sum(group)
        return sum(self._in_parts(others | flag, ask, tuple(rest)) for flag in chosen)

    def _count(self) -> int:
        count: int = lib.virConnectListAllDomains(self._conn._ptr, ffi.NULL, 0)
        # A list that is larger than a message cannot be counted either.
        return count if count >= 0 else len(self._list(0))

    def __contains__(self, item: object) -> bool:
        if not isinstance(item, Domain):
            return super().__contains__(item)
        if item._conn is not self._conn:
            return False
        try:
            self._by_uuid(item._identity())
        except DomainNotFoundError:
            return False
        return True

    def get(
        self,
        name: str | None = None,
        *,
        uuid: UUID | str | bytes | None = None,
        id: int | None = None,
        default: D = RAISE,
    ) -> Domain | D:
        """Return one domain by its name, UUID or id.

        (virDomainLookupByName, virDomainLookupByUUID, virDomainLookupByID)

        :param id: the number of a running domain
        :param default: returned instead of raising when there is no such domain
        :raises DomainNotFoundError: no such domain
        :raises TypeError: not exactly one of the three was given
        """
        what = "exactly one of name, uuid and id"
        return self._get(default, what, (self._by_name, name), (self._by_uuid, uuid), (self._by_id, id))

    def _by_id(self, id: int) -> Domain:
        return self._look_up(id, lib.virDomainLookupByID, id)

    def define(self, xml: XML, *, flags: DomainDefineFlags = DomainDefineFlags(0)) -> Domain:
        """Store a configuration; a running domain of that UUID uses it from its next start on.

        (virDomainDefineXMLFlags)

        :raises XMLError: *xml* is not well-formed, or does not describe a domain
        """
        return self._new(lib.virDomainDefineXMLFlags, encode_xml(xml), flags)

    def create(self, xml: XML, *, files: Iterable[int] = (), flags: DomainCreateFlags = DomainCreateFlags(0)) -> Domain:
        """Create and start a transient domain, which no longer exists when it stops.

        (virDomainCreateXML, virDomainCreateXMLWithFiles)

        If its configuration was stored before, or is stored while it runs, the domain is persistent.

        :param files: open file descriptors that the first process of a container inherits, numbered from 3 there
        :raises XMLError: *xml* is not well-formed, or does not describe a domain
        :raises OperationFailedError: a domain with that name has another UUID, or one with that UUID another name
        :raises OperationInvalidError: the domain is already running
        """
        numbers = [*files]
        if numbers:
            array = ffi.new("int[]", numbers)
            return self._new(lib.virDomainCreateXMLWithFiles, encode_xml(xml), len(numbers), array, flags)
        return self._new(lib.virDomainCreateXML, encode_xml(xml), flags)

    def restore(
        self,
        path: str,
        *,
        xml: XML | None = None,
        params: Mapping[str, TypedValue] | None = None,
        flags: DomainSaveRestoreFlags = DomainSaveRestoreFlags(0),
    ) -> None:
        """Resume a domain from a file of :meth:`Domain.save`.  (virDomainRestoreFlags, virDomainRestoreParams)

        :param path: a file on the hypervisor's host
        :param xml: a configuration to use instead of the saved one; it may differ only where the guest cannot see it
        :param params: further options, the ``DOMAIN_SAVE_PARAM_…`` of :mod:`pyvirt.enums.params`
        """
        if params:
            with save_params(path, xml, params) as array:
                self._conn._call(lib.virDomainRestoreParams, array.pointer, array.count, flags)
        else:
            self._conn._call(lib.virDomainRestoreFlags, encode(path), encode_xml_or_null(xml), flags)

    def save_image_xml_desc(self, path: str, *, flags: DomainSaveImageXMLFlags = DomainSaveImageXMLFlags(0)) -> str:
        """Return the configuration in a file of :meth:`Domain.save`.  (virDomainSaveImageGetXMLDesc)"""
        return self._conn._call_string(lib.virDomainSaveImageGetXMLDesc, encode(path), flags)

    def save_image_define_xml(
        self, path: str, xml: XML, *, flags: DomainSaveRestoreFlags = DomainSaveRestoreFlags(0)
    ) -> None:
        """Set the configuration in a file of :meth:`Domain.save`.  (virDomainSaveImageDefineXML)"""
        self._conn._call(lib.virDomainSaveImageDefineXML, encode(path), encode_xml(xml), flags)

    def stats(
        self,
        groups: StatsGroup = StatsGroup.ALL,
        *,
        domains: Iterable[Domain] | None = None,
        flags: ConnectGetAllDomainStatsFlags = ConnectGetAllDomainStatsFlags(0),
    ) -> StatsFrame:
        """Return the statistics of all domains as columns.

        (virConnectGetAllDomainStats, virDomainListGetStats)

        :param groups: which groups of statistics; ``ALL`` leaves the choice to the driver
        :param domains: only these
        :param flags: which domains, as in :meth:`list`; ``NOWAIT`` skips those that are busy
        :raises OperationUnsupportedError: the driver has no bulk statistics
        :raises NotSupportedError: the driver lacks one of *groups* and *flags* have ``ENFORCE_STATS``, or the group
            does not exist
        """
        from pyvirt.stats import engine_of

        return engine_of(self._conn).collect(groups, domains, flags)

    def watch(self, *, buffer: int = 65_536) -> DomainWatch:
        """Return a mapping of all domains to their states, which events keep current.

        (virConnectListAllDomains, virDomainListGetStats, virConnectDomainEventRegisterAny)

        Use it instead of listing all domains every second.

        :param buffer: how many events may arrive between two uses of it; after more, everything is listed again
        """
        from pyvirt.events.watch import DomainWatch

        return DomainWatch(self._conn, buffer=buffer)

    def inventory(self) -> DomainInventory:
        """Return all domains as columns: names, UUIDs, ids, states, persistence, autostart.

        (virConnectGetAllDomainStats, virConnectListAllDomains)

        It takes at most four round trips, and more only if a list is larger than a message.  So the columns are some
        milliseconds apart.
        """
        from pyvirt.inventory import domains_of

        return domains_of(self._conn)
