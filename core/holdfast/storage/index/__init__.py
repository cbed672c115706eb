"""The index: Qdrant in the process (`EdgeIndex`) or behind qdrant-client (`ClientIndex`), or a table of the ledger's
PostgreSQL (`PgvectorIndex`). Derived data."""

from ...decisions.retrieval.candidates import Candidates
from ...decisions.text.lexical import SparseVector
from ..points import Point
from ..times import FOREVER
from .base import Index, IndexQuery
from .payload import encode_metadata

__all__ = ["FOREVER", "Candidates", "Index", "IndexQuery", "Point", "SparseVector", "encode_metadata"]
