# SPDX-License-Identifier: LGPL-2.1-or-later
"""A small real Linux guest, with the guest agent, a network and a shell, in 96 MiB; it starts in 4 s if emulated.

It consists of Debian's kernel for clouds, Debian's guest agent, and busybox.  The first two are packages, which are
downloaded once with ``apt-get`` (27 MB, no root permissions needed).  The kernel and an initial file system of 9 MB are
made of them, and kept in the user's cache.

>>> with pyvirt.connect(daemon.uri("qemu")) as conn:                    # doctest: +SKIP
...     domain = start_linux_guest(conn, linux_image(), "web-1")        # its agent answers

The guest prints :data:`~pyvirt.testing.guests.READY` on its serial port, and runs a shell there.  Its host name is its
name; ``eth0`` has an address from DHCP; an ext4 file system on its first disk is mounted on ``/mnt``.  It shuts down by
the power button and by the agent.
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import re
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from pyvirt.domain._wait import poll_times
from pyvirt.domain.agent import Agent
from pyvirt.enums.domain_guest import DomainGuestInfoTypes
from pyvirt.errors import AgentUnresponsiveError, OperationTimeoutError
from pyvirt.testing._initrd import Entry, archive
from pyvirt.testing._system import TestbedUnavailable, require
from pyvirt.testing.guests import READY, paused_guest

if TYPE_CHECKING:
    from typing_extensions import Unpack  # typing's own needs Python 3.11

    from pyvirt.connection import Connection
    from pyvirt.domain import Domain
    from pyvirt.testing.guests import GuestOptions

__all__ = ["LinuxImage", "linux_guest", "linux_image", "start_linux_guest", "wait_for_agent"]

_MIB = 1 << 20
_KERNEL = "linux-image-cloud-amd64"  # depends on the package of the current version
_AGENT = "qemu-guest-agent"
_MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "virtio_console", "virtio_balloon", "button", "evdev")
_DOWNLOAD_TIMEOUT = 300  # seconds
_PORT = "org.qemu.guest_agent.0"

_INIT = f"""#!/bin/busybox sh
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
/bin/busybox --install -s
mount -t devtmpfs devtmpfs /dev
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mkdir -p /dev/pts /dev/virtio-ports
mount -t devpts devpts /dev/pts
exec </dev/ttyS0 >/dev/ttyS0 2>&1

while read module; do insmod /modules/$module; done </modules/order
hostname $GUEST_NAME
ip link set lo up
if [ -e /sys/class/net/eth0 ]; then
    ip link set eth0 up
    udhcpc -i eth0 -s /sbin/lease -n -q -t 8 -T 1 >/dev/null 2>&1
fi
[ -b /dev/vda ] && mount -t ext4 /dev/vda /mnt 2>/dev/null

