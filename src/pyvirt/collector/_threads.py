# SPDX-License-Identifier: LGPL-2.1-or-later
"""Threads for calls that may never return.

``concurrent.futures`` waits for its threads when the interpreter exits.  These are daemon threads, so the interpreter
does not wait for a call that hangs.  Each call under way has its own thread, so no other call waits for it either.
"""

from __future__ import annotations

from queue import SimpleQueue
from threading import RLock, Thread, current_thread
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Threads:
    """A pool that has at least as many threads as calls under way."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = RLock()  # the garbage collector may call close() in a thread that holds the lock
        self._idle = 0
        self._threads: set[Thread] = set()
        self._closed = False

    def run(self, call: Callable[[], None]) -> None:
        """Run *call*, which must not raise, immediately in a thread of its own.

        :raises RuntimeError: the system cannot start another thread
        """
        with self._lock:
            if self._idle:
                self._idle -= 1
            else:
                thread = Thread(target=self._work, name=f"{self._name}-{len(self._threads) + 1}", daemon=True)
                self._threads.add(thread)
                try:
                    thread.start()  # under the lock: close() must not join a thread that was not started
                except BaseException:
                    self._threads.discard(thread)
                    raise
            self._calls.put(call)

    def _work(self) -> None:
        while True:
            call = self._calls.get()
            if call is None:
                break
            call()
            del call  # its objects must not stay alive until the next call
            with self._lock:
                if self._closed:
                    break
                self._idle += 1
        with self._lock:
            self._threads.discard(current_thread())

    def close(self, patience: float) -> None:
        """End the idle threads, and wait up to *patience* seconds for the others.

        A thread that is still in a call ends when the call returns.
        """
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, 0
            threads = list(self._threads)
        for _ in range(idle):
            self._calls.put(None)
        end = monotonic() + patience
        for thread in threads:
            if thread is not current_thread():
                thread.join(max(0.0, end - monotonic()))
