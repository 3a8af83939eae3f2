# SPDX-License-Identifier: LGPL-2.1-or-later
"""Connection URIs, read and written as libvirt does.

``driver[+transport]://[user@][host][:port]/[path][?parameters][#fragment]``

A URI is well-formed if libvirt's own parser accepts it.  The parameters that are fields here are those of its remote
driver, which passes on the others.  libvirt decides which names of drivers and transports are valid.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import KW_ONLY, dataclass
from urllib.parse import quote, unquote

from pyvirt._core.text import encode
from pyvirt.errors import InvalidArgumentError

_URI = re.compile(
    r"(?P<scheme>[^:/?#]*):(?://(?P<authority>[^/?#]*))?(?P<path>[^?#]*)"
    r"(?:\?(?P<query>[^#]*))?(?:#(?P<fragment>.*))?",
    re.DOTALL,
)
_AUTHORITY = re.compile(r"(?:(?P<user>[^@]*)@)?(?P<host>\[[^]@]*\]|[^][:@]*)(?::(?P<port>[0-9]+))?")
_DRIVER = re.compile(r"[A-Za-z][A-Za-z0-9.-]*")
_TRANSPORT = re.compile(r"[A-Za-z0-9+.-]+")
_FOREIGN = re.compile(r"[^A-Za-z0-9._~!$&'()*+,;=:@/?#%[\]-]")
_NUMBER = re.compile(r"\s*[+-]?[0-9]{1,9}", re.ASCII)

# Characters that need no escape. "&" and ";" separate parameters, and other programs read "+" as a space.
_IN_PATH = "/!$&'()*+,;=:@"
_IN_QUERY = "/:@!$'()*,?"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class URI:
    """One connection URI in its parts, none of them percent-encoded.

    Two are equal if libvirt treats them equally: escapes, the order of parameters, and the case of the transport, the
    host and known parameters do not matter.

    :raises InvalidArgumentError: a URI cannot contain one of the parts
    """

    driver: str
    """Case matters to libvirt."""
    path: str = ""
    _: KW_ONLY
    transport: str | None = None
    """``unix tcp tls ssh libssh libssh2 ext``, or none: see :attr:`effective_transport`"""
    user: str | None = None
    host: str | None = None
    """An IPv6 address has no brackets here."""
    port: int | None = None

    name: str | None = None
    """the URI that the far end opens, where it does not follow from this one"""
    socket: str | None = None
    """unix and ssh: the path of the daemon's socket"""
    mode: str | None = None
    """unix and ssh: ``auto``, ``direct`` (a daemon per driver) or ``legacy`` (libvirtd)"""
    proxy: str | None = None
    """ssh: ``auto``, ``native`` (virt-ssh-helper) or ``netcat``; esx: the proxy server"""
    command: str | None = None
    """ssh and ext: the program that makes the connection"""
    netcat: str | None = None
    """ssh: the netcat of the far end"""
    keyfile: str | None = None
    """ssh: the private key"""
    sshauth: str | None = None
    """libssh: ways to authenticate, separated by commas"""
    known_hosts: str | None = None
    """libssh: the file of host keys"""
    known_hosts_verify: str | None = None
    """libssh: ``normal``, ``auto`` or ``ignore``"""
    pkipath: str | None = None
    """tls: the directory of the certificates"""
    tls_priority: str | None = None
    """tls: GnuTLS's priority string"""
    auth: str | None = None
    """the one way to authenticate, such as ``sasl`` or ``sasl.gssapi``"""
    authfile: str | None = None
    """a file of credentials"""
    no_verify: bool | None = None
    """tls: take any server certificate; ssh: take any new host key"""
    no_tty: bool | None = None
    """ssh: never ask for a password"""
    no_sanity: bool | None = None
    """tls: do not check one's own certificates"""

    extra: tuple[tuple[str, str], ...] = ()
    """the parameters that the remote driver does not know, in their order"""
    fragment: str | None = None

    def __post_init__(self) -> None:
        if not _DRIVER.fullmatch(self.driver):
            raise InvalidArgumentError(f"the driver of a URI must be a name, not {_short(self.driver)}")
        if self.transport is not None:
            if not _TRANSPORT.fullmatch(self.transport):
                raise InvalidArgumentError(f"the transport of a URI must be a name, not {_short(self.transport)}")
            object.__setattr__(self, "transport", self.transport.lower())
        for field in ("user", "host", "fragment"):
            if not getattr(self, field):
                object.__setattr__(self, field, None)
        if self.host is not None and self.host.startswith("["):
            raise InvalidArgumentError(f"the host must not have brackets: {_short(self.host)}")
        if self.port is not None and not 1 <= self.port <= 65535:
            raise InvalidArgumentError(f"a port must be from 1 to 65535, not {self.port}")
        if self.port is not None and self.host is None:
            raise InvalidArgumentError("a port needs a host, because libvirt ignores it otherwise: add localhost")
        if (self.host or self.user) and self.path and not self.path.startswith("/"):
            raise InvalidArgumentError(f"the path {_short(self.path)} must begin with '/' after a host")
        object.__setattr__(self, "extra", tuple((name, value) for name, value in self.extra))
        for name, _value in self.extra:
            if not name:
                raise InvalidArgumentError("a parameter of a URI must have a name")
            if name.lower() in _PARAMETERS:
                raise InvalidArgumentError(f"the parameter {name!r} must be given as the field of that name")
        for text in (self.user, self.host, self.path, self.fragment, *sum(self._parameters(), ())):
            encode(text or "")

    @classmethod
    def parse(cls, text: str) -> URI:
        """Return the parts of a URI.

        :raises InvalidArgumentError: libvirt cannot parse it either, or it contains an escaped NUL
        """
        match = _URI.fullmatch(text)
        if match is None:
            raise _malformed(text, "the driver is missing (aliases are only for connecting)")
        scheme, authority, path, query, fragment = match.groups()
        foreign = _FOREIGN.search(text)
        if foreign:
            raise _malformed(text, f"{foreign[0]!r} must be percent-encoded")
        place = _AUTHORITY.fullmatch(authority or "")
        if place is None:
            raise _malformed(text, f"expected [user@]host[:port], got {_short(authority)}")
        user, host, port = place.groups()
        # As libxml2 does, accept a bare "%" in an IPv6 address, before its zone, and brackets in a fragment.
        for part in (user, host if not host.startswith("[") else "", path, query, fragment):
            if re.search("%(?![0-9A-Fa-f]{2})", part or ""):
                raise _malformed(text, "'%' must be written %25, except in an escape")
        for part in (user, path, query):
            if re.search(r"[][]", part or ""):
                raise _malformed(text, "'[' and ']' must enclose an IPv6 address; elsewhere write %5B and %5D")
        if "#" in (fragment or ""):
            raise _malformed(text, "the second '#' must be written %23")
        if port and len(port.lstrip("0")) > 5:
            raise _malformed(text, f"expected a port, got {_short(port)}")
        driver, plus, transport = scheme.partition("+")
        if not _DRIVER.fullmatch(driver):
            raise _malformed(text, f"expected the name of a driver, got {_short(driver)}")
        if plus and not transport:
            raise _malformed(text, "the transport after '+' is missing")
        if host.startswith("["):
            host = host[1:-1]
        number = int(port) if port and host else 0  # libvirt ignores a port without a host, and 0
        known, extra = _split(text, query or "")
        return cls(
            driver,
            _decoded(path),
            transport=transport or None,
            user=_decoded(user or ""),
            host=_decoded(host),
            port=number or None,
            fragment=_decoded(fragment or ""),
            extra=tuple(extra),
        ).replace(**known)

    def replace(self, **changes: object) -> URI:
        """Return this URI with some parts changed.

        :raises TypeError: unknown part
        """
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]

    @property
    def remote(self) -> bool:
        """Whether the connection may leave this machine: it has a host, or a transport other than unix."""
        return self.host is not None or self.transport not in (None, "unix")

    @property
    def local(self) -> bool:
        """Whether the connection stays on this machine."""
        return not self.remote

    @property
    def effective_transport(self) -> str:
        """The transport that the remote driver uses: the given one, else tls with a host and unix without one.

        Drivers in the client, such as test, esx and hyperv, use a transport only if one is given.
        """
        return self.transport or ("tls" if self.host else "unix")

    def _parameters(self) -> list[tuple[str, str]]:
        known = []
        for name in _PARAMETERS:
            value = getattr(self, name)
            if value is not None:
                known.append((name, str(int(value)) if name in _FLAGS else value))
        return [*known, *self.extra]

    def __str__(self) -> str:
        text = self.driver if self.transport is None else f"{self.driver}+{self.transport}"
        if self.path.startswith("/") or not self.path:
            text += "://"
            if self.user is not None:
                text += _encoded(self.user, "!$&'()*+,;=:") + "@"
            if self.host is not None:
                host = _encoded(self.host, "!$&'()*+,;=:")
                text += f"[{host}]" if ":" in self.host else host
            if self.port is not None:
                text += f":{self.port}"
        else:
            text += ":"
        text += _encoded(self.path, _IN_PATH)
        parameters = (f"{_encoded(name, '')}={_encoded(value, _IN_QUERY)}" for name, value in self._parameters())
        if query := "&".join(parameters):
            text += f"?{query}"
        if self.fragment is not None:
            text += f"#{_encoded(self.fragment, _IN_PATH + '?')}"
        return text

    def __repr__(self) -> str:
        return f"URI.parse({str(self)!r})"

    def _key(self) -> tuple[object, ...]:
        parameters = sorted(self._parameters(), key=lambda parameter: parameter[0])
        host = self.host and self.host.lower()
        where = (self.driver, self.transport, self.user, host, self.port, self.path)
        return *where, tuple(parameters), self.fragment

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, URI) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())


