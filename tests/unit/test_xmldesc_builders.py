# SPDX-License-Identifier: LGPL-2.1-or-later
"""Documents built from keyword arguments: all match libvirt's schemas, and drivers accept them."""

from __future__ import annotations

import contextlib
import doctest
import importlib
import inspect
import pkgutil
import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from lxml import etree

import pyvirt
from pyvirt import xmldesc as x
from pyvirt.errors import InvalidArgumentError
from pyvirt.xmldesc import devices, parse, serialize, storage, validate
from pyvirt.xmldesc._build import copy_element
from pyvirt.xmldesc.nwfilters import PROTOCOLS
from tests.support import ROOT, documents
from tests.support.api_facts import release
from tests.support.processes import output_of

DOCUMENTS = documents.everything()
GIB = 1 << 30


@pytest.mark.parametrize("name", documents.matching(DOCUMENTS))
def test_built_documents_match_the_schema(name: str) -> None:
    validate(DOCUMENTS[name])
    assert serialize(parse(serialize(DOCUMENTS[name]))) == serialize(DOCUMENTS[name])


@pytest.mark.parametrize("name", x.__all__)
def test_every_name_in_all_exists(name: str) -> None:
    value = getattr(x, name)
    assert not inspect.ismodule(value)
    assert name in dir(x)


def test_an_unknown_name_raises_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"module 'pyvirt\.xmldesc' has no attribute 'domains_of'"):
        x.domains_of  # type: ignore[attr-defined]  # noqa: B018


def test_builders_load_when_they_are_used() -> None:
    program = """
import sys
from pyvirt.xmldesc import parse
print(sorted(name for name in sys.modules if name.startswith("pyvirt.xmldesc")))
"""
    assert output_of(program) == "['pyvirt.xmldesc', 'pyvirt.xmldesc._read']\n"


@pytest.mark.parametrize("module", [one.name for one in pkgutil.iter_modules(x.__path__, "pyvirt.xmldesc.")])
def test_examples_in_docstrings_run(module: str) -> None:
    assert doctest.testmod(importlib.import_module(module)).failed == 0


def test_examples_of_the_package_run() -> None:
    results = doctest.testmod(x)
    assert results.attempted
    assert results.failed == 0


def test_examples_in_the_documentation_run() -> None:
    page = ROOT / "docs" / "xml.md"
    blocks = re.findall(r"```pycon\n(.*?)```", page.read_text(), re.DOTALL)
    example = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, page.name, str(page), None)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(example)
    assert runner.tries > 10
    assert runner.failures == 0


# ---- values ----

Values = st.SearchStrategy[Any]

#: Any text, and text that is likely to cause trouble.
ANY_TEXT = st.one_of(st.text(max_size=20), st.text("aZ0_.-/: \n\t\0<&'\"ü\ud800\ufffe", max_size=8))
ANY_NUMBER = st.one_of(st.integers(), st.integers(-2, 2), st.integers(0, 1 << 65))

# Values that are valid by themselves.
TEXT = st.text("abc <&>'\"ü客\n\t", min_size=1, max_size=12)
NAME = st.text("abc0.-_+ ü&<'\"", min_size=1, max_size=10).filter(str.strip)
WORD = st.from_regex(r"[a-zA-Z][a-zA-Z0-9_-]{0,9}", fullmatch=True)
HOSTNAME = st.from_regex(r"[a-z][a-z0-9.-]{0,9}", fullmatch=True)
PATH = st.text("ab/. ü'&<", min_size=1, max_size=10).map("/{}".format)
SMALL = st.integers(1, 9)
BYTES = st.integers(1 << 20, 1 << 40)
HOST = st.one_of(HOSTNAME, st.ip_addresses().map(str))
MAC = st.from_regex(r"52(:[0-9a-f]{2}){5}", fullmatch=True)
UUID = st.uuids() | st.uuids().map(str)
SECRET = UUID | NAME
TARGET = st.sampled_from(["vda", "sdb", "hdc", "fda", "xvda", "vda1"])
CHECKPOINT = st.from_regex(r"[a-zA-Z0-9_-][a-zA-Z0-9_.-]{0,9}", fullmatch=True)


