# SPDX-License-Identifier: LGPL-2.1-or-later
"""``dom.backup``: copies of a domain's disks as they are at one moment, while it runs on."""

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

    A push backup ends by itself, so ``dom.job.wait()``; a pull backup serves NBD until ``dom.job.abort()``.
    """

    __slots__ = ()

    def begin(
        self,
        xml: XML,
        *,
        checkpoint_xml: XML | None = None,
        flags: DomainBackupBeginFlags = DomainBackupBeginFlags(0),
    ) -> None:
        """Begin one; its state is that of this moment, whatever the guest writes meanwhile.  (virDomainBackupBegin)

        :param xml: ``<domainbackup mode='push'>`` or ``'pull'``; with ``<incremental>`` only what has changed since
            that checkpoint
        :param checkpoint_xml: ``<domaincheckpoint>``, to make one at the same moment
        :param flags: with ``REUSE_EXTERNAL`` the files to write to are there already
        :raises DomainCheckpointNotFoundError: ``<incremental>`` names none that there is
        :raises OperationTimeoutError: another job runs, a backup for instance; QEMU's driver waits 30 s for it
        :raises OperationUnsupportedError: the domain does not run, or its disks cannot be asked what has changed
        :raises XMLError: this is no XML, or no backup
        """
        self._call(lib.virDomainBackupBegin, encode_xml(xml), encode_xml_or_null(checkpoint_xml), flags)

    def xml_desc(self) -> str:
        """Return its description, with what *begin* left open.  (virDomainBackupGetXMLDesc)

        :raises DomainBackupNotFoundError: there is none at the moment
        """
        return self._call_string(lib.virDomainBackupGetXMLDesc, 0)
