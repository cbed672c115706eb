"""Filters on metadata and times: parsed once, with one meaning in Python, SQL and Qdrant.

    {"category": "hobbies"}                                  equal
    {"age": {"gte": 18, "lt": 65}, "city": {"in": ["Lisbon", "上海"]}}    several keys: all must hold
    {"OR": [{"tags": {"contains": "sport"}}, {"NOT": {"category": "work"}}]}
    {"happened_at": {"gte": "2023-05-01", "lt": "2023-06-01"}}

A key is a top-level key of the metadata, or one of the times `created_at`, `updated_at`, `happened_at`,
`expires_at` (missing where a memory never expires).

Every condition is true or false, never unknown. It is false where the field is missing or its value has
another type; `ne`, `nin` and `NOT` are the exact opposites of `eq`, `in` and what they enclose, and so are
true there. `eq`, `in` and `contains` look into lists (one level); order comparisons do not. Numbers are
equal by value (1 and 1.0), booleans are not numbers, text is compared letter by letter, and only numbers and
times have an order. A date stands for the whole day in UTC; a datetime without a zone is in UTC.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from typing import Any, Literal, TypeAlias, get_args

from ..errors import FilterError
from ..types import JsonValue, Metadata

Operator = Literal["in", "gt", "gte", "lt", "lte", "contains"]
Scalar: TypeAlias = "bool | int | float | str | None"
Operand: TypeAlias = "Scalar | datetime | tuple[Scalar, ...] | tuple[datetime, ...]"
Filter: TypeAlias = "Condition | All | AnyOf | Not"

OPERATORS = ("eq", "ne", "in", "nin", "gt", "gte", "lt", "lte", "contains")
TIMES = ("created_at", "updated_at", "happened_at", "expires_at")
SCOPE_KEYS = ("user_id", "agent_id", "run_id")

# Numbers from here on are not exact in every store that has to agree (JSON, float64).
LARGEST_NUMBER = 2**53
# SQLite nests expressions 1,000 deep and binds 32,766 values; a filter within these stays far below both.
MAX_DEPTH = 20
MAX_CONDITIONS = 200
MAX_VALUES = 1_000

_NEGATED = {"ne": "eq", "nin": "in"}
_ORDER = ("gt", "gte", "lt", "lte")
_UTC = timezone.utc  # noqa: UP017 - `datetime.UTC` is the same object


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison. `in` has a tuple of values (`eq` is an `in` of one), the others one value."""

    field: str
    operator: Operator
    value: Operand


@dataclass(frozen=True, slots=True)
class All:
    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: Filter


def parse(filters: Mapping[str, Any] | None) -> Filter | None:
    """The filter that a mapping describes; None where it demands nothing. Raises `FilterError`."""
    if filters is None:
        return None
    parsed = _Parser().mapping(filters, depth=1)
    return None if parsed == All(()) else parsed


def matches(wanted: Filter | None, metadata: Metadata, times: Mapping[str, datetime | None]) -> bool:
    """Whether a memory with this metadata and these (aware) times passes: the meaning of filters."""
    match wanted:
        case None:
            return True
        case All(parts):
            return all(matches(part, metadata, times) for part in parts)
        case AnyOf(parts):
            return any(matches(part, metadata, times) for part in parts)
        case Not(part):
            return not matches(part, metadata, times)
        case Condition(field, operator, value) if field in TIMES:
            at = times.get(field)
            return at is not None and _holds(operator, at, value)
        case Condition(field, operator, value):
            return field in metadata and _holds(operator, metadata[field], value)


def _holds(operator: Operator, found: JsonValue | datetime, value: Any) -> bool:
    if operator == "in":
        return any(_same(item, wanted) for item in _items(found) for wanted in value)
    if operator == "contains":
        if isinstance(found, str):
            return isinstance(value, str) and value in found
        return isinstance(found, (list, tuple)) and any(_same(item, value) for item in found)
    if not (isinstance(found, datetime) or _is_number(found)):
        return False
    left: Any = found
    return bool(
        (operator == "gt" and left > value)
        or (operator == "gte" and left >= value)
        or (operator == "lt" and left < value)
        or (operator == "lte" and left <= value)
    )


def _items(found: Any) -> Sequence[Any]:
    return found if isinstance(found, (list, tuple)) else (found,)


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return bool(left == right)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


