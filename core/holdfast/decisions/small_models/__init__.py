"""Merging for models too small to decide over many memories at once.

Pure: questions and answers, no I/O; knows no language.
"""

from .careful import Careful

__all__ = ["Careful"]