def some(required: dict[str, Values], **optional: Values) -> st.SearchStrategy[dict[str, object]]:
    return st.fixed_dictionaries(required, optional=optional)


def known(version: str, *arguments: str) -> tuple[str, ...]:
    """Return *arguments* if the schemas are new enough for what they make."""
    return arguments if release(version) <= pyvirt.library_version() else ()


NETWORK_FORWARD = st.sampled_from(["nat", "route", "open"])
ARGUMENTS: dict[Callable[..., etree._Element], st.SearchStrategy[dict[str, object]]] = {
    x.domain: some(
        {"name": NAME, "memory": BYTES, "type": st.sampled_from(["kvm", "qemu", "test"])},
        vcpus=st.integers(4, 9),
        arch=st.sampled_from(["x86_64", "aarch64", "s390x"]),
        machine=WORD,
        uuid=UUID,
        title=NAME,
        description=TEXT,
        current_memory=st.integers(1, 1 << 20),
        current_vcpus=st.just(1),
        iothreads=SMALL,
        firmware=st.just("efi"),
        boot=st.lists(st.sampled_from(["hd", "cdrom", "network", "fd"]), max_size=3),
        **dict.fromkeys(known("7.2", "secure_boot"), st.booleans()),
        **dict.fromkeys(("agent", "console", "rng", "tpm", "memballoon"), st.booleans()),
        kernel=PATH,
        emulator=PATH,
        cpu=st.sampled_from(["host-passthrough", "host-model", *known("7.1", "maximum")]) | NAME,
        topology=st.tuples(SMALL, SMALL, SMALL),
        clock=st.sampled_from(["utc", "localtime"]),
    ),
    x.disk: some(
        {"target": TARGET},
        file=PATH,
        device=st.sampled_from(["disk", "cdrom", "floppy", "lun"]),
        format=st.sampled_from(["raw", "qcow2", "vmdk"]),
        bus=st.sampled_from(["virtio", "sata", "scsi", "ide", "usb"]),
        readonly=st.booleans(),
        shareable=st.booleans(),
        cache=st.sampled_from(["none", "writeback"]),
        io=st.sampled_from(["threads", "native", "io_uring"]),
        discard=st.sampled_from(["unmap", "ignore"]),
        detect_zeroes=st.sampled_from(["unmap", "on", "off"]),
        serial=WORD,
        **dict.fromkeys(("iothread", "queues", "boot"), SMALL),
        io_tune=st.dictionaries(st.sampled_from(["read_bytes_sec", "total_iops_sec_max_length"]), SMALL),
        encryption=SECRET,
    ),
    x.interface: some(
        {"network": NAME},
        portgroup=WORD,
        mac=MAC,
        model=WORD,
        target=WORD,
        filter=WORD,
        **dict.fromkeys(("vlan", "queues", "boot"), SMALL),
        **dict.fromkeys(("inbound", "outbound"), st.integers(1000, 1 << 41)),
        mtu=st.integers(68, 65535),
        link=st.booleans(),
    ),
    x.serial: some(
        {"type": st.sampled_from(["file", "unix", "dev", "pipe"]), "path": PATH},
        listen=st.booleans(),
        log=PATH,
        port=st.integers(0, 3),
    ),
    x.graphics: some({}, listen=HOST, port=st.integers(1, 65535), password=TEXT, keymap=WORD),
    x.filesystem: some({"source": PATH, "target": NAME}, readonly=st.booleans(), driver=st.just("virtiofs")),
    x.network: some(
        {"name": NAME, "forward": NETWORK_FORWARD},
        **dict.fromkeys(("forward_device", "bridge"), WORD),
        domain=HOSTNAME,
        dns=st.just(True),
        dns_forwarders=st.lists(st.ip_addresses(), max_size=2),
        dns_hosts=st.dictionaries(st.ip_addresses(), HOSTNAME | st.lists(HOSTNAME, min_size=1, max_size=2), max_size=2),
        dns_txt=st.dictionaries(HOSTNAME, TEXT, max_size=2),
        mtu=st.integers(68, 65535),
        mac=MAC,
        uuid=UUID,
    ),
    x.portgroup: some(
        {"name": WORD},
        default=st.booleans(),
        vlan=st.integers(0, 4095) | st.lists(st.integers(0, 4095), min_size=1, max_size=3),
        inbound=st.integers(1000, 1 << 41),
    ),
    x.pool: some(
        {"name": NAME, "type": st.just("netfs"), "target": PATH, "directory": PATH},
        hosts=st.lists(HOST | st.tuples(HOST, st.integers(1, 65535)), min_size=1, max_size=2),
        format=st.sampled_from(["auto", "nfs"]),
        mode=st.integers(0, 0o777),
        owner=SMALL,
        group=SMALL,
        uuid=UUID,
    ),
    x.volume: some(
        {"name": NAME.filter(lambda name: name.strip() not in (".", "..")), "capacity": BYTES},
        **dict.fromkeys(("allocation", "owner", "group", *known("7.4", "cluster_size")), SMALL),
        mode=st.integers(0, 0o777),
        format=st.sampled_from(["raw", "qcow2", "vmdk"]),
        encryption=SECRET,
    ),
    x.snapshot: some({}, name=NAME, description=TEXT, memory=PATH | st.sampled_from(["no", "internal"])),
    x.snapshot_disk: some({"name": TARGET | PATH}, file=PATH, format=st.sampled_from(["qcow2", "qed"])),
    x.checkpoint: some(
        {}, name=CHECKPOINT, description=TEXT, disks=st.dictionaries(TARGET, st.none() | WORD, min_size=1, max_size=2)
    ),
    x.push_backup: some(
        {},
        disks=st.dictionaries(TARGET, st.none() | PATH, min_size=1, max_size=2),
        format=st.sampled_from(["qcow2", "raw"]),
        incremental=CHECKPOINT,
    ),
    x.pull_backup: some(
        {"tcp": st.tuples(HOST, st.integers(1, 65535))},
        disks=st.dictionaries(TARGET, st.none() | PATH, min_size=1, max_size=2),
        tls=st.booleans(),
        incremental=CHECKPOINT,
    ),
    x.secret: some(
        {"usage": st.sampled_from(["ceph", "iscsi", "tls", "vtpm"]), "id": NAME},
        **dict.fromkeys(("private", "ephemeral"), st.booleans()),
        uuid=UUID,
        description=TEXT,
    ),
    x.nwfilter: some(
        {"name": WORD},
        chain=st.sampled_from(["root", "ipv4", "ipv4-x"]),
        priority=st.integers(-1000, 1000),
        uuid=UUID,
    ),
    x.filterref: some(
        {"filter": WORD}, parameters=st.dictionaries(st.just("IP"), WORD.map(lambda w: w.replace("-", "")))
    ),
}

