# SPDX-License-Identifier: LGPL-2.1-or-later
from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import pyvirt
from pyvirt.enums import ConnectCredentialType, ConnectFlags
from pyvirt.errors import (
    AccessDeniedError,
    AuthenticationError,
    ConnectionFailedError,
    InvalidArgumentError,
    OperationTimeoutError,
    XMLError,
)
from pyvirt.testing.hosts import write_host
from pyvirt.uri import URI
from tests.support.processes import output_of, run

DEFAULT = "test:///default"
ALICE = {"username": "alice", "password": "wonder ü"}


@pytest.fixture
def guarded(tmp_path: Path) -> str:
    """The URI of a host that requires credentials."""
    return write_host(tmp_path / "host.xml", domains=1, credentials={"alice": "wonder ü", "bob": "build"})


# ---- opening ----


def test_a_connection_describes_itself_until_closed() -> None:
    with pyvirt.connect(DEFAULT) as conn:
        assert isinstance(conn, pyvirt.Connection)
        assert conn.uri() == DEFAULT
        assert conn.type() == "TEST"
        assert conn.alive()
        assert not conn.encrypted()
        assert conn.secure()
        assert [domain.name for domain in conn.domains] == ["test"]
        assert not conn.closed
    assert conn.closed


def test_versions_are_tuples() -> None:
    with pyvirt.connect(DEFAULT) as conn:
        assert conn.version() == (0, 0, 2)  # the test driver's own, which never changes
        assert conn.lib_version() == pyvirt.library_version()
    assert (6, 0, 0) <= pyvirt.library_version() < (100, 0, 0)


def test_connect_accepts_a_uri_object(tmp_path: Path) -> None:
    uri = URI.parse(write_host(tmp_path / "a host.xml", domains=3))
    with pyvirt.connect(uri) as conn:
        assert len(conn.domains) == 3
        assert URI.parse(conn.uri()) == uri


def test_without_a_uri_the_default_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIBVIRT_DEFAULT_URI", DEFAULT)
    for conn in (pyvirt.connect(), pyvirt.connect(None), pyvirt.connect("")):
        with conn:
            assert conn.uri() == DEFAULT


def test_connections_to_one_host_file_are_separate_hosts(tmp_path: Path) -> None:
    uri = write_host(tmp_path / "host.xml", domains=2)
    with pyvirt.connect(uri) as one, pyvirt.connect(uri) as other:
        one.domains["vm-00001"].destroy()
        assert not one.domains["vm-00001"].is_active()
        assert other.domains["vm-00001"].is_active()


@pytest.mark.parametrize("options", [{"readonly": True}, {"flags": ConnectFlags.RO}, {"readonly": True, "timeout": 60}])
def test_a_read_only_connection_refuses_changes(options: Any) -> None:
    with pyvirt.connect(DEFAULT, **options) as conn:
        domain = conn.domains["test"]
        assert domain.state().state == pyvirt.DomainState.RUNNING
        with pytest.raises(AccessDeniedError, match="read only") as caught:
            domain.destroy()
        assert caught.value.function == "virDomainDestroyFlags"
        assert isinstance(caught.value, PermissionError)


def test_unknown_flags_are_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="unsupported flags"):
        pyvirt.connect(DEFAULT, flags=ConnectFlags(1 << 20))
    with pytest.raises(OverflowError):
        pyvirt.connect(DEFAULT, flags=ConnectFlags(1 << 40))


@pytest.mark.parametrize(
    ("uri", "cls"),
    [
        ("::::", InvalidArgumentError),
        ("test://[::1", InvalidArgumentError),
        ("qemu+carrier-pigeon:///system", InvalidArgumentError),
        ("no driver at all", InvalidArgumentError),
        ("nodriver", ConnectionFailedError),
        ("x" * 10_000, ConnectionFailedError),
        ("qemu+unix:///system?socket=/nowhere/at/all", ConnectionFailedError),
        ("qemu+tcp://127.0.0.1:1/system", ConnectionFailedError),
        ("qemu+ext:///system?command=/nowhere/at/all", ConnectionFailedError),
        ("test:///", InvalidArgumentError),
        ("test:///etc/hostname", XMLError),
    ],
)
def test_an_invalid_uri_raises_its_own_error(
    uri: str, cls: type[pyvirt.Error], capfd: pytest.CaptureFixture[str]
) -> None:
    every_way: list[dict[str, Any]] = [{}, {"auth": ALICE}, {"timeout": 60}]
    for options in every_way:
        with pytest.raises(cls) as caught:
            pyvirt.connect(uri, **options)
        assert type(caught.value) is cls
        assert caught.value.function == "virConnectOpenAuth"
        assert len(caught.value.message) > 10
    assert capfd.readouterr() == ("", "")


