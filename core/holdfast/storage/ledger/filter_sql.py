"""Filters as SQL, for SQLite and PostgreSQL: the same rows as `filters.matches`.

Keys and values go in as bound parameters, never into a JSON path or into the statement, so that no key and no
value has to be quoted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Text,
    and_,
    case,
    cast,
    column,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.selectable import TableValuedAlias

from ..filters import TIMES, All, AnyOf, Condition, Filter, Not

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)  # noqa: UP017
_NUMBERS = ("integer", "real")
_ITSELF = cast(literal("{}"), ARRAY(Text))  # the empty path


def where(wanted: Filter | None, columns: Mapping[str, ColumnElement[Any]]) -> ColumnElement[bool]:
    """The condition of a WHERE clause.

    columns: `metadata` (JSON, or JSONB on PostgreSQL) and the times of `filters.TIMES` (integer microseconds since
        the epoch, UTC; may be NULL).
    """
    match wanted:
        case None:
            return true()
        case All(parts):
            return and_(true(), *(where(part, columns) for part in parts))
        case AnyOf(parts):
            return or_(false(), *(where(part, columns) for part in parts))
        case Not(part):
            return not_(where(part, columns))
        case Condition(field, _, _) if field in TIMES:
            return _time(wanted, columns[field])
        case Condition():
            return _MetadataHolds(wanted, columns["metadata"])


def _time(condition: Condition, at: ColumnElement[Any]) -> ColumnElement[bool]:
    assert isinstance(condition.value, datetime)
    microseconds = (condition.value - _EPOCH) // timedelta(microseconds=1)
    return and_(at.is_not(None), _ordered(condition.operator, at, microseconds))


def _ordered(operator: str, left: ColumnElement[Any], right: Any) -> ColumnElement[bool]:
    comparisons: dict[str, Any] = {
        "gt": left.__gt__,
        "gte": left.__ge__,
        "lt": left.__lt__,
        "lte": left.__le__,
    }
    result: ColumnElement[bool] = comparisons[operator](right)
    return result


class _MetadataHolds(FunctionElement[bool]):
    """A condition on metadata, spelled out when the statement is compiled for its database."""

    type = Boolean()
    inherit_cache = False

    def __init__(self, condition: Condition, metadata: ColumnElement[Any]) -> None:
        super().__init__(metadata)
        self.condition = condition
        self.metadata_column = metadata


@compiles(_MetadataHolds, "sqlite")
def _for_sqlite(element: _MetadataHolds, compiler: SQLCompiler, **kwargs: Any) -> str:
    return compiler.process(_sqlite(element.condition, element.metadata_column), **kwargs)


@compiles(_MetadataHolds, "postgresql")
def _for_postgresql(element: _MetadataHolds, compiler: SQLCompiler, **kwargs: Any) -> str:
    return compiler.process(_postgresql(element.condition, element.metadata_column), **kwargs)


def _sqlite(condition: Condition, metadata: ColumnElement[Any]) -> ColumnElement[bool]:
    field = _each(metadata)
    value = condition.value
    if condition.operator == "in":
        holds: ColumnElement[bool] = _among(field, value) | _has_element(field, value)
    elif condition.operator == "contains":
        holds = _has_element(field, [value])
        if isinstance(value, str):
            holds = holds | ((field.c.type == "text") & (func.instr(field.c.atom, value) > 0))
    else:
        number = func.json_extract(json.dumps(value), "$")
        holds = field.c.type.in_(_NUMBERS) & _ordered(condition.operator, field.c.atom, number)
    return _exists(field, (field.c.key == condition.field) & holds)


def _exists(rows: TableValuedAlias, holds: ColumnElement[bool]) -> ColumnElement[bool]:
    return select(literal(1)).select_from(rows).where(holds).correlate_except(rows).exists()


def _each(document: ColumnElement[Any] | str) -> TableValuedAlias:
    """The members of a JSON document as rows, by SQLite's `json_each`."""
    return func.json_each(document).table_valued("key", "value", "type", "atom").alias()


def _has_element(field: TableValuedAlias, values: Any) -> ColumnElement[bool]:
    element = _each(case((field.c.type == "array", field.c.value), else_="[]"))
    return _exists(element, _among(element, values))


def _among(item: TableValuedAlias, values: Any) -> ColumnElement[bool]:
    """Whether an item equals one of the values. Both sides come out of the same JSON reader, so that a
    number written alike is read alike, and carry their JSON type, so that true is not 1."""
    wanted = _each(json.dumps(list(values)))
    same = or_(
        and_(item.c.type == wanted.c.type, item.c.atom.is_not_distinct_from(wanted.c.atom)),
        and_(item.c.type.in_(_NUMBERS), wanted.c.type.in_(_NUMBERS), item.c.atom == wanted.c.atom),
    )
    return item.c.type.not_in(("array", "object")) & _exists(wanted, same)


def _postgresql(condition: Condition, metadata: ColumnElement[Any]) -> ColumnElement[bool]:
    field = metadata.op("->")(condition.field)
    kind = func.jsonb_typeof(field)
    value = condition.value
    if condition.operator == "in":
        holds: ColumnElement[bool] = _contains_any(field, value)
    elif condition.operator == "contains":
        holds = (kind == "array") & _contains_any(field, [value])
        if isinstance(value, str):
            holds = holds | ((kind == "string") & (func.strpos(field.op("#>>")(_ITSELF), value) > 0))
    else:
        holds = (kind == "number") & _ordered(condition.operator, field, _jsonb(value))
    return func.coalesce(holds, false())


def _jsonb(value: Any) -> ColumnElement[Any]:
    return cast(literal(json.dumps(value)), JSONB)


def _contains_any(field: ColumnElement[Any], values: Any) -> ColumnElement[bool]:
    """jsonb's `@>` with a scalar on its right: equal to it, or a list with that element."""
    wanted = func.jsonb_array_elements(_jsonb(list(values))).table_valued(column("value", JSONB)).alias()
    return _exists(wanted, field.op("@>")(wanted.c.value))
