# SPDX-License-Identifier: LGPL-2.1-or-later
"""What libvirt's test driver lacks, depending on the release."""

from __future__ import annotations

import pytest

import pyvirt
from tests.support.api_facts import SECTIONS, release
from tests.support.xml import domain_xml

# With a UUID, so that it can be defined again where it still exists.
MARK = domain_xml("mark", uuid="6e1d6c2b-5f0a-4c0e-8a54-0d8c0a6f3b11")

#: newer than 9.0: its test driver supports some calls that the tests otherwise expect it to refuse
NEWER = pyvirt.library_version() >= (9, 1, 0)

# The release in which the test driver gained functions that libvirt had before, or in the form that pyvirt needs.
_LEARNT = {
    "7.5.0": ["virDomainGetSecurityLabel", "virNodeGetSecurityModel"],
    "7.6.0": ["virDomainGetControlInfo", "virDomainGetMessages"],
    "7.7.0": ["virDomainGetBlkioParameters", "virDomainSetBlkioParameters"],
    "7.8.0": [
        *("virConnectGetAllDomainStats", "virDomainListGetStats"),
        *("virDomainGetIOThreadInfo", "virDomainAddIOThread", "virDomainDelIOThread"),
        *("virDomainPinIOThread", "virDomainSetIOThreadParams"),
    ],
}
_LEARNT_IN = {function: version for version, functions in _LEARNT.items() for function in functions}
_FACTS = {name: facts for section in SECTIONS.values() for name, facts in section["functions"].items()}


def _version(function: str) -> str:
    version: str = _LEARNT_IN.get(function, _FACTS[function]["since"])
    return version


def there(function: str) -> bool:
    """Return whether this libvirt has *function*, and its test driver supports it if any does."""
    return release(_version(function)) <= pyvirt.library_version()


def since(function: str) -> pytest.MarkDecorator:
    """Return the mark of a test that needs *function* to be :func:`there`."""
    return pytest.mark.libvirt(_version(function), f"has {function}")


def lacking(function: str) -> tuple[type[pyvirt.NotSupportedError], str]:
    """Return the error that *function* raises where the driver lacks it, and a pattern for its message."""
    version = _FACTS[function]["since"]
    if release(version) > pyvirt.library_version():
        return pyvirt.NotSupportedError, f"^{function} needs libvirt >= {version}, this build has"
    return pyvirt.OperationUnsupportedError, function


def unless_lacking(function: str, error: type[Exception], message: str = "") -> tuple[type[Exception], str]:
    """Return *error* and *message*, or the result of :func:`lacking` where *function* is not :func:`there`."""
    return (error, message) if there(function) else lacking(function)


def check_closes(conn: pyvirt.Connection) -> None:
    """Close *conn* to ``test:///default``, and check that nothing keeps it open, such as a stored exception.

    All connections of a process to that host share it, and it is reset when the last one is closed.
    """
    conn.domains.define(MARK)
    conn.close()
    with pyvirt.connect("test:///default") as again:
        assert "mark" not in again.domains, "something keeps a connection to test:///default open"
