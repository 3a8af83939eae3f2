# SPDX-License-Identifier: LGPL-2.1-or-later
"""The base class of the enumerations that are not bit flags."""

from __future__ import annotations

from enum import IntEnum
from operator import index

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing_extensions import Self


class OpenIntEnum(IntEnum):
    """An IntEnum that accepts unknown values: such a member equals its int and has the name UNKNOWN_<value>."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        try:
            number = index(value)  # type: ignore[arg-type]
        except TypeError:
            return None
        # Not kept in the class, because a hostile or broken server could make it grow indefinitely.
        member = int.__new__(cls, number)
        member._name_ = f"UNKNOWN_{number}"
        member._value_ = number
        return member

    # CPython 3.11.0 to 3.11.3 pickle a member by its name, but unknown values cannot be looked up by name.
    def __reduce_ex__(self, protocol: object) -> tuple[type[Self], tuple[int]]:
        return type(self), (self._value_,)

    # Python 3.10 prints the name, 3.11 the number: print the number with both.
    __str__ = int.__repr__