# Elements that are not documents, and a document that can contain them.
WHOLE: dict[Callable[..., etree._Element], Callable[[etree._Element], etree._Element]] = {
    **dict.fromkeys(
        (x.disk, x.interface, x.serial, x.graphics, x.filesystem),
        lambda part: x.domain("a", memory=GIB, devices=part),
    ),
    x.portgroup: lambda part: x.network("a", portgroups=part),
    x.snapshot_disk: lambda part: x.snapshot(disks=part),
    x.filterref: lambda part: x.nwfilter("a", part),
}


# Values that are valid by themselves may be invalid together.
TOGETHER = re.compile(r"secure boot needs|empty drive cannot|disk \w+ needs exactly one|needs hosts|'lun' cannot use")


def validated(make: Callable[..., etree._Element], part: etree._Element) -> None:
    root = WHOLE[make](part) if make in WHOLE else part
    validate(root)
    validate(serialize(root))


@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("make", ARGUMENTS, ids=lambda make: make.__name__)
@given(data=st.data())
def test_valid_arguments_give_a_valid_document(make: Callable[..., etree._Element], data: st.DataObject) -> None:
    arguments = data.draw(ARGUMENTS[make])
    try:
        part = make(**arguments)
    except InvalidArgumentError as error:  # some are invalid together
        if not TOGETHER.search(str(error)):
            raise
    else:
        validated(make, part)


