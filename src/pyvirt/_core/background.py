# SPDX-License-Identifier: LGPL-2.1-or-later
"""Run a blocking call in a thread while reporting its progress."""

from __future__ import annotations

from threading import Event, Thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")


def run_watched(call: Callable[[], T], report: Callable[[], object], abort: Callable[[], object], interval: float) -> T:
    """Run *call* in a thread and return its result; call *report* in this thread every *interval* seconds.

    If *report* raises, or on Ctrl-C, *abort* is called repeatedly until *call* has ended.
    """
    result: list[T] = []
    failure: list[BaseException] = []
    done = Event()

    def work() -> None:
        try:
            result.append(call())
        except BaseException as error:
            failure.append(error)
        finally:
            done.set()

    Thread(target=work, name="pyvirt-call", daemon=True).start()
    try:
        while not done.wait(interval):
            report()
    except BaseException:
        while not done.is_set():
            abort()  # again and again, because the call may not have begun yet
            done.wait(interval)
        raise
    if failure:
        raise failure.pop()
    return result[0]
