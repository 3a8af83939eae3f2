# SPDX-License-Identifier: LGPL-2.1-or-later
"""``conn.domains.where(name="web-*", active=True)``: objects by what they are called, how they are, what they carry.

What a list function has flags for, the driver sorts out, in one call.  Names are known by then.  What is left costs a
call for all, or one for each, and is asked last, of those that are left.  Whatever vanishes meanwhile is left out.
"""

from __future__ import annotations

import re
from fnmatch import translate
from typing import TYPE_CHECKING, TypeVar

from pyvirt._core.handle import Handle
from pyvirt._model.collection import Collection
from pyvirt.errors import InvalidArgumentError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from enum import IntFlag
    from typing import ClassVar, TypeAlias

    from pyvirt.enums.nodedev import ConnectListAllNodeDeviceFlags
    from pyvirt.enums.secret import SecretUsageType

    #: A glob, an expression that is searched for, or what tells by a text whether it fits.
    Pattern: TypeAlias = str | re.Pattern[str] | Callable[[str], object]

T = TypeVar("T", bound=Handle)

# A question of yes or no -> the flags for it.
_SWITCHES = {
    "active": ("ACTIVE", "INACTIVE"),
    "persistent": ("PERSISTENT", "TRANSIENT"),
    "autostart": ("AUTOSTART", "NO_AUTOSTART"),
    "managed_save": ("MANAGEDSAVE", "NO_MANAGEDSAVE"),
    "snapshots": ("HAS_SNAPSHOT", "NO_SNAPSHOT"),
    "ephemeral": ("EPHEMERAL", "NO_EPHEMERAL"),
    "private": ("PRIVATE", "NO_PRIVATE"),
}

# What XML calls otherwise than the flags do.
_CAPABILITIES = {"ccw": "ccw_dev", "css": "css_dev", "pci": "pci_dev", "usb": "usb_interface", "usb_device": "usb_dev"}


def flags_for(kind: type[IntFlag], **switches: bool | None) -> int:
    """Return the flags of a list function that keep what answers to *switches*; ``None`` does not care."""
    chosen = kind(0)
    for name, wanted in switches.items():
        if wanted is not None:
            yes, no = _SWITCHES[name]
            chosen |= kind[yes if wanted else no]
    return chosen


def fits(pattern: Pattern) -> Callable[[str], object]:
    """Return what tells whether a text fits."""
    if isinstance(pattern, str):
        return re.compile(translate(pattern)).match
    if isinstance(pattern, re.Pattern):
        return pattern.search
    if callable(pattern):
        return pattern
    raise TypeError(f"a pattern is a glob, a compiled expression or a callable, not {type(pattern).__name__}")


def choose(found: Iterable[T], *tests: Callable[[T], object]) -> list[T]:
    """Return those that pass all *tests*; what is no longer there passes none."""
    chosen = []
    for item in found:
        try:
            if all(test(item) for test in tests):
                chosen.append(item)
        except NotFoundError:
            pass
    return chosen


def named(pattern: Pattern | None, attribute: str = "name") -> list[Callable[[Handle], object]]:
    """Return the test of a name, if there is to be one."""
    if pattern is None:
        return []
    matches = fits(pattern)
    return [lambda item: matches(getattr(item, attribute))]


class WhereNamed(Collection[T]):
    """A collection of objects that have names, and no flags."""

    __slots__ = ()

    def where(self, *, name: Pattern | None = None) -> list[T]:
        """Return those with a fitting name.

        :param name: a glob, ``"web-*"``; a compiled expression, searched for; or a callable
        """
        return choose(self._list(0), *named(name))


class WhereActive(Collection[T]):
    """A collection of objects that are active or not."""

    __slots__ = ()

    _flags: ClassVar[type[IntFlag]]

    def where(self, *, name: Pattern | None = None, active: bool | None = None) -> list[T]:
        """Return those that answer to everything that is given.

        :param name: a glob, ``"eth*"``; a compiled expression, searched for; or a callable
        """
        return choose(self._list(flags_for(self._flags, active=active)), *named(name))


class WhereLiving(Collection[T]):
    """A collection of objects that start and stop, and may be transient."""

    __slots__ = ()

    _flags: ClassVar[type[IntFlag]]

    def where(
        self,
        *,
        name: Pattern | None = None,
        active: bool | None = None,
        persistent: bool | None = None,
        autostart: bool | None = None,
    ) -> list[T]:
        """Return those that answer to everything that is given.

        :param name: a glob, ``"web-*"``; a compiled expression, searched for; or a callable
        """
        flags = flags_for(self._flags, active=active, persistent=persistent, autostart=autostart)
        return choose(self._list(flags), *named(name))


class WhereCapable(Collection[T]):
    """The devices of a host."""

    __slots__ = ()

    _flags: ClassVar[type[IntFlag]]

    def where(
        self,
        *,
        name: Pattern | None = None,
        capability: str | ConnectListAllNodeDeviceFlags | None = None,
        active: bool | None = None,
        persistent: bool | None = None,
    ) -> list[T]:
        """Return those that answer to everything that is given.

        :param name: a glob, ``"pci_*"``; a compiled expression, searched for; or a callable
        :param capability: as in XML, ``"net"`` or ``"scsi_host"``, or one or several ``CAP_…`` flags
        :param active: whether it is there, not only defined; since libvirt 7.3
        :param persistent: whether it is defined; since libvirt 10.1
        :raises InvalidArgumentError: no such capability
        """
        flags = flags_for(self._flags, active=active, persistent=persistent)
        return choose(self._list(flags | self._capability(capability)), *named(name))

    def _capability(self, capability: str | int | None) -> int:
        if not isinstance(capability, str):
            return capability or 0
        known = {name[4:].lower(): flag for name, flag in self._flags.__members__.items() if name.startswith("CAP_")}
        flag = known.get(_CAPABILITIES.get(capability, capability))
        if flag is None:
            raise InvalidArgumentError(f"no capability {capability[:80]!r}: there are {', '.join(sorted(known))}")
        return flag


class WhereUsed(Collection[T]):
    """Secrets, which have no names."""

    __slots__ = ()

    _flags: ClassVar[type[IntFlag]]

    def where(
        self,
        *,
        usage_id: Pattern | None = None,
        usage_type: SecretUsageType | None = None,
        ephemeral: bool | None = None,
        private: bool | None = None,
    ) -> list[T]:
        """Return those that answer to everything that is given.

        :param usage_id: what it is for: a glob; a compiled expression, searched for; or a callable
        """
        found = self._list(flags_for(self._flags, ephemeral=ephemeral, private=private))
        tests = named(usage_id, "usage_id")
        if usage_type is not None:
            tests.insert(0, lambda secret: secret.usage_type == usage_type)  # type: ignore[attr-defined]
        return choose(found, *tests)
