# SPDX-License-Identifier: LGPL-2.1-or-later
"""pyvirt for asyncio and trio: the same objects and names as in :mod:`pyvirt`, with methods that you await.

>>> async with pyvirt.aio.connect("test:///default") as conn:  # doctest: +SKIP
...     async for domain in conn.domains:
...         print(domain.name, (await domain.state()).state.name)
test RUNNING

It needs anyio: ``pip install 'pyvirt[aio]'``.  See docs/aio.md.

``ci/gen_aio`` writes ``_generated`` from the synchronous model.  All other files are written by hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyvirt.aio._generated import __all__ as __all__

if TYPE_CHECKING:
    from pyvirt.aio._generated import *  # noqa: F403
else:

    def __getattr__(name: str) -> object:
        from pyvirt.aio import _generated

        found = globals()[name] = getattr(_generated, name)
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
