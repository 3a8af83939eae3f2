# SPDX-License-Identifier: LGPL-2.1-or-later
"""Waiting for something to become so: told by events, or by asking again and again where there are none."""

from __future__ import annotations

from math import inf
from time import monotonic, sleep

from pyvirt.errors import ClosedError, ConnectionLostError, Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from typing_extensions import Self

    from pyvirt.domain.domain import Domain
    from pyvirt.events import Event, Listener

_FIRST_PAUSE = 0.005
#: seconds between two looks that no event calls for, in case a driver has forgotten one
RARELY = 5.0


def moments(timeout: float | None, interval: float) -> Iterator[None]:
    """Yield whenever it is time to look: at once, after a few milliseconds, in the end every *interval* seconds.

    The last moment is *timeout* seconds after the first; ``None`` goes on without end.
    """
    end = None if timeout is None else monotonic() + timeout
    pause = _FIRST_PAUSE
    while True:
        yield
        left = inf if end is None else end - monotonic()
        if left <= 0:
            return
        sleep(min(pause, left, interval))
        pause *= 1.5


def _kind(name: str) -> type[Event]:
    from pyvirt import events

    kind: type[Event] = getattr(events, name)
    return kind


class Moments:
    """When to look, a ``with`` block around a ``for`` loop: at once, again when listening, then when an event comes.

    Where events cannot be had, as :func:`moments` says; which also says what *timeout* means.
    """

    def __init__(
        self,
        domain: Domain,
        kinds: tuple[str, ...],
        timeout: float | None,
        interval: float,
        *,
        rarely: float = RARELY,
    ) -> None:
        """Look when an event of *kinds*, by their names, comes about *domain*, and anyway every *rarely* seconds."""
        self._domain = domain
        self._kinds = kinds
        self._end = None if timeout is None else monotonic() + timeout
        self._interval = interval
        self._rarely = max(rarely, interval)
        self._listener: Listener[Event] | None = None
        #: the events that came since the moment before
        self.news: list[Event] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._listener is not None:
            self._listener.close()

    def listen(self) -> None:
        """Listen from here on, for what may happen before the first moment."""
        if self._listener is None:
            self._listener = self._made()

    def _made(self) -> Listener[Event] | None:
        hub = self._domain._conn.events
        if not hub._loop_is_own():  # a loop of the program's may not be running
            return None
        try:
            return hub.listen(*map(_kind, self._kinds), domain=self._domain)
        except Error:
            return None  # the next look will tell

    def __iter__(self) -> Iterator[None]:
        yield
        if self._left() <= 0:
            return
        self.listen()
        if self._listener is None:
            yield from moments(None if self._end is None else self._left(), self._interval)
            return
        yield  # for what happened before it listened
        while self._left() > 0:
            self._wait_for_event(self._listener)
            yield

    def news_of(self, kind: str) -> list[Any]:
        """Return those of the events since the moment before that are of *kind*, by its name."""
        cls = _kind(kind)
        return [event for event in self.news if isinstance(event, cls)]

    def _left(self) -> float:
        return inf if self._end is None else max(0.0, self._end - monotonic())

    def _wait_for_event(self, listener: Listener[Event]) -> None:
        self.news = []
        try:
            if listener.wait(min(self._left(), self._rarely)):
                self.news += listener.take()
        except (ClosedError, ConnectionLostError):
            pass  # the next look will tell
