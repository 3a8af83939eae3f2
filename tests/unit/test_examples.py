# SPDX-License-Identifier: LGPL-2.1-or-later
"""The examples and the code in the README run unchanged, without a warning, and print what they promise."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pyvirt
from tests.support import ROOT
from tests.support.drivers import since

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))

PRINTED = {
    "events.py": r"test +SUSPENDED +<.*PAUSED: 0>\ntest +RESUMED +<.*UNPAUSED: 0>\ntest +STOPPED +<.*DESTROYED: 1>\n",
    "async_monitor.py": r".+: 1 domains\n  test +running +2 vCPUs +2,048 MiB\n",
    "lifecycle.py": r"defined  example .* SHUTOFF\n"
    r"paused .*PAUSED.*USER.*\n"
    r"larger   4 vCPUs under id \d+\n"
    r"removed  Domain not found: 'example'\n",
    "list.py": r".+: 1 domains\ntest +running +2 vCPUs +2,048 MiB\n",
    "monitor.py": r"1 domains, 1 running, with disks\n(1 domains, 1 running(, with disks)?\n){4}",
    "stats.py": r"1,000 domains, [\d,]+ values, [\d,]+ KiB\n"
    r"  domain: 1000 rows of .*state\.state.*\n"
    r"(  .*\n)*"
    r"\{'state\.state': 1, .*\}\n",
}


def run(*arguments: str | Path, directory: Path) -> subprocess.CompletedProcess[str]:
    # The examples import the same pyvirt as these tests, whether it is installed or in src/.
    environment = os.environ | {"PYTHONPATH": str(Path(pyvirt.__file__).parents[1])}
    command = [sys.executable, "-X", "dev", "-W", "error", *arguments]
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=60)


STATISTICS = since("virConnectGetAllDomainStats")


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=STATISTICS if path.name == "stats.py" else (), id=path.name) for path in EXAMPLES],
)
def test_every_example_runs(path: Path, tmp_path: Path) -> None:
    done = run(path, directory=tmp_path)

    # In this mode asyncio reports slow callbacks, and on a busy machine any callback is slow.
    errors = [line for line in done.stderr.splitlines() if not line.startswith("Executing <")]
    assert (done.returncode, errors) == (0, [])
    assert re.fullmatch(PRINTED[path.name], done.stdout), done.stdout


@STATISTICS
def test_the_code_in_the_readme_runs(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks

    for block in blocks:
        done = run("-c", block, directory=tmp_path)
        assert (done.returncode, done.stderr) == (0, ""), block
