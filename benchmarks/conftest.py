# SPDX-License-Identifier: LGPL-2.1-or-later
"""The same comparisons under pytest-benchmark: pytest benchmarks"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest
from harness import Unavailable, require_bindings, synthetic
from operations import LIBVIRT_PYTHON, PYVIRT, Operation, connect

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

Measure: TypeAlias = Callable[[Operation, int], object]

SYNTHETIC_DOMAINS = 2000


def pytest_configure(config: pytest.Config) -> None:
    """Restart with the synthetic statistics preloaded, because plugins have already imported the bindings."""
    try:
        require_bindings()
        environment = synthetic(SYNTHETIC_DOMAINS)
    except Unavailable as error:
        raise pytest.UsageError(str(error)) from None
    if os.environ.get("LD_PRELOAD") == environment["LD_PRELOAD"]:
        return
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is not None:
        capture.stop_global_capturing()
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **environment})


@pytest.fixture(params=[PYVIRT, LIBVIRT_PYTHON])
def binding(request: pytest.FixtureRequest) -> str:
    """Each binding in turn."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], str]:
    """Return a function that generates a host with a number of domains, once per number, and returns its URI."""
    from pyvirt.testing.hosts import host_uri, write_host

    directory: Path = tmp_path_factory.mktemp("hosts")

    def generate(domains: int) -> str:
        path = directory / f"{domains}.xml"
        return host_uri(path) if path.exists() else write_host(path, domains=domains)

    return generate


@pytest.fixture
def measure(benchmark: BenchmarkFixture, binding: str, host: Callable[[int], str]) -> Iterator[Measure]:
    """Return a function that measures an operation of the binding on a host with a number of domains."""
    from pyvirt.testing.hosts import domain_name

    with contextlib.ExitStack() as stack:

        def run(operation: Operation, domains: int) -> object:
            namespace, close = connect(binding, host(domains), domain_name(1))
            stack.callback(close)
            stack.callback(namespace.clear)
            benchmark.group = f"{operation.group}, {domains:,} domains"
            return benchmark(eval(f"lambda: {operation.statement(binding)}", namespace))

        yield run
