# SPDX-License-Identifier: LGPL-2.1-or-later
"""``dom.devices``: plugging in and out."""

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


# Where a kind of device has what alone tells one from another.
_KEYS = {"disk": ("target", "dev"), "filesystem": ("target", "dir"), "interface": ("mac", "address")}


def _alias(device: _Element) -> str | None:
    alias = device.find("alias")
    return None if alias is None else alias.get("name")


def _describes(wanted: _Element, device: _Element) -> bool:
    """Whether *device* has all that *wanted* says, or what alone tells such devices apart."""
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

    ``flags`` choose the configuration that changes: the running one (``LIVE``), the stored one (``CONFIG``), both, or,
    by default, the running one of a domain that runs and the stored one of any other.
    """

    __slots__ = ()

    def attach(self, xml: XML, *, flags: DeviceModify = DeviceModify.CURRENT) -> None:
        """Attach a device.  (virDomainAttachDeviceFlags)

        :param xml: one device element, ``<disk>…</disk>``
        :raises XMLError: *xml* is no XML, or no device
        :raises OperationInvalidError: the domain is not in the state that *flags* need
        """
        self._call(lib.virDomainAttachDeviceFlags, encode_xml(xml), flags)

    def detach(self, xml: XML, *, flags: DeviceModify = DeviceModify.CURRENT, wait: float | None = None) -> None:
        """Detach a device.  (virDomainDetachDeviceFlags)

        A running guest is asked to let go of it, and QEMU's driver waits for some seconds; the device is gone when it
        has left the running configuration.  A guest without an operating system keeps what sits on PCI.

        :param xml: the device element, with as much of it as tells it from the others
        :param wait: seconds to wait until a running guest has let go of it
        :raises DeviceNotFoundError: no such device
        :raises OperationTimeoutError: the guest has not let go of it within *wait*, but may still do so
        :raises OperationFailedError: the guest does not let go of it
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
        """Detach the device of that alias.  (virDomainDetachDeviceAlias)

        A running guest is only asked, without *wait*: see :meth:`detach`.

        :param alias: ``"net0"``, as in ``<alias name='net0'/>``
        """
        detach = partial(self._call, lib.virDomainDetachDeviceAlias, encode(alias), flags)
        if wait is None:
            detach()
        else:
            self._detach_and_wait({alias}, flags, wait, detach)

    def _running(self) -> Iterator[_Element]:
        """Yield the devices of the running configuration; none if it does not run."""
        from pyvirt.xmldesc import parse

        if self._domain.is_active():
            yield from parse(self._domain.xml_desc()).iterfind("devices/*")

    def _aliases_of(self, document: bytes) -> set[str]:
        """Return the alias of the running device that *document* describes.

        libvirt takes other spellings than its own, ``0x1`` for ``0x0001``: if none is described, all of its kind are
        returned, of which the one that libvirt has found will go.

        :raises InvalidArgumentError: it could be several
        """
        from pyvirt.xmldesc import parse

        wanted = parse(document)
        kind = {alias: device for device in self._running() if device.tag == wanted.tag and (alias := _alias(device))}
        found = {alias for alias, device in kind.items() if _describes(wanted, device)}
        if len(found) > 1:
            raise InvalidArgumentError(f"that could be {', '.join(found)}: which to wait for, its alias would tell")
        return found or set(kind)

    def _detach_and_wait(
        self, aliases: set[str], flags: DeviceModify, wait: float, detach: Callable[[], object]
    ) -> None:
        """Detach, and wait until the first of *aliases* is gone."""
        if not aliases or (flags & DeviceModify.CONFIG and not flags & DeviceModify.LIVE):
            detach()
            return
        kinds = ("DomainDeviceRemoved", "DomainDeviceRemovalFailed", "DomainLifecycle")
        with Recheck(self._domain, kinds, wait, 0.2) as checks:
            checks.listen()
            detach()
            for _ in checks:
                if not aliases <= set(map(_alias, self._running())):
                    return
                self._look_for_refusal(aliases, checks.news_of("DomainDeviceRemovalFailed"))
        which = " or ".join(map(repr, sorted(aliases)))
        raise OperationTimeoutError(
            f"device {which} was not gone {wait:g} s after the guest was asked for it",
            function="virDomainDetachDeviceFlags",
        )

    @staticmethod
    def _look_for_refusal(aliases: set[str], refusals: Iterable[DomainDeviceRemovalFailed]) -> None:
        for event in refusals:
            if event.alias in aliases:
                raise OperationFailedError(
                    f"the guest does not let go of device {event.alias!r}",
                    code=codes.OPERATION_FAILED,
                    function="virDomainDetachDeviceFlags",
                )

    def update(self, xml: XML, *, flags: DeviceModify = DeviceModify.CURRENT) -> None:
        """Change a device: other media in a drive, another link state, …  (virDomainUpdateDeviceFlags)

        :param xml: the whole element as it shall be; what it leaves out is taken for its default
        :param flags: with ``FORCE`` the media of a locked drive changes too
        :raises NotSupportedError: that cannot change while the domain runs
        """
        self._call(lib.virDomainUpdateDeviceFlags, encode_xml(xml), flags)

    def hotplug(self, xml: XML) -> None:
        """Attach a device to the running domain, also in drivers that know no flags.  (virDomainAttachDevice)

        :raises OperationInvalidError: it does not run
        """
        self._call(lib.virDomainAttachDevice, encode_xml(xml))

    def hotunplug(self, xml: XML) -> None:
        """Detach a device from the running domain, also in drivers that know no flags.  (virDomainDetachDevice)

        :raises OperationInvalidError: it does not run
        """
        self._call(lib.virDomainDetachDevice, encode_xml(xml))
