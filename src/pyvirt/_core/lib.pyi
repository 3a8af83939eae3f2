# SPDX-License-Identifier: LGPL-2.1-or-later
from typing import Any, TypeAlias

#: A C value as cffi holds it.
CData: TypeAlias = Any

ffi: Any
lib: Any

def load_extension(name: str) -> tuple[Any, Any]: ...
