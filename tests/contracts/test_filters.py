"""The filter language: what it means, and that every database of the ledger means the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Connection,
    Integer,
    MetaData,
    Table,
    delete,
    insert,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB

from holdfast.errors import FilterError
from holdfast.storage.filters import MAX_DEPTH, All, Condition, matches, parse
from holdfast.storage.ledger.database import Database
from holdfast.storage.ledger.filter_sql import where
from tests.contracts.implementations import DATABASES, Place

UTC = timezone.utc  # noqa: UP017
MAY = datetime(2023, 5, 7, 12, 30, tzinfo=UTC)
TIMES = {
    "created_at": MAY,
    "updated_at": MAY + timedelta(days=1),
    "happened_at": None,
    "expires_at": MAY + timedelta(days=9),
}
DATA: dict[str, Any] = {
    "category": "hobbies",
    "age": 30,
    "height": 1.8,
    "tags": ["sport", "网球", 3, None, ["nested"]],
    "done": True,
    "nothing": None,
    "object": {"a": 1},
    "a.b": "dotted",
    "": "empty key",
}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, True),
        ({"category": "hobbies"}, True),
        ({"category": "Hobbies"}, False),
        ({"category": {"eq": "hobbies"}}, True),
        ({"category": {"ne": "hobbies"}}, False),
        ({"missing": {"ne": "x"}}, True),
        ({"missing": None}, False),
        ({"nothing": None}, True),
        ({"tags": None}, True),
        ({"category": {"in": ["work", "hobbies"]}}, True),
        ({"category": {"in": []}}, False),
        ({"category": {"nin": []}}, True),
        ({"category": {"nin": ["hobbies"]}}, False),
        ({"age": 30}, True),
        ({"age": 30.0}, True),
        ({"age": "30"}, False),
        ({"age": {"gte": 30, "lt": 31}}, True),
        ({"age": {"gt": 30}}, False),
        ({"age": {"lte": 29.5}}, False),
        ({"done": True}, True),
        ({"done": 1}, False),
        ({"done": {"gte": 0}}, False),
        ({"category": {"gt": 0}}, False),
        ({"tags": "sport"}, True),
        ({"tags": "nested"}, False),
        ({"tags": {"gte": 3}}, False),
        ({"tags": {"contains": "网球"}}, True),
        ({"tags": {"contains": "网"}}, False),
        ({"tags": {"contains": 3}}, True),
        ({"category": {"contains": "obbi"}}, True),
        ({"category": {"contains": "OBBI"}}, False),
        ({"age": {"contains": 30}}, False),
        ({"object": {"contains": "a"}}, False),
        ({"a.b": "dotted"}, True),
        ({"": "empty key"}, True),
        ({"category": "hobbies", "age": 31}, False),
        ({"AND": [{"category": "hobbies"}, {"age": 30}]}, True),
        ({"OR": [{"category": "work"}, {"age": 30}]}, True),
        ({"OR": []}, False),
        ({"AND": []}, True),
        ({"NOT": {"category": "work"}}, True),
        ({"NOT": [{"category": "work"}, {"age": 30}]}, False),
        ({"NOT": {"happened_at": {"gt": "2000-01-01"}}}, True),
        ({"happened_at": {"gt": "2000-01-01"}}, False),
        ({"expires_at": {"lt": "2023-06-01"}}, True),
        ({"expires_at": {"gt": "2023-06-01"}}, False),
        ({"created_at": "2023-05-07"}, True),
        ({"created_at": date(2023, 5, 7)}, True),
        ({"created_at": {"gt": date(2023, 5, 7)}}, False),
        ({"created_at": {"lte": "2023-05-07"}}, True),
        ({"created_at": {"lt": "2023-05-07"}}, False),
        ({"created_at": {"ne": "2023-05-07"}}, False),
        ({"created_at": {"in": ["2023-05-06", "2023-05-07"]}}, True),
        ({"created_at": MAY}, True),
        ({"created_at": MAY.replace(tzinfo=None)}, True),
        ({"created_at": MAY.astimezone(timezone(timedelta(hours=8)))}, True),
        ({"created_at": {"gt": MAY}}, False),
        ({"created_at": {"gte": MAY, "lte": MAY}}, True),
        ({"updated_at": {"gt": "2023-05-07T20:30:00+08:00"}}, True),
    ],
)
def test_filters_mean_this(filters: dict[str, Any], expected: bool) -> None:
    assert matches(parse(filters), DATA, TIMES) is expected


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"user_id": "alice"}, "pass it as the argument user_id="),
        ({"OR": [{"agent_id": "x"}]}, "agent_id="),
        ({"age": {"bigger": 3}}, "unknown operator 'bigger' on 'age'; permitted: eq, ne, in"),
        ({"age": {3: 3}}, "unknown operator 3"),
        ({"age": {}}, "is empty"),
        ({"age": {"gt": "3"}}, "compares numbers, not '3'"),
        ({"age": {"gt": True}}, "compares numbers, not True"),
        ({"age": {"gt": None}}, "compares numbers, not None"),
        ({"age": float("nan")}, "nan"),
        ({"age": {"lt": float("inf")}}, "inf"),
        ({"age": 2**53}, "2\\*\\*53"),
        ({"age": ["a"]}, "give a list to in"),
        ({"age": MAY}, "cannot be compared with"),
        ({"age": {"in": "abc"}}, "take a list"),
        ({"age": {"in": [["a"]]}}, "cannot be compared"),
        ({"age": {"in": list(range(1001))}}, "at most 1000 values, not 1001"),
        ({"age": {"contains": ""}}, "empty"),
        ({"age": "\0"}, "cannot be stored"),
        ({"\ud800": "x"}, "cannot be stored"),
        ({3: "x"}, "keys are strings, not 3"),
        ({"AND": {"a": 1}}, "AND takes a list"),
        ({"OR": "a"}, "OR takes a list"),
        ({"NOT": "a"}, "a filter is a mapping"),
        ({"AND": ["a"]}, "a filter is a mapping"),
        ({"created_at": None}, "datetime, a date or ISO 8601 text, not None"),
        ({"created_at": 3}, "not 3"),
        ({"created_at": "yesterday"}, "'yesterday'"),
        ({"created_at": {"contains": "2023"}}, "contains does not apply"),
        ({"created_at": date.max}, "cannot be compared"),
        ({"created_at": {"gt": datetime.max.replace(tzinfo=UTC)}}, "cannot be compared"),
        ({str(n): n for n in range(201)}, "at most 200 conditions"),
    ],
)
def test_bad_filters_say_what_is_wrong(filters: Any, message: str) -> None:
    with pytest.raises(FilterError, match=message):
        parse(filters)


def test_deep_nesting_is_refused_before_the_interpreter_gives_up() -> None:
    filters: dict[str, Any] = {"a": 1}
    for _ in range(MAX_DEPTH - 1):
        filters = {"NOT": filters}
    assert parse(filters) is not None
    for _ in range(5_000):
        filters = {"NOT": filters}
    with pytest.raises(FilterError, match="nested"):
        parse(filters)


def test_nothing_demanded_is_no_filter() -> None:
    assert parse(None) is None
    assert parse({}) is None
    assert parse({"AND": []}) is None


def test_filters_are_values() -> None:
    assert parse({"a": 1, "b": {"gt": 2}}) == All((Condition("a", "in", (1,)), Condition("b", "gt", 2)))


TABLE = Table(
    "filtered",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("metadata", JSON().with_variant(JSONB(), "postgresql")),
    Column("created_at", BigInteger),
    Column("updated_at", BigInteger),
    Column("happened_at", BigInteger),
    Column("expires_at", BigInteger),
)
COLUMNS = dict(TABLE.c.items())
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

KEYS = [
    "a",
    "a.b",
    "a b",
    "q\"uo'te",
    "键",
    "",
    "$",
    "[0]",
    "back\\slash",
    "%",
    "A",
    "é",
    "a\n",
    "t'; DROP TABLE filtered; --",
]
TEXTS = [
    "",
    "a",
    "A",
    "ab",
    "网球",
    "1",
    "true",
    "null",
    '"',
    "%",
    "_",
    "\\",
    "b",
    "é",
    "e\u0301",
    "\n",
    "a'--",
]
NUMBERS = [0, 1, 1.0, -1, 0.1, 2, 3.5, -0.0, 1e-9, 2**53 - 1, 12345678901.25]
texts = st.sampled_from(TEXTS) | st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=4
)
numbers = st.sampled_from(NUMBERS) | st.floats(-1e6, 1e6).map(lambda value: round(value, 3))
scalars = st.none() | st.booleans() | numbers | texts
huge = st.sampled_from([2**53, 2**60, 2**70, 10**30, 1e300])
values = (
    scalars
    | huge
    | st.lists(scalars | st.lists(scalars, max_size=2), max_size=3)
    | st.dictionaries(texts, scalars, max_size=2)
)
keys = st.sampled_from(KEYS) | st.just("a")
moments = st.integers(0, 2 * 24 * 3600).map(lambda s: MAY - timedelta(seconds=s - 86_400)) | st.just(MAY)
rows = st.tuples(
    st.dictionaries(keys, values, max_size=4), moments, moments, st.none() | moments, st.none() | moments
)

leaves = (
    st.tuples(keys, scalars).map(lambda pair: {pair[0]: pair[1]})
    | st.tuples(keys, st.sampled_from(["eq", "ne"]), scalars).map(lambda t: {t[0]: {t[1]: t[2]}})
    | st.tuples(keys, st.sampled_from(["in", "nin"]), st.lists(scalars, max_size=3)).map(
        lambda t: {t[0]: {t[1]: t[2]}}
    )
    | st.tuples(keys, st.sampled_from(["gt", "gte", "lt", "lte"]), numbers).map(
        lambda t: {t[0]: {t[1]: t[2]}}
    )
    | st.tuples(keys, scalars.filter(lambda value: value != "")).map(lambda t: {t[0]: {"contains": t[1]}})
    | st.tuples(
        st.sampled_from(list(TIMES)),
        st.sampled_from(["eq", "ne", "gt", "gte", "lt", "lte"]),
        moments | st.just(MAY.date()) | moments.map(lambda at: at.replace(tzinfo=None).isoformat()),
    ).map(lambda t: {t[0]: {t[1]: t[2]}})
)
filters = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda parts: {"AND": parts})
        | st.lists(inner, max_size=3).map(lambda parts: {"OR": parts})
        | inner.map(lambda part: {"NOT": part})
    ),
    max_leaves=4,
)


def _microseconds(at: datetime | None) -> int | None:
    return None if at is None else (at - EPOCH) // timedelta(microseconds=1)


def _check(connection: Connection, wanted: dict[str, Any], stored: list[Any]) -> None:
    parsed = parse(wanted)
    connection.execute(delete(TABLE))
    connection.execute(
        insert(TABLE),
        [
            {
                "id": number,
                "metadata": row[0],
                **dict(zip(TIMES, map(_microseconds, row[1:]), strict=True)),
            }
            for number, row in enumerate(stored)
        ],
    )
    found = connection.execute(select(TABLE.c.id).where(where(parsed, COLUMNS)))
    expected = {
        number
        for number, (data, *times) in enumerate(stored)
        if matches(parsed, data, dict(zip(TIMES, times, strict=True)))
    }
    assert set(found.scalars()) == expected


@pytest.fixture(params=DATABASES.values(), ids=DATABASES)
def connection(request: pytest.FixtureRequest, place: Place) -> Iterator[Connection]:
    """A transaction in which the table is there, and which is never committed."""
    database = Database(request.param(place))
    with suppress(InterruptedError), database.writing() as connection:
        TABLE.metadata.create_all(connection)
        yield connection
        raise InterruptedError
    database.close()


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)  # the rows of an example replace those before
@given(wanted=filters, stored=st.lists(rows, min_size=1, max_size=6))
def test_a_database_finds_the_same_rows(
    connection: Connection, wanted: dict[str, Any], stored: list[Any]
) -> None:
    _check(connection, wanted, stored)


def test_a_database_takes_the_largest_permitted_filters(connection: Connection) -> None:
    stored = [({"a": n}, MAY, MAY, None, None) for n in range(3)]
    _check(connection, {"OR": [{"a": n} for n in range(200)]}, stored)
    _check(connection, {"AND": [{"a": {"nin": list(range(1, 1001))}}] * 20}, stored)
    deep: dict[str, Any] = {"a": 1}
    for _ in range(MAX_DEPTH - 1):
        deep = {"NOT": deep}
    _check(connection, deep, stored)
