"""The index: Qdrant in the process (`EdgeIndex`) or behind qdrant-client (`ClientIndex`). Derived data."""

from .base import FOREVER, Candidate, Index, IndexQuery, Point, SparseVector
from .payload import encode_metadata

__all__ = ["FOREVER", "Candidate", "Index", "IndexQuery", "Point", "SparseVector", "encode_metadata"]
