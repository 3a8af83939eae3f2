# SPDX-License-Identifier: LGPL-2.1-or-later
"""Worker processes that measure, and the order in which they take turns."""

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

#: the nanoseconds of a call, one value per turn
Times = list[float]


class Unavailable(Exception):
    """Something that the comparison needs is not on this machine."""


def build(source: str, output: str, *options: str) -> Path:
    """Compile one of our C files, unless the result is newer than the file, and return the path of the result."""
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
    """Compile the library that is preloaded and return its path."""
    return build("synthetic.c", "synthetic.so", "-shared", "-fPIC")


def require_bindings(*names: str) -> None:
    """Check that this Python has the modules *names*, by default both bindings, or raise ``Unavailable``."""
    if missing := [name for name in names or ("pyvirt._libvirt", "libvirt") if not is_installed(name)]:
        raise Unavailable(f"{sys.executable} has no {' and no '.join(missing)}: run ci/setup bench")


def enter_checkout(*names: str) -> None:
    """Restart this program in the checkout's ``.venv`` if this Python lacks a module of *names*.

    ``ci/setup`` prepares the ``.venv`` first.
    """
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
    """Return whether this Python finds *module*."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package that contains it does not exist either
        return False


class Worker:
    """A process that measures on command.  A context manager."""

    def __init__(self, command: Sequence[str | Path], environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=environment
        )

    def measure(self, operation: str, calls: int) -> float:
        """Return the nanoseconds of one call, as the mean over *calls* calls."""
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
    """Return the environment variables that give synthetic statistics to *domains* domains."""
    return {"LD_PRELOAD": str(build_synthetic()), "PYVIRT_SYNTHETIC_DOMAINS": str(domains)}


def measure(
    operations: Sequence[Operation], rounds: int, uri: str, environment: Mapping[str, str]
) -> dict[tuple[str, str], Times]:
    """Measure *operations* in C and in each binding on one host, in turn, for *rounds* rounds.

    Each operation of each binding has its own process, because the heap that one operation leaves behind would affect
    the next operation.  *environment* is added to the environment of all of them.  After ROUNDS_PER_PROCESS rounds they
    are replaced by new processes, because the place where the kernel puts the memory of a process also matters.
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
    """Measure *operation* on synthetic hosts of all *sizes*, in turn, and return times by size and binding."""
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
    """Let every worker do its operation in each of *rounds* rounds, and add the results to *times*.

    The first worker changes from round to round.  A turn begins with one call that does not count, because the other
    workers have used the caches since the last turn.
    """
    for number in range(-1, rounds):  # the first round warms up
        for operation, binding, worker in rotated(turns, number):
            worker.measure(operation.name, 1)
            taken = worker.measure(operation.name, operation.calls)
            if number >= 0:
                times.setdefault((operation.name, binding), []).append(taken)


class Memory(NamedTuple):
    """The memory of one tick, in bytes."""

    held: int
    peak: int


def memory_of(binding: str, uri: str, domains: int) -> Memory:
    """Make one tick of synthetic statistics in each of two new processes, and count allocations in the first."""

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
    """Measure the cost of an event: with libvirt's loop in C and in libvirt-python, and with each form in pyvirt."""
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
    # Each form is compared with the same two.
    return {
        (form, binding): times["event", form if binding == PYVIRT else binding]
        for form in ("subscribe", "listen", "chunks")
        for binding in (FLOOR, LIBVIRT_PYTHON, PYVIRT)
    }


def import_times(rounds: int) -> dict[tuple[str, str], Times]:
    """Start Python once for each import, in turn; the lower bound is a Python that imports nothing."""
    statements = {FLOOR: "pass", LIBVIRT_PYTHON: "import libvirt", PYVIRT: "import pyvirt"}
    times: dict[tuple[str, str], Times] = {("import", name): [] for name in statements}
    # pip compiles the modules that it installs, so the modules in src/ must be compiled too.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for number in range(-2, rounds):  # the first rounds write and load the compiled modules
        for name in rotated(list(statements), number):
            start = time.perf_counter_ns()
            subprocess.run([sys.executable, "-c", statements[name]], check=True, close_fds=False, env=environment)
            taken = time.perf_counter_ns() - start
            if number >= 0:
                times["import", name].append(taken)
    return times


def rotated(items: Sequence[Item], number: int) -> Sequence[Item]:
    """Return *items*, rotated so that they begin at position *number*."""
    start = number % len(items)
    return [*items[start:], *items[:start]]
