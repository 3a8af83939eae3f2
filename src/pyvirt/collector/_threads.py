# SPDX-License-Identifier: LGPL-2.1-or-later
"""Threads for calls that may never return.

``concurrent.futures`` waits for its threads when the interpreter ends.  These are daemons: nobody waits for a call that
hangs, and there are as many threads as calls under way, so that the next one does not wait for it either.
"""

from __future__ import annotations

from queue import SimpleQueue
from threading import RLock, Thread, current_thread
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Threads:
    """A pool that grows to what is under way."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = RLock()  # Python may collect a collector, which closes this, in whatever a thread is at
        self._idle = 0
        self._threads: set[Thread] = set()
        self._closed = False

    def run(self, job: Callable[[], None]) -> None:
        """Run *job*, which raises nothing, at once in a thread of its own.

        :raises RuntimeError: the system has no more threads
        """
        with self._lock:
            if self._idle:
                self._idle -= 1
            else:
                thread = Thread(target=self._work, name=f"{self._name}-{len(self._threads) + 1}", daemon=True)
                self._threads.add(thread)
                try:
                    thread.start()  # before anybody can join it
                except BaseException:
                    self._threads.discard(thread)
                    raise
            self._jobs.put(job)

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                break
            job()
            del job  # what it holds is not ours to keep until the next one comes
            with self._lock:
                if self._closed:
                    break
                self._idle += 1
        with self._lock:
            self._threads.discard(current_thread())

    def close(self, patience: float) -> None:
        """End the threads that have nothing to do, and wait up to *patience* seconds for those that have.

        Who is in a call still ends when that returns.
        """
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, 0
            threads = list(self._threads)
        for _ in range(idle):
            self._jobs.put(None)
        end = monotonic() + patience
        for thread in threads:
            if thread is not current_thread():
                thread.join(max(0.0, end - monotonic()))
