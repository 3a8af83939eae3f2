# SPDX-License-Identifier: LGPL-2.1-or-later
"""Documents and libvirt's schemas: what is accepted, and how well an error is described."""

from __future__ import annotations

import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

import pyvirt
from pyvirt import xmldesc
from pyvirt.enums import ErrorNumber
from pyvirt.errors import NotSupportedError, XMLError
from pyvirt.xmldesc import InvalidXMLError, Problem, SchemasMissingError, parse, schema_directory, schemas, validate
from pyvirt.xmldesc._explain import explain
from tests.support.documents import everything, matching

DOCUMENTS = everything()

DOMAIN = """\
<domain type='qemu'>
  <name>web</name>
  <memory unit='MiB'>512</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='/images/web.qcow2'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <disk type='file' device='cdrom'>
      <target dev='sda' bus='sata'/>
    </disk>
    <interface type='network'>
      <source network='default'/>
    </interface>
  </devices>
</domain>
"""
NETWORK = "<network>\n <name>n</name>\n <forward mode='nat'/>\n <ip address='10.0.0.1' prefix='24'/>\n</network>"
POOL = "<pool type='dir'>\n <name>p</name>\n <target>\n <path>/images</path>\n </target>\n</pool>"


def problems_of(xml: str | bytes | etree._Element) -> tuple[Problem, ...]:
    with pytest.raises(InvalidXMLError) as caught:
        validate(xml)
    return caught.value.problems


def test_valid_documents_pass_in_every_form() -> None:
    for document in (DOMAIN, NETWORK, POOL):
        validate(document)
        validate(document.encode())
        validate(parse(document))


def test_documents_of_libvirt_are_valid() -> None:
    with pyvirt.connect("test:///default") as conn:
        validate(conn.domains["test"].xml_desc())
        validate(conn.networks["default"].xml_desc())
        validate(conn.storage_pools["default-pool"].xml_desc())
        validate(conn.node_devices["computer"].xml_desc())


@pytest.mark.libvirt("9.0", "is the first seen that matches: 7.0 misses page sizes without a CPU model, and vport_ops")
def test_documents_of_the_host_are_valid() -> None:
    with pyvirt.connect("test:///default") as conn:
        validate(conn.host.capabilities().xml)
        for device in conn.node_devices:
            validate(device.xml_desc())


@pytest.mark.parametrize(
    ("document", "right", "wrong", "expected"),
    [
        # misspelt values, attributes and elements
        (DOMAIN, "bus='virtio'", "bus='virtoi'", "line 10, /domain/devices/disk[1]/target: attribute bus cannot be "
         "'virtoi' (did you mean virtio?); allowed: 'fdc', 'ide', "),
        (DOMAIN, "bus='sata'", "buss='sata'", "line 13, /domain/devices/disk[2]/target: attribute buss is not allowed "
         "here (did you mean bus?)"),
        (DOMAIN, "<vcpu>1</vcpu>", "<vpcu>1</vpcu>", "line 4, /domain/vpcu: <vpcu> is not allowed here (did you mean "
         "vcpu?)"),
        (DOMAIN, "type='qemu'>", "type='quemu'>", "line 1, /domain: attribute type cannot be 'quemu' (did you mean "
         "qemu?); allowed: 'bhyve', "),
        (NETWORK, "'nat'", "'NAT'", "line 3, /network/forward: attribute mode cannot be 'NAT'; allowed: 'bridge', "),
        # text of the wrong kind
        (DOMAIN, "512", "much", "line 3, /domain/memory: <memory> cannot be 'much'; allowed: a "
         "non-negative integer"),
        (DOMAIN, "512", "", "line 3, /domain/memory: <memory> cannot be empty; allowed: a non-negative integer"),
        (NETWORK, "10.0.0.1", "10.0.0.256", "line 4, /network/ip: attribute address cannot be '10.0.0.256'; allowed: "
         "an IPv4 address or an IPv6 address"),
        (NETWORK, "'24'", "'240'", "line 4, /network/ip: attribute prefix cannot be '240'; allowed: a "),
        (POOL, "/images", "images", "line 4, /pool/target/path: <path> cannot be 'images'; allowed: an absolute path"),
        (DOMAIN, "<devices>", "<devices>loose words", "line 6, /domain/devices: text is not allowed here: 'loose "
         "words'"),
        # missing and superfluous elements
        (DOMAIN, "<name>web</name>", "", "line 1, /domain: <name> is missing"),
        (DOMAIN, "type='network'", "", "line 15, /domain/devices/interface: attribute type is missing"),
        (POOL, "type='dir'", "", "line 1, /pool: attribute type is missing"),
        (POOL, "<path>/images</path>", "", "line 3, /pool/target: <path> is missing"),
        (DOMAIN, "<os>", "<vcpu>2</vcpu><os>", "line 5, /domain/vcpu[2]: <vcpu> occurs too often or in the wrong "
         "order"),
        (DOMAIN, "<os>", "<os><joy/>", "line 5, /domain/os/joy: <joy> is not allowed here; allowed: <acpi>, "),
        (DOMAIN, "<target dev='sda'", "<q:x xmlns:q='urn:q'/><target dev='sda'", "line 13, "
         "/domain/devices/disk[2]/q:x: <x xmlns='urn:q'> is not allowed here"),
        # elements that exclude each other
        (DOMAIN, "<disk type='file' device='disk'>", "<disk type='block' device='disk'>", "line 9, "
         "/domain/devices/disk[1]/source: attribute file is not allowed here; allowed: dev, "),
    ],
)  # fmt: skip
def test_the_wrong_element_is_named(document: str, right: str, wrong: str, expected: str) -> None:
    assert document.count(right) == 1
    (problem,) = problems_of(document.replace(right, wrong))
    assert str(problem).startswith(expected)