@settings(max_examples=100, deadline=None)
@pytest.mark.parametrize("make", ARGUMENTS, ids=lambda make: make.__name__)
@given(data=st.data())
def test_arbitrary_arguments_are_refused_or_give_a_valid_document(
    make: Callable[..., etree._Element], data: st.DataObject
) -> None:
    arguments = data.draw(ARGUMENTS[make])
    known = [key for key, value in arguments.items() if type(value) in (str, int)]
    assume(known)
    key = data.draw(st.sampled_from(sorted(known)))
    arguments[key] = data.draw(ANY_TEXT if isinstance(arguments[key], str) else ANY_NUMBER)
    with contextlib.suppress(InvalidArgumentError):
        validated(make, make(**arguments))


# Values of attributes that do not accept a variable.
MATCHES: dict[str, str | int] = {
    "match": "yes",
    "state": "NEW",
    "flags": "SYN/ALL",
    "gratuitous": "true",
    **dict.fromkeys(("type", "typeend", "code", "codeend", "protocol"), 1),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_rule_accepts_exactly_the_matches_of_its_protocol(protocol: str) -> None:
    for attribute in sorted({one for known in PROTOCOLS.values() for one in known}):
        value = MATCHES.get(attribute, "$VARIABLE")
        match: dict[str, Any] = {attribute.replace("-", "_"): value}
        if attribute in ("ipset", "ipsetflags"):
            match = {"ipset": "a", "ipsetflags": "src"}  # the one needs the other
        if attribute in PROTOCOLS[protocol]:
            validate(x.nwfilter("a", x.rule("accept", "in", protocol, **match)))
        else:
            with pytest.raises(InvalidArgumentError, match="the name of a match cannot be"):
                x.rule("accept", "in", protocol, **match)


# Mistakes that a type checker would find.
WRONG: dict[str, Any] = {"memory": 1.5, "disks": ["/a"], "dhcp": ["10.0.0.9"]}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: x.domain("", memory=GIB), "the name of the domain must be a name, not ''"),
        (lambda: x.domain("a\0b", memory=GIB), "must not contain a control character"),
        (lambda: x.domain("a\nb", memory=GIB), "must not contain a control character"),
        (lambda: x.domain("a/b", memory=GIB), "must not contain '/'"),
        (lambda: x.domain("a\ud800", memory=GIB), "a character that XML does not allow"),
        (lambda: x.domain("a", memory=-1), r"memory \(in bytes\) must be from 1 to \d+, not -1"),
        (lambda: x.domain("a", memory=0), "memory"),
        (lambda: x.domain("a", memory=True), "memory .* must be an integer, not True"),
        (lambda: x.domain("a", memory=WRONG["memory"]), "memory .* must be an integer, not 1.5"),
        (lambda: x.domain("a", memory=1, current_memory=2), "current_memory must not exceed memory: 2 > 1"),
        (lambda: x.domain("a", memory=GIB, vcpus=0), "vcpus must be from 1"),
        (lambda: x.domain("a", memory=GIB, vcpus=2, current_vcpus=3), "current_vcpus must be from 1 to 2"),
        (lambda: x.domain("a", memory=GIB, type="quemu"), "did you mean 'qemu'"),
        (lambda: x.domain("a", memory=GIB, uuid="1-2"), "'1-2' is not a valid UUID"),
        (lambda: x.domain("a", memory=GIB, boot="floppy"), "boot cannot be 'floppy'"),
        (lambda: x.domain("a", memory=GIB, boot="hd", disks=x.disk("vda", file="/a", boot=1)), "not both"),
        (lambda: x.domain("a", memory=GIB, disks=[x.disk("vda", file="/a")] * 2), "the same target: vda"),
        (lambda: x.domain("a", memory=GIB, secure_boot=True, firmware="bios"), "needs firmware='efi'"),
        (lambda: x.domain("a", memory=GIB, cmdline="quiet"), "need a kernel"),
        (lambda: x.domain("a", memory=GIB, init="/bin/sh"), "only a container"),
        (lambda: x.domain("a", memory=GIB, type="lxc"), "a container needs init"),
        (lambda: x.domain("a", memory=GIB, type="lxc", init="/a", arguments="-x"), "not a single str"),
        (lambda: x.domain("a", memory=GIB, type="lxc", init="/a", boot="hd"), "a container has no firmware"),
        (lambda: x.domain("a", memory=GIB, disks=WRONG["disks"]), "expected an lxml element, got '/a'"),
        (lambda: x.disk("vda"), r"disk vda needs exactly one of file, block, volume, network, not none"),
        (lambda: x.disk("vda", file="/a", block="/b"), "needs exactly one of"),
        (lambda: x.disk("vda", file="a.img"), "file must be an absolute path on the host, not 'a.img'"),
        (lambda: x.disk("vda", file="/a\0"), "control character"),
        (lambda: x.disk("vda", file="/a", bus="virtoi"), "bus cannot be 'virtoi'; .* did you mean 'virtio'"),
        (lambda: x.disk("a", file="/a"), "target must be a name such as vda"),
        (lambda: x.disk("vda", file="/a", io_tune={"read_byte_sec": 1}), "did you mean 'read_bytes_sec'"),
        (lambda: x.disk("sda", device="cdrom", encryption=uuid.uuid4()), "an empty drive cannot have encryption"),
        (lambda: x.network_source("rbd"), "needs a name"),
        (lambda: x.network_source("rbd", "a", user="u"), "user and secret must be given together"),
        (lambda: x.network_source("nbd", user="u", secret="s"), "need protocol rbd or iscsi, not nbd"),
        (lambda: x.interface(), "exactly one of network, bridge, direct, user, not none"),
        (lambda: x.interface(network="a", bridge="b"), "exactly one of"),
        (lambda: x.interface(user=True, mac="01:00:5e:00:00:01"), "a unicast MAC address"),
        (lambda: x.interface(bridge="br 0"), "bridge must be letters"),
        (lambda: x.interface(bridge="b", portgroup="p"), "portgroup needs network"),
        (lambda: x.interface(user=True, filter_parameters={"IP": "1"}), "needs filter"),
        (lambda: x.serial("file"), "needs a path"),
        (lambda: x.serial("pty", path="/a"), "cannot have a path"),
        (lambda: x.serial("tcp"), "must be given together"),
        (lambda: x.serial("pty", append=True), "append needs type='file'"),
        (lambda: x.graphics(port=70000), "from 1 to 65535"),
        (lambda: x.graphics(port=1, socket="/a"), "either socket or port"),
        (lambda: x.graphics(listen="not a host"), "the name or address of a host"),
        (lambda: x.memballoon("none", stats_period=1), "stats_period needs a balloon"),
        (lambda: x.controller("scsi", model="piix3"), "model of a scsi controller"),
        (lambda: x.network("n", nat_ipv6=True), "need forward"),
        (lambda: x.network("n", forward="route", nat_ipv6=True), "needs forward='nat'"),
        (lambda: x.network("n", forward="bridge"), "needs either bridge or forward_device"),
        (lambda: x.network("n", forward="private", bridge="b"), "needs forward_device"),
        (lambda: x.network("n", forward="bridge", bridge="b", dns=False), "cannot have ips, domain, dns or mac"),
        (lambda: x.network("n", domain_local=True), "needs domain"),
        (lambda: x.network("n", dns=False, dns_txt={"a": "b"}), "disables the DNS server"),
        (lambda: x.network("n", dns_hosts={"10.0.0.1": []}), "needs a name"),
        (lambda: x.network_ip("10.0.0.1"), "must have a prefix length"),
        (lambda: x.network_ip("10.0.0/24"), "must have a prefix length"),
        (lambda: x.network_ip("fe80::1%a/64"), "an address with a scope"),
        (lambda: x.network_ip("10.0.0.1/24", dhcp=("10.0.0.9", "10.0.0.2")), "must not exceed the last"),
        (lambda: x.network_ip("10.0.0.1/24", dhcp=("10.0.0.9", "10.0.1.9")), "10.0.1.9 is not in 10.0.0.0/24"),
        (lambda: x.network_ip("10.0.0.1/24", dhcp=WRONG["dhcp"]), "the first and the last"),
        (lambda: x.network_ip("10.0.0.1/24", hosts=x.dhcp_host("10.0.9.9", name="a")), "is not in"),
        (lambda: x.dhcp_host("10.0.0.1"), "needs mac or name"),
        (lambda: x.portgroup("p", vlan=4096), "vlan must be from 0 to 4095"),
        (lambda: x.portgroup("p", vlan=[]), "at least one tag"),
        (lambda: x.pool("p"), "a pool of type dir needs target"),
        (lambda: x.pool("p", target="/a", hosts=["h"]), "a pool of type dir cannot have hosts"),
        (lambda: x.pool("p", "netfs", target="/a", hosts="h", directory="/b"), "not a single str"),
        (lambda: x.pool("p", "fs", target="/a", devices=["/dev/a", "/dev/b"]), "only one device, not 2"),
        (lambda: x.pool("p", "iscsi", target="/a", hosts=["h"], devices=["/dev/a"]), "name of a target such as iqn"),
        (lambda: x.pool("p", "rbd", hosts=["h"], source="s", user="u"), "must be given together"),
        (lambda: x.pool("p", "gluster", hosts=["h"], source="s", mode=0o700), "and group need target"),
        (lambda: x.volume("v", -1), "capacity .* must be from 0"),
        (lambda: x.volume("..", 1), "must not be '..'"),
        (lambda: x.volume("a/b", 1), "must not contain '/'"),
        (lambda: x.volume("v", 1, backing="/a"), "backing and backing_format must be given together"),
        (lambda: x.snapshot_disk("vda", "internal", file="/a"), "need snapshot='external', not 'internal'"),
        (lambda: x.checkpoint(disks=[]), "at least one disk"),
        (lambda: x.checkpoint(disks="vda"), "not a single str"),
        (lambda: x.checkpoint(".hidden"), "the name of the checkpoint"),
        (lambda: x.pull_backup(), "exactly one of socket, tcp"),
        (lambda: x.secret("ceph"), "must be given together"),
        (lambda: x.secret("tsl", "a"), "did you mean 'tls'"),
        (lambda: x.secret("volume", "a"), "absolute path"),
        (lambda: x.nwfilter("a b"), "the name of the filter"),
        (lambda: x.nwfilter("a", chain="joy"), "chain must be root"),
        (lambda: x.nwfilter("a", priority=1001), "from -1000 to 1000"),
        (lambda: x.rule("accept", "in", "tpc"), "did you mean 'tcp'"),
        (lambda: x.rule("accept", "in", "icmp", dstportstart=1), "cannot be 'dstportstart'; allowed: 'match', "),
        (lambda: x.rule("accept", "in", srcipaddr="10.0.0.1"), "the name of a match cannot be .*; allowed: none"),
        (lambda: x.filterref("a", {"IP": "10.0.0.0/8"}), "parameter IP must be"),
    ],
)  # fmt: skip
def test_invalid_arguments_are_refused(make: Callable[[], etree._Element], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message) as caught:
        make()
    assert isinstance(caught.value, ValueError)


