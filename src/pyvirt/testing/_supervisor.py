# SPDX-License-Identifier: LGPL-2.1-or-later
"""The parent process of a private daemon, and its protocol, which ``private-libvirtd.sh`` implements.

Its standard input receives commands; end of file, which also happens if this process dies, stops it.  Its standard
output reports the process id of the namespace's init, and every exit of libvirtd.  All other output goes to the log.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

# A call of REMOTE_PROC_AUTH_LIST (66): length, program, version, procedure, type, serial, status.
_HELLO = struct.pack(">7I", 28, 0x20008086, 1, 66, 0, 1, 0)
_RETRY = 0.005  # seconds between two attempts to connect


class Supervisor:
    """A running ``private-libvirtd.sh``; its end kills all processes of the namespace."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        self.init_pid: int | None = None
        self.exit_status: int | None = None
        self._partial = b""
        self._init_fd: int | None = None
        with log.open("ab") as output:
            # A separate session, so that Ctrl-C in a terminal reaches only this process.
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                bufsize=0,
                env=dict(env),
                start_new_session=True,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._commands, self._reports = self._process.stdin, self._process.stdout
        os.set_blocking(self._reports.fileno(), False)

    @property
    def pid(self) -> int:
        """The process id whose SIGKILL removes everything."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process is running."""
        return self._process.poll() is None

    def start(self) -> None:
        """Start libvirtd."""
        self.exit_status = None
        # If the supervisor has ended already, wait_ready() reports it.
        with contextlib.suppress(BrokenPipeError):
            self._commands.write(b"start\n")

    def read_reports(self, timeout: float = 0) -> None:
        """Read the reports, waiting at most *timeout* seconds for the first."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._reports, selectors.EVENT_READ)
            if not selector.select(timeout):
                return
        data = self._reports.read()
        if not data:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout)
            return
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            word, number = line.split()
            if word == b"init":
                self.init_pid = int(number)
                with contextlib.suppress(OSError):  # it has ended already, or Linux < 5.3
                    self._init_fd = os.pidfd_open(self.init_pid)
            else:
                self.exit_status = int(number)

    def wait_init(self, timeout: float) -> bool:
        """Wait until the namespace has an init process, and return whether it has."""
        deadline = time.monotonic() + timeout
        while self.init_pid is None and self.alive and (left := deadline - time.monotonic()) > 0:
            self.read_reports(left)
        return self.init_pid is not None

    def wait_exit(self, timeout: float) -> bool:
        """Wait until libvirtd has ended, and return whether it has."""
        deadline = time.monotonic() + timeout
        while self.exit_status is None and self.alive and (left := deadline - time.monotonic()) > 0:
            self.read_reports(left)
        return self.exit_status is not None or not self.alive

    def wait_ready(self, path: Path, timeout: float) -> int | None:
        """Wait until libvirtd answers on the socket *path*; return its process id, ``None`` if it does not.

        libvirtd accepts connections before it has loaded its drivers, and can still fail then because of its
        configuration.  It answers only after that, so this makes one real call.
        """
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline and self.exit_status is None and self.alive:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
                client.settimeout(timeout)
                client.connect(str(path))
                client.sendall(_HELLO)
                while not _readable(client, self._reports.fileno(), deadline):
                    self.read_reports()
                    if self.exit_status is not None or not self.alive or time.monotonic() >= deadline:
                        return None
                if client.recv(4):
                    credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
                    pid: int = struct.unpack("3i", credentials)[0]
                    return pid
            self.read_reports(_RETRY)
        return None

    def stop(self, timeout: float = 10) -> None:
        """Stop all processes, and wait until they have ended."""
        with contextlib.suppress(OSError):
            self._commands.write(b"stop\n")
        with contextlib.suppress(OSError):
            self._commands.close()
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.read_reports()
        self._reports.close()
        if self._init_fd is not None:
            # If the supervisor was killed from outside, its init is still ending; it ends after all others.
            with selectors.DefaultSelector() as selector:
                selector.register(self._init_fd, selectors.EVENT_READ)
                selector.select(timeout)
            os.close(self._init_fd)
            self._init_fd = None


def _readable(client: socket.socket, reports: int, deadline: float) -> bool:
    """Wait for an answer of libvirtd, a report or the deadline, and return whether it was the answer."""
    with selectors.DefaultSelector() as selector:
        selector.register(client, selectors.EVENT_READ)
        selector.register(reports, selectors.EVENT_READ)
        ready = selector.select(max(0, deadline - time.monotonic()))
    return any(key.fileobj is client for key, _ in ready)


def pause(pid: int, timeout: float = 10) -> None:
    """Stop all threads of a process (SIGSTOP) and wait until they are stopped."""
    os.kill(pid, signal.SIGSTOP)
    deadline = time.monotonic() + timeout
    while any(_stat(path)[0] not in "Tt" for path in Path(f"/proc/{pid}/task").glob("*/stat")):
        if time.monotonic() > deadline:
            raise TimeoutError(f"process {pid} did not stop within {timeout:g} s")
        time.sleep(0.001)


def descendants(pid: int) -> list[int]:
    """Return the process ids below *pid*, parents first."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            children.setdefault(int(_stat(path)[1]), []).append(int(path.parent.name))
    found = children.get(pid, [])
    for child in found:
        found.extend(children.get(child, []))
    return found


def _stat(path: Path) -> list[str]:
    """Return state, parent, … of a process: the fields after its name, which may contain any character."""
    return path.read_text(errors="replace").rpartition(")")[2].split()
