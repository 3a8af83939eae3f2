# SPDX-License-Identifier: LGPL-2.1-or-later
"""Wait for a condition, driven by events, or by polling where the driver has none.

A :class:`Condition` can check itself: :func:`wait` does so in this thread, and ``pyvirt.aio`` checks the same object
without blocking its event loop.
"""

from __future__ import annotations

from math import inf
from time import monotonic, sleep

from pyvirt._core.typed import Typed
from pyvirt.errors import ClosedError, ConnectionLostError, Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, ClassVar, TypeVar

    from typing_extensions import Self

    from pyvirt.domain.domain import Domain
    from pyvirt.errors import OperationTimeoutError
    from pyvirt.events import Event, Listener

    T = TypeVar("T")
else:
    T = None

_FIRST_PAUSE = 0.005  # seconds
#: seconds between two checks without an event, in case a driver does not report one
RECHECK_SECONDS = 5.0


class Condition(Typed[T]):
    """A condition to wait for; :func:`wait` returns its *result*."""

    #: the names of the kinds of events after which it may have become true
    kinds: ClassVar[tuple[str, ...]]
    result: T

    def __init__(self, domain: Domain, *, recheck: float = RECHECK_SECONDS) -> None:
        """Make a condition of *domain*, which is checked at least every *recheck* seconds."""
        self.domain = domain
        self.recheck = recheck

    def met(self) -> bool:
        """Return whether it is true now, after one or two calls of libvirt; set *result* if so."""
        raise NotImplementedError

    def late(self, timeout: float) -> OperationTimeoutError:
        """Return the error for a condition that was not met within *timeout* seconds."""
        raise NotImplementedError


def wait(condition: Condition[T], timeout: float | None, interval: float) -> T:
    """Wait until *condition* is met, and return its result.

    :param timeout: seconds; ``None`` waits indefinitely, 0 checks once
    :param interval: seconds between two checks where the driver has no events
    :raises OperationTimeoutError: it was not met within *timeout*
    """
    with Recheck(condition.domain, condition.kinds, timeout, interval, recheck=condition.recheck) as checks:
        for _ in checks:
            if condition.met():
                return condition.result
    assert timeout is not None
    raise condition.late(timeout)


def poll_times(timeout: float | None, interval: float) -> Iterator[None]:
    """Yield each time a condition is worth polling: at once, after a few milliseconds, later every *interval* seconds.

    The last time is *timeout* seconds after the first; ``None`` yields indefinitely.
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


class Recheck:
    """A ``with`` block around a ``for`` loop, which yields each time a condition is worth checking.

    It yields immediately, again when the listener is registered, and after every event.  In drivers without events it
    yields as :func:`poll_times` does, which also explains *timeout*.
    """

    def __init__(
        self,
        domain: Domain,
        kinds: tuple[str, ...],
        timeout: float | None,
        interval: float,
        *,
        recheck: float = RECHECK_SECONDS,
    ) -> None:
        """Check after each event of *kinds*, given by name, about *domain*, and at least every *recheck* seconds."""
        self._domain = domain
        self._kinds = kinds
        self._end = None if timeout is None else monotonic() + timeout
        self._interval = interval
        self._recheck = max(recheck, interval)
        self._listener: Listener[Event] | None = None
        #: the events since the last check
        self.new_events: list[Event] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._listener is not None:
            self._listener.close()

    def listen(self) -> None:
        """Listen from now on, for events before the first check."""
        if self._listener is None:
            self._listener = new_listener(self._domain, self._kinds)

    def __iter__(self) -> Iterator[None]:
        yield
        if self._seconds_left() <= 0:
            return
        self.listen()
        if self._listener is None:
            yield from poll_times(None if self._end is None else self._seconds_left(), self._interval)
            return
        yield  # the condition may have become true before the listener was registered
        while self._seconds_left() > 0:
            self._wait_for_event(self._listener)
            yield

    def new_events_of(self, kind: str) -> list[Any]:
        """Return the events since the last check that are of *kind*, given by name."""
        cls = _kind(kind)
        return [event for event in self.new_events if isinstance(event, cls)]

    def _seconds_left(self) -> float:
        return inf if self._end is None else max(0.0, self._end - monotonic())

    def _wait_for_event(self, listener: Listener[Event]) -> None:
        self.new_events = []
        try:
            if listener.wait(min(self._seconds_left(), self._recheck)):
                self.new_events += listener.take()
        except (ClosedError, ConnectionLostError):
            pass  # the next check raises the error


def new_listener(domain: Domain, kinds: tuple[str, ...]) -> Listener[Event] | None:
    """Return a listener to events of *kinds*, given by name, about *domain*; ``None`` where there are no events."""
    hub = domain._conn.events
    if not hub._loop_is_own():  # the program has its own event loop, which may not be running
        return None
    try:
        return hub.listen(*map(_kind, kinds), domain=domain)
    except Error:
        return None  # if the error matters, the next check raises it
