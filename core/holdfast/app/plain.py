"""The JSON form of what the engine returns."""

from __future__ import annotations

from typing import Any

from ..types import Record

JsonObject = dict[str, Any]


def plain(value: Any) -> Any:
    """Records as objects, lists of them as lists; JSON as it is."""
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return value
