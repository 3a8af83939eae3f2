# SPDX-License-Identifier: LGPL-2.1-or-later
"""``dom.snapshots``: stored states of a domain, which it can be reverted to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyvirt._core.lib import lib
from pyvirt.domain._saved_point import SavedPoint, SavedPoints
from pyvirt.enums.snapshot import (
    DomainSnapshotCreateFlags,
    DomainSnapshotDeleteFlags,
    DomainSnapshotListFlags,
    DomainSnapshotRevertFlags,
    DomainSnapshotXMLFlags,
)
from pyvirt.errors import DomainSnapshotNotFoundError

if TYPE_CHECKING:
    from typing import TypeAlias

    from pyvirt.xmldesc import XML

    SnapshotList: TypeAlias = list["Snapshot"]  # in the collection below, list is a method
    NameList: TypeAlias = list[str]


class Snapshot(SavedPoint):
    """A state of a domain: of its disks, and perhaps its memory."""

    __slots__ = ()

    _release = lib.pv_release_domain_snapshot
    _get_name = lib.virDomainSnapshotGetName
    _get_domain = lib.virDomainSnapshotGetDomain

    def _check_exists(self) -> object:
        return self.has_metadata()

    def xml_desc(self, *, flags: DomainSnapshotXMLFlags = DomainSnapshotXMLFlags(0)) -> str:
        """Return its description, with the domain's configuration at that time.  (virDomainSnapshotGetXMLDesc)"""
        return self._call_string(lib.virDomainSnapshotGetXMLDesc, flags)

    def is_current(self) -> bool:
        """Return whether it is the current snapshot, which the domain's state derives from.

        (virDomainSnapshotIsCurrent)
        """
        return self._call(lib.virDomainSnapshotIsCurrent, 0) == 1

    def has_metadata(self) -> bool:
        """Return whether libvirt stores metadata of it; if so, the domain cannot be undefined by mistake.

        (virDomainSnapshotHasMetadata)
        """
        return self._call(lib.virDomainSnapshotHasMetadata, 0) == 1

    def parent(self) -> Snapshot | None:
        """Return its parent, ``None`` for a root.  (virDomainSnapshotGetParent)"""
        return self._parent_by(lib.virDomainSnapshotGetParent)

    def children(self, *, flags: DomainSnapshotListFlags = DomainSnapshotListFlags(0)) -> SnapshotList:
        """Return its children, with ``DESCENDANTS`` also their descendants.  (virDomainSnapshotListAllChildren)"""
        return Snapshots(self.domain)._wrap_list(lib.virDomainSnapshotListAllChildren, flags, self)

    def children_names(self, *, flags: DomainSnapshotListFlags = DomainSnapshotListFlags(0)) -> NameList:
        """Return the names of its children.  (virDomainSnapshotNumChildren, virDomainSnapshotListChildrenNames)"""
        count, fill = lib.virDomainSnapshotNumChildren, lib.virDomainSnapshotListChildrenNames
        return self._call_names(count, fill, flags)

    def revert(self, *, flags: DomainSnapshotRevertFlags = DomainSnapshotRevertFlags(0)) -> None:
        """Revert the domain to it; later changes are lost.  (virDomainRevertToSnapshot)

        :param flags: whether the domain is running or paused afterwards, if not as it was in the snapshot
        :raises OperationInvalidError: reverting needs ``FORCE``
        :raises NotSupportedError: the hypervisor cannot revert to a snapshot of this kind
        """
        self._call(lib.virDomainRevertToSnapshot, flags)

    def delete(self, *, flags: DomainSnapshotDeleteFlags = DomainSnapshotDeleteFlags(0)) -> None:
        """Delete it; the domain does not change, and its children become children of its parent.

        (virDomainSnapshotDelete)

        :param flags: with ``CHILDREN`` its descendants too, with ``CHILDREN_ONLY`` only its descendants
        """
        self._call(lib.virDomainSnapshotDelete, flags)


class Snapshots(SavedPoints[Snapshot]):
    """The snapshots of a domain, by their names: ``dom.snapshots["before"]``, ``for snapshot in dom.snapshots``."""

    __slots__ = ()
    _kind = Snapshot
    _not_found = DomainSnapshotNotFoundError
    _pointer = "virDomainSnapshotPtr"
    _list_all = lib.virDomainListAllSnapshots
    _look_up_by_name = lib.virDomainSnapshotLookupByName
    _root = "domainsnapshot"

    def list(self, flags: DomainSnapshotListFlags = DomainSnapshotListFlags(0)) -> SnapshotList:
        """Return the snapshots that match *flags*, all without any.  (virDomainListAllSnapshots)

        Flags of one group (leaves or not; internal or external; …) are combined with "or", the groups with "and".  With
        ``TOPOLOGICAL`` each snapshot comes after its parent.
        """
        return self._list(flags)

    def names(self, flags: DomainSnapshotListFlags = DomainSnapshotListFlags(0)) -> NameList:
        """Return the names of those that match *flags*.  (virDomainSnapshotNum, virDomainSnapshotListNames)"""
        return self._owner._call_names(lib.virDomainSnapshotNum, lib.virDomainSnapshotListNames, flags)

    def roots(self) -> SnapshotList:
        """Return those without a parent.  (virDomainListAllSnapshots)"""
        return self._list(DomainSnapshotListFlags.ROOTS)

    def leaves(self) -> SnapshotList:
        """Return those without children.  (virDomainListAllSnapshots)"""
        return self._list(DomainSnapshotListFlags.LEAVES)

    def current(self) -> Snapshot | None:
        """Return the current snapshot, ``None`` if there is none.  (virDomainSnapshotCurrent)"""
        try:
            return self._new(lib.virDomainSnapshotCurrent, 0)
        except DomainSnapshotNotFoundError:
            return None

    def has_current(self) -> bool:
        """Return whether there is a current snapshot.  (virDomainHasCurrentSnapshot)"""
        return self._owner._call(lib.virDomainHasCurrentSnapshot, 0) == 1

    def create(
        self,
        xml: XML | None = None,
        *,
        name: str | None = None,
        description: str | None = None,
        flags: DomainSnapshotCreateFlags = DomainSnapshotCreateFlags(0),
    ) -> Snapshot:
        """Make a snapshot of the domain as it is now.  (virDomainSnapshotCreateXML)

        :param xml: ``<domainsnapshot>``, for more than a name and a description
        :param name: libvirt chooses one if it is ``None``
        :param flags: with ``REDEFINE`` no new snapshot is made: libvirt stores again the description of one whose
            description it has lost, as :meth:`Snapshot.xml_desc` returned it
        :raises OperationFailedError: a snapshot of that name exists
        :raises OperationUnsupportedError: the domain cannot have a snapshot of this kind as it is now
        :raises XMLError: *xml* is not well-formed, or does not describe a snapshot
        """
        document = self._document(xml, name=name, description=description)
        return self._new(lib.virDomainSnapshotCreateXML, document, flags)
