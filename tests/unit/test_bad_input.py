# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bad input of any kind: a specific exception, a helpful message, a silent stderr, and no leak."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pyvirt
from pyvirt.errors import (
    ClosedError,
    ConnectionFailedError,
    DomainNotFoundError,
    InvalidArgumentError,
    NotSupportedError,
    XMLError,
)
from pyvirt.testing.hosts import write_host
from tests.support.bad_input import other_root
from tests.support.drivers import unless_lacking
from tests.support.processes import output_of

DEFAULT = "test:///default"
LONG = "n" * 10_000
UNKNOWN = 1 << 30
BYTES: Any = b"test:///default"


class Case(NamedTuple):
    cls: type[Exception]
    message: str
    call: Callable[[Any], object]


# Each call gets a connection: Any, as a type checker would refuse most calls.
CASES = {
    "malformed URI": Case(InvalidArgumentError, "parse URI ::::", lambda conn: pyvirt.connect("::::")),
    "URI without a driver": Case(ConnectionFailedError, "'x'", lambda conn: pyvirt.connect("x")),
    "URI as bytes": Case(TypeError, "str or pyvirt.URI, got bytes", lambda conn: pyvirt.connect(BYTES)),
    "not XML": Case(XMLError, "(?s)Start tag expected.*just text", lambda conn: conn.domains.define("just text")),
    "no XML at all": Case(XMLError, "empty", lambda conn: conn.domains.define("")),
    "XML of something else": Case(
        XMLError, other_root("domain", "network"), lambda conn: conn.domains.create("<network/>")
    ),
    "XML cut off": Case(XMLError, "end of data", lambda conn: conn.domains.define("<domain type='test'>")),
    "XML that lacks a name": Case(XMLError, "name", lambda conn: conn.domains.define("<domain type='test'/>")),
    "XML as a file": Case(
        TypeError, "bytes or an lxml element, got BytesIO", lambda conn: conn.domains.define(BytesIO())
    ),
    "XML as bytes cut off": Case(XMLError, "end of data", lambda conn: conn.domains.define(b"<domain type='test'>")),
    "XML with NUL": Case(InvalidArgumentError, "NUL at byte 8", lambda conn: conn.domains.define("<domain>\0")),
    "unknown name": Case(DomainNotFoundError, "'nobody'", lambda conn: conn.domains["nobody"]),
    "unknown UUID": Case(DomainNotFoundError, "00000000-0000", lambda conn: conn.domains.get(uuid=uuid.UUID(int=0))),
    "unknown id": Case(DomainNotFoundError, "99", lambda conn: conn.domains.get(id=99)),
    "negative id": Case(InvalidArgumentError, "zero or greater", lambda conn: conn.domains.get(id=-1)),
    "huge id": Case(OverflowError, str(1 << 40), lambda conn: conn.domains.get(id=1 << 40)),
    "id as text": Case(TypeError, "integer", lambda conn: conn.domains.get(id="1")),
    "name as bytes": Case(TypeError, "expected str, got bytes", lambda conn: conn.domains[b"test"]),
    "name as number": Case(TypeError, "expected str, got int", lambda conn: conn.domains[0]),
    "name with NUL": Case(InvalidArgumentError, "NUL at byte 4", lambda conn: conn.domains["test\0"]),
    "name with a lone surrogate": Case(InvalidArgumentError, "surrogate", lambda conn: conn.domains["\ud800"]),
    "long name": Case(DomainNotFoundError, "'n{79}", lambda conn: conn.domains[LONG]),
    "empty name": Case(DomainNotFoundError, "''", lambda conn: conn.domains[""]),
    "malformed UUID": Case(InvalidArgumentError, "'nnn", lambda conn: conn.domains.get(uuid=LONG)),
    "short UUID": Case(InvalidArgumentError, "16 bytes, not 3", lambda conn: conn.domains.get(uuid=b"abc")),
    "UUID as number": Case(TypeError, "got int", lambda conn: conn.domains.get(uuid=5)),
    "nothing to look for": Case(TypeError, "exactly one", lambda conn: conn.domains.get()),
    "two things to look for": Case(TypeError, "exactly one", lambda conn: conn.domains.get("test", id=1)),
    "unknown group": Case(
        *unless_lacking("virConnectGetAllDomainStats", NotSupportedError, "0x40000000"),
        lambda conn: conn.domains.stats(UNKNOWN),
    ),
    "huge group": Case(OverflowError, str(1 << 40), lambda conn: conn.domains.stats(1 << 40)),
    "negative group": Case(OverflowError, "negative", lambda conn: conn.domains.stats(-1)),
    "group as text": Case(TypeError, "str", lambda conn: conn.domains.stats("vcpu")),
    "unknown flag": Case(InvalidArgumentError, "0x40000000", lambda conn: conn.domains.list(UNKNOWN)),
    "flag as text": Case(TypeError, "integer", lambda conn: conn.domains.list("active")),
    "stats of names": Case(TypeError, "Domain", lambda conn: conn.domains.stats(domains=["test"])),
    "path as bytes": Case(TypeError, "expected str, got bytes", lambda conn: conn.domains["test"].save(b"/tmp/x")),
    "long path": Case(pyvirt.Error, "too long", lambda conn: conn.domains.restore("/" + LONG)),
    "duration below zero": Case(
        OverflowError, "negative", lambda conn: conn.domains["test"].pm_suspend(0, duration=-1)
    ),
    "no states to wait for": Case(TypeError, "at least one", lambda conn: conn.domains["test"].wait_for()),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_raises_a_clear_error(case: str, conn: pyvirt.Connection, capfd: pytest.CaptureFixture[str]) -> None:
    cls, message, call = CASES[case]
    for _ in range(2):
        with pytest.raises(cls, match=message) as caught:
            call(conn)
        assert type(caught.value) is cls
        str(caught.value).encode()
        assert len(str(caught.value)) < 11_000  # LONG, which libvirt may repeat, and a sentence
    assert conn.domains["test"].state()
    assert capfd.readouterr() == ("", "")


def test_the_in_operator_accepts_any_object(conn: pyvirt.Connection) -> None:
    strange: list[object] = ["nobody", "", LONG, "a\0b", "\ud800", "\udc80", 5, None, b"test", object(), conn]
    assert [thing in conn.domains for thing in strange] == [False] * len(strange)
    assert "test" in conn.domains


def test_a_default_replaces_only_a_missing_object(conn: pyvirt.Connection) -> None:
    assert conn.domains.get("nobody", default=None) is None
    assert conn.domains.get(uuid=bytes(16), default=5) == 5
    assert conn.domains.get(id=99, default=None) is None
    with pytest.raises(InvalidArgumentError):
        conn.domains.get(id=-1, default=None)
    conn.close()
    with pytest.raises(ClosedError):
        conn.domains.get("nobody", default=None)


@settings(max_examples=500, deadline=None)
@given(st.one_of(st.text(), st.text(st.characters(categories=["Cs"])), st.binary(), st.integers(), st.none()))
def test_any_unknown_name_raises_a_clear_error(name: Any) -> None:
    if name == "test":
        return
    with pyvirt.connect(DEFAULT) as conn:
        assert name not in conn.domains
        with pytest.raises((DomainNotFoundError, InvalidArgumentError, TypeError)):
            conn.domains[name]


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("<>/='\"& domain\0\ud800"), max_size=60))  # libvirt 11.3 crashes at two line feeds
def test_any_invalid_text_raises_a_clear_error(xml: str) -> None:
    with pyvirt.connect(DEFAULT) as conn, pytest.raises((XMLError, InvalidArgumentError)):
        conn.domains.define(xml)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_any_invalid_bytes_raise_a_clear_error(xml: bytes) -> None:
    with pyvirt.connect(DEFAULT) as conn, pytest.raises((XMLError, InvalidArgumentError)):
        conn.domains.define(xml.replace(b"\n", b""))


