# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mark for tests that need a newer libvirt than the oldest."""

from __future__ import annotations

from pathlib import Path

import pytest

import pyvirt
from tests.support import ROOT
from tests.support.plugin import WHOLE
from tests.support.processes import run

TESTS = """
import pytest

@pytest.mark.libvirt("6.0", "was there")
@pytest.mark.parametrize("number", [1, 2])
def test_there(number):
    pass

@pytest.mark.parametrize("number", [pytest.param(1, marks=pytest.mark.libvirt("99.0", "is not there yet")), 2])
@pytest.mark.libvirt("6.0", "was there")
def test_of_tomorrow(number):
    pass
"""


@pytest.mark.parametrize("ci", ["", "true"])
def test_tests_that_need_a_newer_libvirt_are_deselected(ci: str, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    settings = ["-c", str(ROOT / "pyproject.toml"), "-o", "pythonpath=", "-p", "tests.support.plugin"]
    done = run("-m", "pytest", *settings, "-p", "no:cacheprovider", "-v", tmp_path, env={"CI": ci})
    if ci and pyvirt.library_version() >= WHOLE:
        assert done.returncode == pytest.ExitCode.USAGE_ERROR
        assert "these would be deselected: " in done.stderr
        assert "test_of_tomorrow[1]" in done.stderr
    else:
        assert done.returncode == 0, done.stdout
        assert ": 1 tests deselected, which need a newer one" in done.stdout
        assert "3 passed, 1 deselected" in done.stdout
        assert "test_of_tomorrow[1]" not in done.stdout
