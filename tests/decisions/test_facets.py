"""Facets: what ranking sees of a payload."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from holdfast.decisions.retrieval.candidates import UNKNOWN, columns
from holdfast.storage.index.payload import facets, packed, unpacked
from holdfast.storage.ledger.ids import new_id

micros = st.integers(-(2**55), 2**55)
payloads = st.fixed_dictionaries(
    {"u": st.sampled_from(["alice", ""]), "a": st.just(""), "r": st.just(""), "c": micros},
    optional={
        "h": micros,
        "e": st.integers(0, 2**40),
        "p": st.integers(0, 2**40),
        "w": st.integers(0, 10**6),
        "s": st.lists(st.text(), max_size=3),
    },
)


@given(st.lists(payloads, min_size=1, max_size=5))
def test_packing_keeps_what_a_payload_says(given_: list[dict[str, Any]]) -> None:
    read = [unpacked(packed(payload)) for payload in given_]
    assert read == [facets(payload) for payload in given_]
    for row, found, payload in zip(columns(read)[0], read, given_, strict=True):
        assert row["happened"] == payload.get("h", UNKNOWN)
        assert row["position"] == payload.get("p", 0)
        assert row["words"] == payload.get("w", 0)
        assert found[1] == tuple(payload.get("s", ()))


def test_an_episode_is_one_of_its_scope() -> None:
    scopes = [{"u": "alice"}, {"u": "alice", "a": "x"}, {"u": "alice", "r": "x"}, {"u": "bob"}]
    rows, _ = columns(facets({**scope, "e": e}) for scope in scopes for e in (0, 1, 0))
    assert len(np.unique(rows["episode"])) == 2 * len(scopes)
    assert columns([facets({"u": "alice"})])[0]["episode"] == UNKNOWN


def test_a_point_of_an_earlier_version_tells_nothing() -> None:
    assert unpacked(None) == facets({})


def test_ids_are_uuids_in_the_order_of_time() -> None:
    made = [new_id() for _ in range(5_000)]
    assert len(set(made)) == len(made)
    assert made == sorted(made)
    assert {(UUID(name).version, UUID(name).variant) for name in made} == {(7, "specified in RFC 4122")}
    assert all(str(UUID(name)) == name for name in made)
