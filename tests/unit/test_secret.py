# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tests that need no secrets, as libvirt's test driver has none; tests/daemon/test_secret_daemon.py has the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import UUID

import pytest

import pyvirt
from pyvirt.enums import ErrorNumber, SecretUsageType
from pyvirt.errors import ClosedError, InvalidArgumentError, OperationUnsupportedError
from pyvirt.secret import Secrets

SOME = UUID("c7a5fdbd-edaf-9455-926a-d65c16db1809")
XML = "<secret><usage type='volume'><volume>/images/a</volume></usage></secret>"

CALLS: dict[str, Callable[[Secrets], object]] = {
    "virConnectListAllSecrets": lambda secrets: secrets.list(),
    "virConnectNumOfSecrets": lambda secrets: secrets.uuids(),
    "virSecretLookupByUUID": lambda secrets: secrets.get(SOME),
    "virSecretLookupByUsage": lambda secrets: secrets.get(usage_type=SecretUsageType.CEPH, usage_id="client"),
    "virSecretDefineXML": lambda secrets: secrets.define(XML),
}


@pytest.fixture
def secrets() -> Iterator[Secrets]:
    with pyvirt.connect("test:///default") as conn:
        yield Secrets(conn)


@pytest.mark.parametrize(("function", "call"), CALLS.items(), ids=list(CALLS))
def test_a_driver_without_secrets_raises_unsupported(
    secrets: Secrets, function: str, call: Callable[[Secrets], object]
) -> None:
    with pytest.raises(OperationUnsupportedError, match=function) as caught:
        call(secrets)
    assert (caught.value.code, caught.value.function) == (ErrorNumber.NO_SUPPORT, function)


@pytest.mark.parametrize(
    "ask",
    [
        lambda secrets: len(secrets),
        lambda secrets: list(secrets),
        lambda secrets: SOME in secrets,
        lambda secrets: str(SOME) in secrets,
        lambda secrets: secrets[SOME],
        lambda secrets: secrets.get(SOME, default=None),
    ],
)
def test_a_driver_without_secrets_is_not_an_empty_collection(
    secrets: Secrets, ask: Callable[[Secrets], object]
) -> None:
    with pytest.raises(OperationUnsupportedError):
        ask(secrets)


@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
def test_every_call_on_a_closed_connection_raises_closed_error(call: Callable[[Secrets], object]) -> None:
    with pyvirt.connect("test:///default") as conn:
        secrets = Secrets(conn)
    with pytest.raises(ClosedError):
        call(secrets)


@pytest.mark.parametrize("uuid", ["", "nobody", "c7a5fdbd", b"", b"x" * 17])
def test_an_invalid_uuid_is_refused(secrets: Secrets, uuid: str | bytes) -> None:
    with pytest.raises(InvalidArgumentError):
        secrets[uuid]
    with pytest.raises(InvalidArgumentError):
        secrets.get(uuid, default=None)
    assert uuid not in secrets


def test_get_takes_exactly_one_kind_of_key(secrets: Secrets) -> None:
    volume = SecretUsageType.VOLUME
    look_ups: list[Callable[[], object]] = [
        secrets.get,
        lambda: secrets.get(usage_type=volume),
        lambda: secrets.get(usage_id="/images/a"),
        lambda: secrets.get(SOME, usage_id="/images/a"),
        lambda: secrets.get(SOME, usage_type=volume, usage_id="/images/a"),
    ]
    for look_up in look_ups:
        with pytest.raises(TypeError, match="usage_type and usage_id"):
            look_up()


@pytest.mark.parametrize(
    ("xml", "error"), [("<secret\0/>", InvalidArgumentError), (b"<secret\0/>", InvalidArgumentError)]
)
def test_documents_that_c_cannot_hold_are_refused(secrets: Secrets, xml: str | bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        secrets.define(xml)
