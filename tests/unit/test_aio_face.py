# SPDX-License-Identifier: LGPL-2.1-or-later
"""The asynchronous face has the members of the model, with the same docstrings: both are compared at run time.

It is generated, and ``ci/gen_aio --check`` checks that it is current.  These tests do not trust the generator: they
look up each public class of the model, and compare its members with those of its counterpart, both ways.
"""

from __future__ import annotations

import ast
import dataclasses
import enum
import inspect
import sys
import types
import typing
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from functools import cache
from importlib import import_module
from pathlib import Path
from unittest.mock import ANY

import pytest

import pyvirt
import pyvirt.aio
from pyvirt.aio import events as aio_events
from pyvirt.aio._base import Async, AsyncHandle, AsyncRoot
from pyvirt.events import DomainWatch, Events, Listener, Subscription
from pyvirt.stream import Stream
from tests.support.processes import output_of, run
from tests.unit.test_layers import LAYERS, MODULES, package_of

# What the model has and the face lacks, and why.
NOT_AWAITED = {
    "LxcDomain.enter_namespace": "of the calling thread",
    "LxcDomain.enter_cgroup": "of the calling process",
}
# What only the face has.
MORE = {"sync"}
MORE_OF_A_CONNECTION = {"run", "max_requests", "in_flight"}
MORE_OF_ONE = {"connection.Connection": {"awaited"}}
# Parameters of connect().
MANNERS = {"max_requests", "call_timeout", "close_timeout"}
# Special methods cannot be awaited, or make no call.
SPECIAL = {"__len__": "count", "__contains__": "contains", "__iter__": "__aiter__", "__enter__": "__aenter__"}
# Arguments that differ from the model: the model calls them, the face awaits them.
CALLED = {("Job.watch", "call")}


def is_value(cls: type) -> bool:
    typed_dict = typing.is_typeddict(cls)
    return dataclasses.is_dataclass(cls) or issubclass(cls, enum.Enum | tuple | BaseException) or typed_dict


def classes(rooms: typing.Container[str], below: str = "pyvirt") -> dict[str, type]:
    """Return the public classes of public modules, by "module.Class" below *below*."""
    found = {}
    for name in MODULES:
        parts = name.removeprefix(below).split(".")[1:]
        if not name.startswith(below + ".") or parts[0] not in rooms or any(part.startswith("_") for part in parts):
            continue
        for key, value in vars(import_module(name)).items():
            if inspect.isclass(value) and value.__module__ == name and not key.startswith("_") and not is_value(value):
                found[".".join([*parts, key])] = value
    return found


# Streams are files, and few of their methods make requests: their counterpart is written by hand.
ROOMS = set(LAYERS["model"]) - {"stream"}
MODEL = classes(ROOMS)
FACE = classes(ROOMS, "pyvirt.aio._generated")


def public(cls: type) -> dict[str, object]:
    names = [name for name in dir(cls) if not name.startswith("_")]
    return {name: inspect.getattr_static(cls, name) for name in names}


def test_every_class_has_its_counterpart() -> None:
    assert len(MODEL) > 40
    assert MODEL.keys() == FACE.keys()
    assert {name for name, cls in FACE.items() if not issubclass(cls, Async)} == set()


@pytest.mark.parametrize("name", sorted(MODEL))
def test_the_members_are_the_same(name: str) -> None:
    model, face = MODEL[name], FACE[name]
    expected = {one for one in public(model) if f"{model.__name__}.{one}" not in NOT_AWAITED}
    for special, form in SPECIAL.items():
        if hasattr(model, special):
            assert hasattr(face, form), special
            assert form not in expected, "two methods of that name"
            expected |= {form} - {"__aiter__", "__aenter__"}
    if hasattr(model, "__getitem__"):
        # Indexing either makes no call, or is get().
        assert hasattr(face, "__getitem__") or hasattr(face, "get")
        expected |= set() if hasattr(face, "__getitem__") else {"get"}
    expected |= MORE | (MORE_OF_A_CONNECTION if issubclass(face, AsyncRoot) else set()) | MORE_OF_ONE.get(name, set())

    assert set(public(face)) == expected


