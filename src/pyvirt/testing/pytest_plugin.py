# SPDX-License-Identifier: LGPL-2.1-or-later
"""pytest fixtures for programs that use libvirt; they are registered when pyvirt is installed.

- ``libvirt_test_uri``: a small host of libvirt's test driver, in the process, new for every test
- ``libvirt_host``: a function that makes larger hosts; it takes the options of
  :func:`pyvirt.testing.hosts.host_xml`
- ``private_daemon``: one private libvirtd for the whole session
- ``private_daemon_factory``: a function that starts further daemons, which are stopped after the test; it takes the
  arguments of :class:`pyvirt.testing.daemon.PrivateDaemon`
- ``qemu_daemon``: the daemon of the session, if QEMU guests can run in it, see :mod:`pyvirt.testing.guests`
- ``linux_image``: the kernel and initial file system of a small Linux, see :mod:`pyvirt.testing.linux_guest`
- ``linux_guest``: a guest that runs this Linux in the daemon of the session, shared by the tests of a module; its agent
  answers

If a daemon cannot run on this machine, the tests that need it are skipped with the reason.  In continuous integration,
which sets ``CI``, they fail instead, so that no test passes there because it did not run.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, Protocol

import pytest

from pyvirt.testing._system import TestbedUnavailable, require
from pyvirt.testing.daemon import PrivateDaemon
from pyvirt.testing.hosts import HostOptions, write_host

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from pyvirt.domain import Domain
    from pyvirt.testing.linux_guest import LinuxImage


_Parameters = ParamSpec("_Parameters")


class HostFactory(Protocol):
    """The type of ``libvirt_host``: a function that writes a generated host and returns its URI."""

    def __call__(self, **options: Unpack[HostOptions]) -> str: ...


DaemonFactory = Callable[..., PrivateDaemon]
"""The type of ``private_daemon_factory``: a function that starts a private daemon and returns it."""


@contextlib.contextmanager
def skip_unless_in_ci() -> Iterator[None]:
    """Skip the test if the testbed is unavailable, except in continuous integration."""
    try:
        yield
    except TestbedUnavailable as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture
def libvirt_test_uri(tmp_path: Path) -> str:
    """The URI of a host with four domains (two run, one is paused, one is shut off), a network and a pool."""
    return write_host(tmp_path / "libvirt.xml", domains=4, running=0.5, paused=0.25, networks=1, pools=1)


@pytest.fixture
def libvirt_host(tmp_path: Path) -> HostFactory:
    """A function that generates a host and returns its URI."""
    numbers = itertools.count(1)

    def generate(**options: Unpack[HostOptions]) -> str:
        return write_host(tmp_path / f"libvirt-{next(numbers)}.xml", **options)

    return generate


@pytest.fixture(scope="session")
def private_daemon() -> Iterator[PrivateDaemon]:
    """A private libvirtd that the whole session shares: a test must undo its changes."""
    with contextlib.ExitStack() as stack:
        with skip_unless_in_ci():
            daemon = stack.enter_context(PrivateDaemon())
        yield daemon


@pytest.fixture
def private_daemon_factory() -> Iterator[DaemonFactory]:
    """A function that starts a private libvirtd of any kind, which is stopped after the test."""
    with contextlib.ExitStack() as stack:
        yield _starter(PrivateDaemon, stack)


def _starter(
    make: Callable[_Parameters, PrivateDaemon], stack: contextlib.ExitStack
) -> Callable[_Parameters, PrivateDaemon]:
    def start(*args: _Parameters.args, **options: _Parameters.kwargs) -> PrivateDaemon:
        with skip_unless_in_ci():
            return stack.enter_context(make(*args, **options))

    return start


@pytest.fixture(scope="session")
def qemu_daemon(private_daemon: PrivateDaemon) -> PrivateDaemon:
    """The private libvirtd of the session, on a machine that has QEMU."""
    with skip_unless_in_ci():
        require("qemu-system-x86_64")
    return private_daemon


@pytest.fixture(scope="session")
def linux_image(qemu_daemon: PrivateDaemon) -> LinuxImage:
    """The kernel and the initial file system of a small Linux, made once and kept in the cache of the user."""
    from pyvirt.testing.linux_guest import linux_image

    with skip_unless_in_ci():
        return linux_image()


@pytest.fixture(scope="module")
def linux_guest(qemu_daemon: PrivateDaemon, linux_image: LinuxImage) -> Iterator[Domain]:
    """A small Linux with a network interface, whose agent answers: a test must undo its changes."""
    import pyvirt
    from pyvirt.testing.guests import Nic
    from pyvirt.testing.linux_guest import start_linux_guest

    with pyvirt.connect(qemu_daemon.uri("qemu")) as conn:
        domain = start_linux_guest(conn, linux_image, nics=[Nic()])
        yield domain
        with contextlib.suppress(pyvirt.DomainNotFoundError):
            domain.destroy()
