# SPDX-License-Identifier: LGPL-2.1-or-later
"""The build finds what it needs, names what is missing, and lets the compiler compare every declaration."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pkgconfig
import pytest

import build_ffi

ROOT = build_ffi.ROOT
PACKAGES = ["libvirt", "libvirt-qemu", "libvirt-lxc", "libvirt-admin"]
NATIVE = sorted(build_ffi.NATIVE.glob("*.c"))


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)


def pip(command: str, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run pip with installed packages only."""
    offline = ("--disable-pip-version-check", "--no-index", "--no-build-isolation", "--no-deps")
    return run(sys.executable, "-m", "pip", command, *offline, *arguments, **environment)


def compile_c(source: str, directory: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    path = directory / "source.c"
    path.write_text(source)
    include = [f"-I{build_ffi.CDEFS}", *shlex.split(pkgconfig.cflags("libvirt"))]
    return run("cc", *include, *flags, path, "-o", directory / "program")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the sources without the results of building in place."""
    copy = tmp_path_factory.mktemp("tree")
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, copy)
    unwanted = shutil.ignore_patterns("*.so", "__pycache__", "*.egg-info")
    for folder in ("cdefs", "src"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=unwanted)
    return copy


@pytest.fixture
def pc_files(tmp_path: Path) -> Path:
    """A folder with libvirt's four files, the only one that pkg-config searches."""
    for package in PACKAGES:
        shutil.copy(Path(pkgconfig.variables(package)["pcfiledir"], f"{package}.pc"), tmp_path)
    return tmp_path


def refusal(tree: Path, **environment: str) -> str:
    """Return the error that pip shows of a failed build."""
    failed = pip("install", "--target", tree / "never", tree, **environment)
    assert failed.returncode != 0
    assert "Traceback" not in failed.stderr
    [sentence] = [line.strip(" ╰─>│") for line in failed.stderr.splitlines() if "cannot be built" in line]
    return sentence


def test_a_build_without_pkg_config_names_what_to_install(tree: Path, tmp_path: Path) -> None:
    sentence = refusal(tree, PATH=str(tmp_path))

    assert sentence.startswith("pyvirt cannot be built: pkg-config is missing; pyvirt needs libvirt >= 6.0.0 ")
    assert "libvirt-dev pkg-config gcc python3-dev on Debian" in sentence
    assert "libvirt-devel pkgconf-pkg-config gcc python3-devel on Fedora" in sentence
    assert "on Arch" in sentence
    assert sentence.endswith("on Alpine.")


def test_a_build_without_libvirt_names_what_to_install(tree: Path, tmp_path: Path) -> None:
    sentence = refusal(tree, PKG_CONFIG_LIBDIR=str(tmp_path), PKG_CONFIG_PATH="")

    assert "pkg-config cannot find libvirt; pyvirt needs libvirt >= 6.0.0 " in sentence


def test_a_build_with_too_old_a_libvirt_names_both_versions(tree: Path, pc_files: Path) -> None:
    pc = pc_files / "libvirt.pc"
    pc.write_text(re.sub(r"(?m)^Version:.*", "Version: 5.10.0", pc.read_text()))

    sentence = refusal(tree, PKG_CONFIG_LIBDIR=str(pc_files), PKG_CONFIG_PATH="")

    assert "the installed libvirt is 5.10.0; pyvirt needs libvirt >= 6.0.0 " in sentence


def test_a_build_without_a_compiler_names_what_to_install(tree: Path, tmp_path: Path) -> None:
    found = shutil.which("pkg-config")
    assert found
    (tmp_path / "pkg-config").symlink_to(found)

    assert re.search(r"the C compiler '.*' is missing; ", refusal(tree, PATH=str(tmp_path), CC=""))


def test_a_smaller_library_that_is_missing_is_left_out(pc_files: Path) -> None:
    (pc_files / "libvirt-admin.pc").unlink()

    done = run(
        *(sys.executable, "-c", "import build_ffi; print(build_ffi.available())"),
        PYTHONPATH=str(ROOT),
        PKG_CONFIG_LIBDIR=str(pc_files),
        PKG_CONFIG_PATH="",
    )

    assert done.stdout.splitlines() == [
        "pkg-config cannot find libvirt-admin: building without pyvirt._libvirt_admin",
        "['libvirt', 'qemu', 'lxc']",
    ]


def test_a_function_missing_from_the_installed_api_gets_a_stub_whatever_its_age(
    pc_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = build_ffi.api_file("libvirt").read_text()
    assert "<function name='virDomainAuthorizedSSHKeysSet' " in api
    (tmp_path / "libvirt-api.xml").write_text(api.replace("'virDomainAuthorizedSSHKeysSet'", "'virOther'"))
    pc = pc_files / "libvirt.pc"
    pc.write_text(re.sub(r"(?m)^libvirt_api=.*", f"libvirt_api={tmp_path}/libvirt-api.xml", pc.read_text()))
    monkeypatch.setenv("PKG_CONFIG_LIBDIR", str(pc_files))
    for name in ("PKG_CONFIG_PATH", "PKG_CONFIG_SYSROOT_DIR"):
        monkeypatch.delenv(name, raising=False)

    declared = build_ffi.declarations((build_ffi.CDEFS / "domain.h").read_text())
    source = build_ffi.c_source(declared, "libvirt", "report")

    present = pkgconfig.modversion("libvirt")
    assert f'report("virDomainAuthorizedSSHKeysSet", "6.10.0", "{present}");' in source
    assert 'report("virDomainAuthorizedSSHKeysGet"' not in source


def test_stubs_report_and_return_failure(tmp_path: Path) -> None:
    cdef = """
    /* since 99.0.0 */
    typedef struct _virFuture {
        int field;
    } virFuture;
    typedef virFuture *virFuturePtr;
    typedef void (*virFutureCallback)(virFuturePtr future, void *opaque);
    int virFutureInt(virFuturePtr future, virFutureCallback cb);
    unsigned int virFutureUInt(void);
    unsigned long long virFutureULongLong(void);
    virFuturePtr virFutureSelf(virFuturePtr future);
    char **virFutureNames(virFuturePtr future);
    void virFutureVoid(int number);
    /* end */
    """
    prelude = """
    #include <assert.h>
    #include <limits.h>
    #include <stdio.h>
    #define report(function, needed, present) puts(function)
    """
    main = """
    int main(void)
    {
        virFuture future = { 0 };
        assert(virFutureInt(&future, NULL) == -1);
        assert(virFutureUInt() == UINT_MAX);
        assert(virFutureULongLong() == ULLONG_MAX);
        assert(virFutureSelf(&future) == NULL);
        assert(virFutureNames(&future) == NULL);
        virFutureVoid(future.field);
    }
    """
    body = build_ffi.c_source(build_ffi.declarations(cdef), "libvirt", "report")

    compiled = compile_c(build_ffi.includes() + prelude + body + main, tmp_path, "-Wall", "-Werror")

    assert compiled.returncode == 0, compiled.stderr
    ran = run(tmp_path / "program")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == re.findall(r"virFuture\w+(?=\()", cdef.replace("virFutureCallback)(", ""))


@pytest.mark.parametrize(
    "wrong",
    [
        "int virDomainFree(virConnectPtr domain);",
        "const char *virConnectGetURI(virConnectPtr conn);",
        "unsigned int virDomainIsActive(virDomainPtr dom);",
        "typedef void (*virFreeCallback)(const void *opaque);",
    ],
)
def test_a_declaration_that_is_not_libvirts_does_not_compile(wrong: str, tmp_path: Path) -> None:
    source = build_ffi.includes() + build_ffi.c_source(build_ffi.declarations(wrong), "libvirt", "report")

    compiled = compile_c(source, tmp_path, "-fsyntax-only")

    assert "conflicting types" in compiled.stderr


@pytest.mark.parametrize("path", NATIVE, ids=lambda path: path.name)
def test_every_c_file_compiles_without_a_warning(path: Path, tmp_path: Path) -> None:
    strict = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", "-fsyntax-only", f"-I{path.parent}"]

    compiled = compile_c(path.read_text(), tmp_path, *strict)

    assert compiled.returncode == 0, compiled.stderr


def test_the_sdist_builds_a_wheel_that_works(tree: Path, tmp_path: Path) -> None:
    backend = "import sys, setuptools.build_meta as backend; backend.build_sdist(sys.argv[1])"
    subprocess.run([sys.executable, "-c", backend, tmp_path], cwd=tree, check=True, capture_output=True)
    [sdist] = tmp_path.glob("pyvirt-*.tar.gz")
    with tarfile.open(sdist) as archive:
        shipped = {name.partition("/")[2] for name in archive.getnames()}
    assert {"build_ffi.py", "LICENSE", "cdefs/domain.h", "src/pyvirt/py.typed"} <= shipped
    assert {str(path.relative_to(ROOT)) for path in NATIVE} <= shipped

    built = pip("wheel", "--verbose", "--wheel-dir", tmp_path, sdist)
    assert built.returncode == 0, built.stderr
    assert not re.search(r"\.[ch]:\d+:\d+: warning:", built.stdout + built.stderr)
    [wheel] = tmp_path.glob("pyvirt-*-cp310-abi3-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    modules = sorted(name for name in names if name.endswith(".so"))
    assert modules == [f"pyvirt/_libvirt{extra}.abi3.so" for extra in ("", "_admin", "_lxc", "_qemu")]
    assert {"pyvirt/py.typed", "pyvirt/_core/lib.pyi"} <= set(names)
    assert not [name for name in names if name.endswith((".c", ".h"))]

    installed = pip("install", "--target", tmp_path / "site", wheel)
    assert installed.returncode == 0, installed.stderr
    program = "from pyvirt._core import lib; print(lib.__file__); [*map(lib.load_extension, ('qemu', 'lxc', 'admin'))]"
    ran = run(sys.executable, "-c", program, PYTHONPATH=str(tmp_path / "site"))
    assert ran.returncode == 0, ran.stderr
    assert Path(ran.stdout.strip()).is_relative_to(tmp_path / "site")
