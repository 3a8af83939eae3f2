# SPDX-License-Identifier: LGPL-2.1-or-later
"""Describe the extension modules to cffi: cdefs/ and our own C code, for the installed libvirt.

The source includes libvirt's headers and repeats each declaration of cdefs/ after them, so a compiler that accepts the
source has compared every signature.  For a function that the installed libvirt does not have, the source has a stub of
the same signature, which records the reason as an error.  So every function can be called with any libvirt.
"""

from __future__ import annotations

import functools
import os
import re
import shlex
import shutil
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pkgconfig
from cffi import FFI
from lxml import etree

ROOT = Path(__file__).resolve().parent
CDEFS = ROOT / "cdefs"
NATIVE = ROOT / "src" / "pyvirt" / "_native"

MINIMUM = "6.0.0"
NEEDED = (
    f"pyvirt needs libvirt >= {MINIMUM} and its headers, pkg-config, a C compiler and Python's headers: "
    "libvirt-dev pkg-config gcc python3-dev on Debian and Ubuntu, "
    "libvirt-devel pkgconf-pkg-config gcc python3-devel on Fedora, "
    "libvirt pkgconf gcc python on Arch, "
    "libvirt-dev pkgconf gcc musl-dev python3-dev on Alpine"
)

# In the order of <libvirt/libvirt.h>: each file uses types of the files before it.
BASE = [
    "common",
    "host",
    "domain",
    "domain_checkpoint",
    "domain_snapshot",
    "event",
    "interface",
    "network",
    "nodedev",
    "nwfilter",
    "secret",
    "storage",
    "stream",
    "error",
]
EXTRAS = ["qemu", "lxc", "admin"]

BASE_INCLUDES = """
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define VIR_DEPRECATED /* cffi accesses all fields, including deprecated ones of virError */
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
"""

# The other extensions are not linked with errors.c; pyvirt._core.lib sets the hook to its function.
HOOK = "void (*pv_unsupported_hook)(const char *function, const char *needed, const char *present);"

TOKEN = re.compile(
    r"""/\*\ since\ (?P<since>[\d.]+)\ \*/
      | /\*\ (?P<end>end)\ \*/
      | /\*.*?\*/
      | (?P<text>[^\s/][^;{/]*(\{.*?\n\})?[^;/]*);
    """,
    re.DOTALL | re.VERBOSE,
)


class Declaration(NamedTuple):
    """One C declaration of a cdef file, and the libvirt that introduced it if newer than MINIMUM."""

    text: str
    since: str | None

    @property
    def function(self) -> str | None:
        """The name of the function that it declares, or None."""
        found = re.match(r"(?!typedef\b)[^({]*?(\w+)\(", self.text)
        return found[1] if found else None

    @property
    def struct(self) -> str | None:
        """``struct tag`` if it is the definition of a struct, or None."""
        found = re.match(r"(?:typedef )?(struct \w+) \{", self.text)
        return found[1] if found else None


def declarations(source: str) -> Iterator[Declaration]:
    """Split a cdef file; declarations between ``/* since X */`` and ``/* end */`` get X."""
    since = None
    for token in TOKEN.finditer(source):
        if token["since"] or token["end"]:
            since = token["since"]
        elif token["text"]:
            yield Declaration(token["text"], since)


def stub(declaration: Declaration, present: str, report: str) -> str:
    """Return a definition of the function of *declaration* that only reports which libvirt it needs."""
    name = declaration.function
    returned = declaration.text.partition(f"{name}(")[0].strip()
    if returned == "void":
        failure = "return;"
    elif returned.endswith(("*", "Ptr")):
        failure = "return NULL;"
    else:
        failure = f"return ({returned})-1;"
    body = f'{report}("{name}", "{declaration.since}", "{present}");\n    {failure}'
    return f"{declaration.text}\n{{\n    {body}\n}}"


def c_source(declared: Iterable[Declaration], package: str, report: str) -> str:
    """Repeat the declarations, so that the compiler compares them, and add stubs for missing functions."""
    known = known_names(package)
    present = pkgconfig.modversion(package)
    parts = []
    for declaration in declared:
        missing = declaration.since and (declaration.function or declaration.struct) not in known
        if "..." in declaration.text:  # cffi's "some integer type" is not C
            continue
        if missing or not declaration.struct:  # C11 allows repeated declarations, except definitions of structs
            parts.append(f"{declaration.text};")
        if missing and declaration.function:
            parts.append(stub(declaration, present, report))
    return "\n".join(parts)


def refuse(reason: str) -> SystemExit:
    """Return the exception that ends a build which cannot succeed."""
    return SystemExit(f"pyvirt cannot be built: {reason}; {NEEDED}.")


