# SPDX-License-Identifier: LGPL-2.1-or-later
"""Generic classes without importing ``typing``, which takes longer to import than all of the core.

Modules that ``import pyvirt`` loads set ``TYPE_CHECKING = False`` themselves for the same reason; all others take it
from ``typing``.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Generic

    from typing_extensions import TypeVar

    X = TypeVar("X", covariant=True)

    class Typed(Generic[X]): ...

else:

    class Typed:
        """``Typed[X]`` is ``Generic[X]`` to type checkers."""

        __slots__ = ()

        def __class_getitem__(cls, item):
            return cls
