# SPDX-License-Identifier: LGPL-2.1-or-later
"""A small plot: lines over a logarithmic axis, as SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 420, 70, 150, 50, 60
COLOURS = ("#4c78a8", "#e45756", "#54a24b", "#b279a2")

Line = Sequence[tuple[float, float]]


def svg(title: str, x_title: str, y_title: str, lines: Mapping[str, Line]) -> str:
    """Draw *lines*: a name and its points (x, y) for each line."""
    points = [point for line in lines.values() for point in line]
    low, high = (math.log10(pick(x for x, _ in points)) for pick in (min, max))
    step = nice_step(max(y for _, y in points))
    top = step * math.ceil(max(y for _, y in points) / step)

    def place(x: float, y: float) -> tuple[float, float]:
        across = (math.log10(x) - low) / (high - low or 1)
        return LEFT + across * (WIDTH - LEFT - RIGHT), TOP + (1 - y / top) * (HEIGHT - TOP - BOTTOM)

    def draw() -> Iterator[str]:
        yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif"'
        yield 'font-size="13"><rect width="100%" height="100%" fill="white"/>'
        yield text(LEFT, 25, title, size=15)
        yield text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 15, x_title, anchor="middle")
        yield text(LEFT, TOP - 8, y_title, anchor="middle", size=12)
        for y in (step * number for number in range(round(top / step) + 1)):
            _, at = place(10**low, y)
            yield f'<path d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>'
            yield text(LEFT - 8, at + 4, f"{y:g}", anchor="end")
        for x in sorted({x for x, _ in points}):
            across, bottom = place(x, 0)
            yield f'<path d="M{across:.1f} {bottom:.1f}v5" stroke="black"/>'
            yield text(across, bottom + 20, f"{x:,.0f}", anchor="middle")
        for colour, line in zip(COLOURS, lines.values(), strict=False):
            places = [place(*point) for point in line]
            path = "L".join(f"{across:.1f} {at:.1f}" for across, at in places)
            yield f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
            for across, at in places:
                yield f'<circle cx="{across:.1f}" cy="{at:.1f}" r="3" fill="{colour}"/>'
        lowest = math.inf
        for colour, (name, line) in sorted(zip(COLOURS, lines.items(), strict=False), key=lambda one: one[1][1][-1][1]):
            across, at = place(*line[-1])
            lowest = min(at, lowest - 16)  # keeps the names apart where lines meet
            yield text(across + 10, lowest + 4, name, colour=colour)
        yield "</svg>"

    return "\n".join(draw()) + "\n"


def nice_step(largest: float) -> float:
    """Return a round step, so that five to ten steps reach *largest*."""
    power: float = 10.0 ** math.floor(math.log10(largest / 5))
    return next(power * times for times in (1, 2, 5, 10) if largest / (power * times) <= 8)


def text(x: float, y: float, words: str, *, anchor: str = "start", colour: str = "black", size: int = 13) -> str:
    """Write *words*."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" font-size="{size}">{words}</text>'