class _Parser:
    """Counts what it has read, so that a filter cannot outgrow the stores."""

    def __init__(self) -> None:
        self.conditions = 0

    def mapping(self, filters: Any, depth: int) -> Filter:
        if not isinstance(filters, Mapping):
            raise FilterError(f"a filter is a mapping like {{'category': 'hobbies'}}, not {_show(filters)}")
        if depth > MAX_DEPTH:
            raise FilterError(f"a filter may be nested at most {MAX_DEPTH} deep")
        return _all([part for key, value in filters.items() for part in self._entry(key, value, depth)])

    def _entry(self, key: Any, value: Any, depth: int) -> Iterator[Filter]:
        if key in ("AND", "OR"):
            if not isinstance(value, (list, tuple)):
                raise FilterError(f"{key} takes a list of filters, not {_show(value)}")
            parts = [self.mapping(item, depth + 1) for item in value]
            yield _all(parts) if key == "AND" else _any(parts)
        elif key == "NOT":
            for item in value if isinstance(value, (list, tuple)) else [value]:
                yield Not(self.mapping(item, depth + 1))
        else:
            yield from self._field(_checked_key(key), value)

    def _field(self, field: str, value: Any) -> Iterator[Filter]:
        if isinstance(value, Mapping) and not value:
            raise FilterError(f"the filter on {field!r} is empty; operators: {', '.join(OPERATORS)}")
        for operator, operand in value.items() if isinstance(value, Mapping) else [("eq", value)]:
            if operator not in OPERATORS:
                raise FilterError(
                    f"unknown operator {_show(operator)} on {field!r}; permitted: {', '.join(OPERATORS)}"
                )
            self.conditions += 1
            if self.conditions > MAX_CONDITIONS:
                raise FilterError(f"a filter may have at most {MAX_CONDITIONS} conditions")
            positive = _NEGATED.get(operator, operator)
            part = (_time_condition if field in TIMES else _condition)(field, positive, operand)
            yield part if positive == operator else Not(part)


def _all(parts: Sequence[Filter]) -> Filter:
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def _any(parts: Sequence[Filter]) -> Filter:
    return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))


def _checked_key(key: Any) -> str:
    if not isinstance(key, str):
        raise FilterError(f"a filter's keys are strings, not {_show(key)}")
    if key in SCOPE_KEYS:
        raise FilterError(f"{key!r} is not filtered on: pass it as the argument {key}=")
    return _checked_text(key, key)


def _condition(field: str, operator: str, operand: Any) -> Filter:
    """A comparison with metadata."""
    if operator in _ORDER:
        if not _is_number(operand):
            raise FilterError(
                f"{operator} on {field!r} compares numbers, not {_show(operand)}; "
                f"times are compared on {', '.join(TIMES)}"
            )
        return Condition(field, _operator(operator), _scalar(field, operand))
    if operator == "contains":
        if operand == "":
            raise FilterError(f"contains on {field!r} needs a text to look for, not an empty one")
        return Condition(field, "contains", _scalar(field, operand))
    values = _values(field, operand) if operator == "in" else [operand]
    return Condition(field, "in", tuple(_scalar(field, value) for value in values))


def _time_condition(field: str, operator: str, operand: Any) -> Filter:
    """A comparison with a time. The operand is a span: a whole day, or one microsecond."""
    if operator == "contains":
        raise FilterError(f"contains does not apply to the time {field!r}; compare it with gte and lt")
    if operator == "in":
        return _any([_time_condition(field, "eq", value) for value in _values(field, operand)])
    start, end = _span(field, operand)
    bounds: dict[str, tuple[Filter, ...]] = {
        "eq": (Condition(field, "gte", start), Condition(field, "lt", end)),
        "gt": (Condition(field, "gte", end),),
        "gte": (Condition(field, "gte", start),),
        "lt": (Condition(field, "lt", start),),
        "lte": (Condition(field, "lt", end),),
    }
    return _all(bounds[operator])


def _values(field: str, operand: Any) -> Sequence[Any]:
    if not isinstance(operand, (list, tuple, set, frozenset)):
        raise FilterError(f"in and nin on {field!r} take a list, not {_show(operand)}")
    if len(operand) > MAX_VALUES:
        raise FilterError(f"in and nin on {field!r} take at most {MAX_VALUES} values, not {len(operand)}")
    return list(operand)


def _scalar(field: str, value: Any) -> Scalar:
    if isinstance(value, str):
        return _checked_text(field, value)
    if value is None or isinstance(value, bool):
        return value
    if not isinstance(value, (int, float)):
        hint = "; give a list to in or nin" if isinstance(value, (list, tuple, set)) else ""
        raise FilterError(
            f"{field!r} cannot be compared with {_show(value)}: text, numbers, booleans, None{hint}"
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise FilterError(f"{field!r} cannot be compared with {value}")
    if abs(value) >= LARGEST_NUMBER:
        raise FilterError(f"{field!r} cannot be compared with {_show(value)}: numbers are exact below 2**53")
    return value


def _checked_text(field: str, text: str) -> str:
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise FilterError(f"the filter on {_show(field)} has characters that cannot be stored: {_show(text)}")
    return text


def _span(field: str, value: Any) -> tuple[datetime, datetime]:
    """The start and the (exclusive) end of a time operand."""
    try:
        moment = _parsed_time(value) if isinstance(value, str) else value
        if isinstance(moment, datetime):
            start = moment.replace(tzinfo=_UTC) if moment.tzinfo is None else moment.astimezone(_UTC)
            return start, start + timedelta(microseconds=1)
        if isinstance(moment, date):
            start = datetime.combine(moment, time(), _UTC)
            return start, start + timedelta(days=1)
    except (ValueError, OverflowError) as error:
        raise FilterError(f"{field!r} cannot be compared with {_show(value)}: {error}") from error
    raise FilterError(f"{field!r} is compared with a datetime, a date or ISO 8601 text, not {_show(value)}")


def _parsed_time(text: str) -> date | datetime:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return datetime.fromisoformat(text)


def _operator(name: str) -> Operator:
    assert name in get_args(Operator)
    return name  # type: ignore[return-value]


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
