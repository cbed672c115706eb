"""The document store's part of the ledger: a batch of operations is one transaction."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, delete, insert, not_, select, update

from ...errors import InputError
from ...types.documents import Document, Find, Get, Namespace, Namespaces, Put
from ...types.documents import DocumentOperation as Operation
from ...types.documents import DocumentResult as Result
from ..times import MICROSECOND, Clock, from_micros
from .database import Database, insert_for
from .document_tables import document_texts as texts
from .document_tables import documents
from .document_values import (
    FILES,
    Matrix,
    Vectors,
    decode,
    decode_namespace,
    dump_value,
    encode,
    encode_namespace,
    nearest,
)

SLICE = 500  # bound values per statement: SQLite takes 32,766, a PostgreSQL driver 65,535


class TakenError(InputError):
    """A document that should be new exists already."""


class DocumentTables:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def batch(self, operations: Sequence[Operation], vectors: Vectors) -> list[Result]:
        """Reads see the state before the writes; of several writes to one key the last counts."""
        puts = {(op.namespace, op.key): op for op in operations if isinstance(op, Put)}
        written = [(op, None if op.value is None else dump_value(op.value)) for op in puts.values()]
        if written:
            with self._database.writing(growing=True) as db:
                now = self._clock()
                results, touched = _read(db, operations, vectors, now)
                _refresh(db, touched, now)
                for op, value in written:
                    _write(db, op, value, vectors, now)
            return results
        with self._database.reading() as db:
            results, touched = _read(db, operations, vectors, self._clock())
        if touched:
            with self._database.writing() as db:
                _refresh(db, touched, self._clock())
        return results

    def sweep(self) -> int:
        with self._database.writing() as db:
            expired = documents.c.expires_at < self._clock()
            return db.execute(delete(documents).where(expired)).rowcount

    def foreign(self, embedder: str, limit: int) -> list[tuple[int, str, str]]:
        """(document, path, text) of texts whose vectors come from another embedder."""
        query = select(texts.c.document_seq, texts.c.path, texts.c.text)
        with self._database.reading() as db:
            rows = db.execute(query.where(texts.c.embedder != embedder).limit(limit))
            return [(row.document_seq, row.path, row.text) for row in rows]

    def set_vectors(self, embedder: str, rows: Sequence[tuple[int, str, str]], vectors: Matrix) -> None:
        """Store vectors of texts that have not changed since."""
        with self._database.writing() as db:
            for (seq, path, text), vector in zip(rows, vectors, strict=True):
                db.execute(
                    update(texts)
                    .where(texts.c.document_seq == seq, texts.c.path == path, texts.c.text == text)
                    .values(embedder=embedder, vector=_blob(vector))
                )


# -- reading -----------------------------------------------------------------------------------------------------


def _read(
    db: Connection, operations: Sequence[Operation], vectors: Vectors, now: int
) -> tuple[list[Result], list[int]]:
    """The results, and the documents whose time to live restarts."""
    results: list[Result] = []
    touched: list[int] = []
    for op in operations:
        match op:
            case Get():
                row = db.execute(_live(select(documents), op.expired, now).where(*_at(op))).one_or_none()
                results.append(None if row is None else _document(row))
                touched += _aging([row] if row is not None and op.refresh else [])
            case Find():
                rows = _found(db, op, vectors, now)
                results.append([replace(_document(row), score=score) for row, score in rows])
                touched += _aging(row for row, _ in rows if op.refresh)
            case Namespaces():
                results.append(_namespaces(db, op, now))
            case _:
                results.append(None)
    return results, touched


def _found(db: Connection, op: Find, vectors: Vectors, now: int) -> list[tuple[Row[Any], float | None]]:
    within = _live(select(documents), op.expired, now).where(*_below(op.prefix))
    if op.query:
        return _nearest(db, op, within, vectors, now)
    newest = within.order_by(documents.c.updated_at.desc(), documents.c.seq.desc())
    if op.matches is None:
        return [(row, None) for row in db.execute(newest.limit(op.limit).offset(op.offset))]
    return [(row, None) for row in _page(db.execute(newest), op.matches, op)]


def _nearest(
    db: Connection, op: Find, within: Select[Any], vectors: Vectors, now: int
) -> list[tuple[Row[Any], float | None]]:
    assert op.query is not None
    # A subquery rather than a join: SQLite would read every text of the store.
    seqs = _live(select(documents.c.seq), op.expired, now).where(*_below(op.prefix))
    query = select(texts.c.document_seq, texts.c.vector).where(texts.c.document_seq.in_(seqs))
    rows = db.execute(query.where(texts.c.embedder == vectors.embedder)).all()
    ranked = nearest(vectors.queries[op.query], [row[0] for row in rows], [row[1] for row in rows])
    if op.matches is None:
        ranked = ranked[op.offset : op.offset + op.limit]
        by_seq = _by_seq(db, [seq for seq, _ in ranked])
        return [(by_seq[seq], score) for seq, score in ranked]
    by_seq = {row.seq: row for row in db.execute(within)}
    scores = dict(ranked)
    kept = _page((by_seq[seq] for seq, _ in ranked), op.matches, op)
    return [(row, scores[row.seq]) for row in kept]


def _page(rows: Iterable[Row[Any]], matches: Callable[[Any], bool], op: Find) -> list[Row[Any]]:
    """The rows that match, from the offset on, up to the limit."""
    kept: list[Row[Any]] = []
    skipped = 0
    for row in rows:
        if len(kept) == op.limit:
            break
        if matches(json.loads(row.value)):
            skipped += 1
            if skipped > op.offset:
                kept.append(row)
    return kept


def _by_seq(db: Connection, seqs: Sequence[int]) -> dict[int, Row[Any]]:
    found: dict[int, Row[Any]] = {}
    for start in range(0, len(seqs), SLICE):
        query = select(documents).where(documents.c.seq.in_(seqs[start : start + SLICE]))
        found |= {row.seq: row for row in db.execute(query)}
    return found


def _namespaces(db: Connection, op: Namespaces, now: int) -> list[Namespace]:
    query = _live(select(documents.c.namespace).distinct(), op.expired, now).where(*_below(()))
    for match in op.matches:
        if match.kind == "prefix" and "*" not in match.path:
            query = query.where(*_below(match.path))
    all_of_them = (decode_namespace(text) for text in db.execute(query).scalars())
    cut = {
        namespace[: op.max_depth]
        for namespace in all_of_them
        if all(match(namespace) for match in op.matches)
    }
    return sorted(cut, key=".".join)[op.offset : op.offset + op.limit]


def _at(op: Get | Put) -> tuple[Any, Any]:
    return documents.c.namespace == encode_namespace(op.namespace), documents.c.key == encode(op.key)


def _below(prefix: Namespace) -> list[Any]:
    """In the namespace or below it: a range of the encoded texts, which the unique index serves.

    What the memory tool keeps is found below its own root only.
    """
    if not prefix:
        return [not_(and_(*_below((FILES,))))]
    start = encode_namespace(prefix)
    return [documents.c.namespace >= start, documents.c.namespace < start[:-1] + chr(ord("/") + 1)]


def _live(query: Select[Any], expired: bool, now: int) -> Select[Any]:
    if expired:
        return query
    return query.where(documents.c.expires_at.is_(None) | (documents.c.expires_at >= now))


def _document(row: Row[Any]) -> Document:
    return Document(
        decode_namespace(row.namespace),
        decode(row.key),
        json.loads(row.value),
        from_micros(row.created_at),
        from_micros(row.updated_at),
    )


# -- writing -----------------------------------------------------------------------------------------------------


def _aging(rows: Iterable[Row[Any]]) -> list[int]:
    return [row.seq for row in rows if row.ttl is not None]


def _refresh(db: Connection, seqs: Sequence[int], now: int) -> None:
    for start in range(0, len(seqs), SLICE):
        some = documents.c.seq.in_(seqs[start : start + SLICE])
        db.execute(update(documents).where(some).values(expires_at=documents.c.ttl + now))


def _write(db: Connection, op: Put, value: str | None, vectors: Vectors, now: int) -> None:
    if value is None:
        db.execute(delete(documents).where(*_at(op)))  # its texts go with it
        return
    seq = _upsert(db, op, value, now)
    db.execute(delete(texts).where(texts.c.document_seq == seq))
    rows = [
        {
            "document_seq": seq,
            "path": path,
            "text": text,
            "embedder": vectors.embedder,
            "vector": _blob(vectors.texts[text]),
        }
        for path, text in op.texts.items()
        if text.strip()
    ]
    if rows:
        db.execute(insert(texts), rows)


def _upsert(db: Connection, op: Put, value: str, now: int) -> int:
    """A document that is written again keeps its creation time."""
    ttl = None if op.ttl is None else op.ttl // MICROSECOND
    new: dict[str, Any] = {
        "value": value,
        "updated_at": now,
        "ttl": ttl,
        "expires_at": None if ttl is None else now + ttl,
    }
    statement = insert_for(db)(documents).values(
        namespace=encode_namespace(op.namespace), key=encode(op.key), created_at=now, **new
    )
    if op.new:
        statement = statement.on_conflict_do_nothing(index_elements=["namespace", "key"])
    else:
        statement = statement.on_conflict_do_update(index_elements=["namespace", "key"], set_=new)
    seq: int | None = db.execute(statement.returning(documents.c.seq)).scalar_one_or_none()
    if seq is None:
        raise TakenError(f"there is a document {op.key!r} in {op.namespace!r} already")
    return seq


def _blob(vector: Matrix) -> bytes:
    return vector.astype("<f4").tobytes()