def test_a_missing_host_file_raises(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    host = tmp_path / "host.xml"
    host.write_text("<node><domain file='nothing.xml'/></node>")
    for uri in ("test:///nowhere/nothing.xml", f"test://{host}"):
        # libvirt 9 reports a document that cannot be parsed, libvirt 11 a file that cannot be opened.
        with pytest.raises((XMLError, ConnectionFailedError), match=r"nothing\.xml"):
            pyvirt.connect(uri)
    assert capfd.readouterr() == ("", "")


def test_an_invalid_host_file_raises(tmp_path: Path) -> None:
    host = tmp_path / "host.xml"
    host.write_text("<node><memory>lots</memory></node>")
    with pytest.raises(pyvirt.Error) as caught:
        pyvirt.connect(f"test://{host}")
    assert isinstance(caught.value, XMLError | ConnectionFailedError)


@pytest.mark.parametrize("uri", [b"test:///default", 5, ["test:///default"], Path("/default"), object()], ids=repr)
def test_a_uri_must_be_text(uri: Any) -> None:
    with pytest.raises(TypeError, match=f"str or pyvirt.URI, got {type(uri).__name__}"):
        pyvirt.connect(uri)


@pytest.mark.parametrize("uri", ["test:///default\0", "test:///\ud800"])
def test_a_uri_with_nul_or_surrogates_is_refused(uri: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"NUL|surrogate"):
        pyvirt.connect(uri)


# ---- credentials ----


def test_without_auth_a_guarded_host_refuses(guarded: str) -> None:
    with pytest.raises(pyvirt.Error, match="credentials"):
        pyvirt.connect(guarded)


@pytest.mark.parametrize(
    "auth",
    [
        ALICE,
        {"authname": "alice", "username": "alice", "passphrase": "wonder ü"},
        {"username": "bob", "password": "build", "realm": "unused"},
        lambda credential: {1: "bob", 2: "bob", 5: "build", 7: "build"}[credential.type],
    ],
)
def test_right_credentials_are_accepted(auth: Any, guarded: str) -> None:
    for timeout in (None, 60):
        with pyvirt.connect(guarded, auth=auth, timeout=timeout) as conn:
            assert len(conn.domains) == 1


@pytest.mark.parametrize(
    "auth",
    [
        {"username": "alice", "password": "wonder"},
        {"username": "alice", "password": ""},
        {"username": "nobody", "password": "wonder ü"},
        {"username": "", "password": "wonder ü"},
        {"username": "a" * 10_000, "password": "b" * 10_000},
        {},
        {"username": "alice"},
        lambda credential: "",
        lambda credential: None,
        lambda credential: credential.prompt,
    ],
)
def test_wrong_credentials_raise_authentication_error(
    auth: Any, guarded: str, capfd: pytest.CaptureFixture[str]
) -> None:
    for timeout in (None, 60):
        with pytest.raises(AuthenticationError, match=r"authentication|credentials") as caught:
            pyvirt.connect(guarded, auth=auth, timeout=timeout)
        assert isinstance(caught.value, PermissionError)
        assert caught.value.function == "virConnectOpenAuth"
    assert capfd.readouterr() == ("", "")


def test_the_auth_callable_receives_each_credential(guarded: str) -> None:
    asked = []

    def answer(credential: pyvirt.Credential) -> str | None:
        asked.append(credential)
        return ALICE["username"] if credential.type == ConnectCredentialType.AUTHNAME else ALICE["password"]

    pyvirt.connect(guarded, auth=answer).close()
    assert [credential.type.name for credential in asked] == ["AUTHNAME", "PASSPHRASE"]
    assert all("nter" in credential.prompt for credential in asked)
    assert repr(asked[0]).startswith("<Credential AUTHNAME 'Enter ")
    assert "alice" in asked[1].prompt


class Unpleasant(Exception):
    pass


def test_an_exception_of_the_auth_callable_is_the_cause(guarded: str) -> None:
    def answer(credential: pyvirt.Credential) -> str:
        raise Unpleasant("no")

    for timeout in (None, 60):
        with pytest.raises(AuthenticationError, match="the auth callable raised an exception") as caught:
            pyvirt.connect(guarded, auth=answer, timeout=timeout)
        assert isinstance(caught.value.__cause__, Unpleasant)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_exceptions_that_end_the_program_are_raised_from_auth(stop: type[BaseException], guarded: str) -> None:
    def answer(credential: pyvirt.Credential) -> str:
        raise stop

    for timeout in (None, 60):
        with pytest.raises(stop):
            pyvirt.connect(guarded, auth=answer, timeout=timeout)


@pytest.mark.parametrize(
    ("answer", "cause"),
    [(5, TypeError), (b"alice", TypeError), ("a\0b", InvalidArgumentError), ("\ud800", InvalidArgumentError)],
    ids=repr,
)
def test_an_answer_that_is_not_text_is_refused(answer: Any, cause: type[Exception], guarded: str) -> None:
    for auth in (lambda credential: answer, {"username": answer, "password": answer}):
        with pytest.raises(AuthenticationError, match="the auth callable raised an exception") as caught:
            pyvirt.connect(guarded, auth=auth)
        assert isinstance(caught.value.__cause__, cause)


@pytest.mark.parametrize("auth", [5, b"path", ["alice"], True])
def test_auth_of_another_type_is_refused(auth: Any, guarded: str) -> None:
    for timeout in (None, 60):
        with pytest.raises(TypeError, match="auth must be a mapping, a callable or the path"):
            pyvirt.connect(guarded, auth=auth, timeout=timeout)


def test_the_auth_callable_may_open_a_connection(guarded: str) -> None:
    """The callable may call libvirt, successfully or not, while libvirt waits for its answer."""

    def answer(credential: pyvirt.Credential) -> str:
        with pyvirt.connect(DEFAULT) as conn, pytest.raises(pyvirt.DomainNotFoundError):
            conn.domains["nobody"]
        with pytest.raises(AuthenticationError):
            pyvirt.connect(guarded, auth={})
        return "nonsense"

    with pytest.raises(AuthenticationError, match="authentication"):
        pyvirt.connect(guarded, auth=answer)


AUTH_FILE = """\
[credentials-us]
authname={user}
username={user}
password={password}

[auth-test-localhost]
credentials=us

[auth-test-default]
credentials=us
"""


@pytest.mark.parametrize("kind", [str, Path])
def test_an_auth_file_supplies_credentials(kind: Callable[[Path], Any], guarded: str, tmp_path: Path) -> None:
    path = tmp_path / "auth & more.conf"
    path.write_text(AUTH_FILE.format(user="bob", password="build"))
    for uri in (guarded, URI.parse(guarded)):
        with pyvirt.connect(uri, auth=kind(path)) as conn:
            assert len(conn.domains) == 1
    path.write_text(AUTH_FILE.format(user="bob", password="destroy"))
    with pytest.raises(AuthenticationError):
        pyvirt.connect(guarded, auth=kind(path))


def test_a_missing_auth_file_raises(guarded: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.conf"):
        pyvirt.connect(guarded, auth=tmp_path / "nothing.conf")
    assert capfd.readouterr() == ("", "")


def test_an_auth_file_needs_a_uri_or_a_default_uri(
    guarded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "auth.conf"
    path.write_text(AUTH_FILE.format(user="bob", password="build"))
    with pytest.raises(InvalidArgumentError, match="an auth file needs a URI"):
        pyvirt.connect(auth=path)
    monkeypatch.setenv("LIBVIRT_DEFAULT_URI", guarded)
    with pyvirt.connect(auth=path) as conn:
        assert len(conn.domains) == 1


# ---- a server that accepts and does not answer ----


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[str]:
    path = tmp_path / "silent"
    threads = threading.active_count()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen(16)
        yield f"qemu+unix:///system?socket={path}"
        # Closing the server ends the abandoned attempts and their threads.
    end = time.monotonic() + 30
    while threading.active_count() > threads:
        assert time.monotonic() < end
        for thread in threading.enumerate():
            if thread.name == "pyvirt-connect":
                thread.join(1)


@pytest.mark.parametrize("timeout", [0.3, 0, -1, 0.05])
def test_connecting_times_out(timeout: float, silent: str) -> None:
    begun = time.monotonic()
    with pytest.raises(OperationTimeoutError, match=r"no connection to qemu.unix.* within") as caught:
        pyvirt.connect(silent, timeout=timeout)
    assert max(timeout, 0) <= time.monotonic() - begun < timeout + 10
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.code == 68


@pytest.mark.parametrize("timeout", ["1", b"1", [1]], ids=repr)
def test_a_timeout_must_be_a_number(timeout: Any) -> None:
    with pytest.raises(TypeError):
        pyvirt.connect(DEFAULT, timeout=timeout)


@pytest.mark.parametrize("timeout", [60, 1e300, float("inf"), 2**80])
def test_a_timeout_does_not_disturb_a_fast_connection(timeout: float) -> None:
    with pyvirt.connect(DEFAULT, timeout=timeout) as conn:
        assert conn.alive()


def test_an_abandoned_attempt_is_closed_when_it_succeeds(guarded: str) -> None:
    asked, go_on = threading.Event(), threading.Event()
    opened = []

    def answer(credential: pyvirt.Credential) -> str:
        opened.append(threading.current_thread())
        asked.set()
        go_on.wait()
        return ALICE["username"] if credential.type == ConnectCredentialType.AUTHNAME else ALICE["password"]

    with pytest.raises(OperationTimeoutError):
        pyvirt.connect(guarded, auth=answer, timeout=0.1)
    asked.wait()
    go_on.set()
    opened[0].join()  # a connection left open would warn


def test_ctrl_c_interrupts_connecting(silent: str) -> None:
    assert (
        output_of(
            """
import pyvirt, signal, sys, time
signal.signal(signal.SIGALRM, signal.default_int_handler)
signal.setitimer(signal.ITIMER_REAL, 0.2)
begun = time.monotonic()
try:
    pyvirt.connect(sys.argv[1], timeout=60)
except KeyboardInterrupt:
    print("interrupted" if time.monotonic() - begun < 10 else "late")
""",
            silent,
        )
        == "interrupted\n"
    )


def test_the_interpreter_exits_during_an_attempt_to_connect(silent: str) -> None:
    done = run(
        *("-X", "dev", "-W", "error", "-c"),
        "import pyvirt, sys\ntry: pyvirt.connect(sys.argv[1], timeout=0.1)\nexcept TimeoutError: sys.exit(7)",
        silent,
        timeout=20,
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, "", "")
