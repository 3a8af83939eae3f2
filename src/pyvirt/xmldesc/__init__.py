# SPDX-License-Identifier: LGPL-2.1-or-later
"""libvirt's documents as lxml trees.  Nothing here calls libvirt."""

from __future__ import annotations

from lxml import etree

from pyvirt.errors import XMLError


def parse(text: str | bytes) -> etree._Element:
    """Parse a document.  No entity is expanded, no file or network read, no depth without bound allowed.

    As with libvirt a namespace may have any name, and a prefix none.

    :param text: for ``str`` an encoding that the document declares does not count
    :raises XMLError: this is no XML
    """
    try:
        data, encoding = (text.encode(), "utf-8") if isinstance(text, str) else (text, None)
        parser = _parser(encoding)
        try:
            return etree.fromstring(data, parser)
        except etree.XMLSyntaxError:
            if any(entry.domain != etree.ErrorDomains.NAMESPACE for entry in parser.error_log):
                raise
            return etree.fromstring(data, _parser(encoding, recover=True))  # there is nothing else to recover from
    except (etree.XMLSyntaxError, UnicodeEncodeError) as error:
        raise XMLError(f"this is no XML: {error}") from None


def _parser(encoding: str | None, *, recover: bool = False) -> etree.XMLParser:
    return etree.XMLParser(
        encoding=encoding, recover=recover, resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
    )


def serialize(element: etree._Element) -> str:
    """Return the text of an element and all that is in it."""
    text: str = etree.tostring(element, encoding="unicode", with_tail=False)
    return text
