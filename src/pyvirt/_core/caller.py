# SPDX-License-Identifier: LGPL-2.1-or-later
"""The one place where an object calls C.

Every method of the model that calls libvirt does so through :class:`Caller`: it passes the object's pointer, converts
the result, and raises the error of a call that failed under the name of the function that was called.  Whatever has to
hold for every call is added here.  ``tests/unit/test_calls.py`` finds methods that call C past it.

No pointer of a handle stands in a local variable when an error is raised: in a traceback it would keep the connection
open.  So the pointer of another handle is an argument of ``_call`` and ``_call_nonzero`` only, which drop it.
"""

from __future__ import annotations

from pyvirt._core.call import last_error
from pyvirt._core.lib import ffi, lib
from pyvirt._core.params import to_dict
from pyvirt._core.text import decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from typing_extensions import TypeVarTuple, Unpack

    from pyvirt._core.handle import Handle
    from pyvirt._core.lib import CData
    from pyvirt._core.params import TypedValue
    from pyvirt._core.root import Root
    from pyvirt.errors import Error

    H = TypeVar("H", bound=Handle)
    R = TypeVar("R")
    Ts = TypeVarTuple("Ts")

_free = lib.free
_string = ffi.string
_UUID_BUFFER = ffi.typeof("unsigned char[16]")
_INT_OUT = ffi.typeof("int *")
_PARAMS_OUT = ffi.typeof("virTypedParameterPtr *")
_PARAMS = ffi.typeof("virTypedParameter[]")


class Caller:
    """Something that calls C functions with its own pointer as the first argument."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def _ptr(self) -> CData: ...
        @property
        def _conn(self) -> Root: ...

    def _require_open(self) -> None:
        """Raise :class:`~pyvirt.errors.ClosedError` if this object, or its connection, was closed."""
        self._ptr  # noqa: B018

    def _error(self, function: Callable[..., object]) -> Error:
        """Take the error of *function*, which has just failed."""
        return last_error(function.__name__, self._conn)

    def _call(self, function: Callable[[CData, Unpack[Ts]], int], *args: Unpack[Ts]) -> int:
        """Call *function* and return its result; a negative one is an error."""
        # The second form avoids building a list and a tuple for no arguments, a tenth of the whole call.
        result = function(self._ptr, *args) if args else function(self._ptr)  # type: ignore[call-arg]
        if result < 0:
            del args
            raise self._error(function)
        return result

    def _call_nonzero(self, function: Callable[[CData, Unpack[Ts]], R], *args: Unpack[Ts]) -> R:
        """Call *function* and return the pointer, or the size, that it returns; NULL or 0 is an error."""
        result = function(self._ptr, *args) if args else function(self._ptr)  # type: ignore[call-arg]
        if not result:
            del args
            raise self._error(function)
        return result

    def _call_object(self, kind: type[H], function: Callable[[CData, Unpack[Ts]], CData], *args: Unpack[Ts]) -> H:
        """Call *function* and return the object of *kind* that it makes or finds; NULL is an error."""
        return kind(self._conn, self._call_nonzero(function, *args))

    def _call_string(self, function: Callable[[CData, Unpack[Ts]], CData], *args: Unpack[Ts]) -> str:
        """Call *function*, return the text that it allocates, and free that; NULL is an error."""
        pointer = function(self._ptr, *args)
        if not pointer:
            raise self._error(function)
        try:
            return _string(pointer).decode("utf-8", "surrogateescape")  # as decode() does
        finally:
            _free(pointer)

    def _call_text(self, function: Callable[[CData, Unpack[Ts]], CData], *args: Unpack[Ts]) -> str:
        """Call *function* and return the text that it returns, which libvirt keeps; NULL is an error."""
        return decode(self._call_nonzero(function, *args))

    def _call_array(
        self, out: CData, function: Callable[[CData, CData, Unpack[Ts]], int], *after: Unpack[Ts]
    ) -> list[CData]:
        """Call *function*, which allocates an array at *out*, return its elements, and free the array."""
        count = self._call(function, out, *after)
        try:
            elements: list[CData] = ffi.unpack(out[0], count)
            return elements
        finally:
            _free(out[0])

    def _call_bool(self, function: Callable[[CData, CData], int]) -> bool:
        """Call *function*, which writes an ``int``, and return that as a ``bool``."""
        out = ffi.new(_INT_OUT)
        self._call(function, out)
        return bool(out[0])

    def _call_uuid(self, function: Callable[[CData, CData], int]) -> bytes:
        """Call a ``vir…GetUUID`` function and return the 16 bytes that it writes."""
        out = ffi.new(_UUID_BUFFER)
        self._call(function, out)
        return bytes(out)

    def _call_params(
        self,
        function: Callable[..., int],
        *after: object,
        before: tuple[object, ...] = (),
        count_type: str = "int *",
    ) -> dict[str, TypedValue]:
        """Call *function*, which allocates an array of typed parameters, and return that as a dictionary.

        :param after: the arguments after ``virTypedParameterPtr *`` and ``int *``
        :param before: the arguments between the pointer and those two
        :param count_type: the C type of the second of those two
        """
        params = ffi.new(_PARAMS_OUT)
        count = ffi.new(count_type)
        args = (*before, params, count, *after)
        self._call(function, *args)
        try:
            return to_dict(params[0], count[0])
        finally:
            lib.virTypedParamsFree(params[0], count[0])

    def _fill_params(
        self,
        function: Callable[..., int],
        *after: object,
        before: tuple[object, ...] = (),
        room: int | None = None,
    ) -> dict[str, TypedValue]:
        """Call an older *function*, which fills an array of typed parameters, and return that as a dictionary.

        :param room: how many there are; without it *function* is called with NULL first, and writes that number
        :param after: as in :meth:`_call_params`, with *before*
        """
        count = ffi.new(_INT_OUT, room or 0)
        if room is None:
            args = (*before, ffi.NULL, count, *after)
            self._call(function, *args)
            room = count[0]
        if room == 0:
            return {}
        params = ffi.new(_PARAMS, room)
        args = (*before, params, count, *after)
        self._call(function, *args)
        try:
            return to_dict(params, min(count[0], room))
        finally:
            lib.virTypedParamsClear(params, room)

    def _call_names(
        self,
        count: Callable[..., int],
        fill: Callable[..., int],
        *after: object,
        before: tuple[object, ...] = (),
    ) -> list[str]:
        """Return the names that *fill* writes into an array whose size *count* returns.

        libvirt listed objects in this way before it had functions that list them with handles.

        :param after: the arguments of both after the array and its size
        :param before: the arguments of both before the array
        """
        args = (*before, *after)
        room = self._call(count, *args) + 1
        while True:
            names = ffi.new("char *[]", room)
            args = (*before, names, room, *after)
            found = self._call(fill, *args)
            try:
                if found < room:
                    return [decode(names[i]) for i in range(found)]
            finally:
                for i in range(found):
                    _free(names[i])
            room *= 2  # there are more than when they were counted
