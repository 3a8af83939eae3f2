# SPDX-License-Identifier: LGPL-2.1-or-later
"""RELAX NG schemas as patterns, and the derivatives of patterns.

The algorithm is that of James Clark, *An algorithm for RELAX NG validation* (2002).  The derivative of a pattern with
respect to a start tag, an attribute, text or an end tag is the pattern that the rest of the document must match.  If it
is ``NOT_ALLOWED``, the document does not match.  Clark simplifies the whole schema first; here a definition is read
when the document first needs it, because libvirt's grammar of domains has 2,000 references, and a document needs only a
few.

libxml2 checks whether text belongs to a data type.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path

from lxml import etree

_RNG = "{http://relaxng.org/ns/structure/1.0}"
_NAME_CLASSES = frozenset(f"{_RNG}{kind}" for kind in ("name", "anyName", "nsName"))


class Names:
    """The names that an element or attribute may have: one name, all names, or all of a namespace, with exceptions."""

    __slots__ = ("_alternatives", "_excluded", "_local", "_namespace")

    def __init__(
        self,
        namespace: str | None = None,
        local: str | None = None,
        excluded: tuple[Names, ...] = (),
        alternatives: tuple[Names, ...] = (),
    ) -> None:
        self._namespace = namespace
        self._local = local
        self._excluded = excluded
        self._alternatives = alternatives

    def __contains__(self, name: str) -> bool:
        if self._alternatives:
            return any(name in one for one in self._alternatives)
        qname = etree.QName(name)
        return (
            self._namespace in (None, qname.namespace or "")
            and self._local in (None, qname.localname)
            and not any(name in one for one in self._excluded)
        )

    def listable(self) -> Iterator[str]:
        """Yield the single names, in the notation of lxml."""
        for one in self._alternatives or (self,):
            if one._local is not None:
                yield f"{{{one._namespace}}}{one._local}" if one._namespace else one._local

    @classmethod
    def of(cls, node: etree._Element) -> Names:
        """Return the names that an ``element`` or ``attribute`` of a schema allows."""
        name = node.get("name")
        if name is not None:
            return cls._named(node, name)
        return cls._read(next(node.iterchildren(etree.Element)))

    @classmethod
    def _named(cls, node: etree._Element, name: str) -> Names:
        prefix, colon, local = name.strip().rpartition(":")
        if colon:
            return cls(node.nsmap[prefix], local)
        if node.tag == f"{_RNG}attribute" and node.get("name") is not None:
            return cls(node.get("ns", ""), local)  # does not inherit a namespace
        return cls(_inherited(node, "ns"), local)

    @classmethod
    def _read(cls, node: etree._Element) -> Names:
        kind = str(node.tag).removeprefix(_RNG)
        inner = tuple(cls._read(child) for child in node.iterchildren(etree.Element))
        if kind == "name":
            return cls._named(node, node.text or "")
        if kind in ("choice", "except"):
            return cls(alternatives=inner)
        return cls(_inherited(node, "ns") if kind == "nsName" else None, excluded=inner)


def _inherited(node: etree._Element, attribute: str) -> str:
    return next((one.get(attribute, "") for one in _upwards(node) if one.get(attribute) is not None), "")


def _upwards(node: etree._Element) -> Iterator[etree._Element]:
    yield node
    yield from node.iterancestors()


class Pattern:
    """A pattern.  Patterns are compared by identity, see :class:`Patterns`."""

    __slots__ = ("grammar", "kind", "names", "node", "nullable", "parts")

    def __init__(
        self,
        kind: str,
        parts: tuple[Pattern, ...] = (),
        *,
        nullable: bool = False,
        names: Names | None = None,
        node: etree._Element | None = None,
        grammar: _Grammar | None = None,
    ) -> None:
        self.kind = kind
        self.parts = parts
        self.nullable = nullable
        self.names = names
        self.node = node
        self.grammar = grammar


EMPTY = Pattern("empty", nullable=True)
NOT_ALLOWED = Pattern("notAllowed")
_TEXT = Pattern("text", nullable=True)
_CONSTANTS = {"empty": EMPTY, "notAllowed": NOT_ALLOWED, "text": _TEXT}


class Patterns:
    """A schema, and the derivatives of its patterns.

    Equal composed patterns are the same object, so derivatives are cached by identity, and choices do not grow.

    :param schema: the path of an ``.rng`` file
    :param start: the name of the definition to start with, by default the schema's ``<start>``
    """

    def __init__(self, schema: Path, start: str = "") -> None:
        self._made: dict[tuple[object, ...], Pattern] = {}
        self._derived: dict[tuple[object, ...], Pattern] = {}
        self._contents: dict[Pattern, Pattern] = {}
        self._types: dict[etree._Element, etree.RelaxNG] = {}
        self.start = _Grammar(self, etree.parse(str(schema)).getroot()).reference(start)

    # -- making patterns --

    def _compose(self, kind: str, parts: tuple[Pattern, ...], nullable: bool) -> Pattern:
        key = (kind, frozenset(parts) if kind == "choice" else parts)
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = Pattern(kind, parts, nullable=nullable)
        return made

    def choice(self, *patterns: Pattern) -> Pattern:
        """Return a pattern that matches any one of *patterns*."""
        parts: dict[Pattern, None] = {}
        for pattern in patterns:
            parts.update(dict.fromkeys(pattern.parts if pattern.kind == "choice" else (pattern,)))
        parts.pop(NOT_ALLOWED, None)
        if len(parts) < 2:
            return next(iter(parts), NOT_ALLOWED)
        return self._compose("choice", tuple(parts), any(one.nullable for one in parts))

    def _pair(self, kind: str, first: Pattern, second: Pattern) -> Pattern:
        if first is NOT_ALLOWED or second is NOT_ALLOWED:
            return NOT_ALLOWED
        if first is EMPTY or second is EMPTY:
            return second if first is EMPTY else first
        return self._compose(kind, (first, second), first.nullable and second.nullable)

    def group(self, first: Pattern, second: Pattern) -> Pattern:
        """Return a pattern that matches *first*, then *second*."""
        return self._pair("group", first, second)

    def interleave(self, first: Pattern, second: Pattern) -> Pattern:
        """Return a pattern that matches both patterns, in any order and interleaved."""
        return self._pair("interleave", first, second)

    def one_or_more(self, pattern: Pattern) -> Pattern:
        """Return a pattern that matches *pattern* once or repeatedly."""
        if pattern is NOT_ALLOWED or pattern is EMPTY:
            return pattern
        return self._compose("oneOrMore", (pattern,), pattern.nullable)

    def _after(self, first: Pattern, second: Pattern) -> Pattern:
        if first is NOT_ALLOWED or second is NOT_ALLOWED:
            return NOT_ALLOWED
        return self._compose("after", (first, second), False)

    # -- derivatives --

    def after_tag_open(self, pattern: Pattern, name: str) -> Pattern:
        """Return the derivative with respect to ``<name``."""
        return self._remembered(("<", pattern, name), lambda: self._derive_tag_open(pattern, name))

    def _remembered(self, key: tuple[object, ...], derive: Callable[[], Pattern]) -> Pattern:
        known = self._derived.get(key)
        if known is None:
            known = self._derived[key] = derive()
        return known

    def _derive_tag_open(self, pattern: Pattern, name: str) -> Pattern:
        kind = pattern.kind
        if kind == "element":
            assert pattern.names is not None
            return self._after(self.content(pattern), EMPTY) if name in pattern.names else NOT_ALLOWED
        if kind == "choice":
            return self.choice(*(self.after_tag_open(one, name) for one in pattern.parts))
        if kind in ("group", "interleave"):
            first, second = pattern.parts
            make = self.group if kind == "group" else self.interleave
            in_first = self._change_following(self.after_tag_open(first, name), lambda rest: make(rest, second))
            if kind == "group" and not first.nullable:
                return in_first
            change = (lambda rest: rest) if kind == "group" else (lambda rest: make(first, rest))
            return self.choice(in_first, self._change_following(self.after_tag_open(second, name), change))
        if kind == "oneOrMore":
            again = self.choice(pattern, EMPTY)
            return self._change_following(
                self.after_tag_open(pattern.parts[0], name), lambda rest: self.group(rest, again)
            )
        if kind == "after":
            first, second = pattern.parts
            return self._change_following(self.after_tag_open(first, name), lambda rest: self._after(rest, second))
        return NOT_ALLOWED

    def _change_following(self, pattern: Pattern, change: Callable[[Pattern], Pattern]) -> Pattern:
        """Change the part of *pattern* that follows the element that was opened last."""
        if pattern.kind == "choice":
            return self.choice(*(self._change_following(one, change) for one in pattern.parts))
        if pattern is NOT_ALLOWED:
            return pattern
        first, second = pattern.parts
        return self._after(first, change(second))

    def content(self, element: Pattern) -> Pattern:
        """Return the pattern for the attributes and children of an element."""
        known = self._contents.get(element)
        if known is None:
            assert element.grammar is not None
            assert element.node is not None
            known = self._contents[element] = element.grammar.content(element.node)
        return known

    def after_attribute(self, pattern: Pattern, name: str, value: str | None) -> Pattern:
        """Return the derivative with respect to an attribute.

        :param value: ``None`` for any allowed value
        """

        def leaf(attribute: Pattern) -> Pattern:
            assert attribute.names is not None
            fits = name in attribute.names and (value is None or self._value_matches(attribute.parts[0], value))
            return EMPTY if fits else NOT_ALLOWED

        return self._remembered(("@", pattern, name, value), lambda: self._after_leaf(pattern, "attribute", leaf))

    def after_text(self, pattern: Pattern, text: str | None) -> Pattern:
        """Return the derivative with respect to text.

        :param text: ``None`` for any allowed text
        """

        def leaf(expected: Pattern) -> Pattern:
            if expected is _TEXT:
                return expected
            return EMPTY if text is None or self._text_matches(expected, text) else NOT_ALLOWED

        return self._remembered(("text", pattern, text), lambda: self._after_leaf(pattern, "text", leaf))

    def _value_matches(self, pattern: Pattern, value: str) -> bool:
        return self.after_text(pattern, value).nullable or (pattern.nullable and not value.strip())

    def _after_leaf(self, pattern: Pattern, what: str, leaf: Callable[[Pattern], Pattern]) -> Pattern:
        """Return the derivative with respect to an attribute or text; *leaf* is that of the simplest patterns."""
        kind = pattern.kind
        if kind == what or (what == "text" and kind in ("data", "value")):
            return leaf(pattern)
        if kind == "choice":
            return self.choice(*(self._after_leaf(one, what, leaf) for one in pattern.parts))
        if kind in ("group", "interleave"):
            first, second = pattern.parts
            make = self.group if kind == "group" else self.interleave
            in_first = make(self._after_leaf(first, what, leaf), second)
            if kind == "group" and what == "text" and not first.nullable:
                return in_first
            before = EMPTY if kind == "group" and what == "text" else first
            return self.choice(in_first, make(before, self._after_leaf(second, what, leaf)))
        if kind == "oneOrMore":
            again = self.choice(pattern, EMPTY)
            return self.group(self._after_leaf(pattern.parts[0], what, leaf), again)
        if kind == "after":
            return self._after(self._after_leaf(pattern.parts[0], what, leaf), pattern.parts[1])
        return NOT_ALLOWED

    def _text_matches(self, expected: Pattern, text: str) -> bool:
        node = expected.node
        assert node is not None
        if expected.kind == "value":
            value = node.text or ""
            exact = node.get("type", "token") == "string"
            return text == value if exact else text.split() == value.split()
        compiled = self._types.get(node)
        if compiled is None:
            schema = etree.Element(f"{_RNG}element", name="text", datatypeLibrary=_inherited(node, "datatypeLibrary"))
            schema.append(copy.deepcopy(node))
            compiled = self._types[node] = etree.RelaxNG(schema)
        probe = etree.Element("text")
        probe.text = text
        return bool(compiled.validate(probe))

    def after_tag_close(self, pattern: Pattern, *, assume_complete: bool = False) -> Pattern:
        """Return the derivative with respect to the ``>`` of a start tag, after which there are no attributes.

        :param assume_complete: treat missing attributes as present
        """
        return self._remembered(
            (">", pattern, assume_complete), lambda: self._derive_tag_close(pattern, assume_complete=assume_complete)
        )

    def _derive_tag_close(self, pattern: Pattern, *, assume_complete: bool) -> Pattern:
        kind, parts = pattern.kind, pattern.parts
        if kind == "attribute":
            return EMPTY if assume_complete else NOT_ALLOWED
        if kind == "choice":
            return self.choice(*(self.after_tag_close(one, assume_complete=assume_complete) for one in parts))
        if kind in ("group", "interleave"):
            first, second = (self.after_tag_close(one, assume_complete=assume_complete) for one in parts)
            return self.group(first, second) if kind == "group" else self.interleave(first, second)
        if kind == "oneOrMore":
            return self.one_or_more(self.after_tag_close(parts[0], assume_complete=assume_complete))
        if kind == "after":
            return self._after(self.after_tag_close(parts[0], assume_complete=assume_complete), parts[1])
        return pattern

    def after_end_tag(self, pattern: Pattern, *, assume_complete: bool = False) -> Pattern:
        """Return the derivative with respect to an end tag.

        :param assume_complete: treat missing elements and text as present
        """
        if pattern.kind == "choice":
            return self.choice(*(self.after_end_tag(one, assume_complete=assume_complete) for one in pattern.parts))
        if pattern.kind == "after" and (assume_complete or pattern.parts[0].nullable):
            return pattern.parts[1]
        return NOT_ALLOWED


class _Grammar:
    """The definitions of a schema and of the files that it includes.  A schema may contain further grammars."""

    def __init__(self, patterns: Patterns, root: etree._Element) -> None:
        self._patterns = patterns
        self._nodes: dict[str, list[etree._Element]] = {}
        self._defined: dict[str, Pattern] = {}
        self._collect(root, frozenset())

    def _collect(self, parent: etree._Element, overridden: frozenset[str]) -> None:
        """Record the definitions below a node.  The name of ``<start>`` is the empty string."""
        for node in parent.iterchildren(etree.Element):
            kind = str(node.tag).removeprefix(_RNG)
            if kind == "include":
                path = Path(node.getroottree().docinfo.URL or "").parent / node.get("href", "")
                own = {one.get("name", "") for one in node.iterchildren(etree.Element)}
                self._collect(etree.parse(str(path)).getroot(), overridden | own)
                self._collect(node, overridden)
            elif kind == "div":
                self._collect(node, overridden)
            elif kind in ("define", "start") and node.get("name", "") not in overridden:
                self._nodes.setdefault(node.get("name", ""), []).append(node)

    def reference(self, name: str) -> Pattern:
        """Return the pattern of a name, combined from all its definitions."""
        known = self._defined.get(name)
        if known is None:
            nodes = self._nodes.get(name)
            if nodes is None:
                raise NotImplementedError(f"the schema does not define {name or 'start'}")
            choice = any(node.get("combine") == "choice" for node in nodes)
            join = self._patterns.choice if choice else self._patterns.interleave
            known = self._defined[name] = self._joined(map(self.content, nodes), join)
        return known

    def content(self, node: etree._Element) -> Pattern:
        """Return the pattern of the children of a node, in sequence."""
        return self._children(node, self._patterns.group)

    def _children(self, node: etree._Element, join: Callable[[Pattern, Pattern], Pattern]) -> Pattern:
        children = [one for one in node.iterchildren(etree.Element) if str(one.tag).startswith(_RNG)]
        if node.tag in (f"{_RNG}element", f"{_RNG}attribute") and node.get("name") is None:
            del children[0]  # its name class
        return self._joined(map(self._read, children), join)

    @staticmethod
    def _joined(patterns: Iterator[Pattern], join: Callable[[Pattern, Pattern], Pattern]) -> Pattern:
        joined = next(patterns, EMPTY)
        for pattern in patterns:
            joined = join(joined, pattern)
        return joined

    def _read(self, node: etree._Element) -> Pattern:
        kind = str(node.tag).removeprefix(_RNG)
        make = self._patterns
        if kind in _CONSTANTS:
            return _CONSTANTS[kind]
        if kind == "ref":
            return self.reference(node.get("name", ""))
        if kind == "grammar":
            return _Grammar(make, node).reference("")
        if kind == "element":
            return Pattern(kind, names=Names.of(node), node=node, grammar=self)
        if kind == "attribute":
            content = [one for one in node.iterchildren(etree.Element) if one.tag not in _NAME_CLASSES]
            return Pattern(kind, (self.content(node) if content else _TEXT,), names=Names.of(node))
        if kind in ("data", "value"):
            return Pattern(kind, node=node)
        if kind in ("interleave", "choice"):
            return self._children(node, make.interleave if kind == "interleave" else make.choice)
        if kind not in ("group", "optional", "zeroOrMore", "oneOrMore", "mixed"):
            raise NotImplementedError(
                f"<{kind}> in a schema"
            )  # list, externalRef, parentRef: libvirt does not use them
        inner = self.content(node)
        if kind in ("zeroOrMore", "oneOrMore"):
            inner = make.one_or_more(inner)
        if kind in ("optional", "zeroOrMore"):
            inner = make.choice(inner, EMPTY)
        return make.interleave(inner, _TEXT) if kind == "mixed" else inner
