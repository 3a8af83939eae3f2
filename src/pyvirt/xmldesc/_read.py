# SPDX-License-Identifier: LGPL-2.1-or-later
"""Parse documents, and write them as text."""

from __future__ import annotations

from typing import TypeAlias

from lxml import etree

from pyvirt.errors import XMLError

XML: TypeAlias = str | bytes | etree._Element
"""A document: text, the bytes of a file in any encoding that they declare, or an element."""

MAX_SIZE = 4 << 20
"""The default limit for the size of a document, in bytes: libvirt's protocol carries no longer text."""

# Part of a message of libxml2 -> our message.  libxml2 describes its limits for programmers who use it directly.
_LIMITS = {
    "Excessive depth": "its elements are nested more than 256 deep",
    "amplification factor": "its entities expand to far more text than the document has",
    "entity reference loop": "its entities refer to each other",
    "Text node too long": "one of its texts is longer than 10,000,000 bytes",
}


def parse(text: str | bytes, *, max_size: int = MAX_SIZE) -> etree._Element:
    """Parse a document.  Entities are not expanded, files and the network are not read, size and depth are limited.

    As in libvirt, a namespace may have any name, and a prefix need not be declared.  Elements may be nested 256 deep.
    A text of 4 MiB becomes a tree of some 150 MiB in the worst case.

    :param text: in ``str``, the encoding that the document declares is ignored
    :param max_size: the maximum size of the text in bytes
    :raises XMLError: the text is not well-formed XML, or it is too large or nested too deep
    """
    try:
        _check_size(len(text), max_size)  # before encoding: each character has at least one byte
        data, encoding = (text.encode(), "utf-8") if isinstance(text, str) else (text, None)
        _check_size(len(data), max_size)
        parser = _parser(encoding)
        try:
            return etree.fromstring(data, parser)
        except etree.XMLSyntaxError:
            if any(entry.domain != etree.ErrorDomains.NAMESPACE for entry in parser.error_log):
                raise
            return etree.fromstring(data, _parser(encoding, recover=True))  # there are only errors about namespaces
    except UnicodeEncodeError as error:
        raise XMLError(f"cannot parse the XML document: {error}") from None
    except etree.XMLSyntaxError as error:
        message = str(error.msg)
        message = next((ours for theirs, ours in _LIMITS.items() if theirs in message), message)
        raise XMLError(f"cannot parse the XML document: {message}") from None


def tree_of(xml: XML, *, max_size: int = MAX_SIZE) -> etree._Element:
    """Return *xml* if it is an element, otherwise the result of :func:`parse`.

    :raises TypeError: *xml* is not text, bytes or an element
    """
    if isinstance(xml, etree._Element):
        return xml
    if isinstance(xml, (str, bytes)):
        return parse(xml, max_size=max_size)
    raise TypeError(f"expected XML as str, bytes or an lxml element, got {type(xml).__name__}")


def _check_size(size: int, most: int) -> None:
    if size > most:
        raise XMLError(f"the document is too large: {size:,} bytes; max_size is {most:,}")


def _parser(encoding: str | None, *, recover: bool = False) -> etree.XMLParser:
    return etree.XMLParser(
        encoding=encoding, recover=recover, resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
    )


def serialize(element: etree._Element) -> str:
    """Return an element and everything inside it as text."""
    text: str = etree.tostring(element, encoding="unicode", with_tail=False)
    return text
