# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which domains and tables of a frame somebody wants."""

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

#: one kind of domain: its name, a glob of names, its UUID, its handle, or what says yes to its row
DomainChoice: TypeAlias = "str | UUID | DomainLike | Callable[[DomainRow], object]"


def _matcher(pattern: str) -> Callable[[str], object]:
    import re

    return re.compile(translate(pattern)).match


def _matching(pattern: str, names: Iterable[str]) -> Iterator[int]:
    """Yield where *names* are *pattern*, or match it; a name that is there as it stands is no glob."""
    names = list(names)
    exact = [at for at, name in enumerate(names) if name == pattern]
    if exact or not any(mark in pattern for mark in "*?["):
        return iter(exact)
    matches = _matcher(pattern)
    return (at for at, name in enumerate(names) if matches(name))


def domain_rows(frame: StatsFrame, choice: DomainChoice | Iterable[DomainChoice]) -> list[int]:
    """Return the rows of the domains that *choice* means, in the frame's order."""
    several = isinstance(choice, Iterable) and not isinstance(choice, str)
    found: set[int] = set()
    for one in choice if several else (choice,):  # type: ignore[union-attr]
        found.update(_rows_of(frame, one))  # type: ignore[arg-type]
    return sorted(found)


def _rows_of(frame: StatsFrame, choice: DomainChoice) -> Iterator[int]:
    if isinstance(choice, str):
        return _matching(choice, frame.domains.names)
    if isinstance(choice, UUID):
        wanted = choice
        return (row for row, uuid in enumerate(frame.domains.uuids) if uuid == wanted)
    if getattr(choice, "_release", None) is lib.pv_release_domain:  # a Domain; its class stands in a layer above
        return _rows_of(frame, choice.uuid)  # type: ignore[union-attr]
    if callable(choice):
        says_yes = choice
        return (row for row, domain in enumerate(frame) if says_yes(domain))
    raise TypeError(f"a domain is chosen by name, glob, UUID, Domain or function, not by {type(choice).__name__}")


def chosen_names(names: Iterable[str], choice: str | Iterable[str]) -> frozenset[str]:
    """Return those of *names* that *choice*, names and globs of them, means."""
    names = list(names)
    patterns = (choice,) if isinstance(choice, str) else choice
    return frozenset(names[at] for pattern in patterns for at in _matching(pattern, names))
