# SPDX-License-Identifier: LGPL-2.1-or-later
"""Why a document does not match a schema, in words that help.

libxml2 says whether a document matches a RELAX NG schema, and that quickly; of why, it says "Extra element devices in
interleave".  Here the document is matched once more, piece by piece.  Where nothing is left to match there is the
culprit, and the pattern of the moment before knows what would have been right.  The walk then goes on as if that had
been there, so that one mistake is one problem.
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
_MOST_PIECES = 100_000  # elements and attributes: about a second
_MOST_NAMES = 16
_LONGEST_VALUE = 60


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a document."""

    line: int | None
    """The line that the element starts on; ``None`` if it was built and never was text."""
    path: str
    """Where the element is, as an XPath: ``/domain/devices/disk[2]/target``."""
    message: str

    def __str__(self) -> str:
        return f"{f'line {self.line}, ' if self.line else ''}{self.path}: {self.message}"


def problem_at(element: etree._Element, message: str) -> Problem:
    """Return a problem of an element."""
    line = cast("int | None", element.sourceline)  # lxml's stubs leave it open
    return Problem(line, element.getroottree().getpath(element), message)


def explain(element: etree._Element, schema: Path, start: str = "") -> tuple[Problem, ...]:
    """Say what is wrong with an element; nothing, if it cannot be found out.

    :param schema: the path of an ``.rng`` file that libxml2 says it does not match
    :param start: the definition in there that it does not match, by default all
    """
    problems: list[Problem] = []
    try:
        patterns = Patterns(schema, start)
        _Walk(patterns, problems).element(patterns.start, element, None)
    except (_Enough, RecursionError, NotImplementedError):
        pass
    return tuple(problems)


class _Enough(Exception):
    """As many problems as anybody reads, or as much of the document as anybody waits for."""


class _Walk:
    def __init__(self, patterns: Patterns, problems: list[Problem]) -> None:
        self.patterns = patterns
        self.problems = problems
        self._seen = 0

    def _count(self) -> None:
        self._seen += 1
        if self._seen > _MOST_PIECES:
            raise _Enough

    def _report(self, element: etree._Element, message: str) -> None:
        self.problems.append(problem_at(element, message))
        if len(self.problems) >= _MOST_PROBLEMS:
            raise _Enough

    def element(self, pattern: Pattern, element: etree._Element, before: Pattern | None) -> Pattern:
        """Match an element and all that is in it, and return what the rest has to match.

        :param before: what the parent's children had to match, from the first one on
        """
        self._count()
        name = str(element.tag)
        opened = self.patterns.opened(pattern, name)
        if opened is NOT_ALLOWED:
            self._report(element, self._unexpected(pattern, name, before))
            return pattern
        left, complete = self._attributes(opened, element)
        return self._children(left, element, complete)

    def _unexpected(self, pattern: Pattern, name: str, before: Pattern | None) -> str:
        if before is not None and self.patterns.opened(before, name) is not NOT_ALLOWED:
            return f"{_tag(name)} is one too many here, or comes too late"
        allowed = {one for one in _elements(pattern) if not one.startswith("{") or name.startswith("{")}
        among = f"; allowed: {_listing(map(_tag, allowed))}" if allowed else ""
        return f"{_tag(name)} is not allowed here{_similar(name, allowed) or among}"

    def _attributes(self, pattern: Pattern, element: etree._Element) -> tuple[Pattern, bool]:
        patterns = self.patterns
        for key in element.attrib:  # its items() take time by the square of how many there are
            self._count()
            name, value = str(key), str(element.get(key))
            left = patterns.attributed(pattern, name, value)
            if left is not NOT_ALLOWED:
                pattern = left
                continue
            left = patterns.attributed(pattern, name, None)
            known = {spelled for one in _attributes(pattern) if one.names for spelled in one.names.spelled()}
            if left is NOT_ALLOWED:
                among = f"; allowed: {_listing(known)}" if known else ""
                self._report(element, f"attribute {name} is not allowed here{_similar(name, known) or among}")
                continue
            right = [one.parts[0] for one in _attributes(pattern) if one.names and name in one.names]
            self._report(element, f"attribute {name} cannot be {_wrong(value, right)}")
            pattern = left
        closed = patterns.tag_closed(pattern)
        if closed is NOT_ALLOWED:
            self._report(element, f"attribute {' and '.join(_missing(pattern, 'attribute'))} is missing")
            return patterns.tag_closed(pattern, forgiving=True), False
        return closed, True

    def _children(self, pattern: Pattern, element: etree._Element, complete: bool) -> Pattern:
        patterns = self.patterns
        before = pattern
        pieces = list(_pieces(element))
        for piece in pieces:
            if isinstance(piece, etree._Element):
                pattern = self.element(pattern, piece, before)
            elif piece.strip() or len(pieces) == 1:
                left = patterns.texted(pattern, piece)
                if not piece.strip():
                    pattern = patterns.choice(pattern, left)
                    continue
                if left is not NOT_ALLOWED:
                    pattern = left
                    continue
                left = patterns.texted(pattern, None)
                if left is NOT_ALLOWED:
                    self._report(element, f"there cannot be text: {_quoted(piece)}")
                else:
                    self._report(element, f"{_tag(str(element.tag))} cannot be {_wrong(piece, [pattern])}")
                    pattern = left
        ended = patterns.ended(pattern)
        if ended is NOT_ALLOWED:
            missing = _missing(pattern, "element")
            if not complete:
                pass  # which elements there must be depends on the attributes that there must be
            elif missing:
                self._report(element, f"{' and '.join(missing)} is missing")
            else:
                self._report(element, f"{_tag(str(element.tag))} cannot be {_wrong('', [pattern])}")
            return patterns.ended(pattern, forgiving=True)
        return ended


