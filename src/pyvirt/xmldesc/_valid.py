# SPDX-License-Identifier: LGPL-2.1-or-later
"""Check the arguments of builders, before anything is built.

A value is rejected if an XML document cannot contain it, or if libvirt's schemas do not allow it.  libvirt itself
checks whether values fit together.  The first argument of each function, *what*, is the name of the value in error
messages; the result is the text or number to write.
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
    """Return *text* if XML can contain it: no NUL, no other control character, no lone surrogate."""
    probe = etree.Element("probe")
    try:
        probe.text = text
    except ValueError:
        raise InvalidArgumentError(f"{what} contains a character that XML does not allow: {text!r}") from None
    return text


def name(what: str, value: str, *, forbidden: str = "/") -> str:
    """Return a name: one line that is not empty.

    :param forbidden: characters that libvirt rejects in this kind of name
    """
    if not isinstance(value, str) or not value.strip():
        raise InvalidArgumentError(f"{what} must be a name, not {value!r}")
    if _CONTROL.search(value):
        raise InvalidArgumentError(f"{what} must not contain a control character: {value!r}")
    bad = next((one for one in forbidden if one in value), None)
    if bad:
        raise InvalidArgumentError(f"{what} must not contain {bad!r}: {value!r}")
    return checked(what, value)


def integer(what: str, value: int, *, least: int = 0, most: int = (1 << 64) - 1) -> int:
    """Return an integer from *least* to *most*."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidArgumentError(f"{what} must be an integer, not {value!r}")
    if not least <= value <= most:
        raise InvalidArgumentError(f"{what} must be from {least} to {most}, not {value}")
    return value


def size(what: str, value: int, *, least: int = 1) -> int:
    """Return a number of bytes that fits into libvirt's types."""
    return integer(f"{what} (in bytes)", value, least=least, most=(1 << 63) - 1)


def one_of(what: str, value: str, allowed: Iterable[str]) -> str:
    """Return one of the *allowed* words."""
    known = list(allowed)
    if value not in known:
        close = difflib.get_close_matches(str(value), known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        choices = ", ".join(map(repr, known)) or "none"
        raise InvalidArgumentError(f"{what} cannot be {value!r}; allowed: {choices}{hint}")
    return value


def path(what: str, value: StrPath) -> str:
    """Return the absolute path of a file.  The daemon has another working directory, so the path cannot be relative."""
    text = directory(what, value)
    if text == "/":
        raise InvalidArgumentError(f"{what} must be the path of a file, not {text!r}")
    return text


def directory(what: str, value: StrPath) -> str:
    """Return the absolute path of a directory."""
    text = os.fspath(value)
    if not isinstance(text, str) or not text.startswith("/"):
        raise InvalidArgumentError(f"{what} must be an absolute path on the host, not {text!r}")
    if _CONTROL.search(text):
        raise InvalidArgumentError(f"{what} must not contain a control character: {text!r}")
    return checked(what, text)


def matching(what: str, value: str, pattern: re.Pattern[str], meaning: str) -> str:
    """Return text that matches *pattern*; *meaning* describes the pattern in the error."""
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise InvalidArgumentError(f"{what} must be {meaning}, not {value!r}")
    return value


def device_name(what: str, value: str) -> str:
    """Return the name of a network device, bridge or port group."""
    return matching(what, value, _DEVICE, "letters, digits and the characters _.-:/\\")


def generic(what: str, value: str) -> str:
    """Return a word, called ``genericName`` in libvirt's schemas."""
    return matching(what, value, _GENERIC, "letters, digits and the characters _+-")


def mac(what: str, value: str) -> str:
    """Return the MAC address of one device, which cannot be a multicast address."""
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
    """Return the name or address of a host."""
    if isinstance(value, str) and _HOST.fullmatch(value):
        return value
    try:
        return str(address(what, value))
    except InvalidArgumentError:
        raise InvalidArgumentError(f"{what} must be the name or address of a host, not {value!r}") from None


def port(what: str, value: int) -> int:
    """Return a TCP or UDP port."""
    return integer(what, value, least=1, most=65535)


def is_uuid(value: str) -> bool:
    """Return whether *value* is a UUID."""
    try:
        _uuid.UUID(value)
    except ValueError:
        return False
    return True


def uuid(value: UUID) -> str:
    """Return a UUID in the form that libvirt writes."""
    if isinstance(value, str) and is_uuid(value):
        value = _uuid.UUID(value)
    if not isinstance(value, _uuid.UUID):
        raise InvalidArgumentError(f"{value!r} is not a valid UUID")
    return str(value)


def exactly_one(what: str, **choices: object) -> str:
    """Return the name of the only choice that is given."""
    given = [one for one, value in choices.items() if value is not None and value is not False]
    if len(given) != 1:
        raise InvalidArgumentError(
            f"{what} needs exactly one of {', '.join(choices)}, not {' and '.join(given) or 'none'}"
        )
    return given[0]


def machine(what: str, value: str) -> str:
    """Return the name of a machine type."""
    return matching(what, value, _MACHINE, "a name such as q35 or pc-i440fx-9.0")
