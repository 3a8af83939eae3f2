# SPDX-License-Identifier: LGPL-2.1-or-later
"""Devices, disks, interfaces and metadata of a domain, as far as libvirt's test driver supports them."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from functools import partial

import pytest

import pyvirt
from pyvirt._model.metadata import MetadataMixin
from pyvirt.domain import Domain
from pyvirt.domain._part import Part, known
from pyvirt.domain._wait import poll_times
from pyvirt.domain.blockjob import BlockJob, chain_of
from pyvirt.domain.devices import Devices
from pyvirt.domain.disks import Disk, Disks
from pyvirt.domain.interfaces import DomainInterface, DomainInterfaces
from pyvirt.domain.metadata import Metadata
from pyvirt.enums import (
    DomainBlockJobType,
    DomainDiskErrorCode,
    DomainInterfaceAddressesSource,
    DomainModificationImpact,
    DomainXMLFlags,
    IPAddrType,
    params,
)
from pyvirt.errors import (
    InvalidArgumentError,
    MetadataNotFoundError,
    NotSupportedError,
    OperationInvalidError,
    XMLError,
)
from pyvirt.models import BlockInfo, BlockJobInfo, BlockStats, InterfaceAddresses, InterfaceStats, IPAddress
from tests.support.method_tables import Call, check_closed, check_lacking, functions_named, public_names, still_lacking
from tests.support.xml import domain_xml

MAC = "aa:bb:cc:dd:ee:ff"
URI = "http://example.com/backup"
DISK = "<disk type='file'><source file='/new.img'/><target dev='vdb'/></disk>"
LIVE, CONFIG = DomainModificationImpact.LIVE, DomainModificationImpact.CONFIG

# What the driver makes up: sizes are fixed, counters are a function of the clock.
BLOCK_INFO = BlockInfo(capacity=1099506450432, allocation=1099511627776, physical=1099511627776)
ADDRESSES = InterfaceAddresses("testnet0", MAC, (IPAddress(IPAddrType.IPV4, "192.168.122.3", 24),))


def nonzero(values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if value}


def disk(domain: Domain) -> Disk:
    return Disks(domain)["vda"]


def interface(domain: Domain) -> DomainInterface:
    return DomainInterfaces(domain)["testnet0"]


CLASSES = (Devices, Disks, Disk, BlockJob, DomainInterfaces, DomainInterface, MetadataMixin)
OWNERS: dict[str, Callable[[Domain], object]] = {
    "Devices": Devices,
    "Disks": Disks,
    "Parts": Disks,
    "Disk": disk,
    "BlockJob": lambda domain: disk(domain).job,
    "DomainInterfaces": DomainInterfaces,
    "DomainInterface": interface,
    "MetadataMixin": Metadata,
}


def run(call: Call, domain: Domain) -> object:
    return call(OWNERS[call.cls](domain))


# Calls that libvirt's test driver supports.
SUPPORTED = [
    Call("virDomainBlockStats", Disk.basic_stats, expected=True, look=lambda _, stats: 0 < stats.wr_req < stats.rd_req),
    Call("virDomainGetBlockInfo", Disk.info, expected=BLOCK_INFO),
    Call("virDomainGetBlockIoTune", Disk.io_tune, expected=0, look=lambda _, tune: tune["total_iops_sec"]),
    Call(
        "virDomainSetBlockIoTune",
        Disk.set_io_tune,
        keywords={"total_iops_sec": 5, "total_iops_sec_max": 9},
        expected={"total_iops_sec": 5, "total_iops_sec_max": 9},
        look=lambda disk, _: nonzero(disk.io_tune()),
    ),
    Call("virDomainGetDiskErrors", Disks.errors, expected={"vda": DomainDiskErrorCode.UNSPEC}),
    Call("virDomainInterfaceStats", DomainInterface.stats, expected=True, look=lambda _, stats: stats.rx_bytes > 0),
    Call("virDomainGetInterfaceParameters", DomainInterface.parameters, expected={}, look=lambda _, all: nonzero(all)),
    Call(
        "virDomainSetInterfaceParameters",
        DomainInterface.set_parameters,
        ({"inbound.average": 7},),
        expected={"inbound.average": 7},
        look=lambda interface, _: nonzero(interface.parameters()),
    ),
    Call("virDomainInterfaceAddresses", DomainInterfaces.addresses, expected=[ADDRESSES]),
    Call(
        "virDomainSetMetadata",
        Metadata.set,
        (URI, "<last/>"),
        {"key": "b"},
        expected="last",
        look=lambda metadata, _: pyvirt.xmldesc.parse(metadata.get(URI)).tag,
    ),
    Call("virDomainSetMetadata", Metadata.delete, (URI,)),  # has no effect where there is none
    Call("virDomainSetMetadata", Metadata.set_title, ("Web",), expected="Web", look=lambda meta, _: meta.title()),
    Call(
        "virDomainSetMetadata",
        Metadata.set_description,
        ("Serves",),
        expected="Serves",
        look=lambda metadata, _: metadata.description(),
    ),
]
UNSUPPORTED = [
    Call("virDomainAttachDeviceFlags", Devices.attach, (DISK,)),
    Call("virDomainDetachDeviceFlags", Devices.detach, (DISK,)),
    Call("virDomainDetachDeviceAlias", Devices.detach_alias, ("disk0",)),
    Call("virDomainUpdateDeviceFlags", Devices.update, (DISK,)),
    Call("virDomainAttachDevice", Devices.hotplug, (DISK,)),
    Call("virDomainDetachDevice", Devices.hotunplug, (DISK,)),
    Call("virDomainBlockStatsFlags", Disk.stats),
    Call("virDomainBlockPeek", Disk.peek, (0, 16)),
    Call("virDomainBlockResize", Disk.resize, (1 << 30,)),
    Call("virDomainSetBlockThreshold", Disk.set_threshold, (1 << 30,)),
    Call("virDomainBlockCopy", Disk.copy_to, (DISK,)),
    Call("virDomainBlockCommit", Disk.commit),
    Call("virDomainBlockPull", Disk.pull),
    Call("virDomainBlockRebase", Disk.rebase),
    Call("virDomainGetBlockJobInfo", BlockJob.info),
    Call("virDomainGetBlockJobInfo", BlockJob.wait),
    Call("virDomainBlockJobAbort", BlockJob.abort),
    Call("virDomainBlockJobAbort", BlockJob.pivot),
    Call("virDomainBlockJobSetSpeed", BlockJob.set_speed, (1 << 20,)),
]
# There is none before it is set.
GETTERS = [
    Call("virDomainGetMetadata", Metadata.get, (URI,)),
    Call("virDomainGetMetadata", Metadata.title),
    Call("virDomainGetMetadata", Metadata.description),
]
TABLE = [
    *SUPPORTED,
    *UNSUPPORTED,
    *GETTERS,
    Call("virDomainGetXMLDesc", Disks.list),
    Call("virDomainAnnounceInterface", DomainInterfaces.announce),
]


def test_all_methods_are_in_the_table() -> None:
    assert {call.name for call in TABLE} == public_names(*CLASSES) - {"Disk.job"} | {"Parts.list"}


@pytest.mark.parametrize("call", TABLE, ids=str)
def test_docstrings_name_the_c_function(call: Call) -> None:
    assert call.function in functions_named(call.method)


@pytest.mark.parametrize("call", TABLE, ids=str)
def test_every_call_on_a_closed_connection_raises_closed_error(call: Call) -> None:
    check_closed(partial(run, call))


@pytest.mark.parametrize("call", SUPPORTED, ids=str)
def test_calls_that_the_driver_supports_have_the_expected_effect(domain: Domain, call: Call) -> None:
    call.check(OWNERS[call.cls](domain))


LEARNT = (
    "virDomainAttachDevice virDomainAttachDeviceFlags virDomainDetachDeviceAlias virDomainUpdateDeviceFlags".split()
)


@pytest.mark.parametrize("call", still_lacking(UNSUPPORTED, *LEARNT), ids=str)
def test_calls_that_the_driver_lacks_raise_unsupported(domain: Domain, call: Call) -> None:
    check_lacking(domain, call.function, partial(run, call))


def test_announce_raises_not_supported(domain: Domain) -> None:
    with pytest.raises(NotSupportedError) as caught:  # or the driver, when libvirt is new enough
        DomainInterfaces(domain).announce("testnet0", initial=50, rounds=3)
    assert caught.value.function == "virDomainAnnounceInterface"


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (InvalidArgumentError, lambda domain: Disks(domain)["nope"].basic_stats()),
        (InvalidArgumentError, lambda domain: Disks(domain)[""].info()),
        (InvalidArgumentError, lambda domain: Disks(domain)["vda\0"].info()),
        (InvalidArgumentError, lambda domain: Disks(domain)["\ud800"].io_tune()),
        (InvalidArgumentError, lambda domain: Disks(domain)["v" * 10_000].io_tune()),
        (InvalidArgumentError, lambda domain: disk(domain).io_tune(flags=DomainModificationImpact(1 << 30))),
        (InvalidArgumentError, lambda domain: disk(domain).set_io_tune({"read_bytes_sec": -1})),
        (InvalidArgumentError, lambda domain: disk(domain).set_io_tune({"read_bytes_sec": "much"})),
        (InvalidArgumentError, lambda domain: disk(domain).set_io_tune(read_bytes_sec=1, total_bytes_sec=2)),
        (InvalidArgumentError, lambda domain: disk(domain).set_io_tune({"x" * 80: 1})),
        (NotSupportedError, lambda domain: disk(domain).set_io_tune(nope=1)),
        (InvalidArgumentError, lambda domain: DomainInterfaces(domain)["nope"].stats()),
        (InvalidArgumentError, lambda domain: interface(domain).set_parameters({"inbound.average": 1 << 40})),
        (NotSupportedError, lambda domain: interface(domain).set_parameters({"sideways.average": 1})),
        (NotSupportedError, lambda domain: DomainInterfaces(domain).addresses(DomainInterfaceAddressesSource(77))),
        (InvalidArgumentError, lambda domain: DomainInterfaces(domain).announce(rounds=-1)),
        (InvalidArgumentError, lambda domain: Devices(domain).attach("<disk\0/>")),
        (InvalidArgumentError, lambda domain: Devices(domain).detach_alias("\ud800")),
        (InvalidArgumentError, lambda domain: Metadata(domain).set_title("two\nlines")),
        (XMLError, lambda domain: Metadata(domain).set(URI, "no XML", key="b")),
        (InvalidArgumentError, lambda domain: Metadata(domain).set("", "<a/>", key="b\0")),
    ],
)  # fmt: skip
def test_bad_input_raises_and_changes_nothing(
    domain: Domain, error: type[Exception], call: Callable[[Domain], object]
) -> None:
    before = domain.xml_desc()
    with pytest.raises(error):
        call(domain)
    assert domain.xml_desc() == before


def test_input_of_another_type_raises_type_error(domain: Domain) -> None:
    wrong: list[Callable[[Domain], object]] = [
        lambda domain: Devices(domain).attach(bytearray(DISK.encode())),  # type: ignore[arg-type]
        lambda domain: Disks(domain)[b"vda"].info(),  # type: ignore[index]
        lambda domain: Disks(domain)[0].info(),  # type: ignore[index]
        lambda domain: disk(domain).resize("10G"),  # type: ignore[arg-type]
        lambda domain: disk(domain).peek(0, "10"),  # type: ignore[arg-type]
        lambda domain: disk(domain).set_io_tune(read_bytes_sec=[]),  # type: ignore[arg-type]
        lambda domain: Metadata(domain).set_title(5),  # type: ignore[arg-type]
    ]
    for call in wrong:
        with pytest.raises(TypeError):
            call(domain)
    for negative in (
        lambda: disk(domain).resize(-1),
        lambda: disk(domain).peek(-1, 1),
        lambda: disk(domain).set_threshold(-1),
        lambda: disk(domain).job.set_speed(-1),
    ):
        with pytest.raises(OverflowError):
            negative()
    with pytest.raises(ValueError, match="negative"):
        disk(domain).peek(0, -1)


# Parts


def test_parts_compare_by_domain_and_name(domain: Domain) -> None:
    other = domain.connection.domains.get(uuid=domain.uuid)
    assert Disks(domain)["vda"] == Disks(other)["vda"]
    assert len({Disks(domain)["vda"], Disks(other)["vda"], Disks(domain)["vdb"]}) == 2
    assert Disks(domain)["vda"] != Disks(domain)["vda"].job
    assert Devices(domain) == Devices(other)
    assert Devices(domain) != Disks(domain)
    assert Disks(domain)["vda"] != "vda"
    assert Disks(domain)["vda"].domain is domain


def test_reprs_never_fail() -> None:
    with pyvirt.connect("test:///default") as conn:
        domain = conn.domains["test"]
        parts: list[Part] = [disk(domain), disk(domain).job, Devices(domain)]
        name = f"<pyvirt.Domain 'test' {domain.uuid}>"
        assert [repr(part) for part in parts] == [
            f"<pyvirt.Disk 'vda' of {name}>",
            f"<pyvirt.BlockJob 'vda' of {name}>",
            f"<pyvirt.Devices of {name}>",
        ]
    assert [repr(part).partition(" of ")[0] for part in parts] == [
        "<pyvirt.Disk 'vda'",
        "<pyvirt.BlockJob 'vda'",
        "<pyvirt.Devices",
    ]
    del domain
    gc.collect()
    assert parts[0] == parts[0]


def test_assigning_an_unknown_attribute_of_a_part_raises(domain: Domain) -> None:
    parts = [disk(domain), disk(domain).job, interface(domain), Disks(domain), Devices(domain), Metadata(domain)]
    for part in parts:
        with pytest.raises(AttributeError):
            part.typo = 1  # type: ignore[attr-defined]


def test_numbers_unknown_to_the_driver_are_none() -> None:
    assert list(known((0, -1, 5))) == [0, None, 5]


# Disks


def test_disks_are_those_of_the_running_configuration(domain: Domain) -> None:
    disks = Disks(domain)
    assert list(disks) == disks.list() == [disks["vda"]]
    assert len(disks) == 1
    assert "vda" in disks
    assert disks["vda"] in disks
    assert "vdb" not in disks
    assert disks["vdb"] not in disks
    assert 5 not in disks


def test_the_inactive_flag_lists_disks_of_the_stored_configuration(domain: Domain) -> None:
    with domain.edit() as root:
        devices = root.find("devices")
        assert devices is not None
        devices.append(pyvirt.xmldesc.parse(DISK))
    assert [disk.name for disk in Disks(domain)] == ["vda"]
    assert [disk.name for disk in Disks(domain).list(flags=DomainXMLFlags.INACTIVE)] == ["vda", "vdb"]


def test_disk_info_and_statistics_are_plausible(domain: Domain) -> None:
    assert disk(domain).info() == BLOCK_INFO
    stats, more = disk(domain).basic_stats(), disk(domain).basic_stats()
    assert isinstance(stats, BlockStats)
    assert None not in (stats.rd_req, stats.rd_bytes, stats.wr_req, stats.wr_bytes, stats.errs)
    assert 0 < (stats.errs or 0) < (stats.wr_bytes or 0) <= (more.wr_bytes or 0)
    assert Disks(domain)["/guest/diskimage1"].info() == disk(domain).info()


def test_disk_errors_are_named_by_disk(domain: Domain) -> None:
    assert Disks(domain).errors() == {"vda": DomainDiskErrorCode.UNSPEC}  # the driver invents one for each disk
    domain.destroy()
    with pytest.raises(OperationInvalidError):
        Disks(domain).errors()


def test_a_domain_without_disks_has_no_errors_and_no_chain(domain: Domain) -> None:
    bare = domain.connection.domains.create(domain_xml("bare"))
    assert Disks(bare).errors() == {}
    assert list(Disks(bare)) == list(DomainInterfaces(bare)) == []
    assert chain_of(bare, "vda") == ()


def test_io_limits_are_set_and_read(domain: Domain) -> None:
    before = disk(domain).io_tune()
    assert before[params.DOMAIN_BLOCK_IOTUNE_TOTAL_BYTES_SEC] == 0
    disk(domain).set_io_tune(
        {params.DOMAIN_BLOCK_IOTUNE_READ_BYTES_SEC: 1 << 33, params.DOMAIN_BLOCK_IOTUNE_GROUP_NAME: "all"},
        read_bytes_sec_max=1 << 34,
    )
    changed = {"read_bytes_sec": 1 << 33, "read_bytes_sec_max": 1 << 34, "group_name": "all"}
    now = disk(domain).io_tune()
    assert {name: value for name, value in now.items() if value != before[name]} == changed
    assert disk(domain).io_tune(flags=CONFIG)["read_bytes_sec"] == 0


def test_chain_of_finds_the_images_of_a_disk(domain: Domain) -> None:
    below = (
        "<backingStore type='file' index='3'><format type='raw'/><source file='/base'/><backingStore/></backingStore>"
    )
    devices = (
        "<devices><disk type='file' device='cdrom'><target dev='hda'/></disk>"
        f"<disk type='file'><driver type='qcow2'/><source file='/top'/>{below}<target dev='vda'/></disk></devices>"
    )
    layered = domain.connection.domains.define(domain_xml("layers", elements=devices))
    chain = chain_of(layered, "vda")
    assert [{name for name in image if name.startswith("/")} for image in chain] == [{"/top"}, {"/base"}]
    assert chain_of(layered, "/top") == chain
    assert chain_of(layered, "/base") == chain_of(layered, "nope") == chain_of(layered, "hda") == ()


# Block jobs


@pytest.mark.parametrize(
    ("type", "cur", "end", "ready"),
    [
        (DomainBlockJobType.COPY, 5, 5, True),
        (DomainBlockJobType.ACTIVE_COMMIT, 1, 1, True),
        (DomainBlockJobType.COPY, 4, 5, False),
        (DomainBlockJobType.COPY, 0, 0, False),
        (DomainBlockJobType.PULL, 5, 5, False),
        (DomainBlockJobType.COMMIT, 5, 5, False),
        (DomainBlockJobType(99), 5, 5, False),
    ],
)
def test_a_job_is_ready_when_a_copy_or_commit_has_caught_up(
    type: DomainBlockJobType, cur: int, end: int, ready: bool
) -> None:
    assert BlockJobInfo(type, 0, cur, end).ready is ready


def test_poll_times_end_at_the_timeout() -> None:
    begin = time.monotonic()
    count = sum(1 for _ in poll_times(0.1, 60))
    assert time.monotonic() - begin >= 0.1
    assert time.monotonic() - begin < 30  # and not after the interval
    assert count > 3


@pytest.mark.parametrize("timeout", [0, -5])
def test_a_timeout_of_0_gives_one_poll_time(timeout: float) -> None:
    assert len(list(poll_times(timeout, 60))) == 1


def test_poll_times_without_a_timeout_never_end() -> None:
    endless = poll_times(None, 0.001)
    begin = time.monotonic()
    for _ in range(20):
        next(endless)
    assert time.monotonic() - begin >= 19 * 0.001


# Interfaces


def test_interfaces_are_those_of_the_configuration(domain: Domain) -> None:
    interfaces = DomainInterfaces(domain)
    assert list(interfaces) == [interfaces["testnet0"]]
    assert "testnet0" in interfaces
    assert "vnet0" not in interfaces


def test_interface_statistics_are_in_the_right_order(domain: Domain) -> None:
    stats = interface(domain).stats()
    assert isinstance(stats, InterfaceStats)
    # The driver's counters are the clock, each divided by a different number.
    assert (stats.rx_bytes or 0) > (stats.rx_packets or 0) > (stats.rx_errs or 0) > (stats.rx_drop or 0) > 0
    assert (stats.tx_bytes or 0) > (stats.tx_packets or 0) > (stats.tx_errs or 0) > (stats.tx_drop or 0) > 0
    assert (stats.rx_bytes or 0) > (stats.tx_bytes or 0)
    assert DomainInterfaces(domain)[MAC].stats().rx_errs is not None


def test_interface_parameters_are_set_and_read(domain: Domain) -> None:
    assert set(interface(domain).parameters().values()) == {0}
    limits = {params.DOMAIN_BANDWIDTH_IN_AVERAGE: 100, params.DOMAIN_BANDWIDTH_OUT_PEAK: 5, "outbound.average": 4}
    interface(domain).set_parameters(limits)
    assert {name: value for name, value in interface(domain).parameters().items() if value} == limits


@pytest.mark.parametrize("source", DomainInterfaceAddressesSource)
def test_interface_addresses_are_listed_while_the_domain_runs(
    domain: Domain, source: DomainInterfaceAddressesSource
) -> None:
    assert DomainInterfaces(domain).addresses(source) == [ADDRESSES]
    domain.destroy()
    with pytest.raises(OperationInvalidError) as caught:
        DomainInterfaces(domain).addresses(source)
    assert caught.value.function == "virDomainInterfaceAddresses"


# Metadata


@pytest.mark.parametrize("call", GETTERS, ids=str)
def test_missing_metadata_raises_not_found(domain: Domain, call: Call) -> None:
    with pytest.raises(MetadataNotFoundError) as caught:
        run(call, domain)
    assert caught.value.function == "virDomainGetMetadata"


def test_metadata_elements_are_set_replaced_and_deleted(domain: Domain) -> None:
    metadata = Metadata(domain)
    metadata.set(URI, "<last day='Montag ☃'/>", key="b")
    metadata.set("urn:other", "<x>1 &amp; 2</x>", key="o")
    found = pyvirt.xmldesc.parse(metadata.get(URI))
    assert found.get("day") == "Montag ☃"
    assert f"{{{URI}}}last" in {
        element.tag for element in pyvirt.xmldesc.parse(domain.xml_desc()).iterfind("metadata/*")
    }
    metadata.set(URI, "<next/>", key="b")
    assert pyvirt.xmldesc.parse(metadata.get(URI)).tag == "next"
    metadata.delete(URI)
    with pytest.raises(MetadataNotFoundError):
        metadata.get(URI)
    metadata.delete(URI)
    assert pyvirt.xmldesc.parse(metadata.get("urn:other")).text == "1 & 2"


def test_title_and_description_are_set_and_deleted(domain: Domain) -> None:
    metadata = Metadata(domain)
    metadata.set_title("Schön")
    metadata.set_description("two\nlines")
    assert (metadata.title(), metadata.description()) == ("Schön", "two\nlines")
    metadata.set_title(None)
    metadata.set_description(None)
    for ask in (metadata.title, metadata.description):
        with pytest.raises(MetadataNotFoundError):
            ask()


def test_metadata_differs_between_the_running_and_the_stored_configuration(domain: Domain) -> None:
    metadata = Metadata(domain)
    metadata.set_title("now", flags=LIVE)
    metadata.set_title("later", flags=CONFIG)
    assert (metadata.title(), metadata.title(flags=CONFIG)) == ("now", "later")
    metadata.set_description("both", flags=LIVE | CONFIG)
    assert metadata.description(flags=LIVE) == metadata.description(flags=CONFIG) == "both"
    domain.destroy()
    assert metadata.title() == "later"
    with pytest.raises(OperationInvalidError):
        metadata.set_title("never", flags=LIVE)
