# SPDX-License-Identifier: LGPL-2.1-or-later
"""The model as the layers below it see it: Protocols, for annotations only.

``_core`` and the columns (``stats``, ``inventory``) work on connections and domains without importing their classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from pyvirt._core.lib import CData
    from pyvirt._core.root import Child
    from pyvirt.errors import Error
    from pyvirt.models import DomainStateReason
    from pyvirt.stats.engine import Engine


class HasLink(Protocol):
    """A connection, which knows whether the link to its daemon still stands."""

    def _link_stands(self) -> bool: ...


class HasPointer(Protocol):
    """An object that owns a C pointer; reading the pointer raises :class:`~pyvirt.errors.ClosedError` once closed."""

    @property
    def _ptr(self) -> CData: ...
    @property
    def _conn(self) -> HasLink: ...


class DomainLike(HasPointer, Protocol):
    """A :class:`pyvirt.Domain`."""

    @property
    def uuid(self) -> UUID: ...
    def state(self) -> DomainStateReason: ...


class DomainsLike(Protocol):
    """A :class:`pyvirt.Domains`."""

    def _list(self, flags: int) -> Sequence[DomainLike]: ...
    def _in_parts(self, flags: int, ask: Callable[[int], object]) -> int: ...
    def get(self, *, uuid: bytes, default: None) -> DomainLike | None: ...


class Conn(HasPointer, HasLink, Protocol):
    """A :class:`pyvirt.Connection`."""

    _stats_engine: Engine | None

    @property
    def domains(self) -> DomainsLike: ...
    def _adopt(self, child: Child) -> None: ...
    def _too_large(self, error: Error) -> bool: ...
