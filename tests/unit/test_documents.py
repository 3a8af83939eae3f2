# SPDX-License-Identifier: LGPL-2.1-or-later
"""Documents that the model accepts: text, bytes or elements, the same in all methods."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

import pyvirt
from pyvirt import xmldesc
from pyvirt._core.document import encode_xml, encode_xml_or_null, xml_text
from pyvirt.capabilities import Capabilities, DomainCapabilities
from pyvirt.capabilities.storage import StoragePoolCapabilities
from pyvirt.domain.migration import MigrationParameters
from pyvirt.errors import Error, InvalidArgumentError, XMLError
from pyvirt.storage import StorageVolume
from tests.support.api_facts import SECTIONS
from tests.support.bad_input import NOT_A_DOCUMENT
from tests.support.method_tables import functions_named
from tests.support.processes import output_of
from tests.support.xml import domain_xml
from tests.unit.test_aio_face import MODEL, public

DECLARED = "<?xml version='1.0' encoding='{}'?>{}"

Form = Callable[[str], xmldesc.XML]
FORMS: dict[str, Form] = {"str": str, "bytes": str.encode, "element": xmldesc.parse}


def described_xml(name: str, description: str) -> str:
    return domain_xml(name, elements=f"<description>{description}</description>")


# ---- every method of the model, by its signature ----

# The C functions that take a document, recognised by the names of their arguments.
TAKING = {
    name
    for section in SECTIONS.values()
    for name, facts in section["functions"].items()
    if any("char *" in kind and re.search("(?i)xml|srcSpec", arg) for arg, kind in facts["args"])
}
# These methods make the document themselves.
MAKING = {
    *("Domain.edit", "Network.edit", "NWFilter.edit", "StoragePool.edit"),
    "StorageVolume.clone",
}


class Taker(NamedTuple):
    """A parameter of a method that is a document."""

    cls: str
    method: str
    parameter: str
    several: bool

    def __str__(self) -> str:
        return f"{self.cls}.{self.method}({self.parameter})"


def methods() -> dict[str, Callable[..., object]]:
    return {
        f"{cls.__name__}.{name}": value
        for cls in MODEL.values()
        for name, value in public(cls).items()
        if inspect.isfunction(value)
    }


def takers() -> list[Taker]:
    return [
        Taker(name.partition(".")[0], name.partition(".")[2], one.name, "Iterable" in one.annotation)
        for name, method in methods().items()
        for one in inspect.signature(method).parameters.values()
        if re.search(r"\bXML\b", str(one.annotation))
    ]


TAKERS = takers()

# How the collections and parts of ``test:///default`` are reached.
OWNERS: dict[str, Callable[[pyvirt.Connection], object]] = {
    "Backup": lambda conn: conn.domains["test"].backup,
    "Checkpoints": lambda conn: conn.domains["test"].checkpoints,
    "Devices": lambda conn: conn.domains["test"].devices,
    "Disk": lambda conn: conn.domains["test"].disks["vda"],
    "Domain": lambda conn: conn.domains["test"],
    "Domains": lambda conn: conn.domains,
    "Host": lambda conn: conn.host,
    "Interfaces": lambda conn: conn.interfaces,
    "Metadata": lambda conn: conn.domains["test"].metadata,
    "NWFilterBindings": lambda conn: conn.nwfilter_bindings,
    "NWFilters": lambda conn: conn.nwfilters,
    "Network": lambda conn: conn.networks["default"],
    "NetworkMetadata": lambda conn: conn.networks["default"].metadata,
    "NetworkPorts": lambda conn: conn.networks["default"].ports,
    "Networks": lambda conn: conn.networks,
    "NodeDevice": lambda conn: conn.node_devices["computer"],
    "NodeDevices": lambda conn: conn.node_devices,
    "Secrets": lambda conn: conn.secrets,
    "Snapshots": lambda conn: conn.domains["test"].snapshots,
    "StoragePools": lambda conn: conn.storage_pools,
    "StorageVolumes": lambda conn: conn.storage_pools["default-pool"].volumes,
}
# Their other required arguments.
OTHERS: dict[str, dict[str, object]] = {
    "Backup.begin": {"xml": "<domainbackup/>"},
    "Domain.save": {"path": "/nowhere/at/all"},
    "Domains.restore": {"path": "/nowhere/at/all"},
    "Domains.save_image_define_xml": {"path": "/nowhere/at/all"},
    "Domains.xml_to_native": {"format": "nothing"},
    "Metadata.set": {"uri": "http://example.com/", "key": "k"},
    "Network.update": {"command": 3, "section": 4},
    "NetworkMetadata.set": {"uri": "http://example.com/", "key": "k"},
    "StoragePools.find_sources": {"type": "logical"},
}
# Where further arguments choose the C function.
WAYS: dict[str, list[dict[str, object]]] = {
    "Devices.detach": [{}, {"wait": 5}],
    "Domain.save": [{}, {"params": {"image_format": "raw"}}],
    "Domains.create": [{}, {"files": [0]}],
    "Domains.restore": [{}, {"params": {"image_format": "raw"}}],
    "NWFilters.define": [{}, {"flags": 1}],
    "Networks.create": [{}, {"flags": 1}],
    "Networks.define": [{}, {"flags": 1}],
}


def calls(taker: Taker, conn: pyvirt.Connection) -> list[Callable[[object], object]]:
    """Return calls of a method with a document."""
    name = f"{taker.cls}.{taker.method}"
    method = getattr(OWNERS[taker.cls](conn), taker.method)
    others = dict(OTHERS.get(name, {}))
    if "source" in inspect.signature(method).parameters and taker.parameter != "source":
        others["source"] = volume(conn)

    def call(xml: object, more: dict[str, object]) -> object:
        return method(**{**others, **more, taker.parameter: [xml] if taker.several else xml})

    return [lambda xml, more=more: call(xml, more) for more in WAYS.get(name, [{}])]  # type: ignore[misc]


def volume(conn: pyvirt.Connection) -> StorageVolume:
    volumes = conn.storage_pools["default-pool"].volumes
    return volumes.create("<volume><name>base</name><capacity>1024</capacity></volume>")


def outcome(call: Callable[[object], object], xml: object) -> tuple[object, ...]:
    """Return the outcome of a call: it may fail, as drivers lack functions."""
    try:
        return type(call(xml)), None
    except Error as error:
        return type(error), str(error), error.code, error.function


def test_every_method_that_takes_a_document_is_annotated_with_xml() -> None:
    named = {name: functions_named(method) & TAKING for name, method in methods().items()}
    saying = {f"{one.cls}.{one.method}" for one in TAKERS}

    assert len(TAKING) > 40
    assert {name for name, functions in named.items() if functions} - saying == MAKING
    reached = set().union(*(functions for name, functions in named.items() if name in saying))
    older = {"virDomainCreateLinux", "virDomainDefineXML", "virDomainMigrate2", "virDomainMigrateToURI2"}
    assert TAKING - reached == older


def test_every_parameter_called_xml_is_annotated_with_xml() -> None:
    less = {
        f"{name}({one.name}: {one.annotation})"
        for name, method in methods().items()
        for one in inspect.signature(method).parameters.values()
        if "xml" in one.name and not re.search(r"\bXML\b", str(one.annotation))
    }

    assert less == set()
    assert {key for key, kind in MigrationParameters.__annotations__.items() if "XML" in str(kind)} == {
        key for key in MigrationParameters.__annotations__ if "xml" in key
    }


@pytest.mark.parametrize("taker", TAKERS, ids=str)
def test_the_three_forms_are_the_same(taker: Taker, conn: pyvirt.Connection) -> None:
    text = "<nonsense name='ü'>&lt;</nonsense>"
    for call in calls(taker, conn):
        assert outcome(call, text.encode()) == outcome(call, text)
        assert outcome(call, xmldesc.parse(text)) == outcome(call, text)


@pytest.mark.parametrize("taker", TAKERS, ids=str)
@pytest.mark.parametrize("what", NOT_A_DOCUMENT)
def test_anything_but_a_document_is_refused(taker: Taker, what: str, conn: pyvirt.Connection) -> None:
    cls, message, xml = NOT_A_DOCUMENT[what]
    for call in calls(taker, conn):
        with pytest.raises(cls, match=message) as caught:
            call(xml)
        assert type(caught.value) is cls


@pytest.mark.parametrize("parameter", [key for key in MigrationParameters.__annotations__ if "xml" in key])
def test_migration_parameters_accept_documents_in_every_form(parameter: str, conn: pyvirt.Connection) -> None:
    def call(xml: object) -> object:
        more: dict[str, Any] = {parameter: xml}
        return conn.domains["test"].migration.to(conn, **more)

    text = "<nonsense name='ü'/>"
    assert outcome(call, text.encode()) == outcome(call, text)
    assert outcome(call, xmldesc.parse(text)) == outcome(call, text)
    for cls, message, xml in NOT_A_DOCUMENT.values():
        with pytest.raises(cls, match=message):
            call(xml)


def test_capabilities_are_parsed_from_every_form(conn: pyvirt.Connection) -> None:
    text = conn.host.capabilities().xml
    assert Capabilities.parse(xmldesc.parse(text)).host == Capabilities.parse(text.encode()).host
    for cls, root in (
        (Capabilities, "capabilities"),
        (DomainCapabilities, "domainCapabilities"),
        (StoragePoolCapabilities, "storagepoolCapabilities"),
    ):
        text = f"<{root}><name>ü</name></{root}>"
        latin = DECLARED.format("ISO-8859-1", text).encode("latin-1")
        for xml in (text, text.encode(), latin, xmldesc.parse(text)):
            made = cls.parse(xml)
            assert made.xml == text
            assert made == cls.parse(text)
        with pytest.raises(TypeError, match="expected XML as str, bytes or an lxml element, got int"):
            cls.parse(5)  # type: ignore[arg-type]


def test_validate_refuses_other_types() -> None:
    with pytest.raises(TypeError, match="expected XML as str, bytes or an lxml element, got int"):
        xmldesc.validate(5)  # type: ignore[arg-type]


# ---- the objects in libvirt ----


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> Form:
    return FORMS[request.param]


def test_a_domain_is_defined_from_every_form(form: Form, conn: pyvirt.Connection) -> None:
    domain = conn.domains.define(form(described_xml("Größe", "Grüße, Привет")))
    assert domain.name == "Größe"
    assert domain.metadata.description() == "Grüße, Привет"
    domain.metadata.set("http://example.com/", form("<note text='ü'>&lt;</note>"), key="x")
    note = xmldesc.parse(domain.metadata.get("http://example.com/"))
    assert (note.get("text"), note.text) == ("ü", "<")
    assert conn.domains.create(form(described_xml("transient", "x"))).is_active()


def test_snapshots_and_checkpoints_are_created_from_every_form(form: Form, conn: pyvirt.Connection) -> None:
    domain = conn.domains["test"]
    snapshot = domain.snapshots.create(form("<domainsnapshot><name>ü</name></domainsnapshot>"))
    assert snapshot.name == "ü"
    disk = "<devices><disk type='file'><source file='/a'/><target dev='vda'/></disk></devices>"
    disked = conn.domains.define(domain_xml("disked", elements=disk))
    disked.start()
    assert disked.checkpoints.create(form("<domaincheckpoint><name>c</name></domaincheckpoint>")).name == "c"


def test_networks_and_storage_are_defined_from_every_form(form: Form, conn: pyvirt.Connection) -> None:
    assert conn.networks.define(form("<network><name>ü</name></network>")).name == "ü"
    assert conn.networks.create(form("<network><name>ö</name></network>")).is_active()
    target = "<target><path>/ü</path></target>"
    pool = conn.storage_pools.define(form(f"<pool type='dir'><name>ü</name>{target}</pool>"))
    assert xmldesc.parse(pool.xml_desc()).findtext("target/path") == "/ü"
    pool.start()
    base = pool.volumes.create(form("<volume><name>ü</name><capacity>1024</capacity></volume>"))
    copy = pool.volumes.create_from(form("<volume><name>ä</name><capacity>1024</capacity></volume>"), base)
    assert {base.name, copy.name} == {"ü", "ä"}


def test_elements_from_builders_are_accepted_and_left_unchanged(conn: pyvirt.Connection) -> None:
    root = xmldesc.domain("built", type="test", memory=64 << 20, disks=[xmldesc.disk("vda", file="/a")])
    root.tail = "not of the domain"
    domain = conn.domains.define(root)
    assert domain.info().max_memory == 64 << 20
    assert root.tail == "not of the domain"


def test_an_element_within_a_larger_tree_is_accepted(conn: pyvirt.Connection) -> None:
    domains = xmldesc.parse(
        f"<domains xmlns:n='http://n/'>{described_xml('one', 'ü')}text{described_xml('two', 'ö')}</domains>"
    )
    for root in domains:
        note = etree.SubElement(etree.SubElement(root, "metadata"), "{http://n/}note")
        note.text = "kept"
        assert conn.domains.define(root).metadata.get("http://n/") == "<note>kept</note>"


# ---- encodings ----

WORDS = {
    "UTF-8": "Grüße, Привет",
    "utf8": "Grüße, Привет",
    "UTF-16": "Grüße, Привет",  # which begins with a mark
    "ISO-8859-1": "Grüße",
    "windows-1252": "Grüße für 5 €",
    "KOI8-R": "Привет",
    "Shift_JIS": "Привет, 世界",
    "US-ASCII": "hello",
}


def described(conn: pyvirt.Connection, xml: xmldesc.XML) -> str:
    domain = conn.domains.define(xml)
    try:
        return domain.metadata.description()
    finally:
        domain.undefine()


@pytest.mark.parametrize(
    "declaration", ["<?xml version='1.0' encoding='{}'?>", '<?xml version="1.0"\nencoding = "{}" standalone="yes" ?>\n']
)
@pytest.mark.parametrize("encoding", WORDS)
def test_the_declared_encoding_of_bytes_is_used(encoding: str, declaration: str, conn: pyvirt.Connection) -> None:
    words = WORDS[encoding]
    text = declaration.format(encoding) + described_xml("x", words)

    assert described(conn, text.encode(encoding)) == words
    assert described(conn, text) == words  # the text is decoded already, so its declaration is ignored
    assert described(conn, xmldesc.parse(text.encode(encoding))) == words


@pytest.mark.parametrize("encoding", ["UTF-8", "ISO-8859-1", "UTF-16", "nonsense"])
def test_the_encoding_declared_in_a_text_is_ignored(encoding: str, conn: pyvirt.Connection) -> None:
    text = DECLARED.format(encoding, described_xml("x", "Grüße, Привет"))

    assert described(conn, text) == "Grüße, Привет"
    assert described(conn, "\ufeff" + text) == "Grüße, Привет"
    assert described(conn, ("\ufeff" + text).encode()) == "Grüße, Привет"
    # No line moves: libvirt reports the lines and columns of errors.
    blanked = encode_xml(text).decode()
    assert len(blanked) == len(text)
    assert blanked.partition("?>")[1:] == text.partition("?>")[1:]
    assert blanked.partition("?>")[0].strip() == "<?xml version='1.0'"


@pytest.mark.parametrize(
    "text",
    [
        *("", "<a/>", "<?xml version='1.0'?><a encoding='KOI8-R'/>", " <?xml version='1.0' encoding='KOI8-R'?><a/>"),
        *("<?xml version='1.0' encoding='KOI8-R'", "<!-- <?xml encoding='KOI8-R'?> --><a/>", "<?xml"),
    ],
)
def test_text_without_a_declared_encoding_is_unchanged(text: str) -> None:
    assert xml_text(text) == xml_text(text.encode()) == text


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (DECLARED.format("nonsense", "<a/>").encode(), "unknown encoding: nonsense"),
        (DECLARED.format("hex", "<a/>").encode(), "'hex' is not a text encoding"),
        (b"\xff\xfe<", "utf-16"),
    ],
)
def test_bytes_in_an_unknown_encoding_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(XMLError, match=f"cannot parse the XML document: .*{message}") as caught:
        encode_xml(data)
    assert caught.value.__cause__ is None


def test_bytes_that_contradict_their_encoding_are_refused_by_libvirt(conn: pyvirt.Connection) -> None:
    for data in (described_xml("x", "ü").encode("latin-1"), DECLARED.format("UTF-8", "<a>\xfc</a>").encode("latin-1")):
        with pytest.raises(XMLError, match="not proper UTF-8"):
            conn.domains.define(data)


@given(st.binary())
def test_any_bytes_are_passed_on_or_refused(data: bytes) -> None:
    if b"\0" in data:
        return
    try:
        encoded = encode_xml(data)
    except (XMLError, InvalidArgumentError):
        assert data.startswith((b"\xff\xfe", b"\xfe\xff", b"<?xml"))
    else:
        assert encoded == data or data.startswith((b"\xff\xfe", b"\xfe\xff", b"<?xml"))


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]), max_size=20),
    st.sampled_from(["UTF-8", "UTF-16", "ISO-8859-1", "windows-1251", "KOI8-R", "ISO-8859-15"]),
)
def test_an_encoded_document_has_the_content_of_the_original(words: str, encoding: str) -> None:
    words = words.encode(encoding, "ignore").decode(encoding)
    root = etree.Element("a")
    root.text = words
    data = etree.tostring(root, encoding=encoding, xml_declaration=True)
    assert xmldesc.parse(data).text == (words or None)
    assert xmldesc.parse(encode_xml(data)).text == (words or None)
    assert encode_xml(root) == etree.tostring(root, encoding="unicode").encode()


def test_none_is_passed_as_null() -> None:
    assert not encode_xml_or_null(None)
    assert (
        encode_xml_or_null("<a/>") == encode_xml_or_null(b"<a/>") == encode_xml_or_null(etree.Element("a")) == b"<a/>"
    )


def test_text_and_bytes_do_not_import_lxml() -> None:
    program = """
import sys, pyvirt
with pyvirt.connect("test:///default") as conn:
    text = sys.argv[1]
    for xml in (text, text.encode()):
        conn.domains.define(xml).undefine()
    try:
        conn.domains.define(5)
    except TypeError as error:
        print(error)
    print("lxml.etree" in sys.modules)
"""
    text = DECLARED.format("KOI8-R", described_xml("x", "x"))
    assert output_of(program, text, strict=False) == "expected XML as str, bytes or an lxml element, got int\nFalse\n"