def _pieces(element: etree._Element) -> Iterator[etree._Element | str]:
    """Yield the children, and the text between them as if comments were not there."""
    text = element.text or ""
    for child in element:
        if isinstance(child.tag, str):
            yield text
            yield child
            text = ""
        text += child.tail or ""
    yield text


# ---- what would have been right ----


def _leaves(pattern: Pattern, kinds: frozenset[str], *, anywhere: bool = False) -> Iterator[Pattern]:
    """Yield the patterns of some kinds that can come next, or at any time."""
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
            yield from one.names.spelled()


def _attributes(pattern: Pattern) -> Iterator[Pattern]:
    return _leaves(pattern, _ATTRIBUTE, anywhere=True)


def _missing(pattern: Pattern, what: str) -> list[str]:
    """Name what a pattern cannot do without: elements, or attributes."""
    kind, parts = pattern.kind, pattern.parts
    if kind == what and pattern.names is not None:
        names = sorted(pattern.names.spelled())
        return [" or ".join(map(_tag, names) if what == "element" else names)] if names else []
    if kind == "choice":
        ways = [way for way in (_missing(part, what) for part in parts if not part.nullable) if way]
        common = [one for one in ways[0] if all(one in way for way in ways)] if ways else []
        if common or any(part.nullable for part in parts):
            return [] if any(part.nullable for part in parts) else common
        shortest = [way for way in ways if len(way) == min(map(len, ways))]
        return [_listing((" with ".join(way) for way in shortest), " or ")] if ways else []
    if kind in ("group", "interleave"):
        return list(dict.fromkeys(one for part in parts if not part.nullable for one in _missing(part, what)))
    if kind in ("oneOrMore", "after"):
        return _missing(parts[0], what)
    return []


def _wrong(value: str, right: Iterable[Pattern]) -> str:
    texts = [one for pattern in right for one in _leaves(pattern, _TEXTS)]
    values = {one.node.text or "" for one in texts if one.kind == "value" and one.node is not None}
    kinds = {_data(one.node) for one in texts if one.kind == "data" and one.node is not None}
    said = _quoted(value) if value.strip() else "empty"
    wanted = [*sorted(kinds), *([_listing(map(repr, values))] if values else [])]
    return f"{said}{_similar(value, values)}{'; allowed: ' + ' or '.join(wanted) if wanted else ''}"


# What libvirt's schemas call the more common kinds of text; others are described by their definition.
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
    "positiveInteger": "a whole number above 0",
    "uniMacAddr": "a unicast MAC address",
    "unsignedInt": "a whole number",
    "unsignedLong": "a whole number",
    "unsignedShort": "a whole number of up to 65535",
}


def _data(node: etree._Element) -> str:
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


# ---- words ----


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
