"""Filters of LlamaIndex as the engine's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)

from holdfast import InputError

Filters = Mapping[str, Any] | MetadataFilters | None

_OPERATORS = {
    FilterOperator.EQ: "eq",
    FilterOperator.NE: "ne",
    FilterOperator.GT: "gt",
    FilterOperator.GTE: "gte",
    FilterOperator.LT: "lt",
    FilterOperator.LTE: "lte",
    FilterOperator.IN: "in",
    FilterOperator.NIN: "nin",
    FilterOperator.CONTAINS: "contains",
    FilterOperator.ANY: "in",  # the engine's `in` and `eq` look into lists
}


def engine_filters(filters: Filters) -> dict[str, Any] | None:
    """The engine's filter; the engine's own, and None, as they are. Raises InputError for operators it lacks."""
    if filters is None:
        return None
    return _group(filters) if isinstance(filters, MetadataFilters) else dict(filters)


def _group(filters: MetadataFilters) -> dict[str, Any]:
    parts = [
        _group(part) if isinstance(part, MetadataFilters) else _condition(part) for part in filters.filters
    ]
    match filters.condition:
        case FilterCondition.OR:
            return {"OR": parts} if parts else {}
        case FilterCondition.NOT:
            return {"NOT": {"OR": parts}} if parts else {}
        case _:
            return {"AND": parts} if parts else {}


def _condition(part: MetadataFilter) -> dict[str, Any]:
    if part.operator in _OPERATORS:
        return {part.key: {_OPERATORS[part.operator]: part.value}}
    if part.operator == FilterOperator.ALL and isinstance(part.value, list):
        return {"AND": [{part.key: {"eq": value}} for value in part.value]}
    known = ", ".join(operator.value for operator in (*_OPERATORS, FilterOperator.ALL))
    raise InputError(
        f"the filter on {part.key!r} has the operator {part.operator.value!r}; memories know {known}"
    )
