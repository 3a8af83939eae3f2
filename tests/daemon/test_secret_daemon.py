# SPDX-License-Identifier: LGPL-2.1-or-later
"""Secrets of a real daemon: their usage, their values, and that no value is shown anywhere else."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

import pyvirt
from pyvirt._core.lib import ffi, lib
from pyvirt.enums import ConnectListAllSecretsFlags, ErrorNumber, SecretDefineFlags, SecretUsageType
from pyvirt.errors import (
    AccessDeniedError,
    ClosedError,
    Error,
    InvalidArgumentError,
    NotSupportedError,
    SecretNotFoundError,
    XMLError,
)
from pyvirt.secret import Secret, Secrets
from pyvirt.testing.daemon import PrivateDaemon
from pyvirt.testing.pytest_plugin import DaemonFactory
from pyvirt.xmldesc import XML, parse
from tests.support.method_tables import Call, functions_named
from tests.support.resources import resident_memory

if TYPE_CHECKING:
    from pyvirt._core.lib import CData

SOME = UUID("c7a5fdbd-edaf-9455-926a-d65c16db1809")
TELLTALE = b"correct-horse-battery-staple"
MOST = 65_536  # REMOTE_SECRET_VALUE_MAX

USAGES = {
    SecretUsageType.VOLUME: ("<volume>{}</volume>", "/images/a.luks"),
    SecretUsageType.CEPH: ("<name>{}</name>", "client.admin secret"),
    SecretUsageType.ISCSI: ("<target>{}</target>", "iqn.2026-01.example:one"),
    SecretUsageType.TLS: ("<name>{}</name>", "ключ"),
    SecretUsageType.VTPM: ("<name>{}</name>", "tpm"),
}
CALLS = [
    Call("virSecretGetUsageType", Secret.usage_type),
    Call("virSecretGetUsageID", Secret.usage_id),
    Call("virSecretGetXMLDesc", Secret.xml_desc),
    Call("virSecretGetValue", Secret.value),
    Call("virSecretSetValue", Secret.set_value, (TELLTALE,)),
    Call("virSecretUndefine", Secret.undefine),
]


def secret_xml(
    kind: SecretUsageType = SecretUsageType.VOLUME,
    *,
    usage: str | None = None,
    uuid: UUID | None = None,
    private: bool = False,
    ephemeral: bool = False,
) -> str:
    element, default = USAGES[kind]
    return (
        f"<secret private='{'yes' if private else 'no'}' ephemeral='{'yes' if ephemeral else 'no'}'>"
        + (f"<uuid>{uuid}</uuid>" if uuid else "")
        + f"<usage type='{kind.name.lower()}'>{element.format(default if usage is None else usage)}</usage></secret>"
    )


@pytest.fixture
def secrets(private_daemon: PrivateDaemon) -> Iterator[Secrets]:
    with pyvirt.connect(private_daemon.uri("secret")) as conn:
        secrets = Secrets(conn)
        assert list(secrets) == []
        yield secrets
    with pyvirt.connect(private_daemon.uri("secret")) as conn:
        for secret in Secrets(conn):
            secret.undefine()


@pytest.fixture
def secret(secrets: Secrets) -> Secret:
    return secrets.define(secret_xml())


# ---- usage ----


@pytest.mark.parametrize("kind", USAGES)
def test_every_kind_is_found_by_its_usage(secrets: Secrets, kind: SecretUsageType) -> None:
    secret = secrets.define(secret_xml(kind))
    usage = USAGES[kind][1]
    assert (secret.usage_type, secret.usage_id) == (kind, usage)
    assert secrets.get(usage_type=kind, usage_id=usage) == secret
    assert secrets.get(usage_type=SecretUsageType(99), usage_id=usage, default=None) is None
    with pytest.raises(SecretNotFoundError, match="nobody") as caught:
        secrets.get(usage_type=kind, usage_id="nobody")
    assert caught.value.code == ErrorNumber.NO_SECRET
    assert secrets.get(usage_type=kind, usage_id="nobody", default=None) is None


def test_a_secret_may_have_no_usage(secrets: Secrets) -> None:
    secret = secrets.define("<secret/>")
    assert (secret.usage_type, secret.usage_id) == (SecretUsageType.NONE, "")
    assert secrets.get(secret.uuid).usage_id == ""


def test_the_collection_lists_and_finds_secrets(secrets: Secrets) -> None:
    made = [secrets.define(secret_xml(kind)) for kind in USAGES]
    assert len(secrets) == len(made)
    assert set(secrets) == set(made)
    assert sorted(secrets.uuids()) == sorted(secret.uuid for secret in made)
    first, second = made[:2]
    uuid = first.uuid
    for form in (uuid, str(uuid), str(uuid).upper(), uuid.bytes):
        assert secrets[form] == secrets.get(form) == first
    for item in (uuid, str(uuid), first):
        assert item in secrets
    assert SOME not in secrets
    assert str(SOME) not in secrets
    assert first != second
    assert repr(first) == f"<pyvirt.Secret {uuid}>"
    assert secrets[uuid].connection is first.connection
    assert secrets.get(SOME, default=None) is None
    with pytest.raises(SecretNotFoundError, match=str(SOME)):
        secrets[SOME]


def test_flags_filter_the_list(secrets: Secrets) -> None:
    flags = ConnectListAllSecretsFlags
    plain = secrets.define(secret_xml(SecretUsageType.VOLUME))
    private = secrets.define(secret_xml(SecretUsageType.CEPH, private=True))
    ephemeral = secrets.define(secret_xml(SecretUsageType.TLS, ephemeral=True))
    assert set(secrets.list(flags.PRIVATE)) == {private}
    assert set(secrets.list(flags.EPHEMERAL)) == {ephemeral}
    assert set(secrets.list(flags.NO_PRIVATE | flags.NO_EPHEMERAL)) == {plain}
    assert set(secrets.list(flags.PRIVATE | flags.NO_PRIVATE)) == {plain, private, ephemeral}
    with pytest.raises(InvalidArgumentError):
        secrets.list(flags(1 << 30))


def test_redefining_keeps_the_value(secrets: Secrets) -> None:
    secret = secrets.define(secret_xml(uuid=SOME))
    secret.set_value(b"kept")
    again = secrets.define(secret_xml(uuid=SOME, ephemeral=True))
    assert again == secret
    assert parse(secret.xml_desc()).get("ephemeral") == "yes"
    assert secret.value() == b"kept"
    assert len(secrets) == 1


@pytest.mark.parametrize(
    ("xml", "error"),
    [
        ("no XML", XMLError),
        ("<volume/>", XMLError),
        ("<secret><uuid>short</uuid></secret>", Error),
        ("<secret><usage type='nobody'/></secret>", NotSupportedError),
        ("<secret><usage type='volume'/></secret>", Error),
        ("<secret\0/>", InvalidArgumentError),
        (b"<volume/>", XMLError),
        (5, TypeError),
        (secret_xml(), Error),  # with the usage of the other one
        (secret_xml(SecretUsageType.CEPH, uuid=SOME), Error),  # the same UUID with another usage
    ],
)
def test_an_invalid_definition_changes_nothing(secrets: Secrets, xml: XML, error: type[Exception]) -> None:
    there = secrets.define(secret_xml(uuid=SOME))
    there.set_value(b"kept")
    before = there.xml_desc()
    with pytest.raises(error):
        secrets.define(xml)
    assert list(secrets) == [there]
    assert (there.xml_desc(), there.value()) == (before, b"kept")


def test_documents_are_validated_only_with_the_flag(secrets: Secrets) -> None:
    odd = "<secret><surprise/></secret>"
    with pytest.raises(XMLError, match="surprise"):
        secrets.define(odd, flags=SecretDefineFlags.VALIDATE)
    assert list(secrets) == []
    assert secrets.define(odd) in secrets


def test_an_undefined_secret_raises_not_found(secrets: Secrets, secret: Secret) -> None:
    secret.set_value(b"x")
    secret.undefine()
    assert list(secrets) == []
    for call in (secret.undefine, secret.value, secret.xml_desc, lambda: secret.set_value(b"x")):
        with pytest.raises(SecretNotFoundError):
            call()


# ---- values ----


@pytest.mark.parametrize(
    "value",
    [b"x", bytes(range(256)), b"\0", b"\0" * 1000, "пароль".encode(), bytes(range(256)) * (MOST // 256)],
    ids=["one byte", "all bytes", "NUL", "many NULs", "text", "the most"],
)
def test_values_come_back_as_they_were(secret: Secret, value: bytes) -> None:
    secret.set_value(value)
    assert secret.value() == value
    assert type(secret.value()) is bytes


def test_reading_a_secret_without_a_value_raises(secret: Secret) -> None:
    for _ in range(2):
        with pytest.raises(SecretNotFoundError, match="does not have a value"):
            secret.value()
        with pytest.raises(InvalidArgumentError):
            secret.set_value(b"")


def test_set_value_accepts_any_buffer(secret: Secret) -> None:
    array = bytearray(b"in an array")
    secret.set_value(array)
    array[:] = bytes(len(array))
    array.clear()  # nothing keeps it alive
    assert secret.value() == b"in an array"
    secret.set_value(memoryview(b"in a view")[5:])
    assert secret.value() == b"view"


def test_a_refused_value_is_released(secret: Secret) -> None:
    secret.undefine()
    array = bytearray(b"in an array")
    with pytest.raises(SecretNotFoundError) as caught:
        secret.set_value(array)
    array.clear()
    assert caught.value.function == "virSecretSetValue"


@pytest.mark.parametrize("value", ["text", None, 7, ["list"]])
def test_set_value_refuses_anything_but_bytes(secret: Secret, value: object) -> None:
    secret.set_value(b"kept")
    with pytest.raises(TypeError, match=f"bytes, got {type(value).__name__}$"):
        secret.set_value(value)  # type: ignore[arg-type]
    assert secret.value() == b"kept"


def test_a_value_that_is_too_long_is_refused(secret: Secret) -> None:
    secret.set_value(b"kept")
    with pytest.raises(Error, match=f"{MOST + 1} > {MOST}"):
        secret.set_value(bytes(MOST + 1))
    assert secret.value() == b"kept"


def test_reading_a_private_value_is_refused(secrets: Secrets) -> None:
    secret = secrets.define(secret_xml(private=True))
    secret.set_value(b"x")
    with pytest.raises(AccessDeniedError, match="private") as caught:
        secret.value()
    assert (caught.value.code, caught.value.function) == (ErrorNumber.INVALID_SECRET, "virSecretGetValue")
    with pytest.raises(Error, match="private"):
        secrets.define(secret_xml(uuid=secret.uuid, private=False))


def test_a_read_only_connection_cannot_read_values(private_daemon: PrivateDaemon, secret: Secret) -> None:
    secret.set_value(b"kept")
    with pyvirt.connect(private_daemon.uri("secret"), readonly=True) as conn:
        secrets = Secrets(conn)
        seen = secrets[secret.uuid]
        assert seen.usage_id == secret.usage_id
        for call in (seen.value, lambda: seen.set_value(b"x"), seen.undefine, lambda: secrets.define(secret_xml())):
            with pytest.raises(AccessDeniedError):
                call()
    assert secret.value() == b"kept"


def test_persistent_secrets_survive_a_restart_of_the_daemon(private_daemon_factory: DaemonFactory) -> None:
    daemon = private_daemon_factory()
    with pyvirt.connect(daemon.uri("secret")) as conn:
        kept = Secrets(conn).define(secret_xml(SecretUsageType.CEPH))
        kept.set_value(TELLTALE)
        uuid = kept.uuid
        Secrets(conn).define(secret_xml(SecretUsageType.TLS, ephemeral=True)).set_value(TELLTALE)
    daemon.restart()
    with pyvirt.connect(daemon.uri("secret")) as conn:
        [secret] = Secrets(conn)
        assert secret.uuid == uuid
        assert secret.value() == TELLTALE


# ---- no value is shown anywhere else ----


def everything_about(error: BaseException) -> str:
    """Return what a tool could print of an error: the traceback with variables, the attributes, the pickle."""
    lines = traceback.TracebackException.from_exception(error, capture_locals=True).format()
    return "".join(lines) + repr(error) + repr(vars(error)) + repr(pickle.dumps(error))


@pytest.mark.parametrize(
    "provoke",
    [
        lambda secret: secret.set_value(TELLTALE),
        lambda secret: secret.set_value(bytearray(TELLTALE)),
        lambda secret: secret.set_value(memoryview(TELLTALE)),
        lambda secret: secret.set_value(TELLTALE.decode()),
        lambda secret: secret.set_value([TELLTALE]),
        lambda secret: secret.value(),
        lambda secret: secret.undefine(),
    ],
)
@pytest.mark.parametrize("how", ["closed", "undefined"])
def test_no_error_shows_a_value(secret: Secret, provoke: Callable[[Secret], object], how: str) -> None:
    secret.set_value(TELLTALE)
    secret.close() if how == "closed" else secret.undefine()
    with pytest.raises((ClosedError, SecretNotFoundError, TypeError)) as caught:
        provoke(secret)
    shown = everything_about(caught.value)
    assert "secret = <pyvirt.Secret" in shown  # the variables are included
    assert TELLTALE.decode() not in shown


def test_no_repr_or_pickle_shows_a_value(secrets: Secrets, secret: Secret) -> None:
    secret.set_value(TELLTALE)
    assert secret.value() == TELLTALE
    names = [name for name in dir(secret) if not name.startswith("__") and not callable(getattr(secret, name, None))]
    assert {"uuid", "usage_type", "usage_id"} <= set(names)
    shown = [repr(getattr(secret, name, None)) for name in names]
    shown += [repr(secret), str(secret), f"{secret}", repr(list(secrets)), repr(secrets), secret.xml_desc()]
    assert TELLTALE.decode() not in "".join(shown)
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(secret)


def test_the_buffer_from_libvirt_is_overwritten_before_it_is_freed(
    secret: Secret, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret.set_value(TELLTALE)
    freed: list[bytes] = []

    class Watch:
        """The library itself, except that free() first records the memory."""

        def __getattr__(self, name: str) -> object:
            return getattr(lib, name)

        def free(self, pointer: CData) -> None:
            freed.append(bytes(ffi.buffer(pointer, len(TELLTALE))))
            lib.free(pointer)

    monkeypatch.setattr("pyvirt.secret.lib", Watch())
    assert secret.value() == TELLTALE
    assert freed == [bytes(len(TELLTALE))]


def test_values_do_not_leak(secret: Secret) -> None:
    secret.set_value(bytes(60_000))
    for _ in range(50):
        secret.value()
    before = resident_memory()
    for _ in range(1000):  # unfreed, 57 MiB
        secret.value()
        secret.set_value(bytes(60_000))
    assert resident_memory() - before < 8 << 20


# ---- handles ----


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_a_closed_secret_raises_closed_error(secret: Secret, call: Call) -> None:
    secret.close()
    with pytest.raises(ClosedError):
        call(secret)
    assert repr(secret) == "<pyvirt.Secret closed>"


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_docstrings_name_the_c_function(call: Call) -> None:
    assert call.function in functions_named(call.method)