def check_tools() -> None:
    """End the build early, with the packages to install, if it cannot succeed."""
    try:
        found = pkgconfig.exists("libvirt")
    except OSError:
        raise refuse("pkg-config is missing") from None
    if not found:
        raise refuse("pkg-config cannot find libvirt")
    if not pkgconfig.installed("libvirt", f">= {MINIMUM}"):
        raise refuse(f"the installed libvirt is {pkgconfig.modversion('libvirt')}")
    if not api_file("libvirt").is_file():
        raise refuse(f"libvirt's {api_file('libvirt')} is missing")
    compiler = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    if not shutil.which(shlex.split(compiler)[0]):
        raise refuse(f"the C compiler {compiler!r} is missing")
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        raise refuse("Python.h is missing")


def api_file(package: str) -> Path:
    """Return the path of the API description of *package*; all four are in the same directory."""
    found = pkgconfig.variables("libvirt").get("libvirt_api", "/usr/share/libvirt/api/libvirt-api.xml")
    path = Path(found).with_name(f"{package}-api.xml")
    # pkgconf puts the sysroot in front of the values of variables, pkg-config does not.
    in_sysroot = Path(os.environ.get("PKG_CONFIG_SYSROOT_DIR", "/"), path.relative_to("/"))
    return in_sysroot if in_sysroot.is_file() else path


def known_names(package: str) -> set[str | None]:
    """Return the functions and structs (``struct tag``) of the installed *package*."""
    symbols = etree.parse(str(api_file(package)))
    functions = {node.get("name") for node in symbols.iter("function")}
    return functions | {node.get("type") for node in symbols.iter("struct")}


def available() -> list[str]:
    """Return the extensions that can be built, as the names of the functions below."""
    check_tools()
    found = ["libvirt"]
    for name in EXTRAS:
        package = f"libvirt-{name}"
        if pkgconfig.exists(package) and api_file(package).is_file():
            found.append(name)
        else:
            print(f"pkg-config cannot find {package}: building without pyvirt._libvirt_{name}")
    return found


def relative(paths: Iterable[Path]) -> list[str]:
    """Return paths in the form that setuptools needs."""
    return sorted(str(path.relative_to(ROOT)) for path in paths)


def compile_options(packages: str) -> dict[str, Any]:
    """Return the arguments of setuptools' Extension for the installed *packages*."""
    options = dict(pkgconfig.parse(packages))
    options["include_dirs"] = [str(CDEFS), *options.get("include_dirs", [])]
    options["depends"] = relative(CDEFS.glob("*.h")) + relative(NATIVE.glob("*.h"))
    options["extra_compile_args"] = ["-O2", "-fvisibility=hidden"]
    return options


def native_headers() -> list[Path]:
    """Return the headers of our own C code."""
    return sorted(CDEFS.glob("native_*.h"))


def includes() -> str:
    """Return the includes of a source; cffi compiles the types of an included module too."""
    return BASE_INCLUDES + "".join(f'#include "{path.name}"\n' for path in native_headers())


@functools.cache
def libvirt() -> FFI:
    """Return pyvirt._libvirt: libvirt, and our own C code."""
    ffi = FFI()
    texts = [(CDEFS / f"{name}.h").read_text() for name in BASE]
    ours = [path.read_text() for path in [*native_headers(), CDEFS / "callbacks.h"]]
    for text in [*texts, *ours]:
        ffi.cdef(text)
    declared = [declaration for text in texts for declaration in declarations(text)]
    body = c_source(declared, "libvirt", "pv_error_unsupported")
    ffi.set_source(
        "pyvirt._libvirt",
        f"{includes()}\n{body}\n",
        sources=relative(NATIVE.glob("*.c")),
        **compile_options("libvirt"),
    )
    return ffi


def extra(name: str) -> FFI:
    """Return an extension for one of libvirt's smaller libraries; it uses the types of pyvirt._libvirt."""
    package = f"libvirt-{name}"
    text = (CDEFS / f"{name}.h").read_text()
    ffi = FFI()
    ffi.include(libvirt())
    ffi.cdef(f"{text}\nextern {HOOK}")
    body = c_source(declarations(text), package, "pv_unsupported_hook")
    ffi.set_source(
        f"pyvirt._libvirt_{name}",
        f"{includes()}#include <libvirt/{package}.h>\n\n{HOOK}\n\n{body}\n",
        **compile_options(f"libvirt {package}"),
    )
    return ffi


qemu = functools.partial(extra, "qemu")
lxc = functools.partial(extra, "lxc")
admin = functools.partial(extra, "admin")
