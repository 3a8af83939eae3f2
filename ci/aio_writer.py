# SPDX-License-Identifier: LGPL-2.1-or-later
"""Write the asynchronous counterparts of classes and functions of the model, for ci/gen_aio."""

from __future__ import annotations

import ast
import copy
import re
import textwrap
from collections.abc import Iterator

from aio_model import (
    ARGUMENTS,
    BASES,
    BY_HAND,
    CLASSES_BY_HAND,
    DISPOSED,
    LOCAL_ITEMS,
    Member,
    Resolver,
    ancestors,
    class_node,
    fail,
    home_of,
    is_model,
    models_in,
    names_of,
    statements,
    tree_of,
)

GENERATED = "pyvirt.aio._generated"
WIDTH = 120
CLASS_MARGIN = "    "  # functions in a class are indented once more
LAZY = ("Iterator", "Iterable", "Generator", "AbstractContextManager")  # results that make calls when they are used


# ---- one class, written ----


class Target:
    """A module to write: its imports and its contents."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.imports: dict[str, str] = {}  # at run time: name -> "module:name"
        self.typing: dict[str, str] = {}  # for type checkers
        self.classes: set[str] = set()
        self.parts: list[str] = []

    def use(self, reference: str, *, at_run_time: bool = False, as_name: str = "") -> str:
        wanted = as_name or reference.partition(":")[2]
        table = self.imports if at_run_time else self.typing
        if table.setdefault(wanted, reference) != reference:
            fail(f"{wanted} has two meanings in {self.name}: {reference} and {table[wanted]}")
        return wanted


def home(reference: str) -> str:
    """Return the module of the counterpart of a class."""
    by_hand = CLASSES_BY_HAND.get(reference)
    if by_hand is not None:
        return by_hand
    return GENERATED + reference.partition(":")[0].removeprefix("pyvirt")


class Renderer(ast.NodeTransformer):
    """Turn references into names of the target module, and classes of the model into their counterparts."""

    def __init__(self, target: Target, shadowed: set[str]) -> None:
        self.target = target
        self.shadowed = shadowed

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if ":" not in node.id:
            if node.id in self.shadowed:
                self.target.imports["builtins"] = "builtins:"
                return ast.Name(f"builtins.{node.id}")
            return node
        module, _, name = node.id.partition(":")
        if node.id in BASES:  # an object of any class with this base
            base = self.target.use(f"pyvirt.aio._base:{BASES[node.id][0]}", at_run_time=True)
            return ast.Subscript(ast.Name(base), ast.Name(self.target.use(node.id)))
        if is_model(node.id):
            if home(node.id) == self.target.name:
                return ast.Name(name)
            return ast.Name(self.target.use(f"{home(node.id)}:{name}"))
        if not name:
            self.target.typing[module] = node.id
            return ast.Name(module)
        return ast.Name(self.target.use(node.id))


class Default(ast.NodeTransformer):
    """Turn the names in the default of a parameter into imports of the target module."""

    def __init__(self, module: str, target: Target) -> None:
        self.module = module
        self.target = target

    def visit_Name(self, node: ast.Name) -> ast.expr:
        meaning = names_of(self.module).get(node.id)
        if meaning is None:
            return node
        if isinstance(meaning, str):
            return ast.Name(self.target.use(home_of(meaning), at_run_time=True))
        if isinstance(meaning, ast.Constant):
            return meaning
        if isinstance(meaning, ast.expr) and names_an_enumeration(self.module, meaning):
            return self.visit(copy.deepcopy(meaning))  # type: ignore[no-any-return]
        # A private sentinel, which is only compared by identity.
        return ast.Name(self.target.use(f"{self.module}:{node.id}", at_run_time=True))


def names_an_enumeration(module: str, meaning: ast.expr) -> bool:
    first = next((node for node in ast.walk(meaning) if isinstance(node, ast.Name)), None)
    there = names_of(module).get(first.id) if first is not None else None
    return isinstance(there, str) and there.startswith("pyvirt.enums")


class Writer:
    """Writes the counterpart of one class or function of the model."""

    def __init__(self, target: Target, reference: str, members: dict[str, Member]) -> None:
        self.target = target
        self.reference = reference
        self.name = reference.partition(":")[2]
        self.members = members
        self.shadowed = {"list", "set", "dict", "type", "max", "tuple", "bytes", "int", "str"} & set(members)
        self.runtime = "self._runtime"
        self.found: set[str] = set()

    # -- signatures --

    def resolve(self, member: Member, node: ast.expr) -> ast.expr:
        resolved: ast.expr = Resolver(member.module, member.types).visit(copy.deepcopy(node))
        self.found |= set(models_in(resolved))
        return resolved

    def annotation(self, resolved: ast.expr) -> ast.expr:
        rendered: ast.expr = Renderer(self.target, self.shadowed).visit(copy.deepcopy(resolved))
        return rendered

    def has_timeout(self, arguments: ast.arguments) -> bool:
        return "timeout" in {one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}

    def arguments(self, member: Member, node: ast.FunctionDef, *, timeout: bool) -> ast.arguments:
        made = copy.deepcopy(node.args)
        every = [*made.posonlyargs, *made.args, *made.kwonlyargs, *filter(None, (made.vararg, made.kwarg))]
        for one in every:
            other = ARGUMENTS.get(f"{self.name}.{node.name}", {}).get(one.arg)
            if other is not None:
                self.target.use("collections.abc:Awaitable")
                one.annotation = self.annotation(self.resolve(member, ast.parse(other, mode="eval").body))
            elif one.annotation is not None:
                unpacked = one is made.kwarg and "Unpack" in ast.unparse(one.annotation)
                resolved = self.resolve(member, one.annotation)
                one.annotation = self.annotation(resolved)
                if unpacked and models_in(resolved):
                    fail(f"{self.name}.{node.name} has objects of the model in {ast.unparse(one)}")
        positional = [*made.posonlyargs, *made.args]
        made.defaults = [
            self.default(member, one, arg)
            for one, arg in zip(made.defaults, positional[len(positional) - len(made.defaults) :], strict=True)
        ]
        made.kw_defaults = [
            one and self.default(member, one, arg) for one, arg in zip(made.kw_defaults, made.kwonlyargs, strict=True)
        ]
        if timeout and not self.has_timeout(made):
            made.kwonlyargs.append(ast.arg("timeout", ast.parse("float | None", mode="eval").body))
            made.kw_defaults.append(ast.Constant(None))
        return made

    def default(self, member: Member, node: ast.expr, arg: ast.arg) -> ast.expr:
        made: ast.expr = Default(member.module, self.target).visit(node)
        if isinstance(made, ast.Constant) and type(made.value) is int and isinstance(arg.annotation, ast.Name):
            # The model writes 0 for flags whose enumeration it does not import.
            reference = self.target.typing.get(arg.annotation.id) or self.target.imports.get(arg.annotation.id, "")
            if reference.startswith("pyvirt.enums."):
                return ast.Call(ast.Name(self.target.use(reference, at_run_time=True)), [made], [])
        return made

    def passed(self, member: Member, node: ast.FunctionDef) -> str:
        """Return the arguments of the call of the synchronous model."""
        made = node.args
        words: list[str] = []
        for one in [*made.posonlyargs, *made.args][1:]:
            words.append(self.unwrapped(member, one))
        if made.vararg:
            words.append(f"*{made.vararg.arg}")
        words += [f"{one.arg}={self.unwrapped(member, one)}" for one in made.kwonlyargs]
        if made.kwarg:
            words.append(f"**{made.kwarg.arg}")
        return ", ".join(words)

    def unwrapped(self, member: Member, one: ast.arg) -> str:
        if one.annotation is None:
            return one.arg
        resolved = self.resolve(member, one.annotation)
        text = ast.unparse(resolved)
        if (text == "object" and one.arg != "default") or any(base in text for base in BASES):
            return f"{self.helper('unwrap')}({one.arg})"
        if not models_in(resolved):
            return one.arg
        options = alternatives(resolved)
        optional = any(ast.unparse(option) == "None" for option in options)
        several = [option for option in options if isinstance(option, ast.Subscript) and models_in(option)]
        if not several:
            return f"{self.helper('unwrap')}({one.arg})"
        if len(options) - optional > 1 or not re.match(r"[\w.:]*(Iterable|Sequence|list)\[", ast.unparse(several[0])):
            fail(f"{self.name}.{member.name} takes {text}: put it into BY_HAND")
        each = f"{self.helper('unwrap_each')}({one.arg})"
        return f"None if {one.arg} is None else {each}" if optional else each

    def helper(self, name: str) -> str:
        return self.target.use(f"pyvirt.aio._base:{name}", at_run_time=True)

    # -- results --

    def counterpart(self, reference: str, needed: set[str]) -> str:
        self.found.add(reference)
        if home(reference) != self.target.name:
            needed.add(reference)
        return reference.partition(":")[2]

    def wrapped(self, member: Member, resolved: ast.expr, value: str, needed: set[str], depth: int = 0) -> str:
        """Return an expression that makes the counterpart of *value*, whose type is *resolved*."""
        if not models_in(resolved):
            self.refuse_lazy_results(member, resolved)
            return value
        if isinstance(resolved, ast.Name):
            return f"{self.counterpart(resolved.id, needed)}({self.runtime}, {value})"
        options = alternatives(resolved)
        if len(options) == 2 and ast.unparse(options[1]) == "None" and isinstance(options[0], ast.Name):
            make = self.counterpart(options[0].id, needed)
            return f"{self.helper('wrap_or_none')}({make}, {self.runtime}, {value})"
        if len(options) == 2 and isinstance(options[0], ast.Name) and is_model(options[0].id):
            make = self.counterpart(options[0].id, needed)
            return f"{self.helper('wrap_or_default')}({make}, {self.runtime}, {value}, default)"
        if isinstance(resolved, ast.Subscript):
            kind = ast.unparse(resolved.value).rpartition(":")[2]
            one = ("one", "other", "third")[depth]
            if kind in ("list", "set", "frozenset", "tuple"):
                inner = resolved.slice
                if kind == "tuple":
                    if not isinstance(inner, ast.Tuple) or ast.unparse(inner.elts[-1]) != "...":
                        fail(f"{self.name}.{member.name} returns {ast.unparse(resolved)}: put it into BY_HAND")
                    inner = inner.elts[0]
                item = self.wrapped(member, inner, one, needed, depth + 1)
                return f"[{item} for {one} in {value}]" if kind == "list" else f"{kind}({item} for {one} in {value})"
            if kind == "dict":
                assert isinstance(resolved.slice, ast.Tuple)
                key, content = resolved.slice.elts
                keys = self.wrapped(member, key, "key", needed, depth + 1)
                item = self.wrapped(member, content, one, needed, depth + 1)
                return f"{{{keys}: {item} for key, {one} in {value}.items()}}"
        return fail(f"{self.name}.{member.name} returns {ast.unparse(resolved)}: put it into BY_HAND")

    def refuse_lazy_results(self, member: Member, resolved: ast.expr) -> None:
        """Fail if a result makes calls when it is used, but is not a class of the model."""
        for node in ast.walk(resolved):
            if isinstance(node, ast.Name) and node.id.rpartition(":")[2] in LAZY:
                fail(f"{self.name}.{member.name} returns {ast.unparse(resolved)}: put it into BY_HAND")

    # -- members --

    def write_class(self) -> str:
        base = next((BASES[one.reference][0] for one in ancestors(self.reference) if one.reference in BASES), "Async")
        self.helper(base)
        sync = self.target.use(self.reference, at_run_time=True, as_name=f"Sync{self.name}")
        lines = [f"class {self.name}({base}[{sync}]):", docstring(self.class_text(), 4), "", "    __slots__ = ()", ""]
        for member in self.members.values():
            lines += [textwrap.indent(part, "    ") + "\n" for part in self.write_member(member)]
        return "\n".join(lines).rstrip() + "\n"

    def class_text(self) -> str:
        text = summary(ast.get_docstring(class_node(self.reference)) or "")
        forms = []
        if "__iter__" in self.members:
            forms.append("``async for``")
        for special, form in (("__len__", "count()"), ("__contains__", "contains(…)"), ("__getitem__", "get(…)")):
            if special in self.members and not (special == "__getitem__" and self.local_items):
                forms.append(f"``await ….{form}``")
        return f"{text}\n\nIt supports {', '.join(forms)}." if forms else text

    @property
    def local_items(self) -> bool:
        return any(one.reference in LOCAL_ITEMS for one in ancestors(self.reference))

    def write_member(self, member: Member) -> Iterator[str]:
        if isinstance(member.node, ast.expr):
            yield self.write_attribute(member, member.node)
        elif member.is_property:
            yield self.write_property(member, member.node)
        elif member.name.startswith("__"):
            yield from self.write_special(member, member.node)
        elif decorated := member.decorators - {"contextmanager"}:
            fail(f"{self.name}.{member.name} is decorated with {decorated}")
        else:
            yield self.write_method(member, member.node)

    def write_attribute(self, member: Member, made: ast.expr) -> str:
        resolved = self.resolve(member, made.func) if isinstance(made, ast.Call) else None
        if not isinstance(resolved, ast.Name) or not is_model(resolved.id):
            fail(f"the attribute {self.name}.{member.name} is not an object of the model")
        text = summary(ast.get_docstring(class_node(resolved.id)) or "")
        return self.property_text(member, resolved, text)

    def write_property(self, member: Member, node: ast.FunctionDef) -> str:
        assert node.returns is not None
        return self.property_text(member, self.resolve(member, node.returns), documentation(node))

    def property_text(self, member: Member, resolved: ast.expr, text: str) -> str:
        needed: set[str] = set()
        value = self.wrapped(member, resolved, f"self._sync.{member.name}", needed)
        returns = ast.unparse(self.annotation(resolved))
        head = f"@property\ndef {member.name}(self) -> {returns}:\n{docstring(text, 4)}\n"
        return head + textwrap.indent(self.local_imports(needed) + f"return {value}", "    ")

    def local_imports(self, needed: set[str]) -> str:
        """Return imports for inside a function: classes refer to each other in circles, but modules must not."""
        if not needed:
            return ""
        lines = sorted(f"from {home(one)} import {one.partition(':')[2]}" for one in needed)
        return "\n".join(lines) + "\n\n"

    def write_special(self, member: Member, node: ast.FunctionDef) -> Iterator[str]:
        text = documentation(node)
        if member.name == "__iter__":
            needed: set[str] = set()
            assert node.returns is not None
            returns = self.resolve(member, node.returns)
            assert isinstance(returns, ast.Subscript)
            made = self.wrapped(member, ast.Subscript(ast.Name("list"), returns.slice), "self._sync", needed)
            kind = ast.unparse(self.annotation(returns.slice))
            self.target.use("collections.abc:AsyncIterator")
            iterator = self.helper("LazyIterator")
            yield (
                f"def __aiter__(self) -> AsyncIterator[{kind}]:\n"
                + textwrap.indent(self.local_imports(needed), "    ")
                + f"    return {iterator}(lambda: {self.runtime}.call(None, lambda: {made}))"
            )
        elif member.name == "__len__":
            if "count" in self.members:
                fail(f"{self.name} has both len() and count()")
            head = "count(self, *, timeout: float | None = None) -> int"
            yield self.call_text(head, "Return the number of objects.", "len(self._sync)")
        elif member.name == "__contains__":
            item = node.args.args[1]
            self.helper("unwrap")
            yield self.call_text(
                f"contains(self, {item.arg}: object, *, timeout: float | None = None) -> bool",
                text or "Return whether there is an object with this name, or this object.",
                f"unwrap({item.arg}) in self._sync",
            )
        elif member.name == "__getitem__":
            yield from self.write_item(member, node, text)
        else:
            fail(f"{self.name}.{member.name}: there is no rule for the asynchronous form of this method")

    def write_item(self, member: Member, node: ast.FunctionDef, text: str) -> Iterator[str]:
        assert node.returns is not None
        needed: set[str] = set()
        returns = self.resolve(member, node.returns)
        key = node.args.args[1]
        made = self.wrapped(member, returns, f"self._sync[{key.arg}]", needed)
        kind = ast.unparse(self.annotation(returns))
        assert key.annotation is not None
        accepted = ast.unparse(self.annotation(self.resolve(member, key.annotation)))
        if self.local_items:
            yield (
                f"def __getitem__(self, {key.arg}: {accepted}) -> {kind}:\n"
                + textwrap.indent(self.local_imports(needed) + f"return {made}", "    ")
            )
        elif "get" not in self.members:
            yield self.call_text(
                f"get(self, {key.arg}: {accepted}, *, timeout: float | None = None) -> {kind}", text, made, needed
            )

    def call_text(
        self,
        head: str,
        text: str,
        call: str,
        needed: set[str] | None = None,
        *,
        dispose: str = "",
        own_timeout: bool = False,
    ) -> str:
        """Return the text of a method that makes one call."""
        body = self.local_imports(needed or set())
        limit = "timeout"
        if own_timeout:  # the method applies its own timeout, and reports it better
            limit = self.target.use("math:inf", at_run_time=True)
        bound = re.fullmatch(r"(self\._sync\.\w+)\(\)", call)
        more = f", dispose={self.helper(dispose)}" if dispose else ""
        body += f"return await {self.runtime}.call({limit}, {bound[1] if bound else f'lambda: {call}'}{more})"
        if head.endswith("-> None"):
            body = body.replace("return await", "await", 1)
        return f"async def {head}:\n{docstring(text, 4)}\n" + textwrap.indent(body, "    ")

    def write_method(self, member: Member, node: ast.FunctionDef) -> str:
        assert node.returns is not None
        returns = self.resolve(member, node.returns)
        manager = self.managed(member, returns)
        if manager is not None:
            return self.write_manager(member, node, manager)
        own = self.has_timeout(node.args)
        stubs = [self.stub(member, one) for one in member.overloads]
        head = self.head(member, node, timeout=not own)
        text = documentation(node)
        if f"{self.name}.{member.name}" in BY_HAND:
            made = self.by_hand(member, node, head, text, own)
        else:
            needed: set[str] = set()
            call = f"self._sync.{member.name}({self.passed(member, node)})"
            value = self.wrapped(member, returns, call, needed)
            dispose = DISPOSED.get(f"{self.name}.{member.name}", "")
            made = self.call_text(head, text, value, needed, dispose=dispose, own_timeout=own)
        if not stubs:
            return made
        self.target.use("typing:overload")
        block = "\n\n".join(stubs)
        return f"if TYPE_CHECKING:\n\n{textwrap.indent(block, '    ')}\n\n{made}"

    def head(self, member: Member, node: ast.FunctionDef, *, timeout: bool) -> str:
        assert node.returns is not None
        arguments = ast.unparse(self.arguments(member, node, timeout=timeout))
        returns = ast.unparse(self.annotation(self.resolve(member, node.returns)))
        return f"{member.name}({arguments}) -> {returns}"

    def stub(self, member: Member, node: ast.FunctionDef) -> str:
        return f"@overload\nasync def {self.head(member, node, timeout=not self.has_timeout(node.args))}: ..."

    def by_hand(self, member: Member, node: ast.FunctionDef, head: str, text: str, own: bool) -> str:
        function = self.target.use(BY_HAND[f"{self.name}.{member.name}"], at_run_time=True)
        made = node.args
        words = ["self", *(one.arg for one in [*made.posonlyargs, *made.args][1:])]
        if made.vararg:
            words.append(f"*{made.vararg.arg}")
        words += [f"{one.arg}={one.arg}" for one in made.kwonlyargs]
        words += [] if own else ["timeout=timeout"]
        if made.kwarg:
            words.append(f"**{made.kwarg.arg}")
        keyword = "" if head.endswith("-> None") else "return "
        return f"async def {head}:\n{docstring(text, 4)}\n    {keyword}await {function}({', '.join(words)})"

    def managed(self, member: Member, returns: ast.expr) -> ast.expr | None:
        """Return the type that a context manager yields, or ``None`` if *returns* is not a context manager."""
        if not isinstance(returns, ast.Subscript):
            return None
        kind = ast.unparse(returns.value).rpartition(":")[2]
        if kind == "AbstractContextManager" or (
            kind in ("Iterator", "Generator") and "contextmanager" in member.decorators
        ):
            return returns.slice.elts[0] if isinstance(returns.slice, ast.Tuple) else returns.slice
        return None

    def write_manager(self, member: Member, node: ast.FunctionDef, yielded: ast.expr) -> str:
        if models_in(yielded):
            fail(f"{self.name}.{member.name} yields {ast.unparse(yielded)}: put it into BY_HAND")
        arguments = ast.unparse(self.arguments(member, node, timeout=True))
        kind = ast.unparse(self.annotation(yielded))
        self.target.use("contextlib:AbstractAsyncContextManager")
        text = re.sub(r"(``)(with )", r"\1async \2", documentation(node))
        passed = self.passed(member, node)
        call = f"lambda: self._sync.{member.name}({passed})" if passed else f"self._sync.{member.name}"
        return (
            f"def {member.name}({arguments}) -> AbstractAsyncContextManager[{kind}]:\n{docstring(text, 4)}\n"
            f"    return {self.runtime}.context(timeout, {call})"
        )


def alternatives(node: ast.expr) -> list[ast.expr]:
    """Return the members of a union."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return [*alternatives(node.left), *alternatives(node.right)]
    return [node]


