# SPDX-License-Identifier: LGPL-2.1-or-later
"""From times to ratios, and a table of them."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from harness import Times
from operations import FLOOR, LIBVIRT_PYTHON, PYVIRT

Measured = Mapping[tuple[str, str], Times]


@dataclass(frozen=True)
class Spread:
    """The time of one call, in nanoseconds, over all rounds."""

    median: float
    minimum: float
    quartiles: tuple[float, float]

    @classmethod
    def of(cls, times: Times) -> Spread:
        """Describe *times*."""
        return cls(statistics.median(times), min(times), quartiles(times))

    def __str__(self) -> str:
        half = (self.quartiles[1] - self.quartiles[0]) / 2
        return f"{duration(self.median)} ±{half / self.median:.0%}"


@dataclass(frozen=True)
class Row:
    """One ratio: the median of the ratios of all rounds, and their quartiles.

    It is not the ratio of the medians, because load that comes and goes in seconds halves the speed of whole rounds.
    """

    what: str
    formula: str
    times: dict[str, Spread]
    ratio: float
    quartiles: tuple[float, float]
    target: float | None = None

    @property
    def passed(self) -> bool | None:
        """Return whether the ratio meets its target, ``None`` if it has no target."""
        return None if self.target is None else self.ratio <= self.target

    def cells(self) -> list[str]:
        """Return the cells of the table."""
        low, high = self.quartiles
        return [
            self.what,
            *(str(self.times[name]) if name in self.times else "" for name in (FLOOR, LIBVIRT_PYTHON, PYVIRT)),
            self.formula,
            f"{self.ratio:.2f}",
            f"{low:.2f} - {high:.2f}",
            "" if self.target is None else f"{self.target:.2f}",
            {True: "pass", False: "FAIL", None: ""}[self.passed],
        ]

    def to_json(self) -> dict[str, object]:
        """Return the row as plain data."""
        return {**asdict(self), "passed": self.passed}


HEADINGS = ("", "C", "libvirt-python", "pyvirt", "ratio", "", "quartiles", "at most", "")
LEGEND = (
    "P pyvirt, D its to_dicts(), L libvirt-python, C the C program: the median of one call, "
    "± half the interquartile range"
)


def quartiles(values: Iterable[float]) -> tuple[float, float]:
    """Return the first and the third quartile."""
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, third


def duration(nanoseconds: float) -> str:
    """Return a time with three significant digits."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.3g} {unit}"
    return f"{nanoseconds:.0f} ns"


def row(
    measured: Measured,
    operation: str,
    what: str,
    formula: str,
    target: float | None = None,
    *,
    shown_as: str | None = None,
) -> Row:
    """Make a row.

    :param formula: a formula for *operation*, of the letters that the legend explains
    :param shown_as: the text that the table shows instead of the formula
    """
    sources = {
        "C": (operation, FLOOR),
        "L": (operation, LIBVIRT_PYTHON),
        "P": (operation, PYVIRT),
        "D": ("to_dicts", PYVIRT),
    }
    letters = [letter for letter in sources if letter in formula]
    calculate: Callable[..., float] = eval(f"lambda {', '.join(letters)}: {formula}")
    rounds = zip(*(measured[sources[letter]] for letter in letters), strict=True)
    ratios = [calculate(*times) for times in rounds]
    shown = (sources["C"], sources["L"], sources["D" if "D" in formula else "P"])
    return Row(
        what,
        shown_as or formula,
        {one[1]: Spread.of(measured[one]) for one in shown if one in measured},
        statistics.median(ratios),
        quartiles(ratios),
        target,
    )


def figure(what: str, formula: str, ratios: Sequence[float], target: float) -> Row:
    """Make a row of ratios that do not come from the times of one operation."""
    around = quartiles(ratios) if len(ratios) > 1 else (ratios[0], ratios[0])
    return Row(what, formula, {}, statistics.median(ratios), around, target)


def machine() -> dict[str, str]:
    """Return the machine and the versions, on which the numbers depend."""
    import pyvirt

    return {
        "machine": f"{cpu_model()}, {os.cpu_count()} CPUs, {platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "libvirt": ".".join(map(str, pyvirt.library_version())),
        "libvirt-python": importlib.metadata.version("libvirt-python"),
        "pyvirt": pyvirt.__version__,
    }


def cpu_model() -> str:
    """Return the kernel's name for the processor."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()


def show(rows: Iterable[Row]) -> None:
    """Print the table, with rich if it is installed."""
    cells = [row.cells() for row in rows]
    try:
        from rich import box
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        widths = [max(map(len, column)) for column in zip(HEADINGS, *cells, strict=True)]
        for line in (HEADINGS, *cells):
            print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
        print(LEGEND)
        return
    table = Table(*HEADINGS, box=box.SIMPLE_HEAD, pad_edge=False, caption=LEGEND, caption_justify="left")
    for line in cells:
        table.add_row(*line, style="red" if line[-1] == "FAIL" else None)
    # A file or a pipe has no width to fit into, so the table gets a fixed width that holds every row.
    Console(width=None if sys.stdout.isatty() else 160, markup=False, highlight=False).print(table)
