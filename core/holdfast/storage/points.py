"""A version of a memory as an index keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..decisions.text.lexical import SparseVector

FORM = 4  # raised whenever what points hold changes, so that stores rebuild their indexes


@dataclass(frozen=True, slots=True)
class Point:
    """id: the version's UUID. vector: float32[dimensions], L2-normalised. sparse: BM25 term frequencies."""

    id: str
    vector: npt.NDArray[np.float32]
    sparse: SparseVector
    payload: Mapping[str, Any]
