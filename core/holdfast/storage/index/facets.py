"""What ranking reads of a point's payload, packed."""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from typing import Any

from ...decisions.retrieval.candidates import UNKNOWN, Facets

_ROW = Struct("<qqqI")


def facets(payload: Mapping[str, Any]) -> Facets:
    """The facets of a point (the keys are listed in `base`). What is absent counts as nothing."""
    get = payload.get
    happened, episode = get("h"), get("e")
    row = _ROW.pack(
        UNKNOWN if happened is None else happened,
        UNKNOWN if episode is None else hash((get("u"), get("a"), get("r"), episode)),
        get("p") or 0,
        get("w") or 0,
    )
    return Facets(row, tuple(get("s") or ()))
