# SPDX-License-Identifier: LGPL-2.1-or-later
from __future__ import annotations

import contextlib
import functools
import gc
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import pyvirt
from pyvirt.enums import DomainCreateFlags
from pyvirt.testing import _supervisor, _system
from pyvirt.testing._settings import configuration
from pyvirt.testing.daemon import DaemonError, Isolation, PrivateDaemon, TestbedUnavailable
from pyvirt.testing.guests import container, paused_guest
from pyvirt.testing.hosts import write_host
from pyvirt.testing.pytest_plugin import DaemonFactory, skip_unless_in_ci

AS_ROOT = os.geteuid() == 0
ANSWER_TIME = 30  # seconds; a loaded machine may need them for what usually takes 0.1
NETWORK = "<network><name>private</name><bridge name='virbr-pyvirt'/></network>"


class Processes:
    """Processes to watch until they end, by descriptors that no other process can reuse."""

    def __init__(self, pids: list[int]) -> None:
        self._open = [os.pidfd_open(pid) for pid in pids]

    def __len__(self) -> int:
        return len(self._open)

    def gone(self) -> bool:
        """Wait until all have ended, and return whether they have."""
        return all(select.select([descriptor], [], [], ANSWER_TIME)[0] for descriptor in self._open)

    def close(self) -> None:
        for descriptor in self._open:
            os.close(descriptor)


@contextlib.contextmanager
def watched(daemon: PrivateDaemon) -> Iterator[Processes]:
    processes = Processes([daemon.supervisor_pid, *daemon.processes()])
    try:
        yield processes
    finally:
        processes.close()


def machine() -> dict[str, object]:
    """Return the state of the files that a libvirtd of the machine would change."""
    seen: dict[str, object] = {}
    for root in ("/etc", "/run", "/var/lib", "/var/log", "/var/cache"):
        for directory, _, files in os.walk(root):
            for path in (directory, *(os.path.join(directory, name) for name in files)):
                if root == "/etc" or re.search("libvirt|qemu|dnsmasq|lxc|LCK", path):
                    with contextlib.suppress(OSError):
                        state = os.lstat(path)
                        seen[path] = state.st_mtime_ns, state.st_ctime_ns, state.st_size
    return seen


def domain_names(uri: str) -> list[str]:
    with pyvirt.connect(uri) as conn:
        return sorted(domain.name for domain in conn.domains)


@pytest.fixture
def namespaced(private_daemon_factory: DaemonFactory) -> DaemonFactory:
    """Private daemons that do not belong to the session."""
    return functools.partial(private_daemon_factory, session=False)


def test_a_private_daemon_answers_and_describes_itself(private_daemon: PrivateDaemon) -> None:
    assert domain_names(private_daemon.uri()) == ["test"]
    assert Path(f"/proc/{private_daemon.pid}/comm").read_text() == "libvirtd\n"
    assert (private_daemon.isolation is Isolation.ROOT) == AS_ROOT
    assert private_daemon.directory.stat().st_mode & 0o777 == 0o700
    assert any(argv[0].endswith("libvirtd") for argv in private_daemon.processes().values())


def test_the_daemon_serves_a_generated_host(private_daemon: PrivateDaemon, tmp_path: Path) -> None:
    write_host(tmp_path / "a host.xml", domains=3)
    assert len(domain_names(private_daemon.uri("test", str(tmp_path / "a host.xml")))) == 3


def test_a_stopped_daemon_leaves_no_trace(namespaced: DaemonFactory) -> None:
    before = machine()
    daemon = namespaced(cgroups=AS_ROOT)
    with pyvirt.connect(daemon.uri("qemu")) as conn:
        conn.domains.create(paused_guest("trace"), flags=DomainCreateFlags.PAUSED)
    if AS_ROOT:
        with pyvirt.connect(daemon.uri("lxc")) as conn:
            conn.domains.create(container("trace"))
    daemon.run_inside(["virsh", "-c", "qemu:///system", "net-create", "/dev/stdin"], input=NETWORK)
    directory = daemon.directory
    groups = [Path(*line.split()) for line in (directory / "cgroups").read_text().splitlines()] if AS_ROOT else []
    assert all(group.is_dir() for group in groups)
    assert daemon.guest_pid("trace") in daemon.processes()
    daemon.run_inside(["sh", "-c", "echo the last words >> /var/log/libvirt/libvirtd.log"])
    with watched(daemon) as processes:
        daemon.stop()
        assert processes.gone()
    assert not directory.exists()
    assert not any(group.exists() for group in groups)
    assert str(directory) not in Path("/proc/self/mountinfo").read_text()
    assert "virbr-pyvirt" not in os.listdir("/sys/class/net")
    assert machine() == before
    assert daemon.log.endswith("the last words\n")
    daemon.stop()


