# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads the synchronous model for ci/gen_aio, and holds the decisions about its counterpart that no rule can make.

The sources are read in addition to the imported modules, because only the sources have the signatures as they were
written, the overloads, and the names that only type checkers see.
"""

from __future__ import annotations

import ast
import copy
import dataclasses
import enum
import importlib
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple, NoReturn

# The first classes to write; all other classes are found as results of their members.
ENTRIES = ("pyvirt.connection:Connection", "pyvirt.admin:AdminConnection")
# Functions that also get an asynchronous counterpart.
FUNCTIONS = ("pyvirt.connection:connect", "pyvirt.admin:connect", "pyvirt.qemu:attach")

# Modules and packages whose classes are values: their objects are passed on unchanged.
VALUES = {"enums", "models", "uri", "auth", "xmldesc", "capabilities", "errors", "stats", "inventory"}

# Base class of the model -> its hand-written counterpart, and the members that the counterpart defines.
BASES = {
    "pyvirt._core.root:Root": ("AsyncRoot", {"close", "closed", "__enter__", "__exit__"}),
    "pyvirt._core.handle:Handle": ("AsyncHandle", {"close", "closed"}),
}

# Method -> a hand-written function in pyvirt.aio, which is called with the asynchronous object and the arguments.
BY_HAND = {
    "Domains.watch": "pyvirt.aio.events:watch",
    "Domain.wait_for": "pyvirt.aio._jobs:wait_for",
    "Job.wait": "pyvirt.aio._jobs:wait_for_job",
    "Job.watch": "pyvirt.aio._jobs:watch",
    "BlockJob.wait": "pyvirt.aio._jobs:wait_for_block_job",
    "Migration.to": "pyvirt.aio._jobs:migrate",
    "StorageVolume.download": "pyvirt.aio._jobs:download",
    "StorageVolume.upload": "pyvirt.aio._jobs:upload",
    "StorageVolume.open": "pyvirt.aio.stream:open_volume",
}

# Class -> the module with its hand-written counterpart.
CLASSES_BY_HAND = {
    "pyvirt.stream:Stream": "pyvirt.aio.stream",
    "pyvirt.events.hub:Events": "pyvirt.aio.events",
    "pyvirt.events.watch:DomainWatch": "pyvirt.aio.events",
}

# Arguments whose type differs from the model.
ARGUMENTS = {"Job.watch": {"call": "Callable[[], Awaitable[T]]"}}

# Methods without a counterpart, with the reason.
LEFT_OUT = {
    "LxcDomain.enter_namespace": "moves the calling thread into another namespace, which would be a thread of the pool",
    "LxcDomain.enter_cgroup": "moves the calling process; a program does that in a forked child",
}

# Classes whose indexing makes no call.
LOCAL_ITEMS = {"pyvirt.domain._part:Parts"}

# Method -> the function that releases its result after the call was abandoned, if Python does not do so by itself.
DISPOSED = {
    "Domain.open_graphics_fd": "close_files",
    "LxcDomain.open_namespace": "close_files",
    "QemuDomain.monitor_command_with_files": "close_files",
}

# Special methods that the asynchronous classes do not take from the model.
_IGNORED = {"__init__", "__repr__", "__eq__", "__hash__", "__reduce__", "__del__", "__init_subclass__", "__slots__"}


def fail(what: str) -> NoReturn:
    sys.exit(f"gen_aio: {what}")


# ---- what names mean ----


@cache
def tree_of(module: str) -> ast.Module:
    path = inspect.getsourcefile(importlib.import_module(module))
    assert path is not None
    return ast.parse(Path(path).read_text())


def is_type_checking(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield all statements that a type checker sees."""
    for node in body:
        if is_type_checking(node):
            assert isinstance(node, ast.If)
            yield from statements(node.body)
        elif isinstance(node, ast.Try):
            yield from statements(node.body)
        else:
            yield node


