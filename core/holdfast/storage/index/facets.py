"""What ranking reads of a point's payload, packed."""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from typing import Any

from ...decisions.retrieval.candidates import MARKS, UNKNOWN, Facets

_BITS = [(key, 1 << bit) for bit, key in enumerate(MARKS)]
_ROW = Struct("<qqqqIB")


def facets(payload: Mapping[str, Any]) -> Facets:
    """The facets of a point (the keys stand in `base`). What is absent counts as nothing."""
    get = payload.get
    happened, episode = get("h"), get("e")
    marks = 0
    for key, bit in _BITS:
        if get(key):
            marks |= bit
    row = _ROW.pack(
        UNKNOWN if happened is None else happened,
        get("c") or 0,
        UNKNOWN if episode is None else hash((get("u"), get("a"), get("r"), episode)),
        get("p") or 0,
        get("w") or 0,
        marks,
    )
    return Facets(row, tuple(get("s") or ()))
