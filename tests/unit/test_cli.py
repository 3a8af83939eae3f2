# SPDX-License-Identifier: LGPL-2.1-or-later
"""``python -m pyvirt`` as a shell sees it: output, exit codes, signals."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import pyvirt
from pyvirt.testing.hosts import domain_name, object_uuid, write_host
from tests.support.any_stats import stats
from tests.support.processes import ENVIRONMENT, STRICT, run

DEFAULT = "test:///default"


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """A host of four domains: two are running, one is paused, one is inactive."""
    return write_host(tmp_path / "host.xml", domains=4, running=0.5, paused=0.25)


def cli(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    # 200 columns: no line of a table breaks.
    return run(*STRICT, "-m", "pyvirt", *arguments, env={"COLUMNS": "200", **environment})


def output(*arguments: str, **environment: str) -> str:
    done = cli(*arguments, **environment)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


# ---- output ----


def test_stats_prints_a_table(uri: str) -> None:
    lines = output("stats", uri).splitlines()
    assert re.match(r"domain +state +vCPUs +memory +CPU %", lines[0])
    rows = sorted(re.split(r"  +", line.strip()) for line in lines[1:5])
    assert [row[:2] for row in rows] == [
        [domain_name(1), "running"],
        [domain_name(2), "running"],
        [domain_name(3), "paused"],
        [domain_name(4), "shutoff"],
    ]
    assert [row[4] for row in rows] == ["-"] * 4  # a single tick has no rates
    assert re.fullmatch(r"4 domains, \d+ fields in [\d.]+ ms: [\d,]+ domains/s, [\d,]+ fields/s", lines[5])
    assert len(lines) == 6


def test_a_second_tick_replaces_the_table(uri: str) -> None:
    lines = output("stats", uri, "--interval", "0.2", "--count", "2").splitlines()
    assert len(lines) == 6  # the first tick is only the base of the second


def test_limit_shortens_the_table(uri: str) -> None:
    lines = output("stats", uri, "--limit", "2").splitlines()
    assert len(lines) == 4
    assert "4 domains (2 not shown)" in lines[-1]


def read_json(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def test_json_contains_every_field_of_libvirt(uri: str) -> None:
    (tick,) = read_json(output("stats", uri, "--format", "json"))
    domains = sorted(tick["domains"], key=lambda domain: domain["name"])
    assert [domain["name"] for domain in domains] == [domain_name(number) for number in (1, 2, 3, 4)]
    assert [UUID(domain["uuid"]) for domain in domains] == [object_uuid(domain_name(n)) for n in (1, 2, 3, 4)]
    assert [domain["id"] is None for domain in domains] == [False, False, False, True]
    assert [domain["stats"]["state.state"] for domain in domains] == [1, 1, 3, 5]
    with pyvirt.connect(uri) as conn:
        for domain in domains:
            (expected,) = stats(conn, [conn.domains[domain["name"]]]).to_dicts()
            assert domain["stats"].keys() == expected.keys()
            assert domain["rates"].keys() <= domain["stats"].keys()
    assert tick["seconds"] > 0


def test_json_has_one_line_per_tick(uri: str) -> None:
    ticks = read_json(output("stats", uri, "-f", "json", "-i", "0.1", "-n", "3"))
    assert len(ticks) == 2
    assert ticks[1]["time"] > ticks[0]["time"]


def test_csv_contains_every_field_of_libvirt(uri: str) -> None:
    steady = ("--groups", "state,vcpu")  # other counters of the test driver grow
    rows = list(csv.DictReader(output("stats", uri, "--format", "csv", *steady).splitlines()))
    assert list(rows[0]) == ["time", "domain", "uuid", "field", "value", "rate"]
    (tick,) = read_json(output("stats", uri, "--format", "json", *steady))
    assert sorted((row["domain"], row["field"], row["value"]) for row in rows) == sorted(
        (domain["name"], field, str(value)) for domain in tick["domains"] for field, value in domain["stats"].items()
    )
    assert {row["rate"] for row in rows} == {""}


def test_groups_choose_the_fields(uri: str) -> None:
    (tick,) = read_json(output("stats", uri, "-f", "json", "--groups", "STATE, state"))
    fields = {field.partition(".")[0] for domain in tick["domains"] for field in domain["stats"]}
    assert fields == {"state"}


def test_a_host_without_domains_is_printed_in_every_format(tmp_path: Path) -> None:
    uri = write_host(tmp_path / "host.xml", domains=0)
    assert "0 domains, 0 fields" in output("stats", uri)
    assert read_json(output("stats", uri, "-f", "json"))[0]["domains"] == []
    assert len(output("stats", uri, "-f", "csv").splitlines()) == 1
    assert "0 domains" in output("stats", uri, "-i", "0.05", "-n", "2")


def test_names_of_any_kind_are_printed(tmp_path: Path) -> None:
    host = tmp_path / "host.xml"
    write_host(host, domains=1)
    host.write_text(host.read_text().replace("<name>vm-00001<", '<name>[bold]ü, "x" 東京[red] :smile:<'))
    name = '[bold]ü, "x" 東京[red] :smile:'
    uri = f"test://{host}"
    assert name in output("stats", uri)
    assert read_json(output("stats", uri, "-f", "json"))[0]["domains"][0]["name"] == name
    assert next(csv.DictReader(output("stats", uri, "-f", "csv").splitlines()))["domain"] == name


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_unprintable_characters_are_escaped(form: str, tmp_path: Path) -> None:
    host = tmp_path / "host.xml"
    write_host(host, domains=1)
    host.write_text(host.read_text().replace("<name>vm-00001<", "<name>ü東<"))
    printed = output("stats", f"test://{host}", "-f", form, PYTHONIOENCODING="ascii")
    if form == "json":
        assert read_json(printed)[0]["domains"][0]["name"] == "ü東"
    else:
        assert r"\xfc\u6771" in printed


def test_the_default_uri_comes_from_the_environment(uri: str) -> None:
    assert output("stats", "-f", "csv", LIBVIRT_DEFAULT_URI=uri).count("vm-00004") > 0


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["stats", "--help"], ["stats", "-h"]], ids=" ".join)
def test_help_describes_the_command(arguments: list[str]) -> None:
    text = output(*arguments)
    assert text.startswith("Usage: pyvirt")
    assert "stats" in text
    if arguments[0] == "stats":
        assert all(option in text for option in ("--interval", "--count", "--groups", "--format", "--limit"))
        assert "vcpu" in text


def test_version_prints_the_version() -> None:
    assert output("--version") == f"pyvirt, version {pyvirt.__version__}\n"


# ---- errors ----


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stats", DEFAULT, "--groups", "vcpu,nonsense"], "unknown group 'nonsense'; expected one of "),
        (["stats", DEFAULT, "--groups", ","], "unknown group ''"),
        (["stats", DEFAULT, "--format", "xml"], "'xml' is not one of"),
        (["stats", DEFAULT, "--interval", "0"], "0.0 is not in the range"),
        (["stats", DEFAULT, "--interval", "-1"], "-1.0 is not in the range"),
        (["stats", DEFAULT, "--interval", "nan"], "seconds, got nan"),
        (["stats", DEFAULT, "--interval", "inf"], "seconds, got inf"),
        (["stats", DEFAULT, "--interval", "soon"], "'soon' is not a valid number"),
        (["stats", DEFAULT, "--count", "0"], "0 is not in the range"),
        (["stats", DEFAULT, "--limit", "-1"], "-1 is not in the range"),
        (["stats", DEFAULT, "--nonsense"], "No such option"),
        (["stats", DEFAULT, "another"], "unexpected extra argument"),
        (["nonsense"], "No such command 'nonsense'"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], message: str) -> None:
    done = cli(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.startswith("Usage: pyvirt")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("qemu+unix:///system?socket=/nowhere/at/all", "Failed to connect socket to '/nowhere/at/all'"),
        ("::::", "Unable to parse URI"),
        ("test:///nowhere.xml", "/nowhere.xml"),
        ("nonsense", "no connection driver"),
    ],
)
@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_an_error_of_libvirt_exits_with_1(uri: str, message: str, form: str) -> None:
    done = cli("stats", uri, "--format", form)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(f"pyvirt: .*{re.escape(message)}.*\n", done.stderr)


def test_a_timeout_exits_with_1(tmp_path: Path) -> None:
    path = tmp_path / "silent"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        done = cli("stats", f"qemu+unix:///system?socket={path}", "--timeout", "0.2")
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"pyvirt: no connection to qemu.* within 0\.2 s\n", done.stderr)


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_the_extra_the_error_names_what_to_install(missing: str) -> None:
    done = run(*STRICT, "-c", f"import sys; sys.modules[{missing!r}] = None; from pyvirt.cli import main; main()")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"pyvirt: the command line needs {missing}: pip install 'pyvirt[cli]'\n"


# ---- pipes and signals ----


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_a_reader_that_closes_the_pipe_ends_the_command_silently(form: str, tmp_path: Path) -> None:
    uri = write_host(tmp_path / "host.xml", domains=3000)  # more than a pipe can hold
    with subprocess.Popen(
        [sys.executable, *STRICT, "-m", "pyvirt", "stats", uri, "-f", form],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | ENVIRONMENT,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(10)
        process.stdout.close()
        errors = process.stderr.read()
        assert (process.wait(60), errors) == (0, b"")


def test_a_closed_pipe_ends_the_command_silently(uri: str) -> None:
    read, write = os.pipe()
    os.close(read)
    with open(write, "wb") as pipe:
        done = subprocess.run(
            [sys.executable, *STRICT, "-m", "pyvirt", "stats", uri],
            stdout=pipe,
            stderr=subprocess.PIPE,
            env=os.environ | ENVIRONMENT,
            check=False,
            timeout=60,
        )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_a_closed_stdout_ends_the_command_silently(form: str, uri: str) -> None:
    command = shlex.join([sys.executable, *STRICT, "-m", "pyvirt", "stats", uri, "-f", form])
    done = subprocess.run(
        f"{command} >&-", shell=True, stderr=subprocess.PIPE, env=os.environ | ENVIRONMENT, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_full_disk_exits_with_1(uri: str) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, *STRICT, "-m", "pyvirt", "stats", uri],
            stdout=full,
            stderr=subprocess.PIPE,
            env=os.environ | ENVIRONMENT,
            check=False,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1
    assert re.fullmatch("pyvirt: .*No space left on device.*\n", done.stderr)


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_ctrl_c_exits_with_130(form: str, uri: str) -> None:
    command = [sys.executable, *STRICT, "-m", "pyvirt", "stats", uri, "-i", "0.05", "-f", form]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | ENVIRONMENT, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for _ in range(3):
            assert process.stdout.readline()  # each event at once, though the output is not a terminal
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read().strip() == ""


def test_ticks_are_printed_at_their_interval(uri: str) -> None:
    begun = time.monotonic()
    ticks = read_json(output("stats", uri, "-f", "json", "-i", "0.2", "-n", "6"))
    assert time.monotonic() - begun >= 1.0
    assert len(ticks) == 5


# ---- events ----


def events_command(uri: str, *arguments: str, doing: str) -> list[str]:
    """Return a program that runs ``pyvirt events`` and *doing*: a host of the test driver belongs to one process."""
    program = f"""