@cache
def names_of(module: str) -> dict[str, str | ast.expr | ast.ClassDef]:
    """Return the meaning of each name of a module: "module:name" for an import, else the class or the expression."""
    found: dict[str, str | ast.expr | ast.ClassDef] = {}
    for node in statements(tree_of(module).body):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                found[alias.asname or alias.name] = f"{node.module}:{alias.name}"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                found[alias.asname or alias.name] = f"{alias.name}:"
        elif isinstance(node, ast.ClassDef):
            found.setdefault(node.name, node)
        elif isinstance(node, ast.FunctionDef):
            found.setdefault(node.name, f"{module}:{node.name}")
        elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            found.setdefault(node.targets[0].id, node.value)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            found.setdefault(node.target.id, node.value)
    return found


def home_of(reference: str) -> str:
    """Follow "module:name" to the module that defines the name."""
    module, _, name = reference.partition(":")
    while module.startswith("pyvirt") and name:
        there = names_of(module).get(name)
        if not isinstance(there, str) or there == f"{module}:{name}":
            if there is None and name in importlib.import_module("pyvirt.enums").__all__:
                return f"{getattr(importlib.import_module('pyvirt.enums'), name).__module__}:{name}"
            break
        module, _, name = there.partition(":")
    return f"{module}:{name}"


def load(reference: str) -> object:
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name, None)


@cache
def is_model(reference: str) -> bool:
    """Return whether *reference* is a class of the model, whose objects make calls."""
    module, _, name = reference.partition(":")
    top = module.partition(".")[2].partition(".")[0]
    if not module.startswith("pyvirt.") or top in VALUES or reference in BASES:
        return False
    if not isinstance(names_of(module).get(name), ast.ClassDef):
        return False
    cls = load(reference)
    if not isinstance(cls, type):
        return False
    typed_dict = any("TypedDict" in ast.unparse(base) for base in class_node(reference).bases)
    value = dataclasses.is_dataclass(cls) or issubclass(cls, enum.Enum | tuple | BaseException) or typed_dict
    return not value


class Resolver(ast.NodeTransformer):
    """Turn the names of an expression into references, and expand aliases."""

    def __init__(self, module: str, types: dict[str, ast.expr]) -> None:
        self.module = module
        self.types = types

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if isinstance(node.value, str):
            return self.visit(ast.parse(node.value, mode="eval").body)  # type: ignore[no-any-return]
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in self.types:
            return copy.deepcopy(self.types[node.id])
        meaning = names_of(self.module).get(node.id)
        if meaning is None:
            return node  # a builtin
        if isinstance(meaning, str):
            reference = home_of(meaning)
            module, _, name = reference.partition(":")
            there = names_of(module).get(name) if module.startswith("pyvirt") else None
            if is_alias(there):
                assert isinstance(there, ast.expr)
                return expand(module, name, there, self.types)
            return ast.Name(reference)
        if is_alias(meaning):
            assert isinstance(meaning, ast.expr)
            return expand(self.module, node.id, meaning, self.types)
        return ast.Name(f"{self.module}:{node.id}")

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        if isinstance(node.value, ast.Name) and node.value.id == "Literal":
            return ast.Subscript(self.visit(node.value), node.slice)
        return ast.Subscript(self.visit(node.value), self.visit(node.slice))


def is_alias(meaning: object) -> bool:
    return isinstance(meaning, ast.Subscript | ast.BinOp)


def expand(module: str, name: str, meaning: ast.expr, types: dict[str, ast.expr]) -> ast.expr:
    """Expand an alias if it stands for a list or contains an object of the model; otherwise return the alias."""
    resolved: ast.expr = Resolver(module, types).visit(copy.deepcopy(meaning))
    plain_list = isinstance(meaning, ast.Subscript) and ast.unparse(meaning.value) == "list"
    return resolved if plain_list or models_in(resolved) else ast.Name(f"{module}:{name}")


def models_in(node: ast.AST) -> list[str]:
    return [one.id for one in ast.walk(node) if isinstance(one, ast.Name) and ":" in one.id and is_model(one.id)]


# ---- the classes of the model ----