def test_killing_the_supervisor_removes_everything(namespaced: DaemonFactory) -> None:
    daemon = namespaced()
    with pyvirt.connect(daemon.uri("qemu")) as conn:
        conn.domains.create(paused_guest("doomed"), flags=DomainCreateFlags.PAUSED)
    directory = daemon.directory
    with watched(daemon) as processes:
        os.kill(daemon.supervisor_pid, signal.SIGKILL)
        assert processes.gone()
    daemon.stop()
    assert not directory.exists()


def test_six_daemons_run_at_the_same_time(private_daemon: PrivateDaemon, namespaced: DaemonFactory) -> None:
    with pyvirt.connect(private_daemon.uri("qemu")) as conn:
        conn.version()  # so that the six daemons need not probe QEMU

    def start(_: int) -> PrivateDaemon:
        daemon = namespaced()
        with pyvirt.connect(daemon.uri("qemu")) as conn:
            conn.domains.create(paused_guest("namesake"), flags=DomainCreateFlags.PAUSED)
        daemon.run_inside(["virsh", "-c", "qemu:///system", "net-create", "/dev/stdin"], input=NETWORK)
        return daemon

    with ThreadPoolExecutor(6) as pool:
        daemons = list(pool.map(start, range(6)))
    assert len({daemon.guest_pid("namesake") for daemon in daemons}) == 6
    daemons[0].stop()
    for daemon in daemons[1:]:
        assert domain_names(daemon.uri("qemu")) == ["namesake"]


def test_later_daemons_reuse_the_cache_of_qemu_capabilities(
    qemu_daemon: PrivateDaemon, namespaced: DaemonFactory
) -> None:
    def written(daemon: PrivateDaemon) -> dict[str, int]:
        found = (daemon.directory / "cache/qemu/capabilities").glob("*.xml")
        return {path.name: path.stat().st_mtime_ns for path in found}

    with pyvirt.connect(qemu_daemon.uri("qemu")) as conn:
        conn.version()
    daemon = namespaced()
    before = written(daemon)
    assert before.keys() == written(qemu_daemon).keys()
    with pyvirt.connect(daemon.uri("qemu")) as conn:
        conn.version()
    assert written(daemon) == before


def test_guests_survive_a_crash_of_the_daemon(namespaced: DaemonFactory) -> None:
    daemon = namespaced()
    with pyvirt.connect(daemon.uri("qemu")) as conn:
        conn.domains.create(paused_guest("survivor"), flags=DomainCreateFlags.PAUSED)
        guest, crashed = daemon.guest_pid("survivor"), daemon.pid
        daemon.kill()
        with pytest.raises(pyvirt.ConnectionLostError):
            len(conn.domains)
    with pytest.raises(pyvirt.Error):
        pyvirt.connect(daemon.uri("qemu"))
    with pytest.raises(DaemonError, match="not running"):
        _ = daemon.pid
    daemon.restart()
    assert daemon.pid != crashed
    assert domain_names(daemon.uri("qemu")) == ["survivor"]
    daemon.restart()
    assert domain_names(daemon.uri("qemu")) == ["survivor"]
    assert daemon.guest_pid("survivor") == guest


def test_a_paused_daemon_accepts_connections_and_does_not_answer(namespaced: DaemonFactory) -> None:
    daemon = namespaced()
    daemon.pause()
    with pytest.raises(pyvirt.OperationTimeoutError):
        pyvirt.connect(daemon.uri(), timeout=0.2)
    daemon.resume()
    assert domain_names(daemon.uri()) == ["test"]
    daemon.pause()
    daemon.restart()
    assert domain_names(daemon.uri()) == ["test"]
    daemon.pause()  # it can be removed at once


