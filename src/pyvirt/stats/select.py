# SPDX-License-Identifier: LGPL-2.1-or-later
"""Selecting domains and tables of a frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import translate
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

from pyvirt._core.lib import lib

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyvirt._model.abc import DomainLike
    from pyvirt.stats.frame import StatsFrame
    from pyvirt.stats.rows import DomainRow

#: a name, a glob of names, a UUID, a Domain, or a function that receives a row and returns whether to select it
DomainChoice: TypeAlias = "str | UUID | DomainLike | Callable[[DomainRow], object]"


def _matcher(pattern: str) -> Callable[[str], object]:
    import re

    return re.compile(translate(pattern)).match


def _matching(pattern: str, names: Iterable[str]) -> Iterator[int]:
    """Yield the indices of the *names* that match *pattern*; if one is equal to it, *pattern* is not used as a glob."""
    names = list(names)
    exact = [index for index, name in enumerate(names) if name == pattern]
    if exact or not any(mark in pattern for mark in "*?["):
        return iter(exact)
    matches = _matcher(pattern)
    return (index for index, name in enumerate(names) if matches(name))


def domain_rows(frame: StatsFrame, choice: DomainChoice | Iterable[DomainChoice]) -> list[int]:
    """Return the rows of the domains that *choice* selects, in the order of the frame."""
    several = isinstance(choice, Iterable) and not isinstance(choice, str)
    found: set[int] = set()
    for one in choice if several else (choice,):  # type: ignore[union-attr]
        found.update(_rows_of(frame, one))  # type: ignore[arg-type]
    return sorted(found)


def _rows_of(frame: StatsFrame, choice: DomainChoice) -> Iterator[int]:
    if isinstance(choice, str):
        return _matching(choice, frame.domains.names)
    if isinstance(choice, UUID):
        uuid = choice
        return (row for row, found in enumerate(frame.domains.uuids) if found == uuid)
    if getattr(choice, "_release", None) is lib.pv_release_domain:  # a Domain, whose class is in a layer above
        return _rows_of(frame, choice.uuid)  # type: ignore[union-attr]
    if callable(choice):
        predicate = choice
        return (row for row, domain in enumerate(frame) if predicate(domain))
    raise TypeError(f"expected a name, glob, UUID, Domain or function, got {type(choice).__name__}")


def chosen_names(names: Iterable[str], choice: str | Iterable[str]) -> frozenset[str]:
    """Return the *names* that match *choice*: a name, a glob, or several of them."""
    names = list(names)
    patterns = (choice,) if isinstance(choice, str) else choice
    return frozenset(names[index] for pattern in patterns for index in _matching(pattern, names))
