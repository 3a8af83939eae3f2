# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the testbed needs from the system: programs, their packages, and isolation."""

from __future__ import annotations

import enum
import functools
import os
import shutil
import subprocess

PACKAGES = {
    # program: (Debian and Ubuntu, Fedora)
    "libvirtd": ("libvirt-daemon libvirt-daemon-system", "libvirt-daemon"),
    "tini": ("tini", "tini"),
    "unshare": ("util-linux", "util-linux"),
    "nsenter": ("util-linux", "util-linux"),
    "mount": ("mount", "util-linux"),
    "hostname": ("hostname", "hostname"),
    "ip": ("iproute2", "iproute"),
    "newuidmap": ("uidmap", "shadow-utils"),
    "qemu-system-x86_64": (
        "libvirt-daemon-driver-qemu qemu-system-x86",
        "libvirt-daemon-driver-qemu qemu-system-x86",
    ),
    "dnsmasq": ("dnsmasq-base", "dnsmasq"),
    "iptables": ("iptables", "iptables-nft"),
    "ebtables": ("ebtables", "iptables-nft"),
    "mdevctl": ("mdevctl", "mdevctl"),
    "busybox": ("busybox-static", "busybox"),
    "apt-get": ("apt", "apt"),
    "apt-cache": ("apt", "apt"),
    "dpkg-deb": ("dpkg", "dpkg"),
    "ldd": ("libc-bin", "glibc-common"),
}


class TestbedUnavailable(RuntimeError):
    """This machine cannot run the testbed; the message names what is missing and the package that has it."""

    __test__ = False  # tells pytest that this is not a test case, although its name begins with "Test"


class DaemonError(RuntimeError):
    """A private daemon did not start, or has ended; the message ends with its log."""


class Isolation(enum.Enum):
    """How a private daemon is isolated from the machine."""

    ROOT = "root"
    """In separate namespaces, started by root: everything works."""
    ROOTLESS = "rootless"
    """In a user namespace too, started by an ordinary user: no containers, no control groups."""
    SESSION = "session"
    """A session daemon of an ordinary user, in separate directories, without namespaces."""


def search_path() -> str:
    """Return ``PATH`` with the administrator's directories, which are often missing for ordinary users."""
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(dict.fromkeys([*path, "/usr/local/sbin", "/usr/sbin", "/sbin"]))


def require(*programs: str) -> list[str]:
    """Return the paths of *programs*.

    :raises TestbedUnavailable: some are missing; the message names all of them and their packages
    """
    found = {program: shutil.which(program, path=search_path()) for program in programs}
    missing = [program for program, path in found.items() if path is None]
    if missing:
        debian, fedora = (
            " ".join(dict.fromkeys(PACKAGES[program][family] for program in missing if program in PACKAGES))
            for family in (0, 1)
        )
        raise TestbedUnavailable(
            f"the testbed needs {', '.join(missing)}: apt install {debian} (Debian), dnf install {fedora} (Fedora)"
        )
    return [path for path in found.values() if path is not None]


ROOTLESS_OPTIONS = ("--user", "--map-root-user", "--map-auto")


@functools.cache
def rootless_obstacle() -> str | None:
    """Return why an ordinary user cannot create a user namespace with several ids, ``None`` if it is possible."""
    try:
        unshare, _ = require("unshare", "newuidmap")
    except TestbedUnavailable as error:
        return str(error)
    # A plain `unshare -r` maps only one id, but QEMU and dnsmasq change to other ids.
    probe = subprocess.run(
        [unshare, *ROOTLESS_OPTIONS, "--mount", "--pid", "--fork", "--mount-proc", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    return probe.stderr.strip() or f"unshare exited with status {probe.returncode}" if probe.returncode else None


def choose_isolation(session: bool | None) -> Isolation:
    """Return the best isolation that is possible for this process.

    :param session: ``True`` for a session daemon, ``False`` for any other isolation, ``None`` for a session daemon only
        if nothing better is possible
    :raises TestbedUnavailable: the requested isolation is not possible
    """
    if os.geteuid() == 0:
        if session:
            raise TestbedUnavailable(
                "root cannot have a session daemon: libvirtd of user id 0 is always the system daemon"
            )
        return Isolation.ROOT
    if session:
        return Isolation.SESSION
    obstacle = rootless_obstacle()
    if obstacle is None:
        return Isolation.ROOTLESS
    if session is False:
        raise TestbedUnavailable(f"no user namespace for a private daemon: {obstacle}")
    return Isolation.SESSION