HANDLES = {f"{cls.__name__}.{name}" for cls in FACE.values() for name in ("close", "closed") if hasattr(cls, name)}
PAIRS = {
    name: [
        (f"{cls.__name__}.{key}", value, public(FACE[name])[key])
        for key, value in public(cls).items()
        if key in public(FACE[name]) and f"{cls.__name__}.{key}" not in HANDLES
    ]
    for name, cls in MODEL.items()
}


@pytest.mark.parametrize("name", sorted(MODEL))
def test_closing_a_connection_is_awaited_and_closing_a_handle_is_not(name: str) -> None:
    members = public(FACE[name])
    if "close" in members:
        assert inspect.iscoroutinefunction(members["close"]) == (not issubclass(FACE[name], AsyncHandle))
        assert isinstance(members["closed"], property)


@pytest.mark.parametrize("name", sorted(MODEL))
def test_members_are_of_the_same_kind(name: str) -> None:
    for what, model, face in PAIRS[name]:
        if isinstance(model, property | types.MemberDescriptorType):
            assert isinstance(face, property), what
            continue
        assert callable(model), what
        assert callable(face), what
        if is_manager(model):
            assert typing.get_origin(hint(face)) is AbstractAsyncContextManager, what
        else:
            assert inspect.iscoroutinefunction(face), what


@pytest.mark.parametrize("name", sorted(MODEL))
def test_members_take_and_return_the_same(name: str) -> None:
    kind = getattr(MODEL[name], "_kind", None)
    for what, model, face in PAIRS[name]:
        if isinstance(model, types.MemberDescriptorType):
            continue
        if isinstance(model, property):
            assert isinstance(face, property), what
            assert describe(hint(face.fget)) == describe(hint(model.fget), kind), what
            continue
        assert callable(model), what
        assert callable(face), what
        takes = parameters(model, what, kind)
        assert without_ours(parameters(face, what, kind), takes) == takes, what
        there, here = hint(model), hint(face)
        if is_manager(model):
            there, here = typing.get_args(there)[0], typing.get_args(here)[0]
        assert describe(here) == describe(there, kind), what


@pytest.mark.parametrize("name", sorted(MODEL))
def test_every_call_takes_a_timeout(name: str) -> None:
    """Each method has a timeout, that of the model or an additional one."""
    without = [
        what for what, _, face in PAIRS[name] if callable(face) and "timeout" not in inspect.signature(face).parameters
    ]
    assert without == []


@pytest.mark.parametrize("name", sorted(MODEL))
def test_members_have_the_docstrings_of_the_model(name: str) -> None:
    for what, model, face in PAIRS[name]:
        if not isinstance(model, types.MemberDescriptorType):
            there, here = (summary(inspect.getdoc(one)) for one in (model, face))
            assert there, what
            assert here.startswith(there), what


def summary(text: str | None) -> str:
    return " ".join((text or "").replace("``async with", "``with").split("\n\n")[0].split())


