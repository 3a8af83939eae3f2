# SPDX-License-Identifier: LGPL-2.1-or-later
"""Credentials for a daemon that requests them.

``connect(auth=…)`` accepts

- a mapping: ``{"username": "alice", "password": "…"}``, with the keys of :data:`KEYS`;
- a callable, which gets each :class:`Credential` and returns the answer, or ``None`` to give up;
- the path of a libvirt auth file, which libvirt reads by itself.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from pyvirt.enums import ConnectCredentialType

    Answer: TypeAlias = "Callable[[Credential], str | None]"
    Auth: TypeAlias = "Mapping[str, str] | Answer | os.PathLike[str] | str"

# virConnectCredentialType -> the keys of a mapping that answer it.
KEYS: Mapping[int, tuple[str, ...]] = {
    1: ("username",),
    2: ("authname", "username"),
    3: ("language",),
    4: ("cnonce",),
    5: ("password", "passphrase"),
    6: ("echo",),
    7: ("noecho", "password", "passphrase"),
    8: ("realm",),
    9: ("external",),
}


class Credential:
    """One request of a daemon."""

    __slots__ = ("challenge", "default", "prompt", "type")

    def __init__(self, type: ConnectCredentialType, prompt: str, challenge: str | None, default: str | None) -> None:
        self.type = type
        #: the question for a user, e.g. ``"Enter alice's password"``
        self.prompt = prompt
        #: the challenge of the mechanism, often the host name
        self.challenge = challenge
        #: the default answer
        self.default = default

    def __repr__(self) -> str:
        return f"<Credential {self.type.name} {self.prompt!r}>"


def auth_file(auth: Auth) -> str | None:
    """Return *auth* if it is a path, else ``None``."""
    return os.fsdecode(auth) if isinstance(auth, str | os.PathLike) else None


def answer_with(auth: Auth) -> Answer:
    """Return a function that answers one credential.

    :raises TypeError: *auth* is not a mapping, a callable or a path
    """
    if auth_file(auth) is not None:
        return lambda credential: None  # libvirt reads the file itself, and requests only values that the file lacks
    if callable(auth):
        return auth
    if isinstance(auth, Mapping):
        answers = auth

        def look_up(credential: Credential) -> str | None:
            keys = KEYS.get(credential.type, ())
            return next((answers[key] for key in keys if key in answers), credential.default)

        return look_up
    raise TypeError(f"auth must be a mapping, a callable or the path of an auth file, not {type(auth).__name__}")
