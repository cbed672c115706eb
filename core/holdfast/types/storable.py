"""What can be stored of a text: of frameworks' messages, models' replies, documents and arguments."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

UNSTORABLE = re.compile(
    "[\x00\ud800-\udfff]"
)  # PostgreSQL refuses NUL characters, UTF-8 halves of surrogate pairs


def storable(text: str) -> str:
    """The text as databases and embedders can take it.

    Tools and models return NUL characters and halves of surrogate pairs, too: both are shown as unreadable (U+FFFD).
    Two halves that make a pair are the one character that they mean.
    """
    if UNSTORABLE.search(text) is None:
        return text
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return whole.replace("\x00", "\ufffd")


def storable_json(value: Any, otherwise: Callable[[Any], Any] = str) -> Any:
    """JSON, whatever a provider or a tool put into a message: its texts as `storable`, keys as texts, numbers that
    JSON does not have as texts.

    value: of any type.
    otherwise: what is neither JSON nor a mapping, tuple or set, as something that is.
    """
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        return storable(str.__str__(value))  # an enum's member is its text
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {storable(str(key)): storable_json(item, otherwise) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [storable_json(item, otherwise) for item in value]
    return storable_json(otherwise(value), otherwise)
