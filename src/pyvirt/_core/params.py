# SPDX-License-Identifier: LGPL-2.1-or-later
"""virTypedParameter arrays to dictionaries and back."""

from __future__ import annotations

from pyvirt._core.call import last_error
from pyvirt._core.lib import ffi, lib
from pyvirt._core.text import decode, encode
from pyvirt.errors import InvalidArgumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, TypeAlias

    TypedValue: TypeAlias = "int | float | bool | str"
    #: the same where only the caller, who names the field, knows its type
    FieldValue: TypeAlias = Any

# virTypedParameterType
INT, UINT, LLONG, ULLONG, DOUBLE, BOOLEAN, STRING = range(1, 8)

_READ: dict[int, Callable[[Any], TypedValue]] = {
    INT: lambda value: value.i,
    UINT: lambda value: value.ui,
    LLONG: lambda value: value.l,
    ULLONG: lambda value: value.ul,
    DOUBLE: lambda value: value.d,
    BOOLEAN: lambda value: value.b != b"\0",  # a char, which cffi reads as bytes
    STRING: lambda value: decode(value.s) if value.s else "",
}

_ADD: dict[int, Callable[..., int]] = {
    INT: lib.virTypedParamsAddInt,
    UINT: lib.virTypedParamsAddUInt,
    LLONG: lib.virTypedParamsAddLLong,
    ULLONG: lib.virTypedParamsAddULLong,
    DOUBLE: lib.virTypedParamsAddDouble,
    BOOLEAN: lib.virTypedParamsAddBoolean,
    STRING: lib.virTypedParamsAddString,
}


def items(params: Any, count: int) -> Iterator[tuple[str, TypedValue]]:
    """Yield the names and values of an array, which the caller frees."""
    for i in range(count):
        param = params[i]
        read = _READ.get(param.type)
        # For a type newer than this code, the member of the union to read is unknown.
        if read is not None:
            yield decode(param.field), read(param.value)


def to_dict(params: Any, count: int) -> dict[str, TypedValue]:
    """Return an array, which the caller frees, as a dictionary."""
    return dict(items(params, count))


def _guess_type(name: str, value: TypedValue) -> int:
    if isinstance(value, bool):
        return BOOLEAN
    if isinstance(value, int):
        return LLONG if value < 0 else ULLONG
    if isinstance(value, float):
        return DOUBLE
    if isinstance(value, str):
        return STRING
    raise TypeError(f"parameter {name!r} must be a number, a bool or a str, not {type(value).__name__}")


def add_field(params: Any, count: Any, room: Any, name: str, kind: int, value: TypedValue) -> None:
    """Append a parameter to a growing array; *kind* is a virTypedParameterType."""
    add = _ADD.get(kind)
    if add is None:
        raise InvalidArgumentError(f"parameter {name!r}: {kind} is not a type of libvirt's parameters")
    field = encode(name)
    try:
        result = add(params, count, room, field, encode(value) if kind == STRING else value)  # type: ignore[arg-type]
    except OverflowError as error:
        raise InvalidArgumentError(f"parameter {name!r}: {error}") from None
    except TypeError as error:
        raise TypeError(f"parameter {name!r}: {error}") from None
    if result < 0:
        raise last_error(add.__name__).recast(InvalidArgumentError)  # libvirt calls too long a name an internal error


class Params:
    """A virTypedParameter array made from a dictionary, freed when the ``with`` block ends.

    *types* has the C type for each name (virTypedParameterType), because libvirt does not convert.  For other names the
    type follows from the value: ``bool``, ``int`` (unsigned long long, or long long when negative), ``float``, ``str``.

    :raises InvalidArgumentError: a name or value that C cannot hold
    """

    def __init__(self, values: Mapping[str, TypedValue], types: Mapping[str, int] | None = None) -> None:
        self._params = ffi.new("virTypedParameterPtr *")
        self._count = ffi.new("int *")
        room = ffi.new("int *")
        try:
            for name, value in values.items():
                kind = (types or {}).get(name) or _guess_type(name, value)
                add_field(self._params, self._count, room, name, kind, value)
        except BaseException:
            self._free()
            raise

    @property
    def pointer(self) -> Any:
        """The array."""
        return self._params[0]

    @property
    def count(self) -> int:
        """The number of parameters."""
        count: int = self._count[0]
        return count

    def _free(self) -> None:
        lib.virTypedParamsFree(self._params[0], self._count[0])
        self._params[0] = ffi.NULL
        self._count[0] = 0

    def __enter__(self) -> Params:
        return self

    def __exit__(self, *exc: object) -> None:
        self._free()
