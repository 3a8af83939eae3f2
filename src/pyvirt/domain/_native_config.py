# SPDX-License-Identifier: LGPL-2.1-or-later
"""Configurations in the hypervisor's own language."""

from __future__ import annotations

from pyvirt._core.document import encode_xml
from pyvirt._core.lib import lib
from pyvirt._core.text import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyvirt.connection import Connection
    from pyvirt.xmldesc import XML


class NativeConfig:
    """A base of :class:`~pyvirt.domain.Domains`."""

    __slots__ = ()

    _conn: Connection

    def xml_from_native(self, format: str, config: str) -> str:
        """Return the XML for a configuration in a hypervisor's own format.  (virConnectDomainXMLFromNative)

        :param format: ``"lxc-tools"``, ``"xen-xl"``, ``"vmware-vmx"``, …; each driver has its own
        :raises InvalidArgumentError: the driver does not know that format
        """
        return self._conn._call_string(lib.virConnectDomainXMLFromNative, encode(format), encode(config), 0)

    def xml_to_native(self, format: str, xml: XML) -> str:
        """Return the configuration in a hypervisor's own format for a document.  (virConnectDomainXMLToNative)

        :param format: ``"qemu-argv"``, the command line that libvirt would start; ``"xen-xl"``, …
        :raises InvalidArgumentError: the driver does not know that format
        """
        return self._conn._call_string(lib.virConnectDomainXMLToNative, encode(format), encode_xml(xml), 0)