@pytest.mark.parametrize(
    ("model", "face", "local", "more", "less"),
    [
        (Stream, pyvirt.aio.Stream, "closed connection readable writable", "read closed", ""),
        (Events, pyvirt.aio.Events, "connection on_error listen", "on_error", ""),
        (Listener, aio_events.Listener, "closed chunks", "", "fileno wait"),
        (Subscription, aio_events.Subscription, "kind callback active", "", ""),
        (DomainWatch, pyvirt.aio.DomainWatch, "closed", "get contains count", "fileno"),
    ],
)
def test_hand_written_classes_have_the_methods_of_the_model(
    model: type, face: type, local: str, more: str, less: str
) -> None:
    """*local* methods make no call; *more* and *less* replace special methods and waiting in a thread."""
    own = {name for name in vars(model) if not name.startswith("_")}
    members = public(face)
    assert set(members) - MORE == own - set(less.split()) | set(more.split())
    awaited = {name for name, one in members.items() if inspect.iscoroutinefunction(one)}
    assert set(members) - awaited - MORE == set(local.split())
    for name in own & set(members):
        there, here = (inspect.getattr_static(cls, name) for cls in (model, face))
        assert summary(inspect.getdoc(here)), name
        if callable(there) and callable(here) and name != "close":
            there, here = inspect.signature(there).parameters, inspect.signature(here).parameters
            assert {one: here[one].default for one in there} == {one: there[one].default for one in there}, name
            assert set(here) - set(there) <= {"timeout"}, name


@pytest.mark.parametrize(
    ("model", "face"),
    [("pyvirt.connection", "pyvirt.aio._generated.connection"), ("pyvirt.admin", "pyvirt.aio._generated.admin")],
)
def test_connect_takes_the_same_and_more(model: str, face: str) -> None:
    there, here = (parameters(import_module(name).connect, "connect") for name in (model, face))

    assert here.keys() >= MANNERS
    assert without_ours({name: one for name, one in here.items() if name not in MANNERS}, there) == there


def test_functions_of_the_model_that_make_calls_have_counterparts() -> None:
    there = {
        f"{name}.{key}"
        for name in MODULES
        if package_of(name) in LAYERS["model"] and not any(part.startswith("_") for part in name.split("."))
        for key, value in vars(import_module(name)).items()
        if inspect.isfunction(value) and value.__module__ == name and not key.startswith("_")
        and not inspect.isgeneratorfunction(value)
    }  # fmt: skip
    # These call the library in this process, compute, or act on the calling thread.
    there -= {"pyvirt.connection.library_version", "pyvirt.admin.library_version", "pyvirt.connection.version_tuple"}
    there -= {"pyvirt.lxc.enter_security_label", "pyvirt.domain.blockjob.chain_of", "pyvirt.domain.domain.save_params"}
    there -= {"pyvirt.domain.guest_info.nest"}

    assert there == {"pyvirt.connection.connect", "pyvirt.admin.connect", "pyvirt.qemu.attach"}
    for name in there:
        module, _, function = name.rpartition(".")
        assert hasattr(import_module(module.replace("pyvirt", "pyvirt.aio._generated", 1)), function)


# ---- signatures ----


@cache
def namespace(module: str) -> dict[str, object]:
    """Return the names of a module, including those that only type checkers see."""
    found = dict(vars(import_module(module)))
    path = sys.modules[module].__file__
    assert path is not None
    for node in ast.parse(Path(path).read_text()).body:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            for line in node.body:
                if isinstance(line, ast.ImportFrom):
                    names = {one.asname or one.name: imported(str(line.module), one.name) for one in line.names}
                    found.update(names)
                else:
                    alias = Unquoted().visit(line) if isinstance(line, ast.AnnAssign) else line
                    exec(compile(ast.Module([alias], []), path, "exec"), found)
    return found


class Unquoted(ast.NodeTransformer):
    """Replaces quoted parts of an alias by the types that they name."""

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        is_name = isinstance(node.value, str) and node.value[:1].isupper()
        return ast.copy_location(ast.parse(str(node.value), mode="eval").body, node) if is_name else node


def imported(module: str, name: str) -> object:
    if name == "CFunction":  # of the stub, which does not exist at run time
        return Callable
    found = getattr(import_module(module), name, None)
    if found is None:  # also visible to type checkers only; or from a stub
        found = namespace(module).get(name, typing.TypeVar(name))
    alias = isinstance(found, str) and not name.isupper()
    return eval(str(found), dict(namespace(module))) if alias else found


def annotation(function: Callable[..., object], text: object) -> object:
    # As the compiler reads it: only there `list` means the builtin in a class that has a method `list`.
    return eval(text, dict(namespace(function.__module__))) if isinstance(text, str) else text


