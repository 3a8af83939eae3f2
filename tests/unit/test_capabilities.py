# SPDX-License-Identifier: LGPL-2.1-or-later
from __future__ import annotations

import copy
import dataclasses
import pickle
import random
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from pyvirt import capabilities
from pyvirt.capabilities import (
    CacheBank,
    Capabilities,
    CPUModel,
    CPUTopology,
    DomainCapabilities,
    GuestDomain,
    GuestFeature,
    HostCapabilities,
    HostCPU,
    LogicalCPU,
    Machine,
    NUMACell,
    SecurityLabels,
    Support,
)
from pyvirt.errors import XMLError

HOST = """
<capabilities>
  <host>
    <uuid>0a1b2c3d-0000-4000-8000-00000000cafe</uuid>
    <cpu>
      <arch>x86_64</arch>
      <model>Haswell</model>
      <vendor>Intel</vendor>
      <microcode version='61'/>
      <topology sockets='2' dies='1' cores='4' threads='2'/>
      <!-- a comment -->
      <feature name='vmx'/>
      <feature name='invtsc' migratable='no'/>
      <pages unit='KiB' size='4'/>
      <pages unit='MiB' size='2'/>
      <pages unit='cubits' size='2'/>
    </cpu>
    <power_management><suspend_mem/><suspend_disk/></power_management>
    <iommu support='yes'/>
    <migration_features>
      <live/>
      <uri_transports><uri_transport>tcp</uri_transport><uri_transport>rdma</uri_transport></uri_transports>
    </migration_features>
    <topology>
      <cells num='2'>
        <cell id='0'>
          <memory unit='KiB'>2048</memory>
          <pages unit='KiB' size='4'>512</pages>
          <pages unit='KiB' size='2048'>3</pages>
          <distances><sibling id='0' value='10'/><sibling id='5' value='21'/></distances>
          <cpus num='2'>
            <cpu id='0' socket_id='0' die_id='1' cluster_id='2' core_id='3' siblings='0-1'/>
            <cpu id='1' socket_id='0' die_id='1' core_id='3' siblings='0,1'/>
          </cpus>
        </cell>
        <cell id='5'><cpus num='1'><cpu id='9'/></cpus></cell>
      </cells>
    </topology>
    <cache>
      <bank id='0' level='3' type='both' size='12' unit='MiB' cpus='0-2,9'>
        <control granularity='1' unit='MiB' type='both' maxAllocs='4'/>
      </bank>
    </cache>
    <secmodel><model>apparmor</model><doi>0</doi></secmodel>
    <secmodel>
      <model>dac</model><doi>1</doi>
      <baselabel type='kvm'>+64055:+109</baselabel><baselabel type='qemu'>+0:+0</baselabel>
    </secmodel>
  </host>
  <guest>
    <os_type>hvm</os_type>
    <arch name='x86_64'>
      <wordsize>64</wordsize>
      <emulator>/usr/bin/qemu-system-x86_64</emulator>
      <machine maxCpus='255'>pc-i440fx-7.2</machine>
      <machine canonical='pc-i440fx-7.2' maxCpus='255'>pc</machine>
      <machine maxCpus='1' deprecated='yes'>isapc</machine>
      <domain type='qemu'/>
      <domain type='kvm'><emulator>/usr/bin/kvm</emulator><machine>pc-kvm</machine></domain>
    </arch>
    <features>
      <acpi default='on' toggle='yes'/>
      <apic default='on' toggle='no'/>
      <cpuselection/>
    </features>
  </guest>
  <guest>
    <os_type>exe</os_type>
    <arch name='i686'><wordsize>32</wordsize><loader>/lib/loader</loader></arch>
  </guest>
</capabilities>
"""

