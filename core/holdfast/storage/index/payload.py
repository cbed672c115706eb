"""What a point's payload says of a version: its metadata, stored so that Qdrant compares exactly as `filters.matches`
does, and the facets that ranking reads.

Qdrant has no match on floats, takes 1 and 1.0 for different values, and looks into lists where our order
comparisons do not. So each key's value is stored by how it may be queried:

    t  the text itself             of a text: equality, substrings
    n  the number itself           of a number: order
    e  its token                   of a number, a boolean, null: equality
    l  its elements' tokens        of a list: equality with an element

A token is type and value: "s" + text, "n" + number, "b0", "b1", "z" for null.

Keys are hex-encoded behind a letter, so that any key, the empty one too, is a safe path.
"""

from __future__ import annotations

import json
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from struct import Struct
from typing import Any

from ...decisions.retrieval.candidates import UNKNOWN, Facets
from ...types import JsonValue, Metadata
from ..filters import LARGEST_NUMBER

SCOPE_KEYS = {"user_id": "u", "agent_id": "a", "run_id": "r"}
TIME_KEYS = {"created_at": "c", "updated_at": "t0", "happened_at": "h", "expires_at": "x"}
_ROW = Struct("<qqqI")
_ROW_LENGTH = len(b2a_base64(bytes(_ROW.size), newline=False))


def encode_metadata(metadata: Metadata) -> dict[str, Any]:
    """The payload's `m`."""
    return {encode_key(key): _encode(value) for key, value in metadata.items()}


def encode_key(key: str) -> str:
    return "k" + key.encode("utf-8", "surrogatepass").hex()


def equality_token(value: object) -> str | None:
    """A scalar as a keyword that equal scalars share; None for lists and objects, which equal nothing."""
    if value is None:
        return "z"
    if isinstance(value, bool):
        return f"b{value:d}"
    if isinstance(value, str):
        return "s" + value
    if isinstance(value, (int, float)):
        return f"n{_bounded(value)!r}"
    return None


def _encode(value: JsonValue) -> dict[str, Any]:
    if isinstance(value, str):
        return {"t": value}
    if isinstance(value, (list, tuple)):
        return {"l": [token for token in map(equality_token, value) if token is not None]}
    token = equality_token(value)
    if token is None:
        return {}
    return {"e": token, "n": _bounded(value)} if token.startswith("n") else {"e": token}  # type: ignore[arg-type]


def _bounded(number: int | float) -> int | float:
    """A number as filters see it: whole ones as integers, and none beyond what a filter may name."""
    if abs(number) >= LARGEST_NUMBER:
        return LARGEST_NUMBER if number > 0 else -LARGEST_NUMBER
    return int(number) if number == int(number) else number


def facets(payload: Mapping[str, Any]) -> Facets:
    """What ranking reads of a payload (the keys are listed in `base`). What is absent counts as nothing."""
    get = payload.get
    happened, episode = get("h"), get("e")
    row = _ROW.pack(
        UNKNOWN if happened is None else happened,
        UNKNOWN if episode is None else _episode(get("u"), get("a"), get("r"), episode),
        get("p") or 0,
        get("w") or 0,
    )
    return row, tuple(get("s") or ())


def packed(payload: Mapping[str, Any]) -> str:
    """The facets as one value: a search reads them of hundreds of points, and each key that is read costs time."""
    row, speakers = facets(payload)
    return b2a_base64(row, newline=False).decode("ascii") + (json.dumps(speakers) if speakers else "")


def unpacked(value: str | None) -> Facets:
    """What was `packed`. None: an earlier version of this package wrote the point."""
    if value is None:
        return facets({})
    return a2b_base64(value[:_ROW_LENGTH]), _speakers(value[_ROW_LENGTH:])


def _episode(*place: object) -> int:
    """A number for an episode of a scope, unlike that of any other."""
    return int.from_bytes(blake2b(repr(place).encode(), digest_size=8).digest(), "little", signed=True)


@lru_cache(maxsize=1024)
def _speakers(value: str) -> tuple[str, ...]:
    return tuple(json.loads(value)) if value else ()
