# SPDX-License-Identifier: LGPL-2.1-or-later
"""A short run of benchmarks/soak.  A long run takes minutes and is started by hand."""

from __future__ import annotations

import subprocess
import sys

from pyvirt.testing.daemon import PrivateDaemon
from tests.support import ROOT

SOAK = ROOT / "benchmarks" / "soak"


def test_memory_and_descriptors_do_not_grow(private_daemon: PrivateDaemon) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", SOAK, "--ticks", "400", "--no-guests"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "400 ticks" in done.stdout