def test_a_failed_mount_is_named_in_the_error(namespaced: DaemonFactory) -> None:
    with pytest.raises(DaemonError, match=r"(?s)was not started.*Is a directory"):
        namespaced(devices=["pts"])  # a directory


def test_a_given_directory_is_kept_and_reused(namespaced: DaemonFactory, tmp_path: Path) -> None:
    home = tmp_path / "daemon"
    daemon = namespaced(home)
    with pyvirt.connect(daemon.uri("qemu")) as conn:
        conn.domains.define(paused_guest("kept"))
        conn.domains.create(paused_guest("transient"), flags=DomainCreateFlags.PAUSED)
    daemon.stop()
    assert home.is_dir()
    daemon.start()
    assert domain_names(daemon.uri("qemu")) == ["kept"]


def test_starting_twice_is_refused(namespaced: DaemonFactory) -> None:
    daemon = namespaced()
    with pytest.raises(DaemonError, match="running already"):
        daemon.start()
    assert domain_names(daemon.uri()) == ["test"]


def test_a_listening_daemon_is_reachable_over_tcp(namespaced: DaemonFactory) -> None:
    daemon = namespaced(listen=True)
    uri = daemon.uri("test", transport="tcp")
    assert re.fullmatch(r"test\+tcp://127\.0\.0\.1:\d+/default", uri)
    assert domain_names(uri) == ["test"]


def test_commands_run_inside_the_namespaces_of_the_daemon(namespaced: DaemonFactory) -> None:
    daemon = namespaced(hostname="elsewhere", devices=["loop-control"])
    assert daemon.run_inside(["hostname"]).stdout == "elsewhere\n"
    assert daemon.run_inside(["virsh", "-c", "qemu:///system", "hostname"]).stdout.strip() == "elsewhere"
    assert socket.gethostname() != "elsewhere"
    assert daemon.run_inside(["ls", "/dev/kvm"], check=False).returncode != 0
    links = json.loads(daemon.run_inside(["ip", "-json", "link"]).stdout)
    assert [link["ifname"] for link in links if "UP" in link["flags"]] == ["lo"]
    marker = daemon.path("/etc/libvirt/marker")
    marker.write_text("seen from outside")
    assert (daemon.directory / "etc/marker").read_text() == "seen from outside"
    with pytest.raises(subprocess.CalledProcessError):
        daemon.run_inside(["false"])


def test_the_admin_interface_answers(private_daemon: PrivateDaemon) -> None:
    command = ["virt-admin", "-c", private_daemon.admin_uri, "srv-list"]
    assert "libvirtd" in subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"config": {"listen_tls": True}, "listen": True}, "CA certificate"),  # at once
        ({"qemu_config": {"user": ["not", "a", "user"]}}, "user"),  # as soon as it accepts connections
    ],
)
def test_a_refused_configuration_is_in_the_error(
    namespaced: DaemonFactory,
    options: dict[str, object],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(DaemonError, match=f"(?s)ended with status.*{message}"):
        namespaced(**options)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_with_a_long_path_works(namespaced: DaemonFactory, tmp_path: Path) -> None:
    daemon = namespaced(tmp_path / ("d" * 100))
    assert domain_names(daemon.uri()) == ["test"]


def test_settings_are_written_in_the_syntax_of_libvirt() -> None:
    text = configuration({"a": True, "b": 7, "c": "it's", "d": 'say "x"', "e": ["x", "y"], "f": [], "g": "'\""})
    assert text == 'a = 1\nb = 7\nc = "it\'s"\nd = \'say "x"\'\ne = ["x", "y"]\nf = []\ng = """\'""""\n'
    with pytest.raises(ValueError, match="cannot hold"):
        configuration({"a": '\'"""'})


def test_missing_programs_are_named_with_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_system.PACKAGES, "absent-one", ("debian-one", "fedora-one"))
    monkeypatch.setitem(_system.PACKAGES, "absent-two", ("debian-two", "fedora-two"))
    with pytest.raises(TestbedUnavailable) as caught:
        _system.require("sh", "absent-one", "absent-two")
    assert str(caught.value) == (
        "the testbed needs absent-one, absent-two: "
        "apt install debian-one debian-two (Debian), dnf install fedora-one fedora-two (Fedora)"
    )


