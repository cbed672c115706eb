"""Filters and scopes in Qdrant's terms, for its two Python libraries, which name the same things differently."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

from ..filters import TIMES, All, AnyOf, Condition, Filter, Not
from ..points import Point
from ..times import FOREVER, to_micros
from .base import IndexQuery
from .payload import SCOPE_KEYS, TIME_KEYS, encode_key, equality_token, packed

# A current version has no end, unless it expires, and has its scope's ids twice: one condition on the second
# replaces two, on id and time. In a large scope two conditions take three times as long as one.
END = "t1"
CURRENT = {"u": "cu", "a": "ca", "r": "cr"}
FACETS = "f"  # what ranking reads, packed
_RANKED = ("e", "p", "s", "w")  # what nothing but ranking reads


def stored_payload(point: Point) -> dict[str, Any]:
    """The payload as stored in the index: every key costs time to write and read, so what is empty or follows
    from the rest is left out, and what ranking alone reads is packed."""
    payload = {key: value for key, value in point.payload.items() if key not in _RANKED and value != {}}
    assert not payload.keys() & {*CURRENT.values(), FACETS}, "a key of the payload is taken"
    payload[FACETS] = packed(point.payload)
    if payload[END] == FOREVER:
        del payload[END]
        payload |= {twin: payload[key] for key, twin in CURRENT.items() if payload[key]}
    return payload


class Vocabulary(Protocol):
    """The conditions that we use, in the classes of one library."""

    def all_of(self, conditions: Sequence[Any]) -> Any: ...

    def any_of(self, conditions: Sequence[Any]) -> Any: ...

    def none_of(self, conditions: Sequence[Any]) -> Any: ...

    def equals(self, key: str, value: str | int) -> Any: ...

    def absent(self, key: str) -> Any: ...

    def among(self, key: str, values: Sequence[str]) -> Any: ...

    def substring(self, key: str, text: str) -> Any: ...

    def ordered(self, key: str, operator: str, value: float) -> Any: ...

    def has_id(self, ids: Sequence[Any]) -> Any: ...


def population(words: Vocabulary, query: IndexQuery) -> Any:
    """The points of the scope at the time asked about: what term frequencies are counted over."""
    return words.all_of(_scope_and_time(words, query))


def selection(words: Vocabulary, query: IndexQuery) -> Any:
    """The points that may answer: the population, less what the filters exclude."""
    conditions = _scope_and_time(words, query)
    if query.filters is not None:
        conditions.append(condition(words, query.filters))
    return words.all_of(conditions)


def _scope_and_time(words: Vocabulary, query: IndexQuery) -> list[Any]:
    given = query.scope.ids()
    wanted = {key: given.get(name, "") for name, key in SCOPE_KEYS.items() if query.exact or name in given}
    if query.as_of is None:
        narrowest = next(key for key in CURRENT if wanted.get(key))  # a search names at least one id
        value = wanted.pop(narrowest)
        current = words.equals(CURRENT[narrowest], value)
        if query.now is not None:
            ends_later = words.all_of([words.equals(narrowest, value), words.ordered(END, "gt", query.now)])
            current = words.any_of([current, ends_later])
        return [current, *(words.equals(key, value) for key, value in wanted.items())]
    conditions = [words.equals(key, value) for key, value in wanted.items()]
    open_then = words.any_of([words.absent(END), words.ordered(END, "gt", query.as_of)])
    return [*conditions, words.ordered("t0", "lte", query.as_of), open_then]


def condition(words: Vocabulary, wanted: Filter) -> Any:
    match wanted:
        case All(parts):
            return words.all_of([condition(words, part) for part in parts])
        case AnyOf(()):
            return words.has_id([])  # nothing
        case AnyOf(parts):
            return words.any_of([condition(words, part) for part in parts])
        case Not(part):
            return words.none_of([condition(words, part)])
        case Condition(field, operator, datetime() as moment) if field in TIMES:
            return words.ordered(TIME_KEYS[field], operator, to_micros(moment))
        case Condition():
            return _on_metadata(words, wanted)


def _on_metadata(words: Vocabulary, wanted: Condition) -> Any:
    path = f"m.{encode_key(wanted.field)}"
    value: Any = wanted.value
    if wanted.operator == "in":
        return _equality(words, path, value)
    if wanted.operator == "contains":
        element = words.among(f"{path}.l", [str(equality_token(value))])
        return (
            words.any_of([element, words.substring(f"{path}.t", value)])
            if isinstance(value, str)
            else element
        )
    return words.ordered(f"{path}.n", wanted.operator, value)


def _equality(words: Vocabulary, path: str, values: Sequence[object]) -> Any:
    texts = [value for value in values if isinstance(value, str)]
    tokens = [str(equality_token(value)) for value in values]
    others = [token for token in tokens if not token.startswith("s")]
    ways = [
        words.among(f"{path}.{key}", wanted)
        for key, wanted in (("t", texts), ("e", others), ("l", tokens))
        if wanted
    ]
    return words.any_of(ways) if ways else words.has_id([])
