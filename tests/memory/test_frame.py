"""Results as data frames."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import pytest

from holdfast import Memory
from holdfast.types import Hits


def test_results_are_frames_with_a_row_for_each() -> None:
    with Memory(":memory:", llm=None) as memory:
        added = memory.add(["I like tea", "I play chess"], user_id="alice", infer=False)
        hits = memory.search("tea", user_id="alice", explain=True)
        found = hits.to_frame()
        assert list(found["text"]) == [hit.text for hit in hits]
        assert list(found["score"]) == [hit.score for hit in hits]
        assert [column for column in found.columns if column.startswith("parts.")]
        assert found["created_at"].dt.tz == UTC
        assert list(added.to_frame()["after"]) == ["I like tea", "I play chess"]
        assert list(memory.get_all(user_id="alice").to_frame()["text"]) == ["I like tea", "I play chess"]
        assert set(memory.changes().to_frame()["user_id"]) == {"alice"}
        assert list(memory.users().to_frame()["memories"]) == [2]
        [change] = memory.history(added[0].memory_id).to_frame().to_dict("records")
        assert (change["operation"], change["before"]) == ("ADD", None)
        assert change["at"] <= datetime.now(UTC)


def test_nothing_is_an_empty_frame() -> None:
    assert Hits().to_frame().empty


def test_without_pandas_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        Hits().to_frame()