for name in /sys/class/input/event*/device/name; do
    if grep -qs "Power Button" $name; then
        event=${{name%/device/name}}
        exec 3</dev/input/${{event##*/}}  # before anybody can press it
        {{ dd bs=24 count=1 <&3 >/dev/null 2>&1; poweroff -f; }} &
    fi
done

# No udev here: a port of the host's turns up some time after its driver, and gets its name from us.
if [ "$GUEST_AGENT" ]; then
    until grep -qs {_PORT} /sys/class/virtio-ports/*/name; do usleep 50000; done
    port=$(grep -ls {_PORT} /sys/class/virtio-ports/*/name)
    port=${{port%/name}}
    qemu-ga --daemonize --method virtio-serial --path /dev/${{port##*/}} --statedir /run --pidfile /run/qemu-ga.pid
fi
echo {READY}
while true; do setsid cttyhack login -f root; done
"""

_FILES = {
    "/sbin/lease": (0o755, '#!/bin/sh\n[ "$1" = bound ] && ip address add "$ip/$mask" dev "$interface"\n'),
    # What the agent calls.
    "/sbin/shutdown": (0o755, '#!/bin/sh\ncase " $* " in *" -r "*) reboot -f ;; *) poweroff -f ;; esac\n'),
    "/usr/sbin/chpasswd": (
        0o755,
        "#!/bin/sh\n"
        "while IFS=: read -r user word; do\n"
        '    grep -q "^$user:" /etc/shadow || exit 1\n'
        '    [ "$1" = -e ] || word=$(mkpasswd -m sha512 "$word")\n'
        '    sed -i "s|^$user:[^:]*|$user:$word|" /etc/shadow\n'
        "done\n",
    ),
    "/etc/passwd": (0o644, "root:x:0:0:root:/root:/bin/sh\n"),
    "/etc/group": (0o644, "root:x:0:\n"),
    "/etc/shadow": (0o600, "root:*:19000:0:99999:7:::\n"),
    "/etc/os-release": (0o644, 'ID=pyvirt-guest\nNAME="pyvirt guest"\nPRETTY_NAME="A guest of pyvirt"\nVERSION_ID=1\n'),
    "/run/utmp": (0o644, ""),
}
_DIRECTORIES = ("bin", "sbin", "usr/bin", "usr/sbin", "proc", "sys", "dev", "tmp", "mnt", "root", "var")


@dataclass(frozen=True, slots=True)
class LinuxImage:
    """The files from which the guest boots."""

    kernel: Path
    initrd: Path


def linux_image(cache: str | os.PathLike[str] | None = None) -> LinuxImage:
    """Return the kernel and the initial file system, which are made at first use.

    :param cache: where to keep them; by default ``pyvirt`` in ``$XDG_CACHE_HOME`` or ``~/.cache``
    :raises TestbedUnavailable: this machine cannot make them; the message names what is missing
    """
    default = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    parent = Path(default, "pyvirt") if cache is None else Path(cache)
    # The name contains a hash of the recipe, so a changed recipe makes a new image.
    recipe = repr((_INIT, _FILES, _DIRECTORIES, _MODULES))
    wanted = parent / f"linux-guest-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    if not wanted.exists():
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="making-", dir=parent) as directory:
            made = Path(directory, "image")
            made.mkdir()
            _make(Path(directory), made)
            try:
                made.rename(wanted)
            except OSError:
                if not wanted.exists():  # if it exists, another process has made the same image
                    raise
    return LinuxImage(wanted / "vmlinuz", wanted / "initrd")


def linux_guest(name: str, image: LinuxImage, *, command_line: str = "", **options: Unpack[GuestOptions]) -> str:
    """Return the XML of the guest.

    The options are those of :func:`~pyvirt.testing.guests.paused_guest`, but by default it has 96 MiB, ACPI and the
    channel of the agent.  It always has a balloon, which reports every second.

    :param command_line: further words of the kernel's command line; init gets ``NAME=value`` as environment variables
    """
    options.setdefault("memory", 96 * _MIB)
    options.setdefault("acpi", True)
    agent = options.setdefault("agent", True)
    root = ElementTree.fromstring(paused_guest(name, **options))
    hostname = re.sub(r"[^0-9A-Za-z-]", "-", name)[:63]
    # Under emulation, the check of the time stamp counter and the mitigations for real processors only take time.
    words = f"console=ttyS0 quiet tsc=unstable mitigations=off GUEST_NAME={hostname}"
    system = root.find("os")
    balloon = root.find("devices/memballoon")
    assert system is not None
    assert balloon is not None
    for tag, text in (
        ("kernel", str(image.kernel)),
        ("initrd", str(image.initrd)),
        ("cmdline", f"{words} {'GUEST_AGENT=1 ' if agent else ''}{command_line}".rstrip()),
    ):
        ElementTree.SubElement(system, tag).text = text
    balloon.set("model", "virtio")
    ElementTree.SubElement(balloon, "stats", period="1")
    return ElementTree.tostring(root, encoding="unicode")


def start_linux_guest(
    conn: Connection,
    image: LinuxImage,
    name: str = "linux",
    *,
    command_line: str = "",
    timeout: float = 120,
    **options: Unpack[GuestOptions],
) -> Domain:
    """Start a transient guest, wait until its agent answers, and return it.

    :param timeout: seconds
    :raises OperationTimeoutError: its agent did not answer; the guest was destroyed
    """
    domain = conn.domains.create(linux_guest(name, image, command_line=command_line, **options))
    try:
        if options.get("agent", True):
            wait_for_agent(domain, timeout=timeout)
    except BaseException:
        domain.destroy()
        raise
    return domain


def wait_for_agent(domain: Domain, *, timeout: float = 120) -> None:
    """Wait until the agent of a guest answers.

    :param timeout: seconds
    :raises OperationTimeoutError: it did not answer
    """
    for _ in poll_times(timeout, 0.1):
        try:
            Agent(domain).guest_info(DomainGuestInfoTypes.HOSTNAME)
            return
        except AgentUnresponsiveError as error:
            last = error
    raise OperationTimeoutError(f"the agent of {domain.name!r} did not answer within {timeout:g} s: {last}")


# ---- making the image ----


def _make(directory: Path, made: Path) -> None:
    """Write ``vmlinuz`` and ``initrd`` into *made*, using *directory* for temporary files."""
    busybox, apt_get, apt_cache, dpkg_deb, ldd = require("busybox", "apt-get", "apt-cache", "dpkg-deb", "ldd")
    depends = _run(apt_cache, "depends", _KERNEL, cwd=directory)
    kernel = re.search(r"Depends: (linux-image-\S+)", depends)
    if kernel is None:
        raise TestbedUnavailable(f"apt does not have {_KERNEL}: the Linux guest needs packages of Debian for amd64")
    _run(apt_get, "download", kernel[1], _AGENT, cwd=directory)
    for package in directory.glob("*.deb"):
        _run(dpkg_deb, "--extract", package.name, "unpacked", cwd=directory)
    unpacked = directory / "unpacked"
    programs = {"/bin/busybox": Path(busybox), "/usr/sbin/qemu-ga": unpacked / "usr/sbin/qemu-ga"}
    for program in tuple(programs.values()):
        programs.update((str(library), library) for library in _libraries(ldd, program))
    (vmlinuz,) = unpacked.glob("boot/vmlinuz-*")
    vmlinuz.rename(made / "vmlinuz")
    entries = [Entry(path, stat.S_IFDIR | 0o755) for path in _DIRECTORIES]
    entries.append(Entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1)))
    entries.append(Entry("var/run", stat.S_IFLNK | 0o777, b"/run"))
    entries.append(Entry("init", stat.S_IFREG | 0o755, _INIT.encode()))
    entries += [Entry(path, stat.S_IFREG | mode, text.encode()) for path, (mode, text) in _FILES.items()]
    entries += [Entry(path, stat.S_IFREG | 0o755, source.read_bytes()) for path, source in programs.items()]
    entries += _modules(unpacked / "lib/modules")
    with gzip.GzipFile(made / "initrd", "wb", compresslevel=1, mtime=0) as file:
        file.write(archive(entries))


def _modules(directory: Path) -> Iterator[Entry]:
    """Yield the kernel modules that the guest needs, and the list of their order."""
    files = {path.name.partition(".ko")[0].replace("-", "_"): path for path in directory.rglob("*.ko*")}
    contents: dict[str, bytes] = {}

    def add(name: str) -> None:
        if name in contents or name not in files:  # added already, or built into the kernel
            return
        data = files[name].read_bytes()
        if files[name].suffix == ".xz":
            data = lzma.decompress(data)
        depends = re.search(rb"\0depends=([^\0]*)\0", data)
        for other in depends[1].decode().split(",") if depends else ():
            add(other)
        contents[name] = data

    for name in _MODULES:
        add(name)
    for name, data in contents.items():
        yield Entry(f"modules/{name}.ko", stat.S_IFREG | 0o644, data)
    yield Entry("modules/order", stat.S_IFREG | 0o644, "".join(f"{name}.ko\n" for name in contents).encode())


def _libraries(ldd: str, program: Path) -> list[Path]:
    """Return the libraries of a program, taken from this machine; none if it is linked statically."""
    listing = subprocess.run([ldd, program], capture_output=True, text=True, check=False).stdout
    if missing := re.findall(r"(\S+) => not found", listing):
        raise TestbedUnavailable(f"the Linux guest's {program.name} needs {', '.join(missing)}: apt install {_AGENT}")
    return [Path(path) for path in re.findall(r"(/\S+) \(0x", listing)]


def _run(*argv: str, cwd: Path) -> str:
    """Run a program and return its output."""
    try:
        return subprocess.run(
            argv,
            cwd=cwd,
            check=True,
            capture_output=True,
            text=True,
            timeout=_DOWNLOAD_TIMEOUT,
            env={**os.environ, "LC_ALL": "C"},
        ).stdout
    except subprocess.TimeoutExpired:
        raise TestbedUnavailable(f"the Linux guest: {' '.join(argv)} took longer than {_DOWNLOAD_TIMEOUT} s") from None
    except subprocess.CalledProcessError as error:
        reason = error.stderr.strip().splitlines()[-1:] or [f"exit status {error.returncode}"]
        raise TestbedUnavailable(f"the Linux guest: {' '.join(argv)}: {reason[0]}; apt-get update may help") from None