# ---- leaks ----

LEAKS = {
    "malformed URI": "pyvirt.connect('::::')",
    "no driver": "pyvirt.connect('nodriver')",
    "no host": "pyvirt.connect('test:///nowhere.xml')",
    "wrong password": "pyvirt.connect(guarded, auth={'username': 'alice', 'password': 'wrong'})",
    "auth that raises": "pyvirt.connect(guarded, auth=lambda credential: 1 / 0)",
    "not XML": "domains.define('just text')",
    "not a domain": "domains.define('<domain/>')",
    "unknown name": "domains['nobody']",
    "unknown UUID": "domains.get(uuid=bytes(16))",
    "closed connection": "closed.domains['test']",
    "domain of a closed connection": "dead.state()",
    "bytes": "domains[b'test']",
    "no document": "domains.define(5)",
    "bytes in no encoding": "domains.define(b\"<?xml version='1.0' encoding='none'?>\")",
    "element of something else": "domains.define(other)",
    "NUL": r"domains['te\0st']",
    "lone surrogate": r"domains['\ud800']",
    "long name": "domains[long]",
    "negative id": "domains.get(id=-1)",
    "unknown group": "domains.stats(1 << 30)",
    "unknown flag": "domain.xml_desc(flags=1 << 30)",
    "unsupported": "domain.pm_wakeup()",
    "invalid state": "domain.rename('other')",
}

LEAK_PROGRAM = """
import gc, sys, pyvirt.xmldesc
expression, guarded, times = sys.argv[1:]
conn, closed = pyvirt.connect("test:///default"), pyvirt.connect("test:///default")
domains, domain, dead = conn.domains, conn.domains["test"], closed.domains["test"]
closed.close()
long, other = "n" * 10_000, pyvirt.xmldesc.parse("<other/>")
call = eval("lambda: " + expression)

def fail(times):
    for _ in range(times):
        try:
            call()
        except (pyvirt.Error, TypeError):
            continue
        sys.exit("it did not fail")
    gc.collect()
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096

before = fail(3000)
print(fail(int(times)) - before)
conn.close()
"""


@pytest.mark.parametrize("kind", LEAKS)
def test_100_000_failing_calls_leak_no_memory(kind: str, tmp_path: Path) -> None:
    times = 20_000 if "auth" in LEAKS[kind] else 100_000  # each takes 80 µs, and would leak a lot
    guarded = write_host(tmp_path / "host.xml", domains=0, networks=0, pools=0, credentials={"alice": "right"})
    growth = int(output_of(LEAK_PROGRAM, LEAKS[kind], guarded, str(times), strict=False))
    assert growth < 1 << 20, f"{growth / times:.1f} bytes a call"
