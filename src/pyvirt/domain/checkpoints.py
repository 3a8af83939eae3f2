# SPDX-License-Identifier: LGPL-2.1-or-later
"""``dom.checkpoints``: points in time from which the hypervisor records the changes of a domain's disks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyvirt._core.lib import lib
from pyvirt.domain._saved_point import SavedPoint, SavedPoints
from pyvirt.enums.checkpoint import (
    DomainCheckpointCreateFlags,
    DomainCheckpointDeleteFlags,
    DomainCheckpointListFlags,
    DomainCheckpointXMLFlags,
)
from pyvirt.errors import DomainCheckpointNotFoundError

if TYPE_CHECKING:
    from typing import TypeAlias

    from pyvirt.xmldesc import XML

    CheckpointList: TypeAlias = list["Checkpoint"]  # in the collection below, list is a method


class Checkpoint(SavedPoint):
    """A point in time; an incremental backup has the changes since then."""

    __slots__ = ()

    _release = lib.pv_release_domain_checkpoint
    _get_name = lib.virDomainCheckpointGetName
    _get_domain = lib.virDomainCheckpointGetDomain

    def _check_exists(self) -> object:
        return self.xml_desc(flags=DomainCheckpointXMLFlags.NO_DOMAIN)

    def xml_desc(self, *, flags: DomainCheckpointXMLFlags = DomainCheckpointXMLFlags(0)) -> str:
        """Return its description, with the domain's configuration at that time.  (virDomainCheckpointGetXMLDesc)

        :param flags: with ``SIZE`` also the number of changed bytes, which is known only while the domain runs
        """
        return self._call_string(lib.virDomainCheckpointGetXMLDesc, flags)

    def parent(self) -> Checkpoint | None:
        """Return its parent, ``None`` for a root.  (virDomainCheckpointGetParent)"""
        return self._parent_by(lib.virDomainCheckpointGetParent)

    def children(self, *, flags: DomainCheckpointListFlags = DomainCheckpointListFlags(0)) -> CheckpointList:
        """Return its children, with ``DESCENDANTS`` also their descendants.  (virDomainCheckpointListAllChildren)"""
        return Checkpoints(self.domain)._wrap_list(lib.virDomainCheckpointListAllChildren, flags, self)

    def delete(self, *, flags: DomainCheckpointDeleteFlags = DomainCheckpointDeleteFlags(0)) -> None:
        """Delete it; its recorded changes become part of its parent.  (virDomainCheckpointDelete)

        :param flags: with ``CHILDREN`` its descendants too, with ``CHILDREN_ONLY`` only its descendants
        """
        self._call(lib.virDomainCheckpointDelete, flags)


class Checkpoints(SavedPoints[Checkpoint]):
    """The checkpoints of a domain, by their names: ``dom.checkpoints["monday"]``, ``for one in dom.checkpoints``."""

    __slots__ = ()
    _kind = Checkpoint
    _not_found = DomainCheckpointNotFoundError
    _pointer = "virDomainCheckpointPtr"
    _list_all = lib.virDomainListAllCheckpoints
    _look_up_by_name = lib.virDomainCheckpointLookupByName
    _root = "domaincheckpoint"

    def list(self, flags: DomainCheckpointListFlags = DomainCheckpointListFlags(0)) -> CheckpointList:
        """Return the checkpoints that match *flags*, all without any.  (virDomainListAllCheckpoints)

        With ``TOPOLOGICAL`` each checkpoint comes after its parent.
        """
        return self._list(flags)

    def roots(self) -> CheckpointList:
        """Return those without a parent.  (virDomainListAllCheckpoints)"""
        return self._list(DomainCheckpointListFlags.ROOTS)

    def leaves(self) -> CheckpointList:
        """Return those without children: the latest.  (virDomainListAllCheckpoints)"""
        return self._list(DomainCheckpointListFlags.LEAVES)

    def create(
        self,
        xml: XML | None = None,
        *,
        name: str | None = None,
        description: str | None = None,
        flags: DomainCheckpointCreateFlags = DomainCheckpointCreateFlags(0),
    ) -> Checkpoint:
        """Record the changes of the disks from now on.  (virDomainCheckpointCreateXML)

        ``dom.backup.begin`` can make a checkpoint at exactly the moment of a backup.

        :param xml: ``<domaincheckpoint>``, for more than a name and a description: only some of the disks, …
        :param name: libvirt chooses one if it is ``None``
        :param flags: with ``REDEFINE`` no new checkpoint is made: libvirt stores again the description of one whose
            description it has lost, as :meth:`Checkpoint.xml_desc` returned it
        :raises OperationFailedError: a checkpoint of that name exists
        :raises OperationUnsupportedError: the domain is not running, or its disks cannot store a checkpoint
        :raises XMLError: *xml* is not well-formed, or does not describe a checkpoint
        """
        document = self._document(xml, name=name, description=description)
        return self._new(lib.virDomainCheckpointCreateXML, document, flags)