def test_a_missing_daemon_fails_in_ci_and_skips_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(TestbedUnavailable, match="tini"), skip_unless_in_ci():
        raise TestbedUnavailable("no tini")
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="no tini"), skip_unless_in_ci():
        raise TestbedUnavailable("no tini")


# Daemons that are not stopped explicitly

START = "import sys\nfrom pyvirt.testing.daemon import PrivateDaemon\ndaemon = PrivateDaemon().start()\n"


def test_the_daemon_ends_when_its_starter_is_killed() -> None:
    script = f"{START}print(daemon.pid, daemon.directory, flush=True)\nsys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout is not None
        pid, directory = starter.stdout.readline().split()
        libvirtd = Processes([int(pid)])
        starter.kill()
        assert libvirtd.gone()
        libvirtd.close()
    subprocess.run(["rm", "-r", directory], check=True)


def test_the_daemon_ends_at_exit_but_not_in_a_forked_child(tmp_path: Path) -> None:
    """A daemon is removed when the interpreter exits, but not when a forked child exits."""
    script = (
        f"{START}import os, gc\n"
        "if os.fork() == 0:\n    del daemon\n    gc.collect()\n    sys.exit()\n"
        "os.wait()\nimport pyvirt\npyvirt.connect(daemon.uri()).close()\nprint(daemon.pid)"
    )
    result = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script],
        env={**os.environ, "TMPDIR": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, "")
    assert not Path(f"/proc/{result.stdout.strip()}").exists()
    assert list(tmp_path.iterdir()) == []


def test_a_garbage_collected_daemon_is_stopped() -> None:
    with skip_unless_in_ci():
        daemon = PrivateDaemon().start()
    directory = daemon.directory
    processes = Processes([daemon.supervisor_pid, *daemon.processes()])
    del daemon
    gc.collect()
    assert processes.gone()
    processes.close()
    assert not directory.exists()


# Ordinary users

AS_USER = """
set -e
user=$1 scratch=$2; shift 2
overlay() {
    count=$((${count:-0} + 1))
    mkdir -p "$scratch/$count/upper" "$scratch/$count/work"
    chmod 755 "$scratch/$count/upper"
    mount -t overlay -o "lowerdir=$1,upperdir=$scratch/$count/upper,workdir=$scratch/$count/work" overlay "$1"
}
mount -t tmpfs tmpfs "$scratch"
overlay /etc
echo "pyvirt-test:x:$user:$user::/nonexistent:/bin/sh" >> /etc/passwd
echo "pyvirt-test:x:$user:" >> /etc/group
echo "pyvirt-test:$((user * 65536)):65536" > /etc/subuid
cp /etc/subuid /etc/subgid
while [ "$1" != -- ]; do overlay "$1"; shift; done
shift
exec setpriv --reuid="$user" --regid="$user" --clear-groups "$@"
"""


@pytest.fixture
def as_user(tmp_path: Path) -> list[str]:
    """The start of a command line that makes an ordinary user of us, if we are root.

    That user is known only in a mount namespace of the command, which also opens root's home directory, where
    there is a Python interpreter in it.
    """
    if not AS_ROOT:
        return []
    closed: dict[Path, None] = {}
    for place in (Path(sys.executable), Path(sys.prefix), Path(sys.base_prefix), Path(pyvirt.__file__)):
        for path in (place, place.resolve()):
            for parent in reversed(path.parents):
                if not parent.stat().st_mode & 0o001:
                    closed[parent] = None
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    opened = [str(path) for path in closed]
    return ["unshare", "--mount", "sh", "-c", AS_USER, "sh", "4242", str(scratch), *opened, "--"]


