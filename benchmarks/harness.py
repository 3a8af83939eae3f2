# SPDX-License-Identifier: LGPL-2.1-or-later
"""Processes that measure, and turns in which they do it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from operations import FLOOR, LIBVIRT_PYTHON, PYVIRT, Operation

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BUILD = ROOT / "build" / "benchmarks"
ROUNDS_PER_PROCESS = 10
WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow")

Item = TypeVar("Item")

#: nanoseconds a call took, turn by turn
Times = list[float]


class Unavailable(Exception):
    """Something that the comparison needs is not on this machine."""


def build(source: str, output: str, *options: str) -> Path:
    """Compile one of our C files, unless that was done since it last changed, and return the result's path."""
    made, written = BUILD / output, HERE / source
    if made.exists() and made.stat().st_mtime > written.stat().st_mtime:
        return made
    compiler = shlex.split(os.environ.get("CC", "cc"))
    for tool in (compiler[0], "pkg-config"):
        if not shutil.which(tool):
            raise Unavailable(f"{tool} is needed to compile {source}")
    BUILD.mkdir(parents=True, exist_ok=True)
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "libvirt"], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.split()
    unfinished = made.with_name(f"{output}.{os.getpid()}")
    command = [*compiler, *WARNINGS, "-O2", *options, str(written), "-o", str(unfinished), *flags]
    subprocess.run(command, check=True)
    unfinished.replace(made)
    return made


def build_synthetic() -> Path:
    """Compile what is preloaded and return its path."""
    return build("synthetic.c", "synthetic.so", "-shared", "-fPIC")


def require_bindings(*names: str) -> None:
    """Make sure that this Python has the modules *names*, by default both bindings."""
    if missing := [name for name in names or ("pyvirt._libvirt", "libvirt") if not is_installed(name)]:
        raise Unavailable(f"{sys.executable} has no {' and no '.join(missing)}: run ci/setup bench")


def enter_checkout(*names: str) -> None:
    """Start this program again in the checkout's ``.venv``, set up for it, unless this Python has what it needs."""
    try:
        require_bindings(*names)
    except Unavailable:
        venv = ROOT / ".venv"
        if Path(sys.prefix) == venv:
            raise
        if subprocess.run([ROOT / "ci" / "setup", "bench", "cli", "numpy"], check=False).returncode:
            raise
        python = venv / "bin" / "python"
        os.execv(python, [str(python), *sys.argv])


def is_installed(module: str) -> bool:
    """Whether this Python finds *module*."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # not even the package that it is in
        return False


class Worker:
    """A process that measures when told to.  A context manager."""

    def __init__(self, command: Sequence[str | Path], environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=environment
        )

    def measure(self, operation: str, calls: int) -> float:
        """Return the nanoseconds that one call took, a mean over *calls* of them."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{operation} {calls}\n")
        answer = self._process.stdout.readline()
        if not answer:
            raise Unavailable(f"a worker ended with status {self._process.wait()}")
        return int(answer) / calls

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.communicate()


def synthetic(domains: int) -> dict[str, str]:
    """Return the environment in which so many domains have synthetic statistics."""
    return {"LD_PRELOAD": str(build_synthetic()), "PYVIRT_SYNTHETIC_DOMAINS": str(domains)}


def measure(
    operations: Sequence[Operation], rounds: int, uri: str, environment: Mapping[str, str]
) -> dict[tuple[str, str], Times]:
    """Measure *operations* in C and in each binding on one host, in turn, *rounds* times round.

    Each has a process of its own, all of them in the same addition to our environment: what one operation leaves of
    the heap would tell on the next.  Now and then they are replaced by new ones, because where the kernel happens to
    put a process's memory tells as well.
    """
    times: dict[tuple[str, str], Times] = {}
    for done in range(0, rounds, ROUNDS_PER_PROCESS):
        with contextlib.ExitStack() as stack:
            turns = [
                (operation, binding, stack.enter_context(start(binding, uri, environment)))
                for operation in operations
                for binding in operation.bindings
            ]
            take_turns(turns, min(ROUNDS_PER_PROCESS, rounds - done), times)
    return times


