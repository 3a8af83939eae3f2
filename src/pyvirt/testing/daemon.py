# SPDX-License-Identifier: LGPL-2.1-or-later
"""A disposable libvirtd of your own: nothing of the machine's libvirt is used, changed or left behind.

>>> with PrivateDaemon() as daemon:                     # doctest: +SKIP
...     with pyvirt.connect(daemon.uri("qemu")) as conn:
...         conn.domains.create(paused_guest("first"), flags=DomainCreateFlags.PAUSED)

Everything lives in one directory and in namespaces of its own (mounts, processes, host name, network):
inside, ``/run``, ``/etc/libvirt`` and ``/var/{lib,log,cache}/libvirt`` are subdirectories of it,
``/dev`` has no ``kvm``, and every process dies with :attr:`PrivateDaemon.supervisor_pid`.  An ordinary user
gets the same in a user namespace (``newuidmap`` and a range in ``/etc/subuid``), or else a session
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

# QEMU's capabilities as libvirtd has found them: 0.8 s of probing saved for every daemon but the first.
# libvirtd itself notices when such a file does not fit.
_probed: dict[str, bytes] = {}
_running: weakref.WeakSet[PrivateDaemon] = weakref.WeakSet()
_lock = threading.Lock()


class PrivateDaemon:
    """A private libvirtd; a context manager, also usable with :meth:`start` and :meth:`stop`.

    :param directory: where to keep everything; made if absent, and left behind with what is defined
        persistently. By default a new directory that :meth:`stop` removes
    :param config: settings of ``libvirtd.conf``, over ours (UNIX sockets without authentication, a random
        ``host_uuid``, warnings and errors logged)
    :param qemu_config: settings of ``qemu.conf``, over ours (no confinement, no control groups)
    :param network_namespace: networks, bridges and firewall rules of its own, and a loopback; nobody outside
        reaches a port inside.  By default it has this unless it listens: what libvirt adds to the machine's
        network stays
    :param cgroups: control groups of its own, which containers and processor or memory tuning need; root only
    :param listen: also listen on a free TCP port of 127.0.0.1, without authentication unless *config* says
        otherwise: while it runs, every local user has libvirtd's power.  TLS comes with
        ``config={"listen_tls": True, …}``
    :param devices: names under ``/dev`` to have inside besides the usual ones, e.g. ``"loop-control"``
    :param env: further environment variables of libvirtd, which otherwise gets hardly any
    :param hostname: the host name inside
    :param session: True for a session daemon, False for never, None for one where nothing better is possible
    :param timeout: seconds to wait for it to answer
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

    # What it is

    @property
    def directory(self) -> Path:
        """The directory with everything in it: ``etc run lib log cache``."""
        if self._directory is None:
            raise DaemonError("the private daemon has not been started")
        return self._directory

    @property
    def isolation(self) -> Isolation:
        """How far it is kept apart from the machine."""
        if self._isolation is None:
            raise DaemonError("the private daemon has not been started")
        return self._isolation

    @property
    def pid(self) -> int:
        """The process id of libvirtd, as seen from here."""
        if self._pid is None:
            raise DaemonError("libvirtd is not running")
        return self._pid

    @property
    def supervisor_pid(self) -> int:
        """The process id whose SIGKILL removes everything but the files; in a session, use :meth:`stop`."""
        return self._running_supervisor().pid

    @property
    def socket(self) -> Path:
        """The read-write UNIX socket."""
        return self.directory / _SOCKET if self._is_short else self.path(f"/{_SOCKET}")

    def uri(self, driver: str = "test", path: str | None = None, *, transport: str = "unix", **params: str) -> str:
        """Return the URI of one of its drivers.

        :param path: what follows the host: by default ``default`` for the test driver, else ``system`` or
            ``session``; for the test driver also the absolute path of a host's XML
        :param transport: ``unix``, or ``tcp`` or ``tls`` where it listens
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
        """What it has logged and written so far, or had when it was stopped: the last 200,000 characters."""
        if self._directory is None:
            return self._last_log
        texts = []
        for name in ("output", "libvirtd.log"):
            with contextlib.suppress(FileNotFoundError):
                texts.append((self._directory / "log" / name).read_text(errors="replace"))
        return "".join(texts)[-_LOG_TAIL:]

    # Life

    def start(self) -> PrivateDaemon:
        """Start it and wait until it answers.

        :raises TestbedUnavailable: this machine cannot do it; the message says what is missing
        :raises DaemonError: it did not come up; the message ends with its log
        """
        if self._supervisor is not None:
            raise DaemonError("the private daemon is running already")
        self._isolation = choose_isolation(self._session)
        if self._isolation is Isolation.SESSION and self._network_namespace:
            raise TestbedUnavailable("a session daemon cannot have a network namespace")
        if self._isolation is not Isolation.ROOT and self._cgroups:
            raise TestbedUnavailable("control groups need root")
        require(*self._programs())
        with contextlib.ExitStack() as stack:
            if self._wanted_directory is None:
                self._directory = Path(tempfile.mkdtemp(prefix="pyvirt-"))
                stack.callback(_remove, self._directory, self._isolation)
            else:
                self._directory = self._wanted_directory
                # While it has libvirtd's power, only its owner may reach it.
                self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._isolation is Isolation.SESSION and not self._is_short:
                raise ValueError(f"the path of a UNIX socket in {self._directory} would be too long")
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
            raise TestbedUnavailable(f"no namespaces for a private daemon: {self.log.strip()}")
        supervisor.start()
        self._pid = supervisor.wait_ready(self.socket, self._timeout)
        if self._pid is None:
            if supervisor.exit_status is not None:
                what = f"ended with status {supervisor.exit_status}"
            else:
                what = f"did not answer within {self._timeout} s" if supervisor.alive else "was not started"
            self.stop()
            raise DaemonError(f"libvirtd {what}\n{self.log}")

    def stop(self) -> None:
        """Remove it: every process, mount and control group, and its directory unless that was given.

        Stopping a stopped daemon does nothing.
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
        """Crash libvirtd (SIGKILL) and wait until it is dead; its guests run on."""
        os.kill(self.pid, signal.SIGKILL)
        self._end_libvirtd()

    def restart(self) -> None:
        """Start libvirtd once more among its running guests, after a SIGTERM if it is alive."""
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
        """Stop libvirtd as it is (SIGSTOP): it accepts connections and answers nothing."""
        pause(self.pid)

    def resume(self) -> None:
        """Let a paused libvirtd go on (SIGCONT)."""
        os.kill(self.pid, signal.SIGCONT)

    # What runs inside

    def command(self, *argv: str) -> list[str]:
        """Return the command line that runs *argv* inside: there, ``qemu:///system`` is this daemon."""
        if self.isolation is Isolation.SESSION:
            return ["env", *(f"{name}={value}" for name, value in self._session_variables().items()), *argv]
        options = ["--mount", "--uts", "--pid"]
        if self._private_network:
            options.append("--net")
        if self._cgroups:
            options.append("--cgroup")
        if self.isolation is Isolation.ROOTLESS:
            options += ["--user", "--preserve-credentials"]
        return ["nsenter", *options, f"--target={self._running_supervisor().init_pid}", "--", *argv]

    def path(self, inside: str | os.PathLike[str]) -> Path:
        """Return how a file named *inside*, such as a guest's ``/dev/pts/0``, is reached from here."""
        if self.isolation is Isolation.SESSION:
            return Path(inside)
        return Path(f"/proc/{self._running_supervisor().init_pid}/root{Path('/', inside)}")

    def run_inside(
        self, argv: Sequence[str], *, check: bool = True, input: str | None = None, timeout: float | None = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside and return what became of it, with its output as text.

        :raises subprocess.CalledProcessError: it failed, and *check* is true
        """
        return subprocess.run(
            self.command(*argv), check=check, input=input, timeout=timeout, capture_output=True, text=True,
            env={**os.environ, "PATH": search_path()},
        )  # fmt: skip

    def processes(self) -> dict[int, list[str]]:
        """Return the command lines of all its processes by process id: libvirtd, QEMU, dnsmasq, …"""
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

    # How it is made

    @property
    def _privilege(self) -> str:
        return "session" if self.isolation is Isolation.SESSION else "system"

    def _running_supervisor(self) -> Supervisor:
        if self._supervisor is None:
            raise DaemonError("the private daemon is not running")
        return self._supervisor

    @property
    def _is_short(self) -> bool:
        """Whether the address of a UNIX socket can hold the path of the longest one."""
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
        # Of an earlier daemon: it would take up the guests of dead process ids.
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
        self._take_capabilities()

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
        within = "cache/libvirt" if self._isolation is Isolation.SESSION else "cache"
        return self.directory / within / "qemu/capabilities"

    def _take_capabilities(self) -> None:
        with _lock:
            daemons = list(_running)
        for daemon in daemons:
            _remember_capabilities(daemon)
        if _probed:
            self._capabilities.mkdir(parents=True, exist_ok=True)
        for name, content in list(_probed.items()):
            (self._capabilities / name).write_bytes(content)


def _remember_capabilities(daemon: PrivateDaemon) -> None:
    # The daemon may be stopped by another thread meanwhile.
    with contextlib.suppress(OSError, DaemonError):
        for path in daemon._capabilities.glob("*.xml"):
            _probed[path.name] = path.read_bytes()


def _dispose(stack: contextlib.ExitStack, owner: int) -> None:
    """Remove what :meth:`PrivateDaemon.start` made; also called for a forgotten daemon and at exit."""
    if os.getpid() == owner:  # and not for a forked child's copy
        stack.close()


def _remove(directory: Path, isolation: Isolation) -> None:
    try:
        shutil.rmtree(directory)
    except PermissionError:
        if isolation is not Isolation.ROOTLESS:
            raise
        # Files of the namespace's other users: only inside such a namespace they are ours.
        subprocess.run([*require("unshare"), *ROOTLESS_OPTIONS, "rm", "-rf", str(directory)], check=True)
