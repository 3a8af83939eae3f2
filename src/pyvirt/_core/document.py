# SPDX-License-Identifier: LGPL-2.1-or-later
"""Documents for C: text, the bytes of a file or an lxml element become UTF-8.

This does not load lxml: a caller that has an element has loaded it.
"""

from __future__ import annotations

import sys

from pyvirt._core.text import encode, encode_or_null
from pyvirt.errors import XMLError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyvirt._core.lib import CData
    from pyvirt.xmldesc import XML

_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8"}  # byte order marks


def encode_xml(xml: XML) -> bytes:
    """Return a document as the bytes of a C string.

    :raises InvalidArgumentError: it contains a NUL, or a surrogate that does not represent a byte
    :raises TypeError: it is not text, bytes or an element
    :raises XMLError: its bytes are in an unknown encoding
    """
    return encode(xml_text(xml))


def encode_xml_or_null(xml: XML | None) -> CData:
    """Return a document as a C string, or NULL for ``None``."""
    return encode_or_null(None if xml is None else xml_text(xml))


def xml_text(xml: XML) -> str:
    """Return the text of a document, for functions that encode it themselves."""
    if isinstance(xml, bytes):
        xml = _decode(xml)
    if isinstance(xml, str):
        # libvirt gets UTF-8, so the declared encoding is blanked: libxml2 2.9 ignores it there, newer ones obey it.
        start, end = _encoding_at(xml)
        return f"{xml[:start]}{' ' * (end - start)}{xml[end:]}" if start else xml
    if isinstance(xml, getattr(sys.modules.get("lxml.etree"), "_Element", ())):
        from pyvirt.xmldesc import serialize

        return serialize(xml)
    raise TypeError(f"expected XML as str, bytes or an lxml element, got {type(xml).__name__}")


def _decode(data: bytes) -> str:
    """Return the text of a file.  Bytes that are invalid in its encoding stay unchanged, and libvirt reports them."""
    marked = next((encoding for mark, encoding in _MARKS.items() if data.startswith(mark)), None)
    try:
        text = data.decode(marked or "utf-8", "surrogateescape")
        start, end = _encoding_at(text)
        named = text[start:end].replace("'", '"').split('"')
        return text if marked or len(named) < 3 else data.decode(named[1], "surrogateescape")
    except (LookupError, ValueError) as error:
        raise XMLError(f"cannot parse the XML document: {error}") from None


def _encoding_at(text: str) -> tuple[int, int]:
    """Return the range of the encoding in an XML declaration, or 0 and 0; libvirt reports an invalid declaration."""
    end = text.find("?>") if text.startswith(("<?xml", "\ufeff<?xml")) else -1
    start = text.find("encoding", 0, end) if end > 0 else -1
    named = text[max(start, 0) : max(end, 0)]
    return (start, end) if start > 0 and named.isascii() and "\0" not in named else (0, 0)
