# SPDX-License-Identifier: LGPL-2.1-or-later
"""The testbed from a shell: ``python -m pyvirt.testing --help``."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

import pyvirt
from pyvirt.enums.domain import DomainCreateFlags
from pyvirt.errors import Error
from pyvirt.testing.daemon import DaemonError, PrivateDaemon, TestbedUnavailable
from pyvirt.testing.guests import container, paused_guest, tiny_guest, write_boot_disk
from pyvirt.testing.hosts import write_host


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = _parser()
    options = parser.parse_args(argv)
    try:
        return int(options.run(options))
    except (DaemonError, TestbedUnavailable, ValueError, OSError, Error) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pyvirt.testing", description="Start disposable libvirt hosts, to test programs with them."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    daemon = commands.add_parser(
        "daemon",
        help="run a command with a private libvirtd, and remove the libvirtd afterwards",
        description="Start a private libvirtd, run CMD with its URI in LIBVIRT_DEFAULT_URI and PYVIRT_TEST_URI, "
        "remove the libvirtd, and exit with CMD's exit status.",
    )
    daemon.add_argument(
        "--driver",
        default="test",
        choices=("test", "qemu", "lxc", "network", "storage", "nodedev", "secret", "interface", "nwfilter"),
        help="the driver in the URI (default: %(default)s)",
    )
    daemon.add_argument(
        "--guests",
        type=_count,
        metavar="N",
        help="start N guests: emulated machines (qemu), containers (lxc) or generated domains (test)",
    )
    daemon.add_argument("--paused", action="store_true", help="start QEMU guests paused, without an operating system")
    daemon.add_argument("--listen", action="store_true", help="also listen on a TCP port, and use it in the URI")
    daemon.add_argument("--session", action="store_true", help="start a session daemon; not possible as root")
    daemon.add_argument("command", nargs="+", metavar="CMD", help="the command and its arguments, after --")
    daemon.set_defaults(run=_daemon)

    host = commands.add_parser(
        "host",
        help="write a generated host for libvirt's test driver",
        description="Write a generated host for libvirt's test driver, and print its URI.",
    )
    host.add_argument(
        "--domains", type=_count, default=1000, metavar="N", help="number of domains (default: %(default)s)"
    )
    host.add_argument(
        "--networks", type=_count, default=2, metavar="N", help="number of networks (default: %(default)s)"
    )
    host.add_argument("--pools", type=_count, default=2, metavar="N", help="number of pools (default: %(default)s)")
    host.add_argument(
        "--running",
        type=float,
        default=1.0,
        metavar="FRACTION",
        help="fraction of domains that run (default: %(default)s)",
    )
    host.add_argument(
        "--paused",
        type=float,
        default=0.0,
        metavar="FRACTION",
        help="fraction of domains that are paused (default: %(default)s)",
    )
    host.add_argument("-o", "--output", metavar="FILE", help="the file to write; by default a new temporary file")
    host.set_defaults(run=_host)
    return parser


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"must be at least 0, not {number}")
    return number


def _host(options: argparse.Namespace) -> int:
    path = options.output
    if path is None:
        file, path = tempfile.mkstemp(prefix="pyvirt-host-", suffix=".xml")
        os.close(file)
    counts = {"domains": options.domains, "networks": options.networks, "pools": options.pools}
    print(write_host(path, running=options.running, paused=options.paused, **counts))
    return 0


def _daemon(options: argparse.Namespace) -> int:
    session = True if options.session else None
    with (
        _exit_on_signals(),
        tempfile.TemporaryDirectory(prefix="pyvirt-guests-") as directory,
        PrivateDaemon(listen=options.listen, session=session, cgroups=options.driver == "lxc") as daemon,
    ):
        path = None
        if options.driver == "test" and options.guests is not None:
            path = str(Path(directory, "host.xml"))
            write_host(path, domains=options.guests)
        elif options.guests:
            _start_guests(daemon.uri(options.driver), options, Path(directory))
        uri = daemon.uri(options.driver, path, transport="tcp" if options.listen else "unix")
        return _run(options.command, {**os.environ, "LIBVIRT_DEFAULT_URI": uri, "PYVIRT_TEST_URI": uri})


def _start_guests(uri: str, options: argparse.Namespace, directory: Path) -> None:
    names = [f"guest-{number}" for number in range(1, options.guests + 1)]
    flags = DomainCreateFlags(0)
    if options.driver == "lxc":
        documents = [container(name) for name in names]
    elif options.driver != "qemu":
        raise ValueError(f"--guests needs the driver test, qemu or lxc, not {options.driver}")
    elif options.paused:
        flags = DomainCreateFlags.PAUSED
        documents = [paused_guest(name) for name in names]
    else:
        disk = write_boot_disk(directory / "boot.img")
        documents = [tiny_guest(name, disk) for name in names]
    with pyvirt.connect(uri) as conn:
        for xml in documents:
            conn.domains.create(xml, flags=flags)


def _run(command: Sequence[str], env: Mapping[str, str]) -> int:
    try:
        process = subprocess.Popen(command, env=env)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return 127 if isinstance(error, FileNotFoundError) else 126
    with process:
        while True:
            try:
                status = process.wait()
                break
            except KeyboardInterrupt:  # the command received the signal too, and decides whether to exit
                continue
            except SystemExit:
                process.terminate()
                raise
    return status if status >= 0 else 128 - status


@contextlib.contextmanager
def _exit_on_signals() -> Iterator[None]:
    """Exit on SIGTERM and SIGHUP by an exception, so that ``with`` statements clean up."""

    def exit_on_signal(number: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    previous = {number: signal.signal(number, exit_on_signal) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
