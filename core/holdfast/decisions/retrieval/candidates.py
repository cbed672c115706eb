"""What an index proposes, and what ranking reads of it: hundreds of candidates per search become columns at once.

A payload as a dictionary takes some 800 bytes and is asked for a handful of keys per search; packed it takes a
quarter of that, and the rows of all candidates, one after another, are the table that ranking works on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

UNKNOWN = -(2**63)  # a time that is not known; an episode that there is none of

TABLE = np.dtype([("happened", "<i8"), ("episode", "<i8"), ("position", "<i8"), ("words", "<u4")])


class Facets(NamedTuple):
    """row: of `TABLE`; its `episode` is a hash of scope and number that only this process understands.
    speakers: lower-cased."""

    row: bytes
    speakers: tuple[str, ...]


class Candidate(NamedTuple):
    """dense: cosine with the query, always present. sparse: BM25 score with per-scope IDF, 0.0 where no term
    is shared. facets: what ranking wants to know of the payload. (A tuple: hundreds are made per search.)"""

    id: str
    dense: float
    sparse: float
    facets: Facets


def table(rows: Iterable[Facets]) -> npt.NDArray[np.void]:
    """One row of `TABLE` for each."""
    return np.frombuffer(b"".join([each.row for each in rows]), TABLE)