def test_a_bad_password_is_not_in_the_error() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        x.graphics(password="geheim\0")
    assert "geheim" not in str(caught.value)
    assert caught.value.__suppress_context__ or "geheim" not in str(caught.value.__context__)


def test_elements_passed_in_are_copied() -> None:
    disk = x.disk("vda", file="/a")
    source = x.network_source("nbd", "a")
    first = x.domain("a", memory=GIB, disks=disk, metadata=documents.OWN)
    second = x.domain("b", memory=GIB, disks=[disk, x.disk("vdb", network=source, encryption="s")])
    assert disk.getparent() is None
    assert not len(source)
    assert [len(one.findall("devices/disk")) for one in (first, second)] == [1, 2]
    followed = parse("<a><b/>tail</a>")[0]
    assert copy_element(followed).tail is None
    assert followed.tail == "tail"


@pytest.mark.parametrize(
    ("path", "format"), [("/a.qcow2", "qcow2"), ("/a.img", "raw"), ("/a.qcow2.bak", "raw"), ("/qcow2", "raw")]
)
def test_a_disk_always_has_a_format(path: str, format: str) -> None:
    driver = x.disk("vda", file=path).find("driver")
    assert driver is not None
    assert driver.get("type") == format


def test_displays_listen_on_the_loopback() -> None:
    listen = x.graphics().find("listen")
    assert listen is not None
    assert listen.get("address") == "127.0.0.1"


