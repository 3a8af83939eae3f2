# SPDX-License-Identifier: LGPL-2.1-or-later
"""``dom.backup``: copies of a domain's disks as they are at one moment; the domain continues to run."""

from __future__ import annotations

from pyvirt._core.document import encode_xml, encode_xml_or_null
from pyvirt._core.lib import lib
from pyvirt.domain._part import Part
from pyvirt.enums.domain_job import DomainBackupBeginFlags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyvirt.xmldesc import XML


class Backup(Part):
    """The backup of a domain: there is one at a time, and it is the domain's job.

    A push backup ends by itself: use ``dom.job.wait()``.  A pull backup serves NBD until ``dom.job.abort()``.
    """

    __slots__ = ()

    def begin(
        self,
        xml: XML,
        *,
        checkpoint_xml: XML | None = None,
        flags: DomainBackupBeginFlags = DomainBackupBeginFlags(0),
    ) -> None:
        """Begin a backup of the disks as they are now, whatever the guest writes later.  (virDomainBackupBegin)

        :param xml: ``<domainbackup mode='push'>`` or ``'pull'``; with ``<incremental>`` only the changes since
            that checkpoint
        :param checkpoint_xml: ``<domaincheckpoint>``, to make a checkpoint at the same moment
        :param flags: with ``REUSE_EXTERNAL`` the target files exist already
        :raises DomainCheckpointNotFoundError: the checkpoint in ``<incremental>`` does not exist
        :raises OperationTimeoutError: another job is running, for example a backup; QEMU's driver waits 30 s for it
        :raises OperationUnsupportedError: the domain is not running, or the changes of its disks cannot be read
        :raises XMLError: *xml* is not well-formed, or does not describe a backup
        """
        self._call(lib.virDomainBackupBegin, encode_xml(xml), encode_xml_or_null(checkpoint_xml), flags)

    def xml_desc(self) -> str:
        """Return the description of the running backup, with the defaults filled in.  (virDomainBackupGetXMLDesc)

        :raises DomainBackupNotFoundError: no backup is running
        """
        return self._call_string(lib.virDomainBackupGetXMLDesc, 0)
