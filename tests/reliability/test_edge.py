"""The embedded index: its folder opened again, damaged, of an earlier layout, rewritten."""

from __future__ import annotations

import logging
from pathlib import Path
from uuid import UUID

import pytest
import qdrant_edge

from holdfast.decisions.text.lexical import query_vector
from holdfast.errors import StorageError
from holdfast.io import Inline, run_inline
from holdfast.storage.index import IndexQuery, Point, edge
from holdfast.storage.index.edge import EdgeIndex
from holdfast.types import Scope
from tests.support.files import content
from tests.support.points import DIMENSIONS, point, vector

ALICE = Scope("alice")


def put(index: EdgeIndex, *points: Point) -> None:
    run_inline(index.upsert(Inline(), points))


def size(index: EdgeIndex) -> int:
    return run_inline(index.count(Inline()))


def found(index: EdgeIndex, scope: Scope) -> set[str]:
    query = IndexQuery(scope, vector("x"), query_vector("x"), 10)
    return {candidate.id for candidate in run_inline(index.query(Inline(), [query]))[0]}


def test_points_are_there_after_opening_again(tmp_path: Path) -> None:
    first, _ = EdgeIndex.open(tmp_path / "index", DIMENSIONS)
    put(first, point(1, "tennis", ALICE))
    first.close()
    second, fresh = EdgeIndex.open(tmp_path / "index", DIMENSIONS)
    assert not fresh
    assert size(second) == 1
    second.close()


def test_a_damaged_shard_is_set_aside_and_replaced(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for n in (1, 2):
        index, fresh = EdgeIndex.open(tmp_path / "index", DIMENSIONS)
        assert fresh
        put(index, point(1, "tennis", ALICE))
        index.close()
        for file in (tmp_path / "index").rglob("*"):
            if file.is_file():
                file.write_bytes(b"damaged")
        with caplog.at_level(logging.WARNING, "holdfast"):
            index, fresh = EdgeIndex.open(tmp_path / "index", DIMENSIONS)
        assert fresh
        assert size(index) == 0
        assert (tmp_path / f"index.damaged-{n}").is_dir()
        assert f"index.damaged-{n}" in caplog.text
        put(index, point(1, "tennis", ALICE))
        index.close()
        for file in (tmp_path / "index").rglob("*.json"):
            file.unlink()


def test_a_shard_of_other_dimensions_is_replaced(tmp_path: Path) -> None:
    EdgeIndex.open(tmp_path / "index", DIMENSIONS)[0].close()
    index, fresh = EdgeIndex.open(tmp_path / "index", DIMENSIONS + 1)
    assert fresh
    index.close()


def test_a_shard_of_an_earlier_layout_is_replaced(tmp_path: Path) -> None:
    index, _ = EdgeIndex.open(tmp_path / "index", DIMENSIONS)
    put(index, point(1, "tennis", ALICE))
    index._shard.update(qdrant_edge.UpdateOperation.delete_field_index("ca"))  # type: ignore[union-attr]
    index.close()
    index, fresh = EdgeIndex.open(tmp_path / "index", DIMENSIONS)
    assert fresh
    assert size(index) == 0
    assert not (tmp_path / "index.damaged-1").exists()
    index.close()


def test_compacting_removes_the_bytes_of_deleted_points(tmp_path: Path) -> None:
    index, _ = EdgeIndex.open(tmp_path / "index", DIMENSIONS)
    put(index, point(1, "tennis", Scope("remaining-user")), point(2, "secret", Scope("erased-user")))
    run_inline(index.flush(Inline()))
    (tmp_path / "index.damaged-1").mkdir()
    (tmp_path / "index.damaged-1" / "segment").write_bytes(b"erased-user")
    run_inline(index.delete(Inline(), [str(UUID(int=3))]))
    assert b"erased-user" in all_bytes(tmp_path)
    run_inline(index.compact(Inline()))
    assert b"erased-user" not in all_bytes(tmp_path)
    index.close()
    assert b"erased-user" not in all_bytes(tmp_path)
    index, fresh = EdgeIndex.open(tmp_path / "index", DIMENSIONS)
    assert not fresh
    assert found(index, Scope("remaining-user")) == {str(UUID(int=2))}
    index.close()


def all_bytes(folder: Path) -> bytes:
    return b"".join(content(file) for file in folder.rglob("*") if file.is_file())


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        EdgeIndex.open(tmp_path / "file" / "index", DIMENSIONS)


def test_more_points_than_are_kept_known_are_found_with_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge, "KNOWN", 3)
    index, _ = EdgeIndex.open(tmp_path / "index", DIMENSIONS)
    bob = Scope("bob")
    hers, his = [point(n, "tennis", ALICE) for n in (1, 2)], [point(n, "tennis", bob) for n in range(3, 8)]
    put(index, *hers, *his)
    for _ in range(2):
        assert found(index, ALICE) == {one.id for one in hers}
        assert found(index, bob) == {one.id for one in his}
    index.close()