_FLAGS = ("no_verify", "no_tty", "no_sanity")
_NOT_PARAMETERS = ("driver", "path", "transport", "user", "host", "port", "extra", "fragment")
_PARAMETERS = tuple(field.name for field in dataclasses.fields(URI) if field.name not in _NOT_PARAMETERS)


def _split(text: str, query: str) -> tuple[dict[str, object], list[tuple[str, str]]]:
    """Return the parameters that are fields, the last one of each name, and the others."""
    known: dict[str, object] = {}
    extra: list[tuple[str, str]] = []
    # libvirt's rule: ";" separates only if no "&" follows.
    head, _, tail = query.rpartition("&")
    for parameter in [*head.split("&"), *tail.split(";")]:
        escaped, _, escaped_value = parameter.partition("=")
        name, value = _decoded(escaped), _decoded(escaped_value)
        if not name:
            continue
        field = name.lower()
        if field not in _PARAMETERS:
            extra.append((name, value))
        elif field not in _FLAGS:
            known[field] = value
        elif _NUMBER.fullmatch(value):
            known[field] = int(value) != 0
        else:
            raise _malformed(text, f"{field} must be 0 or 1, not {_short(value)}")
    return known, extra


def _decoded(text: str) -> str:
    return unquote(text, errors="surrogateescape")


def _encoded(text: str, safe: str) -> str:
    return quote(text, safe, errors="surrogateescape")


def _short(text: str) -> str:
    return repr(text if len(text) <= 100 else f"{text[:100]}…")


def _malformed(text: str, why: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"{_short(text)} is not a libvirt URI: {why}")
