# SPDX-License-Identifier: LGPL-2.1-or-later
"""``dom.interfaces``"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyvirt._core.lib import ffi, lib
from pyvirt._core.params import UINT, Params
from pyvirt._core.text import decode, decode_or_none, encode, encode_or_null
from pyvirt.domain._part import NamedPart, Parts, known, take_array
from pyvirt.enums import params
from pyvirt.enums.domain import DomainModificationImpact
from pyvirt.enums.domain_device import DomainInterfaceAddressesSource
from pyvirt.enums.network import IPAddrType
from pyvirt.models import InterfaceAddresses, InterfaceStats, IPAddress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lxml.etree import _Element

    from pyvirt._core.lib import CData
    from pyvirt._core.params import TypedValue

_BANDWIDTH = dict.fromkeys(
    (
        params.DOMAIN_BANDWIDTH_IN_AVERAGE,
        params.DOMAIN_BANDWIDTH_IN_PEAK,
        params.DOMAIN_BANDWIDTH_IN_BURST,
        params.DOMAIN_BANDWIDTH_IN_FLOOR,
        params.DOMAIN_BANDWIDTH_OUT_AVERAGE,
        params.DOMAIN_BANDWIDTH_OUT_PEAK,
        params.DOMAIN_BANDWIDTH_OUT_BURST,
    ),
    UINT,
)

# All in milliseconds, except the number of rounds.
_ANNOUNCE = dict.fromkeys(
    (
        params.DOMAIN_ANNOUNCE_INTERFACE_INITIAL,
        params.DOMAIN_ANNOUNCE_INTERFACE_MAX,
        params.DOMAIN_ANNOUNCE_INTERFACE_ROUNDS,
        params.DOMAIN_ANNOUNCE_INTERFACE_STEP,
    ),
    UINT,
)


class DomainInterface(NamedPart):
    """A network interface of a domain.

    Its name is the name of its host side, ``"vnet0"``, or its MAC address.
    """

    __slots__ = ()

    def stats(self) -> InterfaceStats:
        """Return how much was received and sent since the domain started.  (virDomainInterfaceStats)

        :raises OperationInvalidError: the domain is not running
        """
        size = ffi.sizeof("virDomainInterfaceStatsStruct")
        out = ffi.new("virDomainInterfaceStatsStruct *")
        self._call(lib.virDomainInterfaceStats, encode(self._name), out, size)
        received = (out.rx_bytes, out.rx_packets, out.rx_errs, out.rx_drop)
        return InterfaceStats(*known((*received, out.tx_bytes, out.tx_packets, out.tx_errs, out.tx_drop)))

    def parameters(
        self, *, flags: DomainModificationImpact = DomainModificationImpact.CURRENT
    ) -> dict[str, TypedValue]:
        """Return the limits of its throughput, 0 where there is none.  (virDomainGetInterfaceParameters)

        Names are :mod:`pyvirt.enums.params`' ``DOMAIN_BANDWIDTH_…``: KiB per second, bursts in KiB.
        """
        call, name = lib.virDomainGetInterfaceParameters, encode(self._name)
        return self._fill_params(call, flags, before=(name,))

    def set_parameters(
        self,
        values: Mapping[str, TypedValue],
        *,
        flags: DomainModificationImpact = DomainModificationImpact.CURRENT,
    ) -> None:
        """Set limits of its throughput: ``{"inbound.average": 1000}``.  (virDomainSetInterfaceParameters)

        :raises NotSupportedError: no such limit
        """
        with Params(values, _BANDWIDTH) as array:
            name, pointer, count = encode(self._name), array.pointer, array.count
            self._call(lib.virDomainSetInterfaceParameters, name, pointer, count, flags)


class DomainInterfaces(Parts[DomainInterface]):
    """The network interfaces of a domain: ``dom.interfaces["vnet0"]``, ``for nic in dom.interfaces``.

    Iterating yields them under the name of the host side if there is one, else under the MAC address.
    """

    __slots__ = ()
    _kind = DomainInterface
    _elements = "devices/interface"

    def _name_of(self, element: _Element) -> str | None:
        for child, attribute in (("target", "dev"), ("mac", "address")):
            found = element.find(child)
            if found is not None and (name := found.get(attribute)):
                return str(name)
        return None

    def addresses(
        self, source: DomainInterfaceAddressesSource = DomainInterfaceAddressesSource.LEASE
    ) -> list[InterfaceAddresses]:
        """Return the IP addresses of its interfaces, as *source* reports them.  (virDomainInterfaceAddresses)

        :param source: libvirt's own DHCP server, the guest's agent, or the host's ARP table
        :raises OperationInvalidError: the domain is not running
        :raises AgentUnresponsiveError: the source is the agent, and it does not answer
        """
        out = ffi.new("virDomainInterfacePtr **")
        count = self._call(lib.virDomainInterfaceAddresses, out, source, 0)
        return take_array(out[0], count, _addresses, lib.virDomainInterfaceFree)

    def announce(self, device: str | None = None, **values: int) -> None:
        """Announce the guest's location to the network by gratuitous ARP.  (virDomainAnnounceInterface)

        :param device: one interface; ``None`` for all
        :param values: ``initial``, ``step`` and ``max``, the pauses between the packets in milliseconds, and the
            number of ``rounds``
        """
        with Params(values, _ANNOUNCE) as array:
            self._call(lib.virDomainAnnounceInterface, encode_or_null(device), array.pointer, array.count, 0)


def _addresses(interface: CData) -> InterfaceAddresses:
    return InterfaceAddresses(
        decode(interface.name),
        decode_or_none(interface.hwaddr),
        tuple(
            IPAddress(IPAddrType(address.type), decode(address.addr), address.prefix)
            for address in (interface.addrs[i] for i in range(interface.naddrs))
        ),
    )