def test_each_mistake_is_a_separate_problem() -> None:
    text = DOMAIN.replace("512", "x").replace("'virtio'", "'y'").replace("network='default'", "network='default' z='1'")
    found = problems_of(text)
    assert [one.line for one in found] == [3, 10, 16]
    assert [one.path for one in found] == [
        "/domain/memory",
        "/domain/devices/disk[1]/target",
        "/domain/devices/interface/source",
    ]


def test_the_number_of_problems_is_limited() -> None:
    assert len(problems_of(DOMAIN.replace("<devices>", "<devices>" + "<joy/>" * 1000))) == 10


def test_the_exception_has_every_problem_and_survives_pickle() -> None:
    with pytest.raises(InvalidXMLError, match=r"<domain> does not match libvirt's schema: line 3, ") as caught:
        validate(DOMAIN.replace("512", "x").replace("<vcpu>1", "<vcpu>y"))
    error = caught.value
    assert isinstance(error, XMLError)
    assert str(error).splitlines()[1].startswith("line 4, /domain/vcpu: ")
    assert error.code == ErrorNumber.XML_INVALID_SCHEMA
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.problems, again.code) == (str(error), error.problems, error.code)


def test_an_element_that_was_not_parsed_has_no_line() -> None:
    root = xmldesc.domain("a", memory=1 << 20)
    etree.SubElement(root, "joy")
    (problem,) = problems_of(root)
    assert problem.line is None
    assert str(problem).startswith("/domain/joy: <joy> is not allowed here")


def test_an_element_within_another_tree_is_validated_alone() -> None:
    root = parse(f"<domains>{DOMAIN}{DOMAIN}</domains>")
    validate(root[1])
    root[1][0].tag = "nome"
    validate(root[0])
    assert problems_of(root[1])[0].path == "/domains/domain[2]/nome"
    assert len(root) == 2


def test_a_deep_invalid_document_is_reported_as_invalid() -> None:
    deep = "<a xmlns='urn:a'>" * 240 + "</a>" * 240
    validate(DOMAIN.replace("<os>", f"<metadata>{deep}</metadata><os>"))
    assert problems_of(DOMAIN.replace("<os>", f"<metadata>{deep}</metadata><joy/><os>"))


