"""What ranking reads of a point's payload, packed: hundreds of candidates per search become columns at once.

A payload as a dictionary takes some 800 bytes and is asked for a dozen keys per search; packed it takes a third of
that, and the rows of all candidates, one after another, are the table that ranking works on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from struct import Struct
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

UNKNOWN = -(2**63)  # a time that is not known; an episode that there is none of
MARKS = ("q", "t", "i", "y")  # the traits that hold or do not: bit 0, bit 1 ...

_BITS = [(key, 1 << bit) for bit, key in enumerate(MARKS)]
_ROW = Struct("<qqqqIB")
TABLE = np.dtype(
    [
        ("happened", "<i8"),
        ("created", "<i8"),
        ("episode", "<i8"),
        ("position", "<i8"),
        ("words", "<u4"),
        ("marks", "u1"),
    ]
)


class Facets(NamedTuple):
    """row: of `TABLE`; its `episode` is a hash of scope and number that only this process understands.
    speakers: lower-cased."""

    row: bytes
    speakers: tuple[str, ...]


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


def table(rows: Iterable[Facets]) -> npt.NDArray[np.void]:
    """One row of `TABLE` for each."""
    return np.frombuffer(b"".join([each.row for each in rows]), TABLE)
