# SPDX-License-Identifier: LGPL-2.1-or-later
"""What libvirt's test driver lacks: less from release to release."""

from __future__ import annotations

import pytest

import pyvirt
from tests.support.api_facts import SECTIONS, release
from tests.support.xml import domain_xml

# Of a UUID, so that it can be defined again where it is still there.
MARK = domain_xml("mark", uuid="6e1d6c2b-5f0a-4c0e-8a54-0d8c0a6f3b11")

#: newer than 9.0: its test driver has learnt some of what the tests expect it to refuse
NEWER = pyvirt.library_version() >= (9, 1, 0)

# When the test driver learnt what libvirt had before, or for as long as pyvirt can do with it.
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
    """Whether this libvirt has *function*, and its test driver has learnt it if ever one does."""
    return release(_version(function)) <= pyvirt.library_version()


def since(function: str) -> pytest.MarkDecorator:
    """Return the mark of a test that needs *function* to be :func:`there`."""
    return pytest.mark.libvirt(_version(function), f"has {function}")


def lacking(function: str) -> tuple[type[pyvirt.NotSupportedError], str]:
    """Return what calls of *function* raise where the driver lacks it, and what the message has."""
    version = _FACTS[function]["since"]
    if release(version) > pyvirt.library_version():
        return pyvirt.NotSupportedError, f"^{function} needs libvirt >= {version}, this build has"
    return pyvirt.OperationUnsupportedError, function


def unless_lacking(function: str, error: type[Exception], message: str = "") -> tuple[type[Exception], str]:
    """Return *error* and *message*, or where *function* is not :func:`there`, what :func:`lacking` says."""
    return (error, message) if there(function) else lacking(function)


def check_closes(conn: pyvirt.Connection) -> None:
    """Close *conn* to ``test:///default``, and see that nothing keeps it open: an exception that somebody holds, say.

    All connections to that host of a process share it, and it begins anew when the last one is gone.
    """
    conn.domains.define(MARK)
    conn.close()
    with pyvirt.connect("test:///default") as again:
        assert "mark" not in again.domains, "something keeps a connection to test:///default open"
