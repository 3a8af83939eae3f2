# SPDX-License-Identifier: LGPL-2.1-or-later
"""Change a stored configuration as a tree: ``with domain.edit() as root: …``"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pyvirt._core import codes
from pyvirt.errors import OperationInvalidError
from pyvirt.xmldesc import parse

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol, TypeVar

    from lxml.etree import _Element

    F = TypeVar("F", contravariant=True)

    class Storable(Protocol[F]):
        """An object that may have a stored configuration."""

        @property
        def name(self) -> str: ...
        def is_persistent(self) -> bool: ...
        def xml_desc(self, *, flags: F) -> str: ...


@contextmanager
def edit(read: Callable[[], str], define: Callable[[_Element], object]) -> Iterator[_Element]:
    """Yield the document that *read* returns, and *define* it after the block; do nothing if the block raises."""
    root = parse(read())
    yield root
    define(root)


def stored(one: Storable[F], flags: F) -> str:
    """Return the stored configuration.

    :raises OperationInvalidError: the object is transient
    """
    if not one.is_persistent():
        kind = type(one).__name__
        raise OperationInvalidError(
            f"{kind} {one.name!r} is transient: it has no stored configuration to edit", code=codes.OPERATION_INVALID
        )
    return one.xml_desc(flags=flags)
