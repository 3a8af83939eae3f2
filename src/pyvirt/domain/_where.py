# SPDX-License-Identifier: LGPL-2.1-or-later
"""``conn.domains.where(…)``: domains by name, state, title, description and metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyvirt._model.where import choose, fits, flags_for, named
from pyvirt.enums.domain import DomainState
from pyvirt.errors import MetadataNotFoundError, NotSupportedError
from pyvirt.xmldesc import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from enum import IntFlag

    from lxml.etree import _Element

    from pyvirt._model.where import Pattern
    from pyvirt.domain import Domain, Domains

# State -> the flag that lists domains in it; OTHER lists those in all other states.
_STATES = {DomainState.RUNNING: "RUNNING", DomainState.PAUSED: "PAUSED", DomainState.SHUTOFF: "SHUTOFF"}


def domains_where(
    domains: Domains,
    kind: type[IntFlag],
    switches: Mapping[str, bool | None],
    states: DomainState | Iterable[DomainState] | None,
    names: Pattern | None,
    title: Pattern | None,
    description: Pattern | None,
    metadata: str | Mapping[str, Callable[[_Element], object]] | None,
) -> list[Domain]:
    """See :meth:`Domains.where`."""
    flags = flags_for(kind, **switches)
    wanted = _as_set(states)
    if wanted is not None and not wanted:
        return []
    listed = [_STATES.get(state, "OTHER") for state in wanted or ()]
    for name in listed:
        flags |= kind[name]
    found = choose(domains._list(flags), *named(names))
    if wanted is not None and "OTHER" in listed:
        found = _in_states(domains, found, wanted)
    tests: list[Callable[[Domain], object]] = []
    for pattern, attribute in ((title, "title"), (description, "description")):
        if pattern is not None:
            tests.append(_text_matches(attribute, fits(pattern)))
    if metadata is not None:
        elements = {metadata: lambda element: True} if isinstance(metadata, str) else metadata
        tests += [_metadata_matches(uri, test) for uri, test in elements.items()]
    return choose(found, *tests) if tests else found


def _as_set(states: DomainState | Iterable[DomainState] | None) -> set[DomainState] | None:
    if states is None:
        return None
    return {states} if isinstance(states, DomainState) else set(states)


def _in_states(domains: Domains, found: list[Domain], wanted: set[DomainState]) -> list[Domain]:
    """Return those that are in one of the states *wanted*; by a single call if the driver has bulk statistics."""
    from pyvirt.enums.domain import StatsGroup

    if not found:
        return found
    try:
        frame = domains.stats(StatsGroup.STATE, domains=found)
    except NotSupportedError:
        return choose(found, lambda domain: domain.state().state in wanted)
    if "domain" not in frame.tables:
        return []  # all of them were deleted
    column = frame.tables["domain"]["state.state"].to_list()
    states = dict(zip(frame.domains.uuids, column, strict=True))
    return [domain for domain in found if states.get(domain.uuid) in wanted]


def _text_matches(attribute: str, matches: Callable[[str], object]) -> Callable[[Domain], object]:
    return lambda domain: matches(getattr(domain.metadata, attribute)())


def _metadata_matches(uri: str, test: Callable[[_Element], object]) -> Callable[[Domain], object]:
    def has_matching_element(domain: Domain) -> object:
        try:
            element = domain.metadata.get(uri)
        except MetadataNotFoundError:
            return False
        return test(parse(element))

    return has_matching_element
