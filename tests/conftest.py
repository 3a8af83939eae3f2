# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fixtures for all tests.  The environment ignores the developer's own settings of libvirt."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

_PLUGIN = "pyvirt.testing.pytest_plugin"
_MARKS = "tests.support.plugin"

pytest.register_assert_rewrite("tests.support")

# libvirt reads LIBVIRT_DEFAULT_URI, LIBVIRT_AUTH_FILE, LIBVIRT_DEBUG and others when it is first used.
for _name in [name for name in os.environ if name.startswith("LIBVIRT_")]:
    del os.environ[_name]

# A script that runs the tests in the background ignores SIGINT, and the processes of the tests would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    # An installed pyvirt registers it by its entry point; a source tree does not.
    names = {getattr(plugin, "__name__", None) for plugin in config.pluginmanager.get_plugins()}
    if _PLUGIN not in names:
        config.pluginmanager.import_plugin(_PLUGIN)
    config.pluginmanager.import_plugin(_MARKS)


@pytest.fixture(scope="session", autouse=True)
def _no_configuration_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hide the developer's URI aliases and credentials."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_daemon_left() -> Iterator[None]:
    yield
    from pyvirt.testing.daemon import _running

    assert list(_running) == []


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The event loops on which the tests marked with ``anyio`` run."""
    backend: str = request.param
    return backend
