# SPDX-License-Identifier: LGPL-2.1-or-later
"""A cell that is empty or holds one object."""

from __future__ import annotations

from pyvirt._core.typed import Typed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    T = TypeVar("T")
else:
    T = None


class Slot(Typed[T]):
    """An optional object that several threads, finalisers and signal handlers may put and take without a lock.

    Each step is one operation of a list, which the GIL (or the list's own lock) makes atomic: if two threads put an
    object at the same time, both get the first one; if two take it, one of them gets it.
    """

    __slots__ = ("_items",)

    def __init__(self) -> None:
        self._items: list[T] = []

    def put(self, item: T) -> T:
        """Put *item* if the slot is empty, and return the object that the slot holds."""
        if not self._items:
            self._items.append(item)
        return self._items[0]

    def get(self) -> T | None:
        """Return the object, or ``None``."""
        for item in self._items[:1]:
            return item
        return None

    def take(self) -> T | None:
        """Return the object and leave the slot empty; ``None`` if it is empty."""
        try:
            return self._items.pop(0)
        except IndexError:
            return None