import sys, threading, time
import pyvirt, pyvirt.cli
from pyvirt.events import Events
begin = Events.listen
def listen(self, *kinds, **options):
    listener = begin(self, *kinds, **options)
    threading.Thread(target=do, args=(self.connection,), daemon=True).start()
    return listener
def do(conn):
    domains = sorted(conn.domains, key=lambda domain: domain.name)
    {doing}
Events.listen = listen
connect = pyvirt.connect
pyvirt.connect = lambda uri, **options: connect(uri, **{{**options, "readonly": False}})
sys.argv[1:1] = ["events"]
pyvirt.cli.main()
"""
    return [*STRICT, "-c", program, *arguments, uri]


def events_of(uri: str, *arguments: str, doing: str) -> tuple[int, str, str]:
    """Run ``pyvirt events`` to its end; return its exit status, output and errors."""
    done = run(*events_command(uri, *arguments, doing=doing), timeout=60)
    return done.returncode, done.stdout, done.stderr


def test_events_prints_one_line_per_event(uri: str) -> None:
    code, out, err = events_of(uri, "-n", "2", doing="domains[0].suspend(); domains[1].destroy()")
    assert (code, err) == (0, "")
    first, second = out.splitlines()
    assert re.fullmatch(
        rf"\d\d:\d\d:\d\d\.\d{{3}} DomainLifecycle {domain_name(1)} event=SUSPENDED detail=PAUSED", first
    )
    assert second.endswith(f" DomainLifecycle {domain_name(2)} event=STOPPED detail=DESTROYED")


def test_events_prints_json(uri: str) -> None:
    code, out, err = events_of(uri, "--json", "--count", "1", "-d", domain_name(2), doing="""
    for domain in domains[:2]: domain.suspend()""")  # fmt: skip
    assert (code, err) == (0, "")
    (event,) = read_json(out)
    moment = event.pop("time")
    assert abs(time.time() - moment) < 3600
    assert event == {
        "kind": "DomainLifecycle",
        "domain": {"name": domain_name(2), "uuid": str(object_uuid(domain_name(2))), "id": 2},
        "event": "SUSPENDED",
        "detail": "PAUSED",
    }


def test_events_prints_the_requested_kinds_only(uri: str) -> None:
    code, out, err = events_of(uri, "-t", "0.5", "-k", "network,domain-reboot", doing="domains[0].suspend()")
    assert (code, out, err) == (0, "", "")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["-k", "weather"], 2, "unknown kind 'weather'; expected one of all, domain, "),
        (["-k", "QemuMonitorEvent"], 1, "pyvirt: "),
        (["-d", "nobody"], 1, "pyvirt: Domain not found"),
        (["-n", "0"], 2, "0 is not in the range"),
    ],
)
def test_events_of_unknown_kinds_or_domains_are_refused(
    uri: str, arguments: list[str], code: int, message: str
) -> None:
    done = cli("events", uri, *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_ends_events(uri: str) -> None:
    command = [sys.executable, *events_command(uri, "-n", "5", doing="domains[0].suspend()")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | ENVIRONMENT, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "SUSPENDED" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stdout.read() == ""
        assert process.stderr.read().strip() == ""