def test_comments_are_ignored() -> None:
    validate(DOMAIN.replace(">1<", "><!-- one -->1<!-- of them --><").replace("<os>", "<!-- a --><os><?b c?>"))
    assert problems_of(DOMAIN.replace(">1<", "><!-- none --><"))[0].path == "/domain/vcpu"


def test_a_single_device_is_validated() -> None:
    disk = "<disk type='file' device='disk'>\n <source file='/a'/>\n <target dev='vda' bus='virtio'/>\n</disk>"
    validate(disk, device=True)
    validate(xmldesc.interface(network="default"), device=True)  # which differs from an interface of the host
    with pytest.raises(XMLError, match="no schema for <disk>"):
        validate(disk)
    for wrong, expected in (
        (disk.replace("virtio", "virtoi"), "line 3, /devices/disk/target: attribute bus cannot be 'virtoi'"),
        ("<dsik/>", "line 1, /devices/dsik: <dsik> is not allowed here (did you mean disk?)"),
        (DOMAIN, "line 1, /devices/domain: <domain> is not allowed here"),
    ):
        with pytest.raises(InvalidXMLError) as caught:
            validate(wrong, device=True)
        assert str(caught.value.problems[0]).startswith(expected)


def test_documents_without_a_schema_are_refused() -> None:
    with pytest.raises(XMLError, match=r"no schema for <disks>, only for capabilities, cpu, device, "):
        validate("<disks/>")
    with pytest.raises(XMLError, match="no schema"):
        validate("<domain xmlns='urn:a'/>")
    with pytest.raises(XMLError, match="cannot parse the XML document"):
        validate("<domain")
    with pytest.raises(XMLError, match="too large"):
        validate(DOMAIN, max_size=100)


def test_a_document_type_is_refused_before_it_is_expanded() -> None:
    with pytest.raises(XMLError, match="document type"):
        validate("<!DOCTYPE domain [<!ENTITY a 'web'>]>" + DOMAIN.replace("web<", "&a;<"))


# ---- the schemas ----


def test_every_schema_of_libvirt_has_a_kind_of_document() -> None:
    stems = {path.stem for path in schema_directory().glob("*.rng") if b"<start" in path.read_bytes()}
    # for documents that libvirt uses internally
    assert stems - set(schemas.SCHEMAS.values()) <= {"inactiveDomain", "privatedata"}


@pytest.mark.parametrize("root", sorted(schemas.SCHEMAS))
def test_every_kind_of_document_has_its_schema(root: str) -> None:
    assert problems_of(f"<{root}><joy/></{root}>")
    start = etree.parse(str(schema_directory() / f"{schemas.SCHEMAS[root]}.rng"))
    assert f'name="{root}"' in etree.tostring(start, encoding="unicode") or root == "cpu"


def test_the_directory_of_schemas_can_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in schema_directory().glob("*.rng"):
        text = path.read_text()
        (tmp_path / path.name).write_text(text.replace("<value>qemu</value>", "<value>joy</value>"))
    joyful = DOMAIN.replace("type='qemu'>", "type='joy'>")

    validate(joyful, schemas=tmp_path)
    with pytest.raises(InvalidXMLError):
        validate(joyful)
    monkeypatch.setenv("PYVIRT_SCHEMAS", str(tmp_path))
    assert schema_directory() == tmp_path
    validate(joyful)
    with pytest.raises(InvalidXMLError, match="did you mean"):
        validate(DOMAIN.replace("'qemu'>", "'joj'>"))


def test_the_directories_of_shared_data_are_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(schema_directory(), tmp_path / "b" / "libvirt" / "schemas")
    monkeypatch.delenv("PYVIRT_SCHEMAS", raising=False)
    monkeypatch.setenv("XDG_DATA_DIRS", f"{tmp_path / 'a'}::{tmp_path / 'b'}")
    assert schema_directory() == tmp_path / "b" / "libvirt" / "schemas"


