"""Large numbers: what databases limit is not what callers have to know."""

from __future__ import annotations

import pytest

from holdfast import Memory, UndoError
from tests.support.fakes import HashEmbedder


def test_an_add_of_thousands_of_facts_is_one_add_and_undone_as_one() -> None:
    texts = [f"fact {at}" for at in range(3000)]
    with Memory(":memory:", llm=None, embedder=HashEmbedder(4)) as memory:
        result = memory.add(texts, user_id="alice", infer=False)
        assert [change.after for change in result] == texts
        pages, cursor = 0, None
        while pages == 0 or cursor:
            page = memory.get_all(user_id="alice", limit=700, cursor=cursor)
            pages, cursor = pages + 1, page.next
        assert pages == 5
        memory.undo(result.id)
        assert memory.count(user_id="alice") == 0
        with pytest.raises(UndoError, match="undone already"):
            memory.undo(result.id)
