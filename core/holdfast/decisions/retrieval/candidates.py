"""What an index proposes, and what ranking reads of it: hundreds of candidates per search become columns at once.

A payload as a dictionary takes some 800 bytes, of which a search reads a handful of keys; packed it takes a quarter
of that, and the rows of all candidates in sequence are the table that ranking works on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

UNKNOWN = -(2**63)  # an unknown time; no episode

TABLE = np.dtype([("happened", "<i8"), ("episode", "<i8"), ("position", "<i8"), ("words", "<u4")])


class Facets(NamedTuple):
    """row: a row of `TABLE`; its `episode` is a hash of scope and number that only this process understands.
    speakers: lower-cased."""

    row: bytes
    speakers: tuple[str, ...]


class Candidate(NamedTuple):
    """dense: cosine with the query, always present. sparse: BM25 score with per-scope IDF, 0.0 if no term
    is shared. facets: what ranking reads of the payload. (A tuple: hundreds are made per search.)"""

    id: str
    dense: float
    sparse: float
    facets: Facets


def table(rows: Iterable[Facets]) -> npt.NDArray[np.void]:
    """One row of `TABLE` for each."""
    return np.frombuffer(b"".join([each.row for each in rows]), TABLE)
