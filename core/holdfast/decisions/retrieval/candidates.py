"""What an index proposes, and what ranking reads of it: hundreds of candidates per search become columns at once.

What ranking reads of each is packed, and the rows of all candidates in sequence are the table that it works on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

UNKNOWN = -(2**63)  # an unknown time; no episode

TABLE = np.dtype([("happened", "<i8"), ("episode", "<i8"), ("position", "<i8"), ("words", "<u4")])


# A row of `TABLE`, whose `episode` is a hash of scope and number, and the speakers, lower-cased.
Facets: TypeAlias = tuple[bytes, tuple[str, ...]]


class Candidate(NamedTuple):
    """dense: cosine with the query, always present. sparse: BM25 score with per-scope IDF, 0.0 if no term
    is shared. facets: what ranking reads of the payload."""

    id: str
    dense: float
    sparse: float
    facets: Facets


@dataclass(frozen=True, slots=True)
class Candidates:
    """The fields of `Candidate` as columns: dense, sparse: float64[candidates]. seen: `TABLE`[candidates].
    Iterating gives the rows."""

    ids: Sequence[str]
    dense: npt.NDArray[np.float64]
    sparse: npt.NDArray[np.float64]
    seen: npt.NDArray[np.void]
    speakers: Sequence[tuple[str, ...]]

    @classmethod
    def of(cls, rows: Iterable[Candidate]) -> Candidates:
        ids, dense, sparse, facets = tuple(zip(*rows, strict=True)) or ((), (), (), ())
        return cls(ids, np.array(dense, np.float64), np.array(sparse, np.float64), *columns(facets))

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Candidate]:
        facets = zip(map(bytes, self.seen), self.speakers, strict=True)
        return map(
            Candidate._make, zip(self.ids, self.dense.tolist(), self.sparse.tolist(), facets, strict=True)
        )


def columns(rows: Iterable[Facets]) -> tuple[npt.NDArray[np.void], list[tuple[str, ...]]]:
    """One row of `TABLE` for each, and the speakers."""
    listed = list(rows)
    return np.frombuffer(b"".join([row for row, _ in listed]), TABLE), [speakers for _, speakers in listed]