def hint(function: object) -> object:
    """Return the type that a function returns."""
    assert callable(function)
    return annotation(inspect.unwrap(function), inspect.signature(function).return_annotation)


def is_manager(function: Callable[..., object]) -> bool:
    """Return whether a method of the model returns a context manager."""
    made_of_generator = inspect.isgeneratorfunction(inspect.unwrap(function))
    return made_of_generator or typing.get_origin(hint(function)) is AbstractContextManager


def describe(one: object, kind: type | None = None) -> object:
    """Describe a type in words that are the same for a class of the model and its counterpart.

    :param kind: the class of the items of a collection, for which bound type variables of its base classes stand
    """
    arguments = typing.get_args(one)
    if isinstance(one, types.UnionType) or typing.get_origin(one) is typing.Union:
        return frozenset(describe(each, kind) for each in arguments)
    if typing.get_origin(one) is AsyncHandle:  # any of them
        return describe(arguments[0])
    if arguments:
        return (typing.get_origin(one), *(describe(each, kind) for each in arguments))
    if isinstance(one, list):
        return tuple(describe(each, kind) for each in one)
    if isinstance(one, typing.TypeVar) and one.__bound__ is not None:
        if kind is None:  # flags of a base class; their type is known to mypy only
            return ANY
        one = kind
    if isinstance(one, str | typing.ForwardRef):
        name = one if isinstance(one, str) else one.__forward_arg__
        one = next(cls for cls in MODEL.values() if cls.__name__ == name)
    if inspect.isclass(one):
        module = one.__module__.replace("pyvirt.aio._generated", "pyvirt", 1).replace("pyvirt.aio", "pyvirt", 1)
        return f"{'pyvirt.events' if module.startswith('pyvirt.events') else module}.{one.__qualname__}"
    return str(one)


def parameters(function: Callable[..., object], name: str, kind: type | None = None) -> dict[str, object]:
    """Return the parameters of a function: kind, default and type."""
    plain = inspect.unwrap(function)
    found: dict[str, object] = {}
    for one in inspect.signature(function).parameters.values():
        called = (name, one.name) in CALLED
        type_ = describe(annotation(plain, one.annotation), kind) if one.name != "self" and not called else None
        found[one.name] = (one.kind, one.default, type_)
    return found


def without_ours(here: dict[str, object], there: dict[str, object]) -> dict[str, object]:
    """Drop the timeout that a call of the model does not have."""
    if "timeout" in there:
        return here
    ours = here.pop("timeout")
    assert ours == (inspect.Parameter.KEYWORD_ONLY, None, describe(float | None))
    return here


# ---- the cost of an import ----


def test_importing_pyvirt_does_not_import_aio() -> None:
    program = "import sys, pyvirt; print({'anyio', 'asyncio', 'pyvirt.aio'} & set(sys.modules))"
    assert output_of(program) == "set()\n"


def test_importing_aio_loads_only_what_is_used() -> None:
    late = {"trio", "pyvirt.aio._generated.admin", "pyvirt.aio._generated.host"}
    program = f"import sys, pyvirt.aio; print({late} & set(sys.modules))"
    assert output_of(program) == "set()\n"


def test_without_anyio_the_import_error_names_what_to_install() -> None:
    done = run("-c", "import sys; sys.modules['anyio'] = None; import pyvirt.aio")
    assert done.stderr.splitlines()[-1].startswith("ImportError: pyvirt.aio needs anyio")
    assert "pip install 'pyvirt[aio]'" in done.stderr


@pytest.mark.parametrize("name", pyvirt.aio.__all__)
def test_every_name_in_all_exists(name: str) -> None:
    assert getattr(pyvirt.aio, name).__name__ == name


def test_an_unknown_name_raises_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        pyvirt.aio.Nothing  # type: ignore[attr-defined]  # noqa: B018