DOMAIN = """
<domainCapabilities>
  <path>/usr/bin/qemu-system-x86_64</path>
  <domain>kvm</domain>
  <machine>pc-q35-9.0</machine>
  <arch>x86_64</arch>
  <vcpu max='4096'/>
  <iothreads supported='yes'/>
  <os supported='yes'>
    <enum name='firmware'><value>bios</value><value>efi</value></enum>
    <loader supported='yes'>
      <value>/usr/share/OVMF/OVMF_CODE.fd</value>
      <enum name='secure'><value>no</value></enum>
    </loader>
  </os>
  <cpu>
    <mode name='host-passthrough' supported='yes'>
      <enum name='hostPassthroughMigratable'><value>on</value><value>off</value></enum>
    </mode>
    <mode name='maximum' supported='no'/>
    <mode name='host-model' supported='yes'>
      <model fallback='forbid'>Skylake-Client-IBRS</model>
      <vendor>Intel</vendor>
      <maxphysaddr mode='passthrough' limit='39'/>
      <feature policy='require' name='ss'/>
      <feature policy='disable' name='hle'/>
    </mode>
    <mode name='custom' supported='yes'>
      <model usable='yes' vendor='unknown' canonical='qemu64-v1'>qemu64</model>
      <model usable='no' vendor='AMD' deprecated='yes'>Opteron_G5</model>
      <blockers model='Opteron_G5'><feature name='fma4'/><feature name='tbm'/></blockers>
      <model usable='unknown' vendor='Intel'>Denverton</model>
    </mode>
  </cpu>
  <memoryBacking supported='yes'>
    <enum name='sourceType'><value>file</value><value>memfd</value></enum>
  </memoryBacking>
  <devices>
    <disk supported='yes'>
      <enum name='bus'><value>ide</value><value>virtio</value></enum>
      <enum name='model'/>
    </disk>
    <hostdev supported='no'/>
    <!-- a comment -->
    <teleporter supported='yes'/>
  </devices>
  <features>
    <sev supported='no'/>
    <hyperv supported='yes'><enum name='features'><value>relaxed</value></enum></hyperv>
  </features>
</domainCapabilities>
"""

Document = type[Capabilities] | type[DomainCapabilities]
BOTH: list[tuple[Document, str]] = [(Capabilities, HOST), (DomainCapabilities, DOMAIN)]


def test_the_host_is_parsed() -> None:
    assert Capabilities.parse(HOST).host == HostCapabilities(
        uuid=UUID("0a1b2c3d-0000-4000-8000-00000000cafe"),
        cpu=HostCPU(
            arch="x86_64",
            model="Haswell",
            vendor="Intel",
            microcode=61,
            topology=CPUTopology(sockets=2, dies=1, cores=4, threads=2),
            features=frozenset({"vmx", "invtsc"}),
            page_sizes=(4096, 2 << 20),
        ),
        power_management=frozenset({"suspend_mem", "suspend_disk"}),
        iommu=True,
        live_migration=True,
        migration_transports=("tcp", "rdma"),
        cells=(
            NUMACell(
                id=0,
                memory=2 << 20,
                pages={4096: 512, 2 << 20: 3},
                distances={0: 10, 5: 21},
                cpus=(
                    LogicalCPU(0, socket_id=0, die_id=1, cluster_id=2, core_id=3, siblings=frozenset({0, 1})),
                    LogicalCPU(1, socket_id=0, die_id=1, cluster_id=None, core_id=3, siblings=frozenset({0, 1})),
                ),
            ),
            NUMACell(
                id=5,
                memory=None,
                pages={},
                distances={},
                cpus=(LogicalCPU(9, None, None, None, None, frozenset()),),
            ),
        ),
        caches=(CacheBank(id=0, level=3, type="both", size=12 << 20, cpus=frozenset({0, 1, 2, 9})),),
        security=(
            SecurityLabels("apparmor", "0", {}),
            SecurityLabels("dac", "1", {"kvm": "+64055:+109", "qemu": "+0:+0"}),
        ),
    )


def test_guests_are_parsed() -> None:
    hvm, exe = Capabilities.parse(HOST).guests
    assert (hvm.os_type, hvm.arch, hvm.wordsize, hvm.loader) == ("hvm", "x86_64", 64, None)
    assert hvm.emulator == "/usr/bin/qemu-system-x86_64"
    assert hvm.machines == (
        Machine("pc-i440fx-7.2", canonical=None, max_cpus=255, deprecated=False),
        Machine("pc", canonical="pc-i440fx-7.2", max_cpus=255, deprecated=False),
        Machine("isapc", canonical=None, max_cpus=1, deprecated=True),
    )
    assert hvm.domains == (
        GuestDomain("qemu", emulator=None, machines=()),
        GuestDomain("kvm", emulator="/usr/bin/kvm", machines=(Machine("pc-kvm", None, None, False),)),
    )
    assert hvm.features == {
        "acpi": GuestFeature(default=True, toggle=True),
        "apic": GuestFeature(default=True, toggle=False),
        "cpuselection": GuestFeature(default=None, toggle=None),
    }
    assert (exe.os_type, exe.arch, exe.wordsize, exe.loader) == ("exe", "i686", 32, "/lib/loader")
    assert (exe.emulator, exe.machines, exe.domains, exe.features) == (None, (), (), {})


