# SPDX-License-Identifier: LGPL-2.1-or-later
"""Validate documents against the RELAX NG schemas that libvirt installs."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from lxml import etree

from pyvirt.errors import NotSupportedError, XMLError
from pyvirt.xmldesc._build import copy_element, node
from pyvirt.xmldesc._explain import Problem, explain, problem_at
from pyvirt.xmldesc._read import MAX_SIZE, XML, tree_of

_RNG = "{http://relaxng.org/ns/structure/1.0}"

VARIABLE = "PYVIRT_SCHEMAS"
"""The environment variable for the directory of the schemas."""

# Root element -> schema, as in virt-xml-validate.
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
    """A document does not match libvirt's schema; ``problems`` lists where and why."""

    default_code = 92

    def __init__(self, message: str, *, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.problems: tuple[Problem, ...] = tuple(problems)


class SchemasMissingError(NotSupportedError):
    """libvirt's schemas are not installed, or are in another directory."""


class _Schema:
    """A compiled schema, or one definition of it; one thread uses it at a time."""

    def __init__(self, path: Path, start: str) -> None:
        self.path = path
        self.start = start
        self._lock = threading.Lock()
        self._compiled: etree.RelaxNG | None = None

    def errors_of(self, element: etree._Element) -> list[etree._LogEntry] | None:
        """Return libxml2's errors about an element, or ``None`` if the element matches."""
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
    """Check a document against libvirt's schema for its outermost element.

    A schema is compiled once per process; for the schema of domains this takes some 10 ms.  A driver may still reject a
    document that matches, and drivers accept some elements that the schema does not contain.

    :param xml: text, bytes or an element with everything inside it
    :param device: whether *xml* is a device of a domain, as for ``domain.devices.attach()``, and not a whole document
    :param schemas: the directory of ``domain.rng`` and the other schemas; the default is :func:`schema_directory`
    :param max_size: as for :func:`~pyvirt.xmldesc.parse`
    :raises InvalidXMLError: the document does not match; ``problems`` lists what is wrong, and where
    :raises XMLError: the text is not well-formed XML, or libvirt has no schema for its outermost element
    :raises SchemasMissingError: the schema cannot be found or used
    """
    element = tree_of(xml, max_size=max_size)
    if element.getroottree().docinfo.internalDTD is not None:
        raise XMLError(
            "the document has a document type declaration (<!DOCTYPE>), which libvirt's documents never have"
        )
    name = "domain" if device else SCHEMAS.get(str(element.tag))
    if name is None:
        raise XMLError(f"libvirt has no schema for <{element.tag}>, only for {', '.join(sorted(SCHEMAS))}")
    start = "devices" if device else ""
    path = (schema_directory() if schemas is None else Path(schemas)).absolute() / f"{name}.rng"
    key = (path, start)
    schema = _schemas.get(key) or _schemas.setdefault(key, _Schema(path, start))
    if not path.exists():
        raise SchemasMissingError(f"{path} does not exist; {_PACKAGES}")
    whole = node("devices", copy_element(element)) if device else element
    errors = schema.errors_of(whole)
    if errors is None:
        return
    problems = explain(whole, path, start) or (_innermost_problem(whole, errors),)
    listed = "\n".join(map(str, problems))
    raise InvalidXMLError(f"<{element.tag}> does not match libvirt's schema: {listed}", problems=problems)


def _innermost_problem(element: etree._Element, errors: list[etree._LogEntry]) -> Problem:
    """Return libxml2's error about the innermost element, for the rare case that ``explain`` finds nothing."""
    innermost = max(errors, key=lambda one: (one.path or "").count("/"), default=None)
    if innermost is None or not innermost.path:
        return problem_at(element, innermost.message if innermost else "it does not match")
    return Problem(innermost.line or None, innermost.path, innermost.message)


_PACKAGES = (
    "libvirt's schemas are part of its client library: package libvirt0 or libvirt-common on Debian and Ubuntu, "
    f"libvirt-libs on Fedora; set {VARIABLE} for another directory"
)


def schema_directory() -> Path:
    """Return the directory of libvirt's schemas.

    It is the value of ``PYVIRT_SCHEMAS``, otherwise the first ``libvirt/schemas`` in ``XDG_DATA_DIRS``,
    ``/usr/local/share`` or ``/usr/share``.

    :raises SchemasMissingError: no such directory exists
    """
    configured = os.environ.get(VARIABLE)
    if configured:
        return Path(configured)
    candidates = [Path(directory, "libvirt", "schemas") for directory in _data_directories()]
    for directory in candidates:
        if directory.joinpath("domain.rng").exists():
            return directory
    raise SchemasMissingError(f"no schemas in {' or '.join(map(str, candidates))}; {_PACKAGES}")


def _data_directories() -> Iterator[str]:
    configured = os.environ.get("XDG_DATA_DIRS", "")
    yield from dict.fromkeys([*filter(None, configured.split(":")), "/usr/local/share", "/usr/share"])
