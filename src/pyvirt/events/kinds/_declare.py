# SPDX-License-Identifier: LGPL-2.1-or-later
"""How a kind of event is declared.

::

    @kind(DOMAIN, 3)  # the category, and libvirt's number of the kind in it
    @dataclass(frozen=True, slots=True)
    class DomainWatchdog(DomainEvent):  # which has the field ``domain``
        action: DomainEventWatchdogAction = field(metadata=enum(0, DomainEventWatchdogAction))

The callbacks in C copy their arguments into a ``pv_event``: integers into ``numbers``, texts into ``strings``, both in
the order of the arguments.  Each field names the one that it is decoded from.  A field without metadata is the handle
of the object that the event is about.

A new kind also needs its callback in ``_native/events_callbacks.c``, a case in ``tests/unit/test_event_kinds.py``, and
its name in ``pyvirt/events/__init__.py`` and ``docs/events.md``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar, TypeVar

from pyvirt._core.params import to_dict
from pyvirt._core.text import decode_or_none

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    from typing_extensions import Self

    from pyvirt._core.handle import Handle
    from pyvirt._core.lib import CData

    Decoder: TypeAlias = Callable[[CData], object]
    Setter: TypeAlias = Callable[[object, object], None]

__all__ = [
    "CLOSE",
    "DOMAIN",
    "KINDS",
    "NETWORK",
    "NODE_DEVICE",
    "QEMU_MONITOR",
    "SECRET",
    "STORAGE_POOL",
    "Event",
    "kinds_of",
]

E = TypeVar("E", bound="Event")

# The categories of native_events.h.
DOMAIN, NETWORK, STORAGE_POOL, NODE_DEVICE, SECRET, QEMU_MONITOR, CLOSE = range(7)

#: category and number -> class
KINDS: dict[tuple[int, int], type[Event]] = {}


# ---- how a field is decoded: metadata for ``dataclasses.field`` ----

_DECODE = "decode"


def computed(decode: Decoder) -> Mapping[str, Decoder]:
    """Decode a field with a function of the C event."""
    return {_DECODE: decode}


def text(index: int) -> Mapping[str, Decoder]:
    """Decode a field from string *index*; NULL becomes ``""``."""
    return computed(lambda event: decode_or_none(event.strings[index]) or "")


def text_or_none(index: int) -> Mapping[str, Decoder]:
    """Decode a field from string *index*; NULL becomes ``None``."""
    return computed(lambda event: decode_or_none(event.strings[index]))


def number(index: int) -> Mapping[str, Decoder]:
    """Decode a field from integer *index*."""
    return computed(lambda event: event.numbers[index])


def size(index: int, unit: int = 1) -> Mapping[str, Decoder]:
    """Decode a field as bytes, from integer *index*: an unsigned number in C, which counts *unit* bytes each."""
    return computed(lambda event: (event.numbers[index] & 0xFFFF_FFFF_FFFF_FFFF) * unit)


def enum(index: int, members: Callable[[int], object]) -> Mapping[str, Decoder]:
    """Decode a field as a member of an enumeration, from integer *index*."""
    return computed(lambda event: members(event.numbers[index]))


#: Decode a field from the typed parameters.
PARAMS = computed(lambda event: to_dict(event.params, event.nparams))


# ---- what is declared ----


@dataclass(frozen=True, slots=True)
class Event:
    """The base class of all events."""

    #: the category and libvirt's number in it; ``None`` for a class that is only a base
    _kind: ClassVar[tuple[int, int] | None] = None
    #: the first version of libvirt that has this kind
    _since: ClassVar[str] = ""
    #: whether it is delivered only if it was asked for by its own name
    _only_by_name: ClassVar[bool] = False
    #: sets the handle of the object that the event is about; ``None`` if it is about no object
    _set_object: ClassVar[Setter | None] = None
    #: for each other field, what sets it and what decodes it
    _fields: ClassVar[tuple[tuple[Setter, Decoder], ...]] = ()

    @classmethod
    def _read(cls, event: CData, about: Handle | None) -> Self:
        """Return the event that C has copied; *about* is the handle of the object that it is about."""
        # This is what __init__ of a frozen dataclass does, in less time: it calls object.__setattr__ for each field.
        made = cls.__new__(cls)
        if cls._set_object is not None:
            cls._set_object(made, about)
        for set_field, decode in cls._fields:
            set_field(made, decode(event))
        return made


def kind(
    category: int, event_id: int, *, since: str = "6.0.0", only_by_name: bool = False
) -> Callable[[type[E]], type[E]]:
    """Register a dataclass as the kind of event that has number *event_id* in its category.

    :param since: the first version of libvirt that has it
    :param only_by_name: deliver it only to those who ask for this class, not for a base of it
    """

    def register(cls: type[E]) -> type[E]:
        cls._kind = category, event_id
        cls._since = since
        cls._only_by_name = only_by_name
        # The slots of the class itself: Python 3.10 repeats those of the bases in each class.
        setters = {one.name: getattr(cls, one.name).__set__ for one in fields(cls)}
        decoders = {one.name: one.metadata[_DECODE] for one in fields(cls) if one.metadata}
        cls._set_object = next((setter for name, setter in setters.items() if name not in decoders), None)
        cls._fields = tuple((setters[name], decode) for name, decode in decoders.items())
        KINDS[category, event_id] = cls
        return cls

    return register


def kinds_of(cls: type[Event]) -> list[type[Event]]:
    """Return the kinds that *cls* stands for: itself, or all that derive from it and need not be asked for by name."""
    if cls._kind is not None:
        return [cls]
    return [found for found in KINDS.values() if issubclass(found, cls) and not found._only_by_name]
