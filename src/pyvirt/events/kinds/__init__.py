# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kinds of events: one class for each.

Each class is a dataclass.  Its first field is the handle of the object that the event is about, if there is one.  The
handle knows the object's name and UUID even after the object was deleted or the connection was closed.

Numbers that are newer than pyvirt arrive as members named ``UNKNOWN_<number>``, or as plain numbers where there is no
enumeration.
"""

from __future__ import annotations

from pyvirt.events.kinds._declare import *  # noqa: F403
from pyvirt.events.kinds.domain import *  # noqa: F403
from pyvirt.events.kinds.other import *  # noqa: F403