# ---- texts ----


def summary(text: str) -> str:
    return re.sub(r" (?=\([^()]*\bvir[A-Z])", "  ", " ".join(text.split("\n\n")[0].split()))


def documentation(node: ast.FunctionDef) -> str:
    """Return the first line of a docstring, and the C functions that it names."""
    text = ast.get_docstring(node) or ""
    first = summary(text)
    named = re.search(r"^\([^()]*\bvir[A-Z][^()]*\)$", text, re.MULTILINE)
    if named and not re.search(r"\bvir[A-Z]", first):
        first += "\n\n" + " ".join(named[0].split())
    return first


def docstring(text: str, indent: int) -> str:
    margin = " " * indent
    one_line = text.replace("\n\n(", "  (")
    room = WIDTH - indent - len(CLASS_MARGIN) - 6
    if len(one_line) <= room and "\n" not in one_line:
        return f'{margin}"""{one_line}"""'
    paragraphs = []
    for paragraph in text.split("\n\n"):
        paragraphs.append("\n".join(textwrap.wrap(paragraph, room, break_long_words=False, break_on_hyphens=False)))
    return textwrap.indent('"""' + "\n\n".join(paragraphs) + '\n"""', margin)


# ---- functions ----


class FunctionWriter(Writer):
    """Writes a function of a module."""

    def __init__(self, target: Target, reference: str) -> None:
        super().__init__(target, reference, {})
        module = reference.partition(":")[0]
        nodes = [one for one in statements(tree_of(module).body) if isinstance(one, ast.FunctionDef)]
        self.node = next(one for one in nodes if one.name == self.name)
        # `passed` skips the first argument, which is self in a method.
        method = copy.deepcopy(self.node)
        (method.args.posonlyargs or method.args.args).insert(0, ast.arg("self"))
        self.member = Member(self.name, module, {}, method, [])
        self.sync = target.use(reference, at_run_time=True, as_name=f"sync_{self.name}")

    def write(self) -> str:
        assert self.node.returns is not None
        returns = self.resolve(self.member, self.node.returns)
        [kind] = models_in(returns)
        opens = any(one.reference == "pyvirt._core.root:Root" for one in ancestors(kind))
        return self.write_opening(kind) if opens else self.write_call(returns)

    def write_opening(self, kind: str) -> str:
        arguments = self.arguments(self.member, self.node, timeout=True)
        passed = copy.deepcopy(self.member.node)
        assert isinstance(passed, ast.FunctionDef)
        passed.args.kwonlyargs = [one for one in passed.args.kwonlyargs if one.arg != "timeout"]
        own = ast.parse(f"def f(*, {CONNECT_PARAMETERS}): ...").body[0]
        assert isinstance(own, ast.FunctionDef)
        arguments.kwonlyargs += own.args.kwonlyargs
        arguments.kw_defaults += own.args.kw_defaults
        name = self.annotation(ast.Name(kind))
        for needed in ("dispose", "Opening", "Runtime"):
            self.target.use(f"pyvirt.aio.{'_base' if needed == 'dispose' else '_runtime'}:{needed}", at_run_time=True)
        made = f"{ast.unparse(name)}(runtime, {self.sync}({self.passed(self.member, passed)}))"
        return (
            f"def {self.name}({ast.unparse(arguments)}) -> Opening[{ast.unparse(name)}]:\n"
            f'{docstring(documentation(self.node), 4)[:-3]}\n\n{textwrap.indent(CONNECT_TEXT, "    ")}\n    """\n'
            "    runtime = Runtime(max_requests, call_timeout, close_timeout, dispose)\n"
            f"    return Opening(runtime, timeout, lambda: {made})\n"
        )

    def write_call(self, returns: ast.expr) -> str:
        first = self.node.args.args[0].arg
        self.runtime = f"{first}._runtime"
        needed: set[str] = set()
        assert isinstance(self.member.node, ast.FunctionDef)
        call = f"{self.sync}({self.passed(self.member, self.member.node)})"
        made = self.wrapped(self.member, returns, call, needed)
        return self.call_text(self.head(self.member, self.node, timeout=True), documentation(self.node), made, needed)


