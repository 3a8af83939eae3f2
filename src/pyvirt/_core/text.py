# SPDX-License-Identifier: LGPL-2.1-or-later
"""Text to C and back.

libvirt uses UTF-8, but the name of a file in a storage pool may be any bytes.  As in Python's own file functions, bytes
that are not valid UTF-8 become lone surrogates (``surrogateescape``), which become the same bytes again.
"""

from __future__ import annotations

from pyvirt._core.lib import ffi, lib
from pyvirt.errors import InvalidArgumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_string = ffi.string
_free = lib.free


def encode(text: str) -> bytes:
    """Return *text* as the bytes of a C string.

    :raises InvalidArgumentError: it contains a NUL, or a surrogate that does not represent a byte
    :raises TypeError: it is not a ``str``
    """
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        message = f"the text has a lone surrogate at position {error.start}, which UTF-8 cannot encode"
        raise InvalidArgumentError(message) from None
    except AttributeError:
        raise TypeError(f"expected str, got {type(text).__name__}") from None
    if b"\0" in data:
        raise InvalidArgumentError(f"the text has a NUL at byte {data.index(0)}, where C would end it: remove it")
    return data


def encode_or_null(text: str | None) -> Any:
    """Return *text* as a C string, or NULL for ``None``."""
    return ffi.NULL if text is None else encode(text)


def decode(pointer: Any) -> str:
    """Return the text of a ``const char *``, which libvirt keeps."""
    data: bytes = _string(pointer)
    return data.decode("utf-8", "surrogateescape")


def decode_or_none(pointer: Any) -> str | None:
    """Return the text of a ``const char *``, which libvirt keeps; ``None`` for NULL."""
    return decode(pointer) if pointer else None


def take_string(pointer: Any) -> str:
    """Return the text that a call allocated, and free it."""
    try:
        return decode(pointer)
    finally:
        _free(pointer)


def string_array(items: list[str]) -> tuple[Any, Any]:
    """Return a ``const char **`` that ends with NULL, and an object that must stay alive as long as it."""
    kept = [ffi.new("char[]", encode(item)) for item in items]
    return ffi.new("const char *[]", [*kept, ffi.NULL]), kept


def take_strings(array: Any, count: int) -> list[str]:
    """Return the *count* texts of a ``char **`` that a call allocated; free the texts and the array."""
    try:
        return [decode(array[i]) for i in range(count)]
    finally:
        for i in range(count):
            _free(array[i])
        _free(array)
