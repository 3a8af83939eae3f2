# SPDX-License-Identifier: LGPL-2.1-or-later
"""How a C function is called: checked, converted and released.  Knows no kind of object.

The package-internal contract: these private attributes are for the whole package, but not for programs.  All others
belong to the package or module that defines them, and to the counterpart of their class in ``pyvirt.aio``.

Handles, connections and the parts of a domain:

- ``_ptr``: the C pointer.  It raises ``ClosedError`` once the object or its connection is closed.  A local variable
  that holds it keeps the pointer valid, and the connection open; do not store it in an attribute.
- ``_conn``: the connection; of a connection, itself.  It can be read after closing.
- ``_call()``, ``_call_string()``, …, ``_fill_params()``: call C with the pointer, convert the result, or raise the
  error of the C function.  ``_error(function)`` takes the error of a call that was made in another way.
- ``_require_open()``: raise ``ClosedError`` if it is closed.
- ``_identity()``: a hashable value that distinguishes it from objects of its kind.  The first call may call C, but not
  the daemon, and raises ``ClosedError`` after closing; ``_remember()`` reads it, and the name, before that.
- ``_many(conn, pointers)``: make handles of many pointers, each of which owns its reference.

Connections:

- ``_adopt(child)``: close *child* together with the connection, which refers to it weakly (``_children``).
- ``_link_stands()``: whether the link to the daemon is alive; no round trip, and it never raises.
- ``_closed_error()``: the error for using it, ``None`` while it is open; ``_why_closed`` is the text of that error.
- ``_too_large(error)``: whether a call may have failed because its answer exceeds one message.
- ``_another()``: open a connection with the same arguments; ``_uri``: its URI, known after closing too.
- ``_stats_engine``, ``_supported``: places for the objects that ``stats.engine`` and ``_model.supports`` cache.

Others:

- Collections: ``_list(flags)``, ``_by_uuid()``, ``_get()``, ``_wrap_list()``, domains ``_in_parts()``; all call C.
- Streams: ``_begin()`` opens one; a transfer sets ``_ended`` and ``_at_end``.
- ``conn.events``: ``_close()``, ``_disown()`` and ``_take_sources()`` end or forget all events; ``_loop_is_own()``.
- Frames of statistics: ``_chosen()`` and ``_keeper_of()``, for the frames of a collector.
"""
