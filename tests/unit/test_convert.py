# SPDX-License-Identifier: LGPL-2.1-or-later
from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyvirt._core.lib import ffi, lib
from pyvirt._core.text import decode, decode_or_none, encode, encode_or_null, string_array, take_string, take_strings
from pyvirt.errors import InvalidArgumentError

# Text that survives the way to C and back: any text without NUL, and any bytes in surrogateescape form.
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
BYTES = st.binary().map(lambda data: data.replace(b"\0", b""))


def allocated(data: bytes) -> Any:
    """Return a C string from malloc, as libvirt returns it."""
    pointer = ffi.cast("char *", lib.malloc(len(data) + 1))
    ffi.memmove(pointer, data + b"\0", len(data) + 1)
    return pointer


@given(TEXT)
def test_text_survives_the_way_to_c_and_back(text: str) -> None:
    assert encode(text) == text.encode()
    assert take_string(allocated(encode(text))) == text


@given(BYTES)
def test_any_bytes_survive_the_way_from_c_and_back(data: bytes) -> None:
    text = take_string(allocated(data))
    assert encode(text) == data


@given(st.text(min_size=1), st.text())
def test_nul_is_refused_wherever_it_stands(before: str, after: str) -> None:
    with pytest.raises(InvalidArgumentError):
        encode(f"{before}\0{after}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\0", "NUL at byte 0"),
        ("ü\0x", "NUL at byte 2"),
        ("ab\ud800", "surrogate at position 2"),
        ("\udfff", "surrogate at position 0"),
        ("x\udc7f", "surrogate at position 1"),  # it would be an ASCII byte, which is never escaped
    ],
)
def test_text_that_c_cannot_hold_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message) as caught:
        encode(text)
    assert caught.value.__cause__ is None
    str(caught.value).encode()  # the message can be printed


@pytest.mark.parametrize("thing", [b"bytes", bytearray(b"x"), 5, 1.5, ["x"], object(), True], ids=repr)
def test_only_str_is_accepted_as_text(thing: Any) -> None:
    with pytest.raises(TypeError, match=f"expected str, got {type(thing).__name__}"):
        encode(thing)


def test_none_is_accepted_only_where_null_is_allowed() -> None:
    assert encode_or_null(None) == ffi.NULL
    assert encode_or_null("x") == b"x"
    assert decode_or_none(ffi.NULL) is None
    text = ffi.new("char[]", "ü".encode())
    assert decode_or_none(text) == decode(text) == "ü"
    with pytest.raises(TypeError, match="expected str, got NoneType"):
        encode(None)  # type: ignore[arg-type]


@given(st.lists(TEXT, max_size=20))
def test_arrays_of_text_end_with_null(items: list[str]) -> None:
    array, kept = string_array(items)
    assert len(kept) == len(items)
    assert [decode(array[i]) for i in range(len(items))] == items
    assert not array[len(items)]


@pytest.mark.parametrize("bad", ["a\0b", "\ud800", b"bytes"])
def test_arrays_of_text_refuse_other_types(bad: Any) -> None:
    with pytest.raises((InvalidArgumentError, TypeError)):
        string_array(["good", bad])


@given(st.lists(BYTES, max_size=20))
def test_arrays_allocated_by_libvirt_are_read_and_freed(items: list[bytes]) -> None:
    array = ffi.cast("char **", lib.malloc((len(items) + 1) * ffi.sizeof("char *")))
    for i, item in enumerate(items):
        array[i] = allocated(item)
    assert [encode(text) for text in take_strings(array, len(items))] == items
