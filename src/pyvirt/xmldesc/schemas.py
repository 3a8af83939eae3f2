# SPDX-License-Identifier: LGPL-2.1-or-later
"""Documents against the RELAX NG schemas that libvirt installs."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from lxml import etree

from pyvirt.errors import NotSupportedError, XMLError
from pyvirt.xmldesc._build import adopt, node
from pyvirt.xmldesc._explain import Problem, explain, problem_at
from pyvirt.xmldesc._read import MAX_SIZE, XML, tree_of

_RNG = "{http://relaxng.org/ns/structure/1.0}"

VARIABLE = "PYVIRT_SCHEMAS"
"""The environment variable that may name the directory of the schemas."""

# Root element -> schema, as virt-xml-validate has it.
SCHEMAS = {
    "capabilities": "capability",
    "cpu": "cpu",
    "device": "nodedev",
    "domain": "domain",
    "domainCapabilities": "domaincaps",
    "domainbackup": "domainbackup",
    "domaincheckpoint": "domaincheckpoint",
    "domainsnapshot": "domainsnapshot",
    "filter": "nwfilter",
    "filterbinding": "nwfilterbinding",
    "interface": "interface",
    "network": "network",
    "networkport": "networkport",
    "pool": "storagepool",
    "secret": "secret",
    "storagepoolCapabilities": "storagepoolcaps",
    "volume": "storagevol",
}


class InvalidXMLError(XMLError):
    """A document that does not match libvirt's schema; ``problems`` says where and why."""

    default_code = 92

    def __init__(self, message: str, *, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.problems: tuple[Problem, ...] = tuple(problems)


class SchemasMissingError(NotSupportedError):
    """libvirt's schemas are not installed, or not where they are looked for."""


class _Schema:
    """A compiled schema, or one definition of it, which one thread uses at a time."""

    def __init__(self, path: Path, start: str) -> None:
        self.path = path
        self.start = start
        self._lock = threading.Lock()
        self._compiled: etree.RelaxNG | None = None

    def complaints(self, element: etree._Element) -> list[etree._LogEntry] | None:
        """Return what libxml2 says of an element that does not match, ``None`` of one that does."""
        with self._lock:
            if self._compiled is None:
                self._compiled = self._compile()
            return None if self._compiled.validate(element) else list(self._compiled.error_log)

    def _compile(self) -> etree.RelaxNG:
        try:
            schema = etree.parse(str(self.path))
            for node in schema.iterfind(f"{_RNG}start/{_RNG}ref") if self.start else ():
                node.set("name", self.start)
            return etree.RelaxNG(schema)
        except (OSError, etree.LxmlError) as error:
            raise SchemasMissingError(f"{self.path} cannot be used: {error}") from None


_schemas: dict[tuple[Path, str], _Schema] = {}


def validate(
    xml: XML,
    *,
    device: bool = False,
    schemas: str | os.PathLike[str] | None = None,
    max_size: int = MAX_SIZE,
) -> None:
    """Check a document against libvirt's schema for its kind, which its outermost element tells.

    A schema is compiled once per process, which takes some 10 ms for that of domains.  What matches may still be
    refused by a driver, and drivers accept some things that the schema does not know.

    :param xml: text, or an element with all that is in it
    :param device: whether it is a device of a domain, such as ``domain.devices.attach()`` takes, and no document
    :param schemas: the directory with ``domain.rng`` and the others, by default that of :func:`schema_directory`
    :param max_size: as for :func:`~pyvirt.xmldesc.parse`
    :raises InvalidXMLError: it does not match; ``problems`` lists what is wrong and where
    :raises XMLError: it is no XML, or of no kind that libvirt has a schema for
    :raises SchemasMissingError: there are no schemas
    """
    element = tree_of(xml, max_size=max_size)
    if element.getroottree().docinfo.internalDTD is not None:
        raise XMLError("this document has a document type declaration, and none of libvirt's does")
    name = "domain" if device else SCHEMAS.get(str(element.tag))
    if name is None:
        raise XMLError(f"libvirt has no schema for a document <{element.tag}>, only for {', '.join(sorted(SCHEMAS))}")
    start = "devices" if device else ""
    path = (schema_directory() if schemas is None else Path(schemas)).absolute() / f"{name}.rng"
    key = (path, start)
    schema = _schemas.get(key) or _schemas.setdefault(key, _Schema(path, start))
    if not path.exists():
        raise SchemasMissingError(f"there is no {path}; {_PACKAGES}")
    whole = node("devices", adopt(element)) if device else element
    complaints = schema.complaints(whole)
    if complaints is None:
        return
    problems = explain(whole, path, start) or (_said_by_libxml2(whole, complaints),)
    said = "\n".join(map(str, problems))
    raise InvalidXMLError(f"<{element.tag}> does not match libvirt's schema: {said}", problems=problems)


def _said_by_libxml2(element: etree._Element, complaints: list[etree._LogEntry]) -> Problem:
    """Return the complaint about the innermost element: for the rare case that we find nothing ourselves."""
    best = max(complaints, key=lambda one: (one.path or "").count("/"), default=None)
    if best is None or not best.path:
        return problem_at(element, best.message if best else "it does not match")
    return Problem(best.line or None, best.path, best.message)


_PACKAGES = (
    "libvirt's schemas are part of its client library: package libvirt0 or libvirt-common on Debian and Ubuntu, "
    f"libvirt-libs on Fedora; {VARIABLE} may name another directory"
)


def schema_directory() -> Path:
    """Return the directory that libvirt's schemas are in.

    It is what ``PYVIRT_SCHEMAS`` names, or else the first ``libvirt/schemas`` in one of ``XDG_DATA_DIRS``.

    :raises SchemasMissingError: there is none
    """
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    looked = [Path(directory, "libvirt", "schemas") for directory in _data_directories()]
    for directory in looked:
        if directory.joinpath("domain.rng").exists():
            return directory
    raise SchemasMissingError(f"there are no schemas in {' or '.join(map(str, looked))}; {_PACKAGES}")


def _data_directories() -> Iterator[str]:
    named = os.environ.get("XDG_DATA_DIRS", "")
    yield from dict.fromkeys([*filter(None, named.split(":")), "/usr/local/share", "/usr/share"])
