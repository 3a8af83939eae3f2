# SPDX-License-Identifier: LGPL-2.1-or-later
"""The asynchronous counterpart of :mod:`pyvirt.admin`."""

from __future__ import annotations

from pyvirt.aio._generated.admin import AdminConnection, Client, Clients, Server, Servers, connect

__all__ = ["AdminConnection", "Client", "Clients", "Server", "Servers", "connect"]