def test_secrets_are_private() -> None:
    assert x.secret().get("private") == "yes"


# ---- on libvirt's test driver ----


@pytest.fixture
def conn() -> Iterator[pyvirt.Connection]:
    with pyvirt.connect("test:///default") as connection:
        yield connection


# The first release whose schema matches what the driver writes for a TPM without a model; 7.0 does not.
_TPM = pytest.mark.libvirt("9.0", "has the default model of TPMs in its schema")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=_TPM if name in ("uefi", "host's tpm") else ())
        for name in documents.domains()
        if name != "container"
    ],
)
def test_the_test_driver_accepts_every_domain(conn: pyvirt.Connection, name: str) -> None:
    root = documents.domains()[name]
    root.set("type", "test")
    domain = conn.domains.define(root)
    assert domain.name == root.findtext("name")
    assert domain.info().max_memory == int(root.findtext("memory") or 0)
    stored = parse(domain.xml_desc())
    validate(stored)
    for kind in ("disk", "interface", "filesystem", "channel", "graphics", "tpm", "rng"):
        assert len(stored.findall(f"devices/{kind}")) == len(root.findall(f"devices/{kind}"))
    assert stored.findtext("description") == root.findtext("description")


def test_every_format_bus_and_cache_of_disks_is_accepted(conn: pyvirt.Connection) -> None:
    disks = [x.disk(f"vd{chr(97 + n)}", file="/a", format=one) for n, one in enumerate(devices._FORMATS)]
    disks += [x.disk(f"xvd{chr(97 + n)}", file="/a", cache=one) for n, one in enumerate(devices._CACHES)]
    for target, bus in (("vdz", "virtio"), ("sda", "sata"), ("sdb", "scsi"), ("hda", "ide"), ("sdc", "usb")):
        disks.append(x.disk(target, file="/a", bus=bus))
    disks.append(x.disk("fda", device="floppy", bus="fdc"))
    root = x.domain("disks", type="test", memory=GIB, disks=disks)
    validate(root)
    stored = parse(conn.domains.define(root).xml_desc())
    kept = {one.get("type") for one in stored.iterfind("devices/disk/driver")}
    assert set(devices._FORMATS) <= kept