@cache
def class_node(reference: str) -> ast.ClassDef:
    module, _, name = reference.partition(":")
    node = names_of(module)[name]
    assert isinstance(node, ast.ClassDef)
    return node


def type_variables(reference: str) -> list[str]:
    """Return the names of the type variables of a generic class, in order."""
    module = reference.partition(":")[0]
    found = []
    for base in class_node(reference).bases:
        for node in ast.walk(base) if isinstance(base, ast.Subscript) else ():
            meaning = names_of(module).get(node.id) if isinstance(node, ast.Name) else None
            if isinstance(meaning, ast.Call) and ast.unparse(meaning.func) == "TypeVar":
                assert isinstance(node, ast.Name)
                found.append(node.id)
    return list(dict.fromkeys(found))


class Ancestor(NamedTuple):
    """A class, and the types that its type variables stand for."""

    reference: str
    types: dict[str, ast.expr]


def ancestors(reference: str, types: dict[str, ast.expr] | None = None) -> list[Ancestor]:
    """Return a class and those of its bases that belong to pyvirt, in the order of method resolution."""
    cls = load(reference)
    assert isinstance(cls, type)
    environments = {reference: types or {}}
    todo = [reference]
    while todo:
        current = todo.pop()
        module = current.partition(":")[0]
        for base in class_node(current).bases:
            arguments: list[ast.expr] = []
            if isinstance(base, ast.Subscript):
                inner = base.slice
                arguments = list(inner.elts) if isinstance(inner, ast.Tuple) else [inner]
                base = base.value
            resolved = Resolver(module, {}).visit(copy.deepcopy(base))
            if not isinstance(resolved, ast.Name) or not resolved.id.startswith("pyvirt"):
                continue
            given = [Resolver(module, environments[current]).visit(copy.deepcopy(one)) for one in arguments]
            environments[resolved.id] = dict(zip(type_variables(resolved.id), given, strict=False))
            todo.append(resolved.id)
    order = [f"{one.__module__}:{one.__qualname__}" for one in cls.__mro__]
    return [Ancestor(one, environments[one]) for one in order if one in environments]


class Member(NamedTuple):
    """A public member of a class, as defined by the first class in the method resolution order."""

    name: str
    module: str
    types: dict[str, ast.expr]
    node: ast.FunctionDef | ast.expr  # for an attribute, the expression of its value
    overloads: list[ast.FunctionDef]

    @property
    def decorators(self) -> set[str]:
        return (
            {ast.unparse(one) for one in self.node.decorator_list} if isinstance(self.node, ast.FunctionDef) else set()
        )

    @property
    def is_property(self) -> bool:
        return "property" in self.decorators


def own_members(reference: str) -> Iterator[tuple[str, ast.FunctionDef | ast.expr]]:
    for node in statements(class_node(reference).body):
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
            if node.name == "__init__":
                yield from attributes(node)


def attributes(init: ast.FunctionDef) -> Iterator[tuple[str, ast.expr]]:
    """Yield the public attributes that ``__init__`` sets."""
    for node in ast.walk(init):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self" and target.attr[0] != "_":
                yield target.attr, node.value


def members_of(reference: str) -> dict[str, Member]:
    found: dict[str, Member] = {}
    hand_written: set[str] = set()
    for ancestor in ancestors(reference):
        hand_written |= BASES.get(ancestor.reference, ("", set()))[1]
        module = ancestor.reference.partition(":")[0]
        overloads: dict[str, list[ast.FunctionDef]] = {}
        mine: dict[str, Member] = {}
        for name, node in own_members(ancestor.reference):
            public = not name.startswith("_") or (name.startswith("__") and name not in _IGNORED)
            if not public or name in found or f"{reference.partition(':')[2]}.{name}" in LEFT_OUT:
                continue
            if isinstance(node, ast.FunctionDef) and "overload" in map(ast.unparse, node.decorator_list):
                overloads.setdefault(name, []).append(node)
            else:
                mine[name] = Member(name, module, ancestor.types, node, overloads.get(name, []))
        found.update(mine)
    return {name: member for name, member in found.items() if name not in hand_written}