def test_domain_capabilities_are_parsed() -> None:
    found = DomainCapabilities.parse(DOMAIN)
    assert found.path == "/usr/bin/qemu-system-x86_64"
    assert (found.domain, found.machine, found.arch) == ("kvm", "pc-q35-9.0", "x86_64")
    assert (found.max_vcpus, found.iothreads) == (4096, True)
    assert found.os == Support(True, {"firmware": ("bios", "efi")}, ())
    assert found.loader == Support(True, {"secure": ("no",)}, ("/usr/share/OVMF/OVMF_CODE.fd",))
    assert found.memory_backing == Support(True, {"sourceType": ("file", "memfd")}, ())
    assert found.devices == {
        "disk": Support(True, {"bus": ("ide", "virtio"), "model": ()}, ()),
        "hostdev": Support(False, {}, ()),
        "teleporter": Support(True, {}, ()),
    }
    assert found.features == {
        "sev": Support(False, {}, ()),
        "hyperv": Support(True, {"features": ("relaxed",)}, ()),
    }


def test_cpu_modes_are_parsed() -> None:
    modes = DomainCapabilities.parse(DOMAIN).cpu_modes
    assert {name: mode.supported for name, mode in modes.items()} == {
        "host-passthrough": True,
        "maximum": False,
        "host-model": True,
        "custom": True,
    }
    assert modes["host-passthrough"].enums == {"hostPassthroughMigratable": ("on", "off")}
    assert [model.name for model in modes["host-model"].models] == ["Skylake-Client-IBRS"]
    assert modes["host-model"].vendor == "Intel"
    assert modes["host-model"].features == {"ss": "require", "hle": "disable"}
    none: frozenset[str] = frozenset()
    assert modes["custom"].models == (
        CPUModel("qemu64", True, "unknown", deprecated=False, canonical="qemu64-v1", blockers=none),
        CPUModel(
            "Opteron_G5",
            False,
            "AMD",
            deprecated=True,
            canonical=None,
            blockers=frozenset({"fma4", "tbm"}),
        ),
        CPUModel("Denverton", None, "Intel", deprecated=False, canonical=None, blockers=none),
    )


def test_an_empty_host_has_defaults() -> None:
    found = Capabilities.parse("<capabilities/>")
    assert found == Capabilities(HostCapabilities(), (), "<capabilities/>")
    assert found == Capabilities.parse("<capabilities/>")
    assert Capabilities.parse("<capabilities><host/></capabilities>").host == HostCapabilities()
    (guest,) = Capabilities.parse("<capabilities><guest/></capabilities>").guests
    assert (guest.os_type, guest.arch, guest.wordsize, guest.machines) == ("", "", None, ())


def test_empty_domain_capabilities_have_defaults() -> None:
    found = DomainCapabilities.parse("<domainCapabilities/>")
    empty: dict[str, object] = {"cpu_modes": {}, "devices": {}, "features": {}, "xml": "<domainCapabilities/>"}
    for field in dataclasses.fields(found):
        assert getattr(found, field.name) == empty.get(field.name)


def host_with(inner: str) -> HostCapabilities:
    return Capabilities.parse(f"<capabilities><host>{inner}</host></capabilities>").host


@pytest.mark.parametrize(
    ("text", "cpus"),
    [
        ("0", {0}),
        ("0-3,8", {0, 1, 2, 3, 8}),
        (" 1 , 3 ", {1, 3}),
        ("", set()),
        ("x,4", {4}),
        ("5-", {5}),
        ("-5", set()),
        ("7-3", set()),
        ("0-99999999999999999999", set()),  # the process survives
        ("2,0-4000000000", {2}),
        ("٣", set()),
    ],
)
def test_cpu_lists_are_parsed(text: str, cpus: set[int]) -> None:
    (bank,) = host_with(f"<cache><bank cpus='{text}'/></cache>").caches
    assert bank == CacheBank(None, None, None, None, frozenset(cpus))


