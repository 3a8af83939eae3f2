# SPDX-License-Identifier: LGPL-2.1-or-later
"""The configuration files of a private daemon."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence

Setting = str | int | bool | Sequence[str]
Settings = Mapping[str, Setting]
"""Settings of ``libvirtd.conf`` or ``qemu.conf``."""

QEMU_SETTINGS: Settings = {
    "namespaces": [],  # guests of a private daemon need no /dev of their own
    "security_driver": "none",
    "user": "root",
    "group": "root",
    "remember_owner": False,
    "stdio_handler": "file",  # no virtlogd
    "cgroup_controllers": [],
}


def configuration(settings: Settings) -> str:
    """Return *settings* in the syntax of libvirt's configuration files."""
    return "".join(f"{name} = {_setting(value)}\n" for name, value in settings.items())


def _setting(value: Setting) -> str:
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, str):
        # The syntax has no escape character, only three kinds of quotes.
        for mark in ('"', "'", '"""'):
            if mark not in value and (len(mark) == 3 or "\n" not in value):
                return f"{mark}{value}{mark}"
        raise ValueError(f"libvirt's configuration files cannot hold {value!r}")
    return f"[{', '.join(_setting(item) for item in value)}]"


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