def test_every_format_of_volumes_is_accepted(conn: pyvirt.Connection) -> None:
    for one in storage._IMAGE_FORMATS:
        volume = x.volume(f"v-{one}", GIB, format=one)
        validate(volume)
        created = conn.storage_pools["default-pool"].volumes.create(volume)
        found = x.parse(created.xml_desc()).find("target/format")
        assert found is not None
        assert found.get("type") == one


@pytest.mark.parametrize("name", documents.networks())
def test_the_test_driver_accepts_every_network(conn: pyvirt.Connection, name: str) -> None:
    root = documents.networks()[name]
    network = conn.networks.define(root)
    network.start()
    stored = parse(network.xml_desc())
    validate(stored)
    for kind in ("ip", "ip/dhcp/range", "ip/dhcp/host", "portgroup", "dns/host", "forward"):
        assert len(stored.findall(kind)) == len(root.findall(kind))


@pytest.mark.parametrize("name", documents.pools())
def test_the_test_driver_accepts_every_pool(conn: pyvirt.Connection, name: str) -> None:
    root = documents.pools()[name]
    pool = conn.storage_pools.define(root)
    stored = parse(pool.xml_desc())
    validate(stored)
    assert stored.get("type") == root.get("type")


@pytest.mark.parametrize("name", documents.volumes())
def test_the_test_driver_accepts_every_volume(conn: pyvirt.Connection, name: str) -> None:
    volume = conn.storage_pools["default-pool"].volumes.create(documents.volumes()[name])
    assert volume.info().capacity == GIB
    validate(volume.xml_desc())


def test_the_test_driver_accepts_snapshots_and_checkpoints(conn: pyvirt.Connection) -> None:
    domain = conn.domains["test"]
    snapshot = domain.snapshots.create(x.snapshot("first", description="before & after"))
    validate(snapshot.xml_desc())
    assert parse(snapshot.xml_desc()).findtext("description") == "before & after"
    snapshot.delete()
    disked = conn.domains.define(x.domain("disked", type="test", memory=GIB, disks=x.disk("vda", file="/a")))
    disked.start()
    checkpoint = disked.checkpoints.create(x.checkpoint("c", disks=["vda"]))
    validate(checkpoint.xml_desc())
