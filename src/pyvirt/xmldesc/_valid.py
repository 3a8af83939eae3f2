# SPDX-License-Identifier: LGPL-2.1-or-later
"""Values of builders, checked before anything is built of them.

What no document can hold is refused, and what libvirt's schemas do not know.  Whether things go together is libvirt's
to say.  Each function takes what to call the value in an error, and returns the text or number to write.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import uuid as _uuid
from collections.abc import Iterable

from lxml import etree

from pyvirt.errors import InvalidArgumentError

StrPath = str | os.PathLike[str]
UUID = str | _uuid.UUID
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HOST = re.compile(r"[a-zA-Z0-9.-]+")
_MAC = re.compile(r"[0-9a-fA-F][02468aAcCeE](:[0-9a-fA-F]{2}){5}")
_DEVICE = re.compile(r"[a-zA-Z0-9_.:\\/-]+")
_GENERIC = re.compile(r"[a-zA-Z0-9_+-]+")
_MACHINE = re.compile(r"[a-zA-Z0-9_.-]+")


def checked(what: str, text: str) -> str:
    """Return text that a document can hold: no NUL, no other control characters, no half of a surrogate pair."""
    probe = etree.Element("probe")
    try:
        probe.text = text
    except ValueError:
        raise InvalidArgumentError(f"{what} has a character that no XML can hold: {text!r}") from None
    return text


def name(what: str, value: str, *, forbidden: str = "/") -> str:
    """Return a name: some characters, in one line.

    :param forbidden: what libvirt does not take in this kind of name
    """
    if not isinstance(value, str) or not value.strip():
        raise InvalidArgumentError(f"{what} must be a name, not {value!r}")
    if _CONTROL.search(value):
        raise InvalidArgumentError(f"{what} has a control character: {value!r}")
    bad = next((one for one in forbidden if one in value), None)
    if bad:
        raise InvalidArgumentError(f"{what} has a {bad!r}, which libvirt does not take: {value!r}")
    return checked(what, value)


def whole(what: str, value: int, *, least: int = 0, most: int = (1 << 64) - 1) -> int:
    """Return a whole number within limits."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidArgumentError(f"{what} must be a whole number, not {value!r}")
    if not least <= value <= most:
        raise InvalidArgumentError(f"{what} must be from {least} to {most}, not {value}")
    return value


def size(what: str, value: int, *, least: int = 1) -> int:
    """Return a number of bytes that libvirt can count."""
    return whole(f"{what} (in bytes)", value, least=least, most=(1 << 63) - 1)


def one_of(what: str, value: str, allowed: Iterable[str]) -> str:
    """Return one of several words."""
    known = list(allowed)
    if value not in known:
        close = difflib.get_close_matches(str(value), known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise InvalidArgumentError(f"{what} cannot be {value!r}, only {', '.join(map(repr, known))}{hint}")
    return value


def path(what: str, value: StrPath) -> str:
    """Return the absolute path of a file: the daemon has a working directory of its own."""
    text = directory(what, value)
    if text == "/":
        raise InvalidArgumentError(f"{what} must be a file's path, not {text!r}")
    return text


def directory(what: str, value: StrPath) -> str:
    """Return the absolute path of a directory."""
    text = os.fspath(value)
    if not isinstance(text, str) or not text.startswith("/"):
        raise InvalidArgumentError(f"{what} must be an absolute path on the host, not {text!r}")
    if _CONTROL.search(text):
        raise InvalidArgumentError(f"{what} has a control character: {text!r}")
    return checked(what, text)


def matching(what: str, value: str, pattern: re.Pattern[str], meaning: str) -> str:
    """Return text that has a certain form."""
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise InvalidArgumentError(f"{what} must be {meaning}, not {value!r}")
    return value


def device_name(what: str, value: str) -> str:
    """Return the name of a network device, a bridge or a port group."""
    return matching(what, value, _DEVICE, "letters, digits and any of _.-:/\\")


def generic(what: str, value: str) -> str:
    """Return a plain word."""
    return matching(what, value, _GENERIC, "letters, digits and any of _+-")


def mac(what: str, value: str) -> str:
    """Return the hardware address of one device, which no group address is."""
    return matching(what, value, _MAC, "a unicast MAC address such as 52:54:00:12:34:56")


def address(what: str, value: str | Address) -> Address:
    """Return an IP address."""
    try:
        if isinstance(value, str):
            value = value.strip()
        found = ipaddress.ip_address(value)
        if isinstance(found, ipaddress.IPv6Address) and found.scope_id:
            raise ValueError
    except ValueError:
        raise InvalidArgumentError(f"{what} must be an IP address, not {value!r}") from None
    return found


def host(what: str, value: str | Address) -> str:
    """Return the name or the address of a host."""
    if isinstance(value, str) and _HOST.fullmatch(value):
        return value
    try:
        return str(address(what, value))
    except InvalidArgumentError:
        raise InvalidArgumentError(f"{what} must be the name or the address of a host, not {value!r}") from None


def port(what: str, value: int) -> int:
    """Return a TCP or UDP port."""
    return whole(what, value, least=1, most=65535)


def is_uuid(value: str) -> bool:
    """Say whether text is a UUID."""
    try:
        _uuid.UUID(value)
    except ValueError:
        return False
    return True


def uuid(value: UUID) -> str:
    """Return a UUID as libvirt writes it."""
    if isinstance(value, str) and is_uuid(value):
        value = _uuid.UUID(value)
    if not isinstance(value, _uuid.UUID):
        raise InvalidArgumentError(f"this is no UUID: {value!r}")
    return str(value)


def exactly_one(what: str, **choices: object) -> str:
    """Return the name of the one that is given."""
    given = [one for one, value in choices.items() if value is not None and value is not False]
    if len(given) != 1:
        raise InvalidArgumentError(f"{what} needs exactly one of {', '.join(choices)}, not {given or 'none'}")
    return given[0]


def machine(what: str, value: str) -> str:
    """Return the name of a machine type."""
    return matching(what, value, _MACHINE, "a name such as q35 or pc-i440fx-9.0")
