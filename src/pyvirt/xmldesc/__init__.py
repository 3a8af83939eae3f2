# SPDX-License-Identifier: LGPL-2.1-or-later
"""libvirt's documents as lxml trees.  No binding is imported here."""

from __future__ import annotations

from lxml import etree

from pyvirt.errors import XMLError


def parse(text: str | bytes) -> etree._Element:
    """Parse a document.  No entity is expanded, no file or network read, no depth without bound allowed.

    :raises XMLError: this is no XML
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    data = text.encode() if isinstance(text, str) else text
    try:
        return etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise XMLError(f"this is no XML: {error}") from None


def serialize(root: etree._Element) -> str:
    """Return the text of a tree."""
    text: str = etree.tostring(root, encoding="unicode")
    return text
