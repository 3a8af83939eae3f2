# SPDX-License-Identifier: LGPL-2.1-or-later
"""``conn.domains.where(name="web-*", active=True)``: filter a collection by name, state or contents.

Where the list function has flags for a condition, the driver filters, in one call.  Names need no further call.  The
other conditions cost one call, or one for each object, so they are checked last, for the remaining objects only.
Objects that are deleted during the call are left out.
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

    #: A glob, an expression that is searched for, or a function that returns whether a text matches.
    Pattern: TypeAlias = str | re.Pattern[str] | Callable[[str], object]

T = TypeVar("T", bound=Handle)

# Condition -> its flags for true and false.
_FLAG_PAIRS = {
    "active": ("ACTIVE", "INACTIVE"),
    "persistent": ("PERSISTENT", "TRANSIENT"),
    "autostart": ("AUTOSTART", "NO_AUTOSTART"),
    "managed_save": ("MANAGEDSAVE", "NO_MANAGEDSAVE"),
    "snapshots": ("HAS_SNAPSHOT", "NO_SNAPSHOT"),
    "ephemeral": ("EPHEMERAL", "NO_EPHEMERAL"),
    "private": ("PRIVATE", "NO_PRIVATE"),
}

# Capabilities whose name in XML differs from the name of the flag.
_CAPABILITIES = {"ccw": "ccw_dev", "css": "css_dev", "pci": "pci_dev", "usb": "usb_interface", "usb_device": "usb_dev"}


def flags_for(kind: type[IntFlag], **switches: bool | None) -> int:
    """Return the flags of a list function for the conditions *switches*; ``None`` stands for no condition."""
    chosen = kind(0)
    for name, wanted in switches.items():
        if wanted is not None:
            yes, no = _FLAG_PAIRS[name]
            chosen |= kind[yes if wanted else no]
    return chosen


def fits(pattern: Pattern) -> Callable[[str], object]:
    """Return a function that checks whether a text matches *pattern*."""
    if isinstance(pattern, str):
        return re.compile(translate(pattern)).match
    if isinstance(pattern, re.Pattern):
        return pattern.search
    if callable(pattern):
        return pattern
    raise TypeError(f"expected a glob, a compiled expression or a callable, got {type(pattern).__name__}")


def choose(found: Iterable[T], *tests: Callable[[T], object]) -> list[T]:
    """Return those that pass all *tests*; a deleted object passes none."""
    chosen = []
    for item in found:
        try:
            if all(test(item) for test in tests):
                chosen.append(item)
        except NotFoundError:
            pass
    return chosen


def named(pattern: Pattern | None, attribute: str = "name") -> list[Callable[[Handle], object]]:
    """Return the tests for a name: one, or none without a pattern."""
    if pattern is None:
        return []
    matches = fits(pattern)
    return [lambda item: matches(getattr(item, attribute))]


class WhereNamed(Collection[T]):
    """A collection of objects with names, whose list function has no flags."""

    __slots__ = ()

    def where(self, *, name: Pattern | None = None) -> list[T]:
        """Return the objects whose name matches.

        :param name: a glob, ``"web-*"``; a compiled expression, searched for; or a callable
        """
        return choose(self._list(0), *named(name))


class WhereActive(Collection[T]):
    """A collection of objects that are active or not."""

    __slots__ = ()

    _flags: ClassVar[type[IntFlag]]

    def where(self, *, name: Pattern | None = None, active: bool | None = None) -> list[T]:
        """Return the objects that meet all given conditions.

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
        """Return the objects that meet all given conditions.

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
        """Return the objects that meet all given conditions.

        :param name: a glob, ``"pci_*"``; a compiled expression, searched for; or a callable
        :param capability: as in XML, ``"net"`` or ``"scsi_host"``, or one or several ``CAP_…`` flags
        :param active: whether it is active, not only defined; since libvirt 7.3
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
            names = ", ".join(sorted(known))
            raise InvalidArgumentError(f"unknown capability {capability[:80]!r}; the known ones are {names}")
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
        """Return the objects that meet all given conditions.

        :param usage_id: the object that uses it: a glob; a compiled expression, searched for; or a callable
        """
        found = self._list(flags_for(self._flags, ephemeral=ephemeral, private=private))
        tests = named(usage_id, "usage_id")
        if usage_type is not None:
            tests.insert(0, lambda secret: secret.usage_type == usage_type)  # type: ignore[attr-defined]
        return choose(found, *tests)