@pytest.mark.parametrize(
    ("size", "unit", "count"),
    [
        ("12", "unit='B'", 12),
        ("12", "unit='bytes'", 12),
        ("12", "unit='KiB'", 12 << 10),
        ("12", "", 12 << 10),
        ("12", "unit='GiB'", 12 << 30),
        ("12", "unit='TiB'", 12 << 40),
        ("12", "unit='cubits'", None),
        ("-12", "unit='KiB'", None),
        ("much", "unit='KiB'", None),
        ("", "unit='KiB'", None),
        ("9" * 5000, "unit='KiB'", None),  # more digits than int() takes
    ],
)
def test_sizes_are_converted_to_bytes(size: str, unit: str, count: int | None) -> None:
    (bank,) = host_with(f"<cache><bank size='{size}' {unit}/></cache>").caches
    assert bank.size == count


def test_an_invalid_uuid_becomes_none() -> None:
    assert host_with("<uuid>none</uuid><iommu support='maybe'/>") == HostCapabilities()


def test_cells_and_cpus_without_a_number_are_left_out() -> None:
    cells = host_with(
        "<topology><cells><cell/><cell id='x'/><cell id='3'><cpus><cpu/><cpu id='4'/></cpus></cell></cells></topology>"
    ).cells
    assert [(cell.id, [cpu.id for cpu in cell.cpus]) for cell in cells] == [(3, [4])]


@pytest.mark.parametrize("cls", [Capabilities, DomainCapabilities])
@pytest.mark.parametrize(
    "text",
    ["", "no XML", "<capabilities>", "<host/>", "<domain/>", "<capabilities/><capabilities/>"],
)
def test_documents_of_another_kind_are_refused(cls: Document, text: str) -> None:
    with pytest.raises(XMLError):
        cls.parse(text)


def test_host_and_domain_capabilities_are_not_interchangeable() -> None:
    with pytest.raises(XMLError, match="expected a <domainCapabilities> document, got <capabilities>"):
        DomainCapabilities.parse(HOST)
    with pytest.raises(XMLError, match="expected a <capabilities> document, got <domainCapabilities>"):
        Capabilities.parse(DOMAIN)


def test_external_entities_are_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    text = (
        f'<!DOCTYPE capabilities [<!ENTITY e SYSTEM "{secret.as_uri()}">]>'
        "<capabilities><guest><os_type>&e;</os_type></guest></capabilities>"
    )
    (guest,) = Capabilities.parse(text).guests
    assert guest.os_type == ""


@pytest.mark.parametrize(("cls", "text"), BOTH)
def test_values_are_plain_data(cls: Document, text: str) -> None:
    found = cls.parse(text)
    assert found.xml == text
    assert text not in repr(found)
    assert pickle.loads(pickle.dumps(found)) == found
    assert copy.deepcopy(found) == found
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.xml = ""  # type: ignore[misc]
    assert not hasattr(found, "__dict__")


def test_all_classes_are_public() -> None:
    for name in capabilities.__all__:
        cls = getattr(capabilities, name)
        assert dataclasses.is_dataclass(cls)
        assert cls.__doc__


JUNK = ["", " ", "-1", "1e3", "x", "0-", "yes", "9" * 30, "\N{SNOWMAN}"]


@settings(deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 40))
def test_any_well_formed_document_is_parsed(chance: random.Random, times: int) -> None:
    for cls, text in BOTH:
        root = etree.fromstring(text)
        for _ in range(times):
            elements = [element for element in root.iter("*") if element is not root]
            if not elements:
                break
            element = chance.choice(elements)
            parent = element.getparent()
            assert parent is not None
            match chance.randrange(5):
                case 0:
                    parent.remove(element)
                case 1:
                    element.text = chance.choice(JUNK)
                case 2:
                    for name in list(element.attrib):
                        element.set(name, chance.choice(JUNK))
                case 3:
                    element.attrib.clear()
                case 4:
                    parent.append(copy.deepcopy(element))
        cls.parse(etree.tostring(root, encoding="unicode"))
