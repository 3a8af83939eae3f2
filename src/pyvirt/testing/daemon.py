# SPDX-License-Identifier: LGPL-2.1-or-later
"""A private, disposable libvirtd: it does not use or change the machine's libvirt, and leaves nothing behind.

>>> with PrivateDaemon() as daemon:                     # doctest: +SKIP
...     with pyvirt.connect(daemon.uri("qemu")) as conn:
...         conn.domains.create(paused_guest("first"), flags=DomainCreateFlags.PAUSED)

All files are in one directory, and all processes in separate namespaces (mounts, processes, host name, network).
Inside, ``/run``, ``/etc/libvirt`` and ``/var/{lib,log,cache}/libvirt`` are subdirectories of that directory, ``/dev``
has no ``kvm``, and every process is killed with :attr:`PrivateDaemon.supervisor_pid`.  For an ordinary user the same
works in a user namespace (this needs ``newuidmap`` and a range in ``/etc/subuid``); without it, the daemon is a session
daemon.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import uuid
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from urllib.parse import quote, urlencode

from pyvirt.testing._cgroups import ControlGroups
from pyvirt.testing._settings import QEMU_SETTINGS, Setting, Settings, configuration, free_port
from pyvirt.testing._supervisor import Supervisor, descendants, pause
from pyvirt.testing._system import (
    ROOTLESS_OPTIONS,
    DaemonError,
    Isolation,
    TestbedUnavailable,
    choose_isolation,
    require,
    search_path,
)

__all__ = ["DaemonError", "Isolation", "PrivateDaemon", "Settings", "TestbedUnavailable"]

_SCRIPT = Path(__file__).with_name("private-libvirtd.sh")
_SOCKET = "run/libvirt/libvirt-sock"
_LOG_TAIL = 200_000  # characters

# The capabilities of QEMU that libvirtd has probed: this saves 0.8 s for every daemon except the first.
# libvirtd itself detects a file that is not valid for its QEMU.
_probed: dict[str, bytes] = {}
_running: weakref.WeakSet[PrivateDaemon] = weakref.WeakSet()
_lock = threading.Lock()


class PrivateDaemon:
    """A private libvirtd; a context manager, also usable with :meth:`start` and :meth:`stop`.

    :param directory: where to keep all files; created if it does not exist, and kept with all persistent definitions.
        By default a new directory that :meth:`stop` removes
    :param config: settings of ``libvirtd.conf`` that override ours (UNIX sockets without authentication, a random
        ``host_uuid``, warnings and errors logged)
    :param qemu_config: settings of ``qemu.conf`` that override ours (no confinement, no control groups)
    :param network_namespace: a separate loopback, networks, bridges and firewall rules; ports inside cannot be reached
        from outside.  By default ``True`` unless *listen* is true.  Without it, libvirt's changes to the machine's
        network are left behind
    :param cgroups: separate control groups, which containers and processor or memory tuning need; root only
    :param listen: also listen on a free TCP port of 127.0.0.1, without authentication unless *config* requires it:
        while it runs, every local user has the permissions of libvirtd.  For TLS add ``config={"listen_tls": True, …}``
    :param devices: names of additional devices in ``/dev`` inside, e.g. ``"loop-control"``
    :param env: further environment variables of libvirtd, which otherwise has only a few
    :param hostname: the host name inside
    :param session: ``True`` for a session daemon, ``False`` for any other isolation, ``None`` for a session daemon only
        if nothing better is possible
    :param timeout: seconds to wait until it answers
    """

    def __init__(
        self,
        directory: str | os.PathLike[str] | None = None,
        *,
        config: Settings | None = None,
        qemu_config: Settings | None = None,
        network_namespace: bool | None = None,
        cgroups: bool = False,
        listen: bool = False,
        devices: Iterable[str] = (),
        env: Mapping[str, str] | None = None,
        hostname: str | None = None,
        session: bool | None = None,
        timeout: float = 30,
    ) -> None:
        self._wanted_directory = None if directory is None else Path(directory).absolute()
        self._config = dict(config or {})
        self._qemu_config = dict(qemu_config or {})
        self._network_namespace = network_namespace
        self._cgroups = cgroups
        self._listen = listen
        self._devices = tuple(devices)
        self._env = dict(env or {})
        self._hostname = hostname
        self._session = session
        self._timeout = timeout
        self._directory: Path | None = None
        self._isolation: Isolation | None = None
        self._supervisor: Supervisor | None = None
        self._pid: int | None = None
        self._last_log = ""
        self._ports: dict[str, str] = {}
        self._dispose: Callable[[], object] | None = None

    def __enter__(self) -> PrivateDaemon:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = f"pid {self._pid} in {self._directory}" if self._pid is not None else "stopped"
        return f"<PrivateDaemon {state}>"

    # ---- properties ----

    @property
    def directory(self) -> Path:
        """The directory of all files: ``etc run lib log cache``."""
        if self._directory is None:
            raise DaemonError("the private daemon has not been started: call start()")
        return self._directory

    @property
    def isolation(self) -> Isolation:
        """How it is isolated from the machine."""
        if self._isolation is None:
            raise DaemonError("the private daemon has not been started: call start()")
        return self._isolation

    @property
    def pid(self) -> int:
        """The process id of libvirtd, outside its namespace."""
        if self._pid is None:
            raise DaemonError("libvirtd is not running")
        return self._pid

    @property
    def supervisor_pid(self) -> int:
        """The process id whose SIGKILL ends all processes, and leaves the files; for a session use :meth:`stop`."""
        return self._running_supervisor().pid

    @property
    def socket(self) -> Path:
        """The read-write UNIX socket."""
        return self.directory / _SOCKET if self._is_short else self.path(f"/{_SOCKET}")

    def uri(self, driver: str = "test", path: str | None = None, *, transport: str = "unix", **params: str) -> str:
        """Return the URI of one of its drivers.

        :param path: the path of the URI: by default ``default`` for the test driver, else ``system`` or ``session``;
            for the test driver also the absolute path of the XML of a host
        :param transport: ``unix``; or ``tcp`` or ``tls`` if it listens on them
        :param params: further parameters of the query, e.g. ``mode="legacy"``, ``pkipath="/…"``
        """
        if path is None:
            path = "default" if driver == "test" else self._privilege
        if transport == "unix":
            host, params = "", {"socket": str(self.socket), **params}
        else:
            host = f"127.0.0.1:{self._ports[transport]}"
        query = urlencode(params, quote_via=quote, safe="/")
        return f"{driver}+{transport}://{host}/{quote(path.lstrip('/'))}" + (f"?{query}" if query else "")

    @property
    def admin_uri(self) -> str:
        """The URI of its administration interface."""
        return f"libvirtd:///{self._privilege}?socket={quote(str(self.socket.with_name('libvirt-admin-sock')))}"

    @property
    def log(self) -> str:
        """The last 200,000 characters of its log and output, also after it was stopped."""
        if self._directory is None:
            return self._last_log
        texts = []
        for name in ("output", "libvirtd.log"):
            with contextlib.suppress(FileNotFoundError):
                texts.append((self._directory / "log" / name).read_text(errors="replace"))
        return "".join(texts)[-_LOG_TAIL:]

    # ---- starting and stopping ----

    def start(self) -> PrivateDaemon:
        """Start it and wait until it answers.

        :raises TestbedUnavailable: this machine cannot run it; the message names what is missing
        :raises DaemonError: it did not start; the message ends with its log
        """
        if self._supervisor is not None:
            raise DaemonError("the private daemon is running already: call stop() first")
        self._isolation = choose_isolation(self._session)
        if self._isolation is Isolation.SESSION and self._network_namespace:
            raise TestbedUnavailable("a session daemon cannot have a network namespace: leave network_namespace out")
        if self._isolation is not Isolation.ROOT and self._cgroups:
            raise TestbedUnavailable("control groups need root: run as root, or leave cgroups out")
        require(*self._programs())
        with contextlib.ExitStack() as stack:
            if self._wanted_directory is None:
                self._directory = Path(tempfile.mkdtemp(prefix="pyvirt-"))
                stack.callback(_remove, self._directory, self._isolation)
            else:
                self._directory = self._wanted_directory
                # Its socket gives the permissions of libvirtd, so only the owner may access the directory.
                self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._isolation is Isolation.SESSION and not self._is_short:
                raise ValueError(
                    f"directory {self._directory} is too long: the path of a UNIX socket in it must fit in 107 bytes"
                )
            self._fill_directory()
            if self._cgroups:
                groups = ControlGroups(f"pyvirt-{uuid.uuid4().hex[:12]}")
                stack.callback(groups.remove)
                (self._directory / "cgroups").write_text(groups.lines())
            self._supervisor = Supervisor(self._argv(), self._environment(), self._directory / "log/output")
            stack.callback(self._supervisor.stop)
            self._dispose = weakref.finalize(self, _dispose, stack.pop_all(), os.getpid())
        with _lock:
            _running.add(self)
        self._start_libvirtd()
        return self

    def _start_libvirtd(self) -> None:
        supervisor = self._running_supervisor()
        if self._isolation is not Isolation.SESSION and not supervisor.wait_init(self._timeout):
            self.stop()
            raise TestbedUnavailable(f"cannot create namespaces for a private daemon: {self.log.strip()}")
        supervisor.start()
        self._pid = supervisor.wait_ready(self.socket, self._timeout)
        if self._pid is None:
            if supervisor.exit_status is not None:
                reason = f"ended with status {supervisor.exit_status}"
            else:
                reason = f"did not answer within {self._timeout} s" if supervisor.alive else "was not started"
            self.stop()
            raise DaemonError(f"libvirtd {reason}\n{self.log}")

    def stop(self) -> None:
        """Remove all of its processes, mounts and control groups, and its directory unless *directory* was given.

        Calling it again has no effect.
        """
        if self._supervisor is None or self._dispose is None:
            return
        _remember_capabilities(self)
        with _lock:
            _running.discard(self)
        self._last_log = self.log
        self._supervisor = self._pid = None
        self._dispose()
        self._directory = None

    def kill(self) -> None:
        """Kill libvirtd (SIGKILL) and wait until it has ended; its guests continue to run."""
        os.kill(self.pid, signal.SIGKILL)
        self._end_libvirtd()

    def restart(self) -> None:
        """Stop libvirtd with SIGTERM if it is running, and start it again; its guests continue to run."""
        if self._pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGTERM)
                os.kill(self._pid, signal.SIGCONT)
            self._end_libvirtd()
        self._start_libvirtd()

    def _end_libvirtd(self) -> None:
        if not self._running_supervisor().wait_exit(self._timeout):
            raise DaemonError(f"libvirtd did not end within {self._timeout} s")
        self._pid = None

    def pause(self) -> None:
        """Suspend libvirtd (SIGSTOP): connections to it are accepted, but not answered."""
        pause(self.pid)

    def resume(self) -> None:
        """Resume a paused libvirtd (SIGCONT)."""
        os.kill(self.pid, signal.SIGCONT)

    # ---- processes inside ----

    def command(self, *argv: str) -> list[str]:
        """Return the command line that runs *argv* inside, where ``qemu:///system`` is this daemon."""
        if self.isolation is Isolation.SESSION:
            variables = [f"{name}={value}" for name, value in self._session_variables().items()]
            return ["env", *variables, *argv]
        options = ["--mount", "--uts", "--pid"]
        if self._private_network:
            options.append("--net")
        if self._cgroups:
            options.append("--cgroup")
        if self.isolation is Isolation.ROOTLESS:
            options += ["--user", "--preserve-credentials"]
        return ["nsenter", *options, f"--target={self._running_supervisor().init_pid}", "--", *argv]

    def path(self, inside: str | os.PathLike[str]) -> Path:
        """Return the path outside of a file *inside*, such as ``/dev/pts/0`` of a guest."""
        if self.isolation is Isolation.SESSION:
            return Path(inside)
        return Path(f"/proc/{self._running_supervisor().init_pid}/root{Path('/', inside)}")

    def run_inside(
        self, argv: Sequence[str], *, check: bool = True, input: str | None = None, timeout: float | None = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside and return the completed process, with its output as text.

        :raises subprocess.CalledProcessError: it failed, and *check* is true
        """
        return subprocess.run(
            self.command(*argv),
            check=check,
            input=input,
            timeout=timeout,
            capture_output=True,
            text=True,
            env={**os.environ, "PATH": search_path()},
        )

    def processes(self) -> dict[int, list[str]]:
        """Return the command lines of all its processes (libvirtd, QEMU, dnsmasq, …) by process id."""
        found = {}
        for pid in descendants(self._running_supervisor().pid):
            with contextlib.suppress(OSError):
                text = Path(f"/proc/{pid}/cmdline").read_text(errors="surrogateescape")
                found[pid] = text.rstrip("\0").split("\0")
        return found

    def guest_pid(self, name: str) -> int:
        """Return the process id of a running guest's QEMU, or of a container's controller.

        :raises LookupError: no such guest is running
        """
        for pid, argv in self.processes().items():
            if "-name" in argv and f"guest={name}," in argv[argv.index("-name") + 1] + ",":
                return pid
            if "libvirt_lxc" in argv[0] and name in argv:
                return pid
        raise LookupError(f"no guest {name!r} is running")

    # ---- directory, configuration and command line ----

    @property
    def _privilege(self) -> str:
        return "session" if self.isolation is Isolation.SESSION else "system"

    def _running_supervisor(self) -> Supervisor:
        if self._supervisor is None:
            raise DaemonError("the private daemon is not running")
        return self._supervisor

    @property
    def _is_short(self) -> bool:
        """Whether the address of a UNIX socket can hold the longest path of a socket in the directory."""
        return len(os.fsencode(self.directory / "run/libvirt/libvirt-admin-sock")) < 108

    @property
    def _private_network(self) -> bool:
        if self._network_namespace is None:
            return not self._listen and self.isolation is not Isolation.SESSION
        return self._network_namespace

    def _programs(self) -> Iterator[str]:
        yield from ("libvirtd", "tini")
        if self.isolation is not Isolation.SESSION:
            yield from ("unshare", "nsenter", "mount")
        if self._private_network:
            yield "ip"
        if self._hostname is not None:
            yield "hostname"

    def _fill_directory(self) -> None:
        directory = self.directory
        # From an earlier daemon: libvirtd would look for its guests, which have ended, by their process ids.
        shutil.rmtree(directory / "run", ignore_errors=True)
        for name in ("run/libvirt", "run/lock", "lib", "log", "cache", "etc", "dev"):
            (directory / name).mkdir(mode=0o755, parents=True, exist_ok=True)
        session = self._isolation is Isolation.SESSION
        etc = directory / "etc/libvirt" if session else directory / "etc"
        etc.mkdir(exist_ok=True)
        log = directory / "log" if session else Path("/var/log/libvirt")
        config: dict[str, Setting] = {
            "auth_unix_ro": "none",
            "auth_unix_rw": "none",
            "unix_sock_rw_perms": "0700",
            "host_uuid": str(uuid.uuid4()),
            "log_outputs": f"3:file:{log}/libvirtd.log",
            "listen_tls": False,
        }
        if self._listen:
            config |= {"listen_tcp": True, "listen_addr": "127.0.0.1", "auth_tcp": "none"}
            config |= {"tcp_port": str(free_port()), "tls_port": str(free_port())}
        config |= self._config
        self._ports = {kind: str(config[f"{kind}_port"]) for kind in ("tcp", "tls") if config.get(f"listen_{kind}")}
        (etc / "libvirtd.conf").write_text(configuration(config))
        (etc / "qemu.conf").write_text(configuration({**self._qemu_settings(), **self._qemu_config}))
        self._write_capabilities()

    def _qemu_settings(self) -> Settings:
        if self._isolation is Isolation.SESSION:
            return {name: QEMU_SETTINGS[name] for name in ("security_driver", "stdio_handler")}
        if self._cgroups:
            return {name: value for name, value in QEMU_SETTINGS.items() if name != "cgroup_controllers"}
        return QEMU_SETTINGS

    def _argv(self) -> list[str]:
        if self._isolation is Isolation.SESSION:
            return [*require("tini"), "-s", "--", "sh", str(_SCRIPT), "serve"]
        options = ["--mount", "--uts", "--pid", "--fork", "--kill-child=KILL"]
        if self._private_network:
            options.append("--net")
        if self._isolation is Isolation.ROOTLESS:
            options = [*ROOTLESS_OPTIONS, *options]
        return [*require("unshare"), *options, "sh", str(_SCRIPT), "inside", str(self.directory)]

    def _environment(self) -> dict[str, str]:
        env = {
            "PATH": search_path(),
            "HOME": "/var/lib/libvirt",
            "LANG": "C.UTF-8",
            "LIBVIRTD": require("libvirtd")[0],
            "LIBVIRTD_ARGS": "--listen" if self._listen else "",
            "DEVICES": " ".join(self._devices),
            "PRIVATE_NET": "1" if self._private_network else "",
            "PRIVATE_CGROUPS": "1" if self._cgroups else "",
            "PRIVATE_HOSTNAME": self._hostname or "",
        }
        if self._isolation is Isolation.SESSION:
            env |= self._session_variables() | {"NO_NAMESPACE": "1"}
        return env | self._env

    def _session_variables(self) -> dict[str, str]:
        directory = self.directory
        return {
            "HOME": str(directory),
            "XDG_RUNTIME_DIR": str(directory / "run"),
            "XDG_CONFIG_HOME": str(directory / "etc"),
            "XDG_CACHE_HOME": str(directory / "cache"),
            "XDG_DATA_HOME": str(directory / "lib"),
        }

    @property
    def _capabilities(self) -> Path:
        cache = "cache/libvirt" if self._isolation is Isolation.SESSION else "cache"
        return self.directory / cache / "qemu/capabilities"

    def _write_capabilities(self) -> None:
        with _lock:
            daemons = list(_running)
        for daemon in daemons:
            _remember_capabilities(daemon)
        if _probed:
            self._capabilities.mkdir(parents=True, exist_ok=True)
        for name, content in list(_probed.items()):
            (self._capabilities / name).write_bytes(content)


def _remember_capabilities(daemon: PrivateDaemon) -> None:
    # Another thread may stop the daemon at the same time.
    with contextlib.suppress(OSError, DaemonError):
        for path in daemon._capabilities.glob("*.xml"):
            _probed[path.name] = path.read_bytes()


def _dispose(stack: contextlib.ExitStack, owner: int) -> None:
    """Remove everything that :meth:`PrivateDaemon.start` made; also called by the garbage collector and at exit."""
    if os.getpid() == owner:  # not in a forked child, which has a copy of the object
        stack.close()


def _remove(directory: Path, isolation: Isolation) -> None:
    try:
        shutil.rmtree(directory)
    except PermissionError:
        if isolation is not Isolation.ROOTLESS:
            raise
        # Files of other users of the user namespace can only be removed inside such a namespace.
        subprocess.run([*require("unshare"), *ROOTLESS_OPTIONS, "rm", "-rf", str(directory)], check=True)
