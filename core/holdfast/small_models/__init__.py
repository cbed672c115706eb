"""Merging for models too small to decide over many memories at once.

Pure: it asks through a dialogue, knows no language and does no I/O.
"""

from .careful import Careful

__all__ = ["Careful"]
