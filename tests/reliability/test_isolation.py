"""No hit, history, export or erasure ever crosses a scope, whatever the ids, the metadata and the filters say."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast import FilterError, InputError, Memory, NotFoundError, Scope
from tests.support.fakes import HashEmbedder

# Prefixes of one another, wildcards, operators, quotes, look-alikes, separators, case, width, very long, paths.
HOSTILE = [
    "a", "aa", "A", "а", "ａ", "a ", " a", "a\u200b", "á", "a\u0301", "a%", "%", "_", "*", "?", ".*", "a*",
    "a'", "a' OR '1'='1", '"a"', "a;--", "a/../b", "../a", "a\\", "a:b", "a|b", "a,b", "null", "None", "0",
    "true", "{}", "[]", "$ne", '{"$ne": null}', "user_id", "u", "\t", "\n", "İ", "i̇", "ß", "ss", "ﬁ", "fi",
    "a" * 3000, "a" * 3001, "用户", "用戶", "🙂", "\u202ea", "a\r\n", "${a}", "{{a}}", "a=b&user_id=b",
]  # fmt: skip
IDS = [name for name in HOSTILE if name.strip()]


@pytest.fixture(scope="module")
def memory() -> Iterator[Memory]:
    """Every hostile id has one memory, of the same words, so that only the scope keeps them apart."""
    with Memory(":memory:", llm=None, embedder=HashEmbedder()) as memory:
        for number, name in enumerate(IDS):
            metadata = {"owner": name, "number": number, "u": "a", "k": "*"}
            memory.add("my secret word", user_id=name, infer=False, metadata=metadata)
        yield memory


def owners(items: Any) -> set[str]:
    return {item.metadata["owner"] for item in items}


@pytest.mark.parametrize("number", range(len(IDS)))
def test_every_id_sees_its_own_and_nothing_else(memory: Memory, number: int) -> None:
    name = IDS[number]
    assert owners(hit.memory for hit in memory.search("my secret word", user_id=name, limit=100)) == {name}
    assert owners(memory.get_all(user_id=name)) == {name}
    assert memory.count(user_id=name) == 1
    assert len(memory.messages(user_id=name)) == 1
    assert [owner.user_id for owner in memory.users(user_id=name)] == [name]
    assert [change.scope for change in memory.changes(user_id=name)] == [Scope(name)]
    assert not memory.users(agent_id=name)
    assert not memory.changes(run_id=name)
    assert not memory.search("my secret word", agent_id=name)
    assert not memory.search("my secret word", run_id=name)
    file = io.StringIO()
    assert memory.export(file, user_id=name).versions == 1
    rows = [json.loads(line) for line in file.getvalue().splitlines()[1:-1]]
    assert {row.get("user_id", name) for row in rows} == {name}


def test_a_memory_is_not_reached_through_another_scope(memory: Memory) -> None:
    [item] = memory.get_all(user_id="a")
    [change] = memory.history(item.id)
    assert change.add_id is not None
    for name in IDS[1:]:
        assert memory.get(item.id, user_id=name) is None
        for refused in (
            lambda name=name: memory.history(item.id, user_id=name),
            lambda name=name: memory.update(item.id, "stolen", user_id=name),
            lambda name=name: memory.delete(item.id, user_id=name),
            lambda name=name: memory.undo(change.id, user_id=name),
            lambda name=name: memory.undo(str(change.add_id), user_id=name),
        ):
            with pytest.raises(NotFoundError):
                refused()
    assert memory.get(item.id, user_id="a", agent_id="a") is None
    assert memory.get(item.id) == item


KEYS = st.one_of(
    st.sampled_from(
        ["owner", "user_id", "agent_id", "run_id", "u", "m", "k", "t1", "", "*", "OR", "AND", "NOT", "eq", "ne",
         "in", "nin", "gte", "contains", "created_at", "owner.u", "m.u", "should", "must_not"]
    ),
    st.sampled_from(HOSTILE),
)  # fmt: skip
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=True), st.sampled_from(HOSTILE)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(filters=st.dictionaries(KEYS, JSON, max_size=4), name=st.sampled_from(IDS))
def test_no_filter_widens_a_scope(memory: Memory, filters: dict[str, Any], name: str) -> None:
    with suppress(InputError):
        assert owners(
            hit.memory for hit in memory.search("my secret word", user_id=name, filters=filters)
        ) <= {name}
        assert owners(memory.get_all(user_id=name, filters=filters)) <= {name}
        assert memory.count(user_id=name, filters=filters) <= 1


@pytest.mark.parametrize("key", ["user_id", "agent_id", "run_id"])
def test_a_filter_or_metadata_that_names_a_scope_is_refused(memory: Memory, key: str) -> None:
    for filters in ({key: "aa"}, {"OR": [{key: "aa"}, {"k": "*"}]}, {"NOT": [{key: "a"}]}):
        with pytest.raises(FilterError):
            memory.search("my secret word", user_id="a", filters=filters)
        with pytest.raises(FilterError):
            memory.delete_all(user_id="a", filters=filters)
    with pytest.raises(InputError, match=key):
        memory.add("x", user_id="a", metadata={key: "aa"})
    assert memory.count(user_id="a") == 1


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(metadata=st.dictionaries(KEYS, JSON, max_size=4), name=st.sampled_from(IDS))
def test_no_metadata_moves_a_memory(metadata: dict[str, Any], name: str) -> None:
    with Memory(":memory:", llm=None, embedder=HashEmbedder()) as memory:
        try:
            memory.add("my secret word", user_id=name, infer=False, metadata=metadata)
        except InputError:
            assert memory.count(user_id=name) == 0
            return
        assert [item.user_id for item in memory.get_all(user_id=name)] == [name]
        assert len(memory.search("my secret word", user_id=name)) == 1
        for other in ("somebody else", "a", "*", "%"):
            if other != name:
                assert not memory.search("my secret word", user_id=other)
                assert memory.count(user_id=other) == 0
        assert memory.index.verify()


@pytest.mark.parametrize("value", ["", " ", "\t\n", "a\x00", "\ud800", 1, True, ["a"], {"$ne": None}, b"a"])
def test_what_is_no_id_is_refused(memory: Memory, value: Any) -> None:
    for use in (
        lambda: memory.add("x", user_id=value),
        lambda: memory.search("x", user_id=value),
        lambda: memory.get_all(user_id=value),
        lambda: memory.erase(user_id=value),
        lambda: memory.delete_all(user_id=value),
        lambda: memory.export(io.StringIO(), user_id=value),
    ):
        with pytest.raises(InputError):
            use()
    assert len({item.id for name in IDS for item in memory.get_all(user_id=name)}) == len(IDS)


def test_removing_one_scope_leaves_every_other() -> None:
    """Every combination of a few ids on three axes; each is removed in turn, one by one and by one axis."""
    names = [None, "a", "aa", "a%"]
    scopes: list[dict[str, Any]] = [
        {key: value for key, value in zip(("user_id", "agent_id", "run_id"), triple, strict=True) if value}
        for triple in product(names, names, names)
        if any(triple)
    ]
    with Memory(":memory:", llm=None, embedder=HashEmbedder(8)) as memory:
        for scope in scopes:
            memory.add("one fact", infer=False, **scope)
        left = list(scopes)
        removed: list[dict[str, Any]] = [
            {"user_id": "a%"},
            {"agent_id": "a"},
            {"run_id": "aa", "user_id": "aa"},
        ]
        for scope in removed:
            gone = [other for other in left if scope.items() <= other.items()]
            left = [other for other in left if not scope.items() <= other.items()]
            assert len(memory.delete_all(**scope)) == len(gone)
            assert memory.erase(**scope).memories == len(gone)
            for other in left:
                assert memory.count(**other) >= 1
            assert memory.count(**scope) == 0
            assert not memory.users(**scope)
            assert not memory.changes(**scope)
            assert {owner.scope for owner in memory.users(by="scope")} == {Scope(**other) for other in left}
            assert {change.scope for change in memory.changes(limit=None)} == {
                Scope(**other) for other in left
            }
        assert memory.index.verify()
