"""Filters on metadata and times: parsed once, with one meaning in Python, SQL and Qdrant."""

from __future__ import annotations

from typing import TypeAlias

Filter: TypeAlias = "object"
