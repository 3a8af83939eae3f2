# SPDX-License-Identifier: LGPL-2.1-or-later
"""Explain why a document does not match a schema.

libxml2 quickly decides whether a document matches a RELAX NG schema, but explains a mismatch by messages such as "Extra
element devices in interleave".  Here the document is matched once more, piece by piece.  At the first piece that does
not match, the pattern before this piece knows what is allowed there.  Matching then continues as if the piece had been
correct, so that one mistake causes one problem.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from lxml import etree

from pyvirt.xmldesc._patterns import NOT_ALLOWED, Pattern, Patterns

_MOST_PROBLEMS = 10
_MOST_PIECES = 100_000  # elements and attributes, which take about a second
_MOST_NAMES = 16
_LONGEST_VALUE = 60


@dataclass(frozen=True, slots=True)
class Problem:
    """A mistake in a document."""

    line: int | None
    """The line on which the element starts; ``None`` if the element was built, not parsed from text."""
    path: str
    """The path of the element as an XPath: ``/domain/devices/disk[2]/target``."""
    message: str

    def __str__(self) -> str:
        return f"{f'line {self.line}, ' if self.line else ''}{self.path}: {self.message}"


def problem_at(element: etree._Element, message: str) -> Problem:
    """Return a problem at an element."""
    line = cast("int | None", element.sourceline)  # untyped in lxml's stubs
    return Problem(line, element.getroottree().getpath(element), message)


def explain(element: etree._Element, schema: Path, start: str = "") -> tuple[Problem, ...]:
    """Return the problems of an element; none if they cannot be found.

    :param schema: the path of an ``.rng`` file that the element does not match according to libxml2
    :param start: the name of the definition that it does not match, by default the schema's ``<start>``
    """
    problems: list[Problem] = []
    try:
        patterns = Patterns(schema, start)
        _Matcher(patterns, problems).element(patterns.start, element, None)
    except (_LimitReached, RecursionError, NotImplementedError):
        pass
    return tuple(problems)


class _LimitReached(Exception):
    """Enough problems were found, or enough of the document was read."""


class _Matcher:
    """Matches a document piece by piece, and collects its problems."""

    def __init__(self, patterns: Patterns, problems: list[Problem]) -> None:
        self.patterns = patterns
        self.problems = problems
        self._seen = 0

    def _count(self) -> None:
        self._seen += 1
        if self._seen > _MOST_PIECES:
            raise _LimitReached

    def _report(self, element: etree._Element, message: str) -> None:
        self.problems.append(problem_at(element, message))
        if len(self.problems) >= _MOST_PROBLEMS:
            raise _LimitReached

    def element(self, pattern: Pattern, element: etree._Element, before: Pattern | None) -> Pattern:
        """Match an element and its contents, and return the pattern that the rest of the document must match.

        :param before: the pattern for all children of the parent, including those before this element
        """
        self._count()
        name = str(element.tag)
        opened = self.patterns.after_tag_open(pattern, name)
        if opened is NOT_ALLOWED:
            self._report(element, self._unexpected(pattern, name, before))
            return pattern
        rest, complete = self._attributes(opened, element)
        return self._children(rest, element, complete)

    def _unexpected(self, pattern: Pattern, name: str, before: Pattern | None) -> str:
        if before is not None and self.patterns.after_tag_open(before, name) is not NOT_ALLOWED:
            return f"{_tag(name)} occurs too often or in the wrong order"
        allowed = {one for one in _elements(pattern) if not one.startswith("{") or name.startswith("{")}
        choices = f"; allowed: {_listing(map(_tag, allowed))}" if allowed else ""
        return f"{_tag(name)} is not allowed here{_similar(name, allowed) or choices}"

    def _attributes(self, pattern: Pattern, element: etree._Element) -> tuple[Pattern, bool]:
        """Match the attributes; return the pattern for the children, and whether all required attributes exist."""
        patterns = self.patterns
        for key in element.attrib:  # the time that its items() take grows with the square of the number of attributes
            self._count()
            name, value = str(key), str(element.get(key))
            rest = patterns.after_attribute(pattern, name, value)
            if rest is not NOT_ALLOWED:
                pattern = rest
                continue
            rest = patterns.after_attribute(pattern, name, None)
            if rest is NOT_ALLOWED:
                self._report(element, _unexpected_attribute(pattern, name))
                continue
            expected = [one.parts[0] for one in _attributes(pattern) if one.names and name in one.names]
            self._report(element, f"attribute {name} cannot be {_wrong(value, expected)}")
            pattern = rest
        closed = patterns.after_tag_close(pattern)
        if closed is NOT_ALLOWED:
            self._report(element, f"attribute {' and '.join(_missing(pattern, 'attribute'))} is missing")
            return patterns.after_tag_close(pattern, assume_complete=True), False
        return closed, True

    def _children(self, pattern: Pattern, element: etree._Element, complete: bool) -> Pattern:
        """Match the children and the text; *complete*: whether all required attributes exist."""
        patterns = self.patterns
        before = pattern
        pieces = list(_pieces(element))
        for piece in pieces:
            if isinstance(piece, etree._Element):
                pattern = self.element(pattern, piece, before)
            elif piece.strip() or len(pieces) == 1:
                rest = patterns.after_text(pattern, piece)
                if not piece.strip():
                    pattern = patterns.choice(pattern, rest)
                    continue
                if rest is not NOT_ALLOWED:
                    pattern = rest
                    continue
                rest = patterns.after_text(pattern, None)
                if rest is NOT_ALLOWED:
                    self._report(element, f"text is not allowed here: {_quoted(piece)}")
                else:
                    self._report(element, f"{_tag(str(element.tag))} cannot be {_wrong(piece, [pattern])}")
                    pattern = rest
        ended = patterns.after_end_tag(pattern)
        if ended is NOT_ALLOWED:
            missing = _missing(pattern, "element")
            if not complete:
                pass  # the missing attributes decide which elements are required
            elif missing:
                self._report(element, f"{' and '.join(missing)} is missing")
            else:
                self._report(element, f"{_tag(str(element.tag))} cannot be {_wrong('', [pattern])}")
            return patterns.after_end_tag(pattern, assume_complete=True)
        return ended


def _pieces(element: etree._Element) -> Iterator[etree._Element | str]:
    """Yield the children and the text between them; comments are skipped."""
    text = element.text or ""
    for child in element:
        if isinstance(child.tag, str):
            yield text
            yield child
            text = ""
        text += child.tail or ""
    yield text


# ---- what the schema allows ----


def _leaves(pattern: Pattern, kinds: frozenset[str], *, anywhere: bool = False) -> Iterator[Pattern]:
    """Yield the patterns of some *kinds* that can match next; with *anywhere* also those that can match later."""
    kind, parts = pattern.kind, pattern.parts
    if kind in kinds:
        yield pattern
    elif kind in ("choice", "interleave", "oneOrMore"):
        for part in parts:
            yield from _leaves(part, kinds, anywhere=anywhere)
    elif kind == "group":
        yield from _leaves(parts[0], kinds, anywhere=anywhere)
        if anywhere or parts[0].nullable:
            yield from _leaves(parts[1], kinds, anywhere=anywhere)
    elif kind == "after":
        yield from _leaves(parts[0], kinds, anywhere=anywhere)


_ELEMENT = frozenset({"element"})
_ATTRIBUTE = frozenset({"attribute"})
_TEXTS = frozenset({"text", "data", "value"})


def _elements(pattern: Pattern) -> Iterator[str]:
    for one in _leaves(pattern, _ELEMENT):
        if one.names:
            yield from one.names.listable()


def _attributes(pattern: Pattern) -> Iterator[Pattern]:
    return _leaves(pattern, _ATTRIBUTE, anywhere=True)


def _unexpected_attribute(pattern: Pattern, name: str) -> str:
    known = {listed for one in _attributes(pattern) if one.names for listed in one.names.listable()}
    choices = f"; allowed: {_listing(known)}" if known else ""
    return f"attribute {name} is not allowed here{_similar(name, known) or choices}"


def _missing(pattern: Pattern, kind: str) -> list[str]:
    """Name the elements or attributes that a pattern requires.

    :param kind: ``element`` or ``attribute``
    """
    parts = pattern.parts
    if pattern.kind == kind:
        return _names(pattern)
    if pattern.kind == "choice":
        return [] if pattern.nullable else _missing_in_choice([_missing(part, kind) for part in parts])
    if pattern.kind in ("group", "interleave"):
        return list(dict.fromkeys(name for part in parts if not part.nullable for name in _missing(part, kind)))
    if pattern.kind in ("oneOrMore", "after"):
        return _missing(parts[0], kind)
    return []


def _names(pattern: Pattern) -> list[str]:
    """Return the names of an element or attribute, as one text; none if they cannot be listed."""
    names = sorted(pattern.names.listable()) if pattern.names is not None else []
    if not names:
        return []
    return [" or ".join(map(_tag, names) if pattern.kind == "element" else names)]


def _missing_in_choice(alternatives: list[list[str]]) -> list[str]:
    """Return the names that all alternatives require, otherwise the alternatives that require the fewest."""
    alternatives = [names for names in alternatives if names]
    if not alternatives:
        return []
    common = [name for name in alternatives[0] if all(name in names for names in alternatives)]
    if common:
        return common
    least = min(map(len, alternatives))
    return [_listing((" with ".join(names) for names in alternatives if len(names) == least), " or ")]


def _wrong(value: str, expected: Iterable[Pattern]) -> str:
    """Describe a wrong value, and what is allowed instead."""
    texts = [one for pattern in expected for one in _leaves(pattern, _TEXTS)]
    values = {one.node.text or "" for one in texts if one.kind == "value" and one.node is not None}
    kinds = {_data(one.node) for one in texts if one.kind == "data" and one.node is not None}
    shown = _quoted(value) if value.strip() else "empty"
    allowed = [*sorted(kinds), *([_listing(map(repr, values))] if values else [])]
    return f"{shown}{_similar(value, values)}{'; allowed: ' + ' or '.join(allowed) if allowed else ''}"


# Definition in libvirt's schemas -> its description, for common kinds of text; others are described by their limits.
_KINDS = {
    "absDirPath": "an absolute path",
    "absFilePath": "an absolute path",
    "UUID": "a UUID",
    "dnsName": "a host name",
    "duration": "a duration such as 30s",
    "ipAddr": "an IP address",
    "ipv4Addr": "an IPv4 address",
    "ipv6Addr": "an IPv6 address",
    "ipv4Prefix": "a prefix length of up to 32",
    "ipv6Prefix": "a prefix length of up to 128",
    "macAddr": "a MAC address",
    "port": "a port number",
    "PortNumber": "a port number",
    "positiveInteger": "a positive integer",
    "uniMacAddr": "a unicast MAC address",
    "unsignedInt": "a non-negative integer",
    "unsignedLong": "a non-negative integer",
    "unsignedShort": "an integer from 0 to 65535",
}


def _data(node: etree._Element) -> str:
    """Describe the kind of text that a ``<data>`` of a schema allows."""
    for above in node.iterancestors():
        name = above.get("name", "")
        kind = etree.QName(above).localname
        if kind == "define" and name in _KINDS:
            return _KINDS[name]
        if kind in ("define", "element", "attribute"):
            break
    limits = {str(one.get("name")): one.text or "" for one in node if isinstance(one.tag, str)}
    kind = node.get("type", "text")
    if "pattern" in limits:
        return f"text that matches {limits['pattern'].strip()}"
    least, most = limits.get("minInclusive"), limits.get("maxInclusive")
    span = f" from {least}" * (least is not None) + f" up to {most}" * (most is not None)
    return ("a number" if span or kind not in ("string", "NCName", "anyURI", "dateTime") else kind) + span


# ---- parts of messages ----


def _tag(name: str) -> str:
    qname = etree.QName(name)
    return f"<{qname.localname} xmlns={qname.namespace!r}>" if qname.namespace else f"<{name}>"


def _quoted(text: str) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…")


def _listing(names: Iterable[str], join: str = ", ") -> str:
    ordered = sorted(set(names))
    more = len(ordered) - _MOST_NAMES
    return join.join(ordered[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _similar(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""