CONNECT_PARAMETERS = "max_requests: int = 4, call_timeout: float | None = None, close_timeout: float = 2.0"
CONNECT_TEXT = """\
``async with`` opens and closes it; ``await`` only opens it, and you close it.  The parameters that are not listed
here are those of the synchronous function.

:param timeout: seconds after which opening it fails; a connection that is opened later is closed
:param max_requests: how many calls may be in flight at a time; further calls wait for their turn
:param call_timeout: seconds for each call that has no ``timeout`` of its own; ``None`` sets no limit
:param close_timeout: seconds that closing it waits for calls under way, and then again for the daemon"""


# ---- objects in events ----


def awaited(target: Target, handles: list[str]) -> str:
    """Return the text of ``awaited()``, which makes the counterpart of an object in a value, such as an event."""
    target.use("typing:overload")
    base = target.use("pyvirt.aio._base:AsyncHandle", at_run_time=True)
    handle = target.use("pyvirt._core.handle:Handle")
    lines = ["    if TYPE_CHECKING:", ""]
    for reference in handles:
        name = reference.partition(":")[2]
        sync = target.use(reference, as_name=f"Sync{name}")
        made = target.use(f"{home(reference)}:{name}")
        lines += ["        @overload", f"        def awaited(self, sync: {sync}) -> {made}: ...", ""]
    lines += [
        f"    def awaited(self, sync: {handle}) -> {base}[{handle}]:",
        '        """Return the counterpart of an object of the model, e.g. that of an event.  No call is made."""',
        "        from pyvirt import aio",
        "",
        f"        found: {base}[{handle}] = getattr(aio, type(sync).__name__)(self._runtime, sync)",
        "        return found",
    ]
    return "\n".join(lines) + "\n"
