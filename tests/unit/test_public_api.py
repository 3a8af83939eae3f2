# SPDX-License-Identifier: LGPL-2.1-or-later
"""The names of ``import pyvirt``, and the cost of the import."""

from __future__ import annotations

import inspect
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

import pyvirt
from pyvirt import enums, errors
from tests.support.processes import output_of, run

PACKAGE = Path(pyvirt.__file__).parent

# Each takes longer to import than libvirt and all of pyvirt.
HEAVY = "typing dataclasses uuid lxml logging re inspect contextlib json asyncio numpy click rich subprocess".split()

MODULES = sorted(
    ".".join(["pyvirt", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if path.stem != "__main__"
)


@pytest.mark.parametrize("name", pyvirt.__all__)
def test_every_name_in_all_exists(name: str) -> None:
    value = getattr(pyvirt, name)
    assert not isinstance(value, ModuleType)
    assert name in dir(pyvirt)
    if inspect.isclass(value):
        assert value.__name__ == name
        assert value.__doc__


def test_names_in_all_are_unique_and_no_enumerations() -> None:
    assert len(set(pyvirt.__all__)) == len(pyvirt.__all__)
    assert pyvirt.__all__[-len(enums.__all__) :] == enums.__all__


def test_every_error_is_in_all() -> None:
    ours = {name for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, Exception)}
    assert ours - set(pyvirt.__all__) == set()


def test_every_enumeration_is_an_attribute_of_pyvirt() -> None:
    assert set(enums.__all__) <= set(dir(pyvirt))
    assert pyvirt.DomainState is enums.DomainState
    assert pyvirt.StatsGroup is enums.StatsGroup


@pytest.mark.parametrize("name", ["Nothing", "domain_state", "VIR_DOMAIN_RUNNING", "__path_to_nowhere__", "enum"])
def test_an_unknown_name_raises_attribute_error(name: str) -> None:
    with pytest.raises(AttributeError, match=f"module 'pyvirt' has no attribute '{name}'"):
        getattr(pyvirt, name)
    assert not hasattr(pyvirt, name)


def test_a_type_checker_knows_the_public_names() -> None:
    with pytest.raises(AttributeError):
        pyvirt.Nothing  # type: ignore[attr-defined]  # noqa: B018
    assert callable(pyvirt.bulk.map)  # a module, and not "object"


def test_a_star_import_imports_every_name_in_all() -> None:
    assert output_of(
        "from pyvirt import *; import pyvirt; print(set(pyvirt.__all__) - {'__version__'} <= set(globals()))"
    ) == ("True\n")


def test_the_version_is_well_formed() -> None:
    assert re.fullmatch(r"\d+\.\d+(\.\d+)?(\.?(dev|a|b|rc)\d+)?", pyvirt.__version__)


def test_the_package_has_a_py_typed_file() -> None:
    assert (PACKAGE / "py.typed").is_file()


# ---- the cost of an import ----


def test_importing_pyvirt_loads_nothing_heavy() -> None:
    cffi = find_spec("_cffi_backend")
    assert cffi is not None
    assert cffi.origin is not None
    # Without site, which may load anything by a .pth file.
    done = run(
        *("-S", "-c", "import sys; before = set(sys.modules); import pyvirt; print(*set(sys.modules) - before)"),
        env={"PYTHONPATH": f"{PACKAGE.parent}:{Path(cffi.origin).parent}"},
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert {"pyvirt.connection", "pyvirt.domain.domain", "_cffi_backend"} <= loaded
    assert loaded & set(HEAVY) == set()
    ours = {name for name in loaded if name.startswith("pyvirt.")}
    assert not ours & {"pyvirt.models", "pyvirt.stats", "pyvirt.uri", "pyvirt.host", "pyvirt.xmldesc", "pyvirt.testing"}


def test_common_calls_load_nothing_heavy() -> None:
    program = """
import sys
before = set(sys.modules)
import pyvirt
with pyvirt.connect("test:///default") as conn:
    for domain in conn.domains:
        domain.name, domain.id, domain.is_active(), domain.xml_desc()
    conn.domains["test"].destroy()
    try:
        conn.domains["nobody"]
    except pyvirt.NotFoundError:
        pass
print(*set(sys.modules) - before)
"""
    assert set(output_of(program, strict=False).split()) & (set(HEAVY) - set(sys.stdlib_module_names)) == set()


@pytest.mark.parametrize("module", MODULES)
def test_every_module_can_be_imported_first_and_without_a_warning(module: str) -> None:
    if module == "pyvirt.testing.pytest_plugin":
        program = f"import pytest, {module}"
    else:
        program = f"import {module}; import sys; assert 'pytest' not in sys.modules"
    assert output_of(program) == ""


@pytest.mark.parametrize("options", [["-O"], ["-OO"], ["-bb"], ["-I"], ["-X", "utf8=0"]], ids=" ".join)
def test_pyvirt_works_with_other_options_of_python(options: list[str]) -> None:
    program = f"""
import sys
sys.path[:0] = {sys.path!r}
import pyvirt
from tests.support.any_stats import stats
with pyvirt.connect("test:///default") as conn:
    print(len(conn.domains), len(stats(conn)), pyvirt.DomainState.RUNNING.name)
"""
    done = run(*options, "-W", "error", "-c", program, env={"LC_ALL": "C"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "1 1 RUNNING\n", "")


def test_pyvirt_can_be_imported_in_a_thread() -> None:
    program = """
import threading
def work():
    import pyvirt
    with pyvirt.connect("test:///default") as conn:
        try:
            conn.domains["nobody"]
        except pyvirt.DomainNotFoundError as error:
            said.append(str(error))
said = []
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(said == ["Domain not found: 'nobody'"] * 4)
"""
    assert output_of(program) == "True\n"
