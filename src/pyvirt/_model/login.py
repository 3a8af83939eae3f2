# SPDX-License-Identifier: LGPL-2.1-or-later
"""Open a connection with credentials: the C side of :mod:`pyvirt.auth`.

This is one of the few places where libvirt calls Python, because it waits for the answer.  An exception must not cross
C: it is kept, and raised when libvirt has given up.
"""

from __future__ import annotations

from pyvirt._core.call import forget, last_error
from pyvirt._core.lib import ffi, lib
from pyvirt._core.text import decode_or_none, encode
from pyvirt.auth import Credential, answer_with
from pyvirt.errors import AuthenticationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyvirt._core.lib import CData
    from pyvirt.auth import Auth

# All types that libvirt's drivers request: USERNAME AUTHNAME PASSPHRASE ECHOPROMPT NOECHOPROMPT REALM EXTERNAL.
_TYPES = (1, 2, 5, 6, 7, 8, 9)


class _AuthExchange:
    """One attempt to open a connection: the source of the answers, and the exception that it raised."""

    def __init__(self, auth: Auth) -> None:
        self.answer = answer_with(auth)
        self.error: BaseException | None = None
        self.gave_up = False

    def fill(self, credential: CData) -> bool:
        from pyvirt.enums import ConnectCredentialType

        question = Credential(
            ConnectCredentialType(credential.type),
            decode_or_none(credential.prompt) or "",
            decode_or_none(credential.challenge),
            decode_or_none(credential.defresult),
        )
        answer = self.answer(question)
        if answer is None:
            return False
        if not isinstance(answer, str):
            raise TypeError(f"auth must return a str or None, not {type(answer).__name__}")
        data = encode(answer)
        copy = ffi.cast("char *", lib.malloc(len(data) + 1))  # libvirt frees it
        if not copy:
            raise MemoryError
        ffi.memmove(copy, data + b"\0", len(data) + 1)
        credential.result = copy
        credential.resultlen = len(data)
        return True


@ffi.def_extern(error=-1)
def pv_py_auth(credentials: CData, count: int, opaque: CData) -> int:
    exchange = ffi.from_handle(opaque)
    try:
        filled = [exchange.fill(credentials[i]) for i in range(count)]
    except BaseException as error:
        exchange.error = error
        return -1
    exchange.gave_up = not all(filled)
    return -1 if exchange.gave_up else 0


def open_with(uri: CData, auth: Auth, flags: int) -> CData:
    """Return the pointer of a new connection, or NULL.  (virConnectOpenAuth)

    :raises AuthenticationError: *auth* returned ``None``; or it raised, and that exception is the cause
    """
    exchange = _AuthExchange(auth)
    opaque = ffi.new_handle(exchange)
    types = ffi.new("int[]", _TYPES)
    asked = ffi.new(
        "virConnectAuth *",
        {"credtype": types, "ncredtype": len(_TYPES), "cb": lib.pv_py_auth, "cbdata": opaque},
    )
    pointer = lib.pv_connect_open(uri, asked, flags)
    if exchange.error is not None:
        if pointer:
            lib.pv_release_connect(pointer)
        forget()
        if not isinstance(exchange.error, Exception):
            raise exchange.error
        raise AuthenticationError("the auth callable raised an exception") from exchange.error
    if exchange.gave_up and not pointer:
        raise last_error("virConnectOpenAuth").recast(AuthenticationError)
    return pointer