def test_missing_schemas_raise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SchemasMissingError, match=r"domain\.rng does not exist; .*libvirt0.*libvirt-libs") as caught:
        validate(DOMAIN, schemas=tmp_path)
    assert isinstance(caught.value, NotSupportedError)
    monkeypatch.setenv("PYVIRT_SCHEMAS", str(tmp_path / "nowhere"))
    with pytest.raises(SchemasMissingError, match="nowhere"):
        validate(DOMAIN)
    monkeypatch.delenv("PYVIRT_SCHEMAS")
    monkeypatch.setattr(schemas, "_data_directories", lambda: [str(tmp_path)])
    with pytest.raises(SchemasMissingError, match=f"no schemas in {tmp_path}/libvirt/schemas; .*PYVIRT_SCHEMAS"):
        validate(DOMAIN)
    (tmp_path / "domain.rng").write_text("<grammar/>")
    with pytest.raises(SchemasMissingError, match="cannot be used"):
        validate(DOMAIN, schemas=tmp_path)


def test_a_schema_that_cannot_be_read_still_validates(tmp_path: Path) -> None:
    (tmp_path / "secret.rng").write_text(
        "<element name='secret' xmlns='http://relaxng.org/ns/structure/1.0'><attribute name='a'><list><value>b</value>"
        "</list></attribute></element>"
    )
    validate("<secret a='b'/>", schemas=tmp_path)
    with pytest.raises(InvalidXMLError) as caught:
        validate("<secret a='c'/>", schemas=tmp_path)
    (problem,) = caught.value.problems
    assert (problem.line, problem.path) == (1, "/secret")
    assert problem.message


def test_threads_share_a_schema() -> None:
    wrong = DOMAIN.replace("virtio", "virtoi")

    def one(number: int) -> int:
        if number % 3:
            validate(DOMAIN)
            return 0
        return len(problems_of(wrong))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, range(60))) == [0 if number % 3 else 1 for number in range(60)]


def test_a_schema_is_compiled_once() -> None:
    validate(DOMAIN)
    before = dict(schemas._schemas)
    validate(DOMAIN)
    assert schemas._schemas == before
    assert all(one is before[path] for path, one in schemas._schemas.items())


# ---- the explanation compared with libxml2's result ----


def explained(element: etree._Element) -> tuple[Problem, ...]:
    return explain(element, schema_directory() / f"{schemas.SCHEMAS[str(element.tag)]}.rng")


@pytest.mark.parametrize("name", matching(DOCUMENTS))
def test_no_problem_is_found_in_valid_documents(name: str) -> None:
    validate(DOCUMENTS[name])
    assert explained(DOCUMENTS[name]) == ()


NAMES = st.sampled_from("name type source target disk address mode file dev bus uuid path host ip value joy".split())
VALUES = st.sampled_from(
    ["", "0", "-1", "yes", "no", "file", "block", "network", "/a", "10.0.0.1", "joy", " 1 ", "a b"]
)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_problems_are_found_exactly_where_libxml2_refuses(data: st.DataObject) -> None:
    root = parse(xmldesc.serialize(DOCUMENTS[data.draw(st.sampled_from(sorted(DOCUMENTS)))]))
    for _ in range(data.draw(st.integers(1, 2))):
        elements = list(root.iter())
        one = elements[data.draw(st.integers(0, len(elements) - 1))]
        parent = one.getparent()
        kind = data.draw(st.sampled_from(["attribute", "no attribute", "text", "rename", "remove", "twice", "insert"]))
        keys = sorted(map(str, one.attrib))
        if kind == "attribute":
            one.set(data.draw(st.sampled_from(keys) if keys else NAMES), data.draw(VALUES))
        elif kind == "no attribute" and keys:
            del one.attrib[data.draw(st.sampled_from(keys))]
        elif kind == "text":
            one.text = data.draw(VALUES)
        elif kind == "insert":
            etree.SubElement(one, data.draw(NAMES))
        elif parent is not None:
            if kind == "rename":
                one.tag = data.draw(NAMES)
            elif kind == "twice":
                one.addnext(parse(xmldesc.serialize(one)))
            elif kind == "remove":
                parent.remove(one)
    found: tuple[Problem, ...] = ()
    try:
        validate(root)
    except InvalidXMLError as error:
        found = error.problems
    assert found == explained(root)
