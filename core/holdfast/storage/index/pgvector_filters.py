"""Filters and scopes as SQL on the table of an index in PostgreSQL: the same rows as `filters.matches`.

Metadata is there as `payload.encode_metadata` lays it out. Keys and values are bound, never part of the statement.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ..filters import TIMES, All, AnyOf, Condition, Filter, Not
from ..times import FOREVER, to_micros
from .base import IndexQuery
from .payload import SCOPE_KEYS, TIME_KEYS, encode_key, equality_token

_ORDER = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


class Bound(dict[str, Any]):
    """The values of a statement, by the names that it has for them."""

    def take(self, value: Any, kind: str) -> str:
        """What stands for the value in the statement. kind: its type in SQL."""
        name = f"v{len(self)}"
        self[name] = value
        return f"%({name})s::{kind}"


def population(query: IndexQuery, bound: Bound) -> str:
    """The points of the scope at the time asked about: what term frequencies are counted over."""
    given = query.scope.ids()
    wanted = {key: given.get(name, "") for name, key in SCOPE_KEYS.items() if query.exact or name in given}
    conditions = [f"{key} = {bound.take(value, 'text')}" for key, value in wanted.items()]
    conditions += [f"{key} <> ''" for key, value in wanted.items() if value]  # as the tables' indexes have it
    if query.as_of is not None:
        at = bound.take(query.as_of, "bigint")
        conditions += [f"t0 <= {at}", f"t1 > {at}"]
    elif query.now is not None:
        conditions.append(f"t1 > {bound.take(query.now, 'bigint')}")
    else:
        conditions.append(f"t1 = {FOREVER}")
    return " AND ".join(conditions)


def condition(wanted: Filter | None, bound: Bound) -> str:
    """Whether a point passes: true or false, never unknown."""
    match wanted:
        case None | All(()):
            return "true"
        case AnyOf(()):
            return "false"
        case All(parts):
            return f"({' AND '.join(condition(part, bound) for part in parts)})"
        case AnyOf(parts):
            return f"({' OR '.join(condition(part, bound) for part in parts)})"
        case Not(part):
            return f"NOT {condition(part, bound)}"
        case Condition(field, operator, datetime() as moment) if field in TIMES:
            microseconds = bound.take(to_micros(moment), "bigint")
            return f"coalesce({TIME_KEYS[field]} {_ORDER[operator]} {microseconds}, false)"
        case Condition():
            return f"coalesce({_on_metadata(wanted, bound)}, false)"


def _on_metadata(wanted: Condition, bound: Bound) -> str:
    stored = f"(m -> {bound.take(encode_key(wanted.field), 'text')})"
    value: Any = wanted.value
    if wanted.operator == "in":
        return _any_of(_equalities(stored, value, bound))
    if wanted.operator == "contains":
        ways = [f"({stored} -> 'l') ? {bound.take(equality_token(value), 'text')}"]
        if isinstance(value, str):
            ways.append(f"strpos({stored} ->> 't', {bound.take(value, 'text')}) > 0")
        return _any_of(ways)
    return f"({stored} -> 'n') {_ORDER[wanted.operator]} {bound.take(json.dumps(value), 'jsonb')}"


def _equalities(stored: str, values: Sequence[object], bound: Bound) -> list[str]:
    texts = [value for value in values if isinstance(value, str)]
    tokens = [str(equality_token(value)) for value in values]
    others = [token for token in tokens if not token.startswith("s")]
    ways = []
    if texts:
        ways.append(f"{stored} ->> 't' = ANY({bound.take(texts, 'text[]')})")
    if others:
        ways.append(f"{stored} ->> 'e' = ANY({bound.take(others, 'text[]')})")
    if tokens:
        ways.append(f"({stored} -> 'l') ?| {bound.take(tokens, 'text[]')}")
    return ways


def _any_of(ways: Sequence[str]) -> str:
    """One of them holds; those that are unknown do not."""
    return f"({' OR '.join(f'coalesce({way}, false)' for way in ways) or 'false'})"
