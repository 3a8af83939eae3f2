# SPDX-License-Identifier: LGPL-2.1-or-later
"""``dom.devices``: attach, detach and update devices."""

from __future__ import annotations

from functools import partial

from pyvirt._core import codes
from pyvirt._core.document import encode_xml
from pyvirt._core.lib import lib
from pyvirt._core.text import encode
from pyvirt.domain._part import Part
from pyvirt.domain._wait import Recheck
from pyvirt.enums.domain import DeviceModify
from pyvirt.errors import InvalidArgumentError, OperationFailedError, OperationTimeoutError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lxml.etree import _Element

    from pyvirt.events import DomainDeviceRemovalFailed
    from pyvirt.xmldesc import XML


# For some kinds of devices, the path of the value that alone identifies one.
_KEYS = {"disk": ("target", "dev"), "filesystem": ("target", "dir"), "interface": ("mac", "address")}


def _alias(device: _Element) -> str | None:
    alias = device.find("alias")
    return None if alias is None else alias.get("name")


def _describes(wanted: _Element, device: _Element) -> bool:
    """Return whether *device* has all of *wanted*, or the value that alone identifies such a device."""
    element, attribute = _KEYS.get(str(wanted.tag), ("", ""))
    key = wanted.find(element) if element else None
    if key is not None and (value := key.get(attribute)):
        found = device.find(element)
        return found is not None and (found.get(attribute) or "").lower() == value.lower()
    return _contains(device, wanted)


def _contains(whole: _Element, part: _Element) -> bool:
    if any(whole.get(name) != value for name, value in part.attrib.items()):
        return False
    if (part.text or "").strip() and (part.text or "").strip() != (whole.text or "").strip():
        return False
    return all(any(_contains(one, child) for one in whole.iterfind(str(child.tag))) for child in part.iterfind("*"))


class Devices(Part):
    """The devices of a domain.

    ``flags`` choose the configuration that changes: the running one (``LIVE``), the stored one (``CONFIG``), both, or
    by default the running one of an active domain and the stored one of an inactive domain.
    """

    __slots__ = ()

    def attach(self, xml: XML, *, flags: DeviceModify = DeviceModify.CURRENT) -> None:
        """Attach a device.  (virDomainAttachDeviceFlags)

        :param xml: one device element, ``<disk>…</disk>``
        :raises XMLError: *xml* is not well-formed, or does not describe a device
        :raises OperationInvalidError: the domain is not in the state that *flags* need
        """
        self._call(lib.virDomainAttachDeviceFlags, encode_xml(xml), flags)

    def detach(self, xml: XML, *, flags: DeviceModify = DeviceModify.CURRENT, wait: float | None = None) -> None:
        """Detach a device.  (virDomainDetachDeviceFlags)

        A running guest is asked to release the device, and QEMU's driver waits for some seconds.  The device is
        detached when the running configuration no longer contains it.  A guest without an operating system never
        releases a PCI device.

        :param xml: the device element, with as much as is needed to identify it
        :param wait: seconds to wait until a running guest has released it; ``None`` does not wait
        :raises DeviceNotFoundError: no such device
        :raises OperationTimeoutError: the guest has not released it within *wait*, but may still do so
        :raises OperationFailedError: the guest refuses to release it
        """
        document = encode_xml(xml)
        detach = partial(self._call, lib.virDomainDetachDeviceFlags, document, flags)
        if wait is None:
            detach()
        else:
            self._detach_and_wait(self._aliases_of(document), flags, wait, detach)

    def detach_alias(
        self, alias: str, *, flags: DeviceModify = DeviceModify.CURRENT, wait: float | None = None
    ) -> None:
        """Detach the device with that alias.  (virDomainDetachDeviceAlias)

        Without *wait* a running guest is only asked: see :meth:`detach`.

        :param alias: ``"net0"``, as in ``<alias name='net0'/>``
        """
        detach = partial(self._call, lib.virDomainDetachDeviceAlias, encode(alias), flags)
        if wait is None:
            detach()
        else:
            self._detach_and_wait({alias}, flags, wait, detach)

    def _running_devices(self) -> Iterator[_Element]:
        """Yield the devices of the running configuration; none if the domain is not running."""
        from pyvirt.xmldesc import parse

        if self._domain.is_active():
            yield from parse(self._domain.xml_desc()).iterfind("devices/*")

    def _aliases_of(self, document: bytes) -> set[str]:
        """Return the alias of the running device that *document* describes.

        libvirt accepts spellings other than its own, ``0x1`` for ``0x0001``: if none matches, the aliases of all
        devices of its kind are returned, and libvirt detaches one of them.

        :raises InvalidArgumentError: it describes several devices
        """
        from pyvirt.xmldesc import parse

        wanted = parse(document)
        same_kind = {
            alias: device
            for device in self._running_devices()
            if device.tag == wanted.tag and (alias := _alias(device))
        }
        found = {alias for alias, device in same_kind.items() if _describes(wanted, device)}
        if len(found) > 1:
            raise InvalidArgumentError(f"the document matches several devices ({', '.join(found)}): add the alias")
        return found or set(same_kind)

    def _detach_and_wait(
        self, aliases: set[str], flags: DeviceModify, wait: float, detach: Callable[[], object]
    ) -> None:
        """Detach, and wait until the first of *aliases* is detached."""
        if not aliases or (flags & DeviceModify.CONFIG and not flags & DeviceModify.LIVE):
            detach()
            return
        kinds = ("DomainDeviceRemoved", "DomainDeviceRemovalFailed", "DomainLifecycle")
        with Recheck(self._domain, kinds, wait, 0.2) as checks:
            checks.listen()
            detach()
            for _ in checks:
                if not aliases <= set(map(_alias, self._running_devices())):
                    return
                self._raise_if_refused(aliases, checks.new_events_of("DomainDeviceRemovalFailed"))
        which = " or ".join(map(repr, sorted(aliases)))
        raise OperationTimeoutError(
            f"the guest did not release device {which} within {wait:g} s",
            function="virDomainDetachDeviceFlags",
        )

    @staticmethod
    def _raise_if_refused(aliases: set[str], refusals: Iterable[DomainDeviceRemovalFailed]) -> None:
        for event in refusals:
            if event.alias in aliases:
                raise OperationFailedError(
                    f"the guest refuses to release device {event.alias!r}",
                    code=codes.OPERATION_FAILED,
                    function="virDomainDetachDeviceFlags",
                )

    def update(self, xml: XML, *, flags: DeviceModify = DeviceModify.CURRENT) -> None:
        """Change a device: other media in a drive, another link state, …  (virDomainUpdateDeviceFlags)

        :param xml: the complete new element; for everything that it leaves out, the default applies
        :param flags: with ``FORCE`` the media of a locked drive changes too
        :raises NotSupportedError: this property of the device cannot change while the domain is running
        """
        self._call(lib.virDomainUpdateDeviceFlags, encode_xml(xml), flags)

    def hotplug(self, xml: XML) -> None:
        """Attach a device to the running domain, also in drivers without flags.  (virDomainAttachDevice)

        :raises OperationInvalidError: the domain is not running
        """
        self._call(lib.virDomainAttachDevice, encode_xml(xml))

    def hotunplug(self, xml: XML) -> None:
        """Detach a device from the running domain, also in drivers without flags.  (virDomainDetachDevice)

        :raises OperationInvalidError: the domain is not running
        """
        self._call(lib.virDomainDetachDevice, encode_xml(xml))
