# SPDX-License-Identifier: LGPL-2.1-or-later
"""The base of the enumerations that are not sets of bits."""

from __future__ import annotations

from enum import IntEnum
from operator import index

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing_extensions import Self


class OpenIntEnum(IntEnum):
    """An IntEnum open to values newer than itself: they equal their int and are named UNKNOWN_<value>."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        try:
            number = index(value)  # type: ignore[arg-type]
        except TypeError:
            return None
        # Not kept in the class: a hostile or broken server could otherwise grow it without end.
        member = int.__new__(cls, number)
        member._name_ = f"UNKNOWN_{number}"
        member._value_ = number
        return member

    # CPython 3.11.0 to 3.11.3 pickle a member by its name, which for these says nothing.
    def __reduce_ex__(self, protocol: object) -> tuple[type[Self], tuple[int]]:
        return type(self), (self._value_,)

    # 3.10 prints the name and 3.11 the number: be the same everywhere.
    __str__ = int.__repr__
