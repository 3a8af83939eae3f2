# SPDX-License-Identifier: LGPL-2.1-or-later
"""libvirt's XML documents as lxml trees: parse them safely, validate them, and build them from keyword arguments.

>>> from pyvirt import xmldesc
>>> root = xmldesc.network("blue", forward="nat", ips=[xmldesc.network_ip("10.9.0.1/24")])
>>> xmldesc.validate(root)
>>> print(xmldesc.serialize(root))
<network><name>blue</name><forward mode="nat"/><ip address="10.9.0.1" prefix="24" family="ipv4"/></network>

Nothing here calls libvirt.  The modules for validation and the builders are imported when they are first used.
"""

from __future__ import annotations

from pyvirt.xmldesc._read import MAX_SIZE, XML, parse, serialize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyvirt.xmldesc._explain import Problem
    from pyvirt.xmldesc.devices import (
        channel,
        console,
        controller,
        disk,
        filesystem,
        graphics,
        interface,
        memballoon,
        network_source,
        rng,
        serial,
        tpm,
        video,
    )
    from pyvirt.xmldesc.domains import domain
    from pyvirt.xmldesc.networks import dhcp_host, network, network_ip, portgroup
    from pyvirt.xmldesc.nwfilters import filterref, nwfilter, rule
    from pyvirt.xmldesc.schemas import InvalidXMLError, SchemasMissingError, schema_directory, validate
    from pyvirt.xmldesc.secrets import secret
    from pyvirt.xmldesc.snapshots import checkpoint, pull_backup, push_backup, snapshot, snapshot_disk
    from pyvirt.xmldesc.storage import pool, volume

# Name -> the module that defines it.  No module has the name of a function here: its import would hide the function.
_MODULES = {
    **dict.fromkeys(("InvalidXMLError", "SchemasMissingError", "schema_directory", "validate"), "schemas"),
    **dict.fromkeys(("channel", "console", "controller", "disk", "filesystem", "graphics", "interface"), "devices"),
    **dict.fromkeys(("memballoon", "network_source", "rng", "serial", "tpm", "video"), "devices"),
    **dict.fromkeys(("dhcp_host", "network", "network_ip", "portgroup"), "networks"),
    **dict.fromkeys(("filterref", "nwfilter", "rule"), "nwfilters"),
    **dict.fromkeys(("checkpoint", "pull_backup", "push_backup", "snapshot", "snapshot_disk"), "snapshots"),
    **dict.fromkeys(("pool", "volume"), "storage"),
    "Problem": "_explain",
    "domain": "domains",
    "secret": "secrets",
}


if not TYPE_CHECKING:  # with __getattr__ in sight, a type checker would accept every misspelt name

    def __getattr__(name: str) -> object:
        from importlib import import_module

        module = _MODULES.get(name)
        if module is None:
            raise AttributeError(f"module 'pyvirt.xmldesc' has no attribute {name!r}")
        value: object = getattr(import_module(f"pyvirt.xmldesc.{module}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *_MODULES})


__all__ = [
    "MAX_SIZE",
    "XML",
    "InvalidXMLError",
    "Problem",
    "SchemasMissingError",
    "channel",
    "checkpoint",
    "console",
    "controller",
    "dhcp_host",
    "disk",
    "domain",
    "filesystem",
    "filterref",
    "graphics",
    "interface",
    "memballoon",
    "network",
    "network_ip",
    "network_source",
    "nwfilter",
    "parse",
    "pool",
    "portgroup",
    "pull_backup",
    "push_backup",
    "rng",
    "rule",
    "schema_directory",
    "secret",
    "serial",
    "serialize",
    "snapshot",
    "snapshot_disk",
    "tpm",
    "validate",
    "video",
    "volume",
]