@pytest.mark.parametrize("isolation", [Isolation.ROOTLESS, Isolation.SESSION])
def test_an_ordinary_user_can_start_a_daemon_with_guests(as_user: list[str], isolation: Isolation) -> None:
    script = f"""if True:
        import os, tempfile
        from pathlib import Path
        import pyvirt
        from pyvirt.enums import DomainCreateFlags, DomainState
        from pyvirt.testing.daemon import PrivateDaemon
        from pyvirt.testing.guests import paused_guest

        tempfile.tempdir = tempfile.mkdtemp()
        with PrivateDaemon(session={isolation is Isolation.SESSION}) as daemon:
            print(daemon.isolation.value)
            with pyvirt.connect(daemon.uri("qemu")) as conn:
                conn.domains.create(paused_guest("mine"), flags=DomainCreateFlags.PAUSED)
                print([(domain.name, domain.state().state.name) for domain in conn.domains])
            print(daemon.run_inside(["virsh", "list", "--name"]).stdout.split())
            print(os.getuid() != 0 and Path(f"/proc/{{daemon.guest_pid('mine')}}").stat().st_uid == os.getuid())
            processes = daemon.processes()
        print([pid for pid in processes if Path(f"/proc/{{pid}}").exists()])
        os.rmdir(tempfile.tempdir)
    """
    result = run_script(as_user, script)
    assert result.stderr == ""
    assert result.stdout.splitlines() == [isolation.value, "[('mine', 'PAUSED')]", "['mine']", "True", "[]"]


def test_an_ordinary_user_without_subordinate_ids_gets_a_session_daemon(as_user: list[str]) -> None:
    script = """if True:
        from pyvirt.testing.daemon import PrivateDaemon
        with PrivateDaemon() as daemon:
            print(daemon.isolation.value)
        PrivateDaemon(session=False).start()
    """
    result = run_script([*as_user, "setpriv", "--no-new-privs"], script)  # newuidmap gains no privileges then
    assert result.stdout == "session\n"
    assert "TestbedUnavailable: no user namespace for a private daemon: " in result.stderr
    assert "uid_map" in result.stderr


def run_script(prefix: list[str], script: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(Path(pyvirt.__file__).parents[1])}
    return subprocess.run(
        [*prefix, sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd="/", env=env
    )


def test_session_is_refused_for_root(private_daemon_factory: DaemonFactory) -> None:
    if AS_ROOT:
        with pytest.raises(TestbedUnavailable, match="root"):
            PrivateDaemon(session=True).start()
    else:
        assert private_daemon_factory(session=True).isolation is Isolation.SESSION


# The command line

MODULE = [sys.executable, "-m", "pyvirt.testing"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*MODULE, *arguments], capture_output=True, text=True, check=False)


def test_the_command_runs_a_program_and_returns_its_exit_status() -> None:
    outcome = run("daemon", "--", "sh", "-c", 'virsh uri; [ "$PYVIRT_TEST_URI" = "$LIBVIRT_DEFAULT_URI" ]; exit 7')
    assert (outcome.returncode, outcome.stderr) == (7, "")
    assert outcome.stdout.startswith("test+unix:///default?socket=/")
    assert run("daemon", "--", "sh", "-c", "kill -9 $$").returncode == 128 + 9
    assert run("daemon", "--", "no-such-command").returncode == 127


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--guests", "2"], ["vm-00001", "vm-00002"]),
        (["--guests", "2", "--listen"], ["vm-00001", "vm-00002"]),
        (["--driver", "qemu", "--guests", "2"], ["guest-1", "guest-2"]),
        (["--driver", "qemu", "--guests", "1", "--paused"], ["guest-1"]),
        pytest.param(
            ["--driver", "lxc", "--guests", "2"],
            ["guest-1", "guest-2"],
            marks=pytest.mark.skipif(not AS_ROOT, reason="containers need root"),
        ),
    ],
)
def test_the_command_starts_the_requested_guests(options: list[str], expected: list[str]) -> None:
    outcome = run("daemon", *options, "--", "virsh", "list", "--name")
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert outcome.stdout.split() == expected


def test_wrong_arguments_of_the_command_are_refused() -> None:
    outcome = run("daemon", "--driver", "network", "--guests", "1", "--", "true")
    assert (outcome.returncode, outcome.stderr) == (
        1,
        "python -m pyvirt.testing: --guests needs the driver test, qemu or lxc, not network\n",
    )
    assert run("daemon").returncode == 2


def test_a_signal_ends_the_command_and_its_daemon(tmp_path: Path) -> None:
    script = "echo $PPID $$; exec sleep infinity"
    with subprocess.Popen(
        [*MODULE, "daemon", "--", "sh", "-c", script], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        parent, child = map(int, process.stdout.readline().split())
        assert parent == process.pid
        processes = Processes([child, *_supervisor.descendants(parent)])
        assert len(processes) > 4
        process.terminate()
        assert processes.gone()
        processes.close()
    assert process.returncode == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []
