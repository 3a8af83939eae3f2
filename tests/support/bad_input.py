# SPDX-License-Identifier: LGPL-2.1-or-later
"""Wrong arguments, and the errors that they must raise: one table for all kinds of objects.

tests/unit uses it for the objects of libvirt's test driver, tests/daemon for the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pytest
from lxml import etree

import pyvirt
from pyvirt.errors import (
    ClosedError,
    Error,
    InvalidArgumentError,
    NotFoundError,
    XMLError,
)

NUL = "test\0"
SURROGATE = "\ud800"
LONG = "n" * 10_000
UUID = "11111111-2222-3333-4444-555555555555"
UNKNOWN = 1 << 27


class Kind(NamedTuple):
    """A collection, and the documents that its objects are made from."""

    collection: Callable[[pyvirt.Connection], Any]
    root: str  # of their documents
    makers: tuple[str, ...]  # the methods that take such documents
    others: tuple[str, ...] = ()  # other keywords of get() that take text
    by_uuid: bool = False  # its objects have no names
    flags: bool = True  # list() takes flags


class Case(NamedTuple):
    """One mistake.  *call* gets a collection: Any, as a type checker would refuse most calls."""

    cls: type[Exception]
    message: str
    call: Callable[[Any], object]


#: Wrong values for any text.
NOT_A_TEXT: dict[str, tuple[type[Exception], str, Any]] = {
    "bytes": (TypeError, "expected str, got bytes", b"test"),
    "a number": (TypeError, "expected str, got int", 5),
    "NUL": (InvalidArgumentError, "NUL at byte 4", NUL),
    "a lone surrogate": (InvalidArgumentError, "surrogate at position 0", SURROGATE),
}
#: Wrong values for any document, refused before libvirt is called.
NOT_A_DOCUMENT: dict[str, tuple[type[Exception], str, Any]] = {
    "a number": (TypeError, "^expected XML as str, bytes or an lxml element, got int$", 5),
    "a buffer": (TypeError, "got bytearray", bytearray(b"<a/>")),
    "a tree": (TypeError, "got _ElementTree", etree.ElementTree(etree.Element("a"))),
    "an element of another library": (TypeError, "got Element", ElementTree.Element("a")),
    "NUL": (InvalidArgumentError, "NUL at byte 4", NUL),
    "NUL in bytes": (InvalidArgumentError, "NUL at byte 4", NUL.encode()),
    "NUL in a declaration": (InvalidArgumentError, "NUL at byte 32", "<?xml version='1.0' encoding='x'\0?><a/>"),
    "UTF-16 without a mark": (InvalidArgumentError, "NUL at byte 1", "<a/>".encode("utf-16-le")),
    "a lone surrogate": (InvalidArgumentError, "surrogate at position 0", SURROGATE),
    "no encoding": (XMLError, "unknown encoding: none", b"<?xml version='1.0' encoding='none'?><a/>"),
}
NOT_A_UUID: dict[str, tuple[type[Exception], str, Any]] = {
    "no UUID": (InvalidArgumentError, "'nobody' is not a valid UUID", "nobody"),
    "nothing": (InvalidArgumentError, "'' is not a valid UUID", ""),
    "10,000 characters": (InvalidArgumentError, "^'n{64}' is not a valid UUID$", LONG),
    "NUL": (InvalidArgumentError, r"'test\\x00' is not a valid UUID", NUL),
    "a lone surrogate": (InvalidArgumentError, r"'\\ud800' is not a valid UUID", SURROGATE),
    "three bytes": (InvalidArgumentError, "16 bytes, not 3", b"abc"),
    "a number": (TypeError, "got int", 5),
}


def other_root(root: str, other: str) -> str:
    """Return a pattern for the message about <*other*> in place of <*root*>; libvirt 8 words it differently."""
    return rf"'{root}', not '{other}'|root element <{other}>,? expecting <{root}>|^XML error: {root}$"


def wrong_documents(root: str) -> dict[str, tuple[type[Exception], str, Any]]:
    """Return wrong values for a document that begins with *root*."""
    return {
        "just text": (XMLError, "(?s)Start tag expected.*just text", "just text"),
        "10,000 characters": (XMLError, "Start tag expected", LONG),
        "nothing": (XMLError, "empty", ""),
        "cut off": (XMLError, "end of data|end of Start Tag", f"<{root}><name>test</name>"),
        "of something else": (XMLError, other_root(root, "other"), "<other/>"),
        "bytes of something else": (XMLError, other_root(root, "other"), b"<other/>"),
        "an element of something else": (XMLError, other_root(root, "other"), etree.Element("other")),
        "just bytes": (XMLError, "Start tag expected", b"just bytes"),
        "no UTF-8": (XMLError, "not proper UTF-8", f"<{root}><name>\xfc</name></{root}>".encode("latin-1")),
        **NOT_A_DOCUMENT,
    }


def key_of(key: Any) -> Callable[[Any], object]:
    """Look up by *key*."""
    return lambda them: them[key]


def get_by(*keys: Any, **given: Any) -> Callable[[Any], object]:
    """Look up by get()."""
    return lambda them: them.get(*keys, **given)


def made_of(maker: str, xml: Any) -> Callable[[Any], object]:
    """Create an object by the method *maker*."""
    return lambda them: getattr(them, maker)(xml)


def cases(kind: Kind) -> Iterator[tuple[str, Case]]:
    """Yield the mistakes that can be made with a kind of objects, each with a name."""
    if kind.by_uuid:
        yield "unknown UUID", Case(NotFoundError, UUID, key_of(UUID))
        yield "get: unknown UUID", Case(NotFoundError, UUID, get_by(UUID))
    else:
        yield "unknown name", Case(NotFoundError, "'nobody'", key_of("nobody"))
        yield "empty name", Case(NotFoundError, "''", key_of(""))
        yield "name of 10,000 characters", Case(NotFoundError, "n{80}", key_of(LONG))
        yield "get: unknown name", Case(NotFoundError, "'nobody'", get_by("nobody"))
    for what, (cls, message, key) in (NOT_A_UUID if kind.by_uuid else NOT_A_TEXT).items():
        yield f"key: {what}", Case(cls, message, key_of(key))
        yield f"get: {what}", Case(cls, message, get_by(key, default=None))
    for other in kind.others:
        for what, (cls, message, key) in (NOT_A_UUID if other == "uuid" else NOT_A_TEXT).items():
            given = {other: key, **dict.fromkeys(PARTNERS.get(other, ()), "x")}
            yield f"get {other}: {what}", Case(cls, message, get_by(**given))
    yield "get: nothing", Case(TypeError, "expected ", get_by(None))
    for maker in kind.makers:
        for what, (cls, message, xml) in wrong_documents(kind.root).items():
            yield f"{maker}: {what}", Case(cls, message, made_of(maker, xml))
    if kind.flags:
        yield "unknown flag", Case(InvalidArgumentError, "0x8000000", lambda them: them.list(UNKNOWN))
        yield "flag as text", Case(TypeError, "integer", lambda them: them.list("active"))


#: Keywords of get() that belong together.
PARTNERS = {"wwnn": ("wwpn",), "wwpn": ("wwnn",)}


def check_case(case: Case, them: Any, capfd: pytest.CaptureFixture[str]) -> BaseException:
    """Make a mistake twice, and check the error, that nothing changed, and that nothing was printed.

    :returns: the exception, with its traceback
    """
    before = set(them)
    for _ in range(2):
        with pytest.raises(case.cls, match=case.message) as caught:
            case.call(them)
        assert type(caught.value) is (them._not_found if case.cls is NotFoundError else case.cls)
        str(caught.value).encode()
        assert 5 < len(str(caught.value)) < 21_000  # LONG, which libvirt may repeat, and a sentence
        if isinstance(caught.value, Error):
            assert caught.value.function is None or caught.value.function.startswith("vir")
    assert set(them) == before
    assert capfd.readouterr() == ("", "")
    return caught.value


def check_closed(kind: Kind, them: Any) -> None:
    """Check that every use of a collection of a closed connection raises ClosedError."""
    uses: list[Callable[[], object]] = [
        lambda: list(them),
        lambda: len(them),
        lambda: them[UUID],
        lambda: them.get(UUID, default=None),
        lambda: UUID in them,
        lambda: them.list(),
        *(partial(made_of(maker, f"<{kind.root}/>"), them) for maker in kind.makers),
    ]
    for use in uses:
        with pytest.raises(ClosedError, match=r"^the connection is closed$"):
            use()
    assert repr(them)