def measure_sizes(operation: Operation, sizes: Sequence[int], rounds: int) -> dict[tuple[int, str], Times]:
    """Measure *operation* on synthetic hosts of all *sizes*, in turn, by size and binding."""
    from pyvirt.testing.hosts import temporary_host

    times: dict[tuple[int, str], Times] = {}
    with contextlib.ExitStack() as stack:
        turns = []
        for domains in sizes:
            uri = stack.enter_context(temporary_host(domains=domains))
            for binding in operation.bindings:
                turns.append((domains, binding, stack.enter_context(start(binding, uri, synthetic(domains)))))
        for number in range(-1, rounds):  # the first round warms up
            for domains, binding, worker in rotated(turns, number):
                worker.measure(operation.name, 1)
                taken = worker.measure(operation.name, max(1, 3000 // domains))
                if number >= 0:
                    times.setdefault((domains, binding), []).append(taken)
    return times


def start(binding: str, uri: str, environment: Mapping[str, str]) -> Worker:
    """Start a process that measures C or a binding."""
    from pyvirt.testing.hosts import domain_name

    program: list[str | Path] = (
        [build("floor.c", "floor")] if binding == FLOOR else [sys.executable, HERE / "worker.py", binding]
    )
    return Worker([*program, uri, domain_name(1)], {**os.environ, **environment})


def take_turns(
    turns: Sequence[tuple[Operation, str, Worker]], rounds: int, times: dict[tuple[str, str], Times]
) -> None:
    """Let every worker do its operation, *rounds* times round, and add to *times*.

    Who comes first changes from round to round.  A turn begins with one call that does not count: the others have had
    the caches meanwhile.
    """
    for number in range(-1, rounds):  # the first round warms up
        for operation, binding, worker in rotated(turns, number):
            worker.measure(operation.name, 1)
            taken = worker.measure(operation.name, operation.calls)
            if number >= 0:
                times.setdefault((operation.name, binding), []).append(taken)


class Memory(NamedTuple):
    """Bytes that a tick takes."""

    held: int
    peak: int


def memory_of(binding: str, uri: str, domains: int) -> Memory:
    """Make one tick of synthetic statistics in a process of its own, twice: allocations are counted in one of them."""

    def tick(**environment: str) -> list[int]:
        command = [sys.executable, str(HERE / "memory.py"), binding, uri]
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            env={**os.environ, **synthetic(domains), **environment},
        )
        return [int(word) for word in done.stdout.split()]

    return Memory(tick(PYTHONMALLOC="malloc")[0], tick()[1])


def event_times(rounds: int, uri: str) -> dict[tuple[str, str], Times]:
    """Measure what an event costs: libvirt's loop in C and in libvirt-python, and the forms that pyvirt has."""
    times: dict[tuple[str, str], Times] = {}
    script = (sys.executable, HERE / "events.py")
    once = Operation("event", 20_000, "", None)
    with contextlib.ExitStack() as stack:

        def worker(*program: str | Path) -> Worker:
            return stack.enter_context(Worker([*program, uri], os.environ))

        turns = [
            (once, FLOOR, worker(build("events.c", "events"))),
            *((once, form, worker(*script, form)) for form in (LIBVIRT_PYTHON, "subscribe", "listen", "chunks")),
        ]
        take_turns(turns, rounds, times)
    # Each form beside the same two.
    return {
        (form, binding): times["event", form if binding == PYVIRT else binding]
        for form in ("subscribe", "listen", "chunks")
        for binding in (FLOOR, LIBVIRT_PYTHON, PYVIRT)
    }


def import_times(rounds: int) -> dict[tuple[str, str], Times]:
    """Start Python once for each import, in turn; the floor is a Python that imports nothing."""
    statements = {FLOOR: "pass", LIBVIRT_PYTHON: "import libvirt", PYVIRT: "import pyvirt"}
    times: dict[tuple[str, str], Times] = {("import", name): [] for name in statements}
    # What pip installs it compiles, so what lies in src/ has to be compiled too.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for number in range(-2, rounds):  # the first rounds write and load what is cached
        for name in rotated(list(statements), number):
            start = time.perf_counter_ns()
            subprocess.run([sys.executable, "-c", statements[name]], check=True, close_fds=False, env=environment)
            taken = time.perf_counter_ns() - start
            if number >= 0:
                times["import", name].append(taken)
    return times


def rotated(items: Sequence[Item], number: int) -> Sequence[Item]:
    """Return *items* beginning at another one for each *number*."""
    start = number % len(items)
    return [*items[start:], *items[:start]]
