"""Erasing: the one verb that removes. Memories, versions, vectors, history, evidence, messages, jobs, outbox rows."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Table, delete, func, insert, select

from ...types import Erasure, Scope
from .database import Database, in_scope
from .document_tables import documents
from .document_values import FILES, decode_namespace, encode_namespace
from .ids import new_id
from .outbox import Outbox
from .schema import changes, jobs, messages, meta, outbox, scopes, vectors, versions

ERASING = "erasing"  # a setting, the last erasure's mark: it is committed, but its bytes are not yet gone


def erase(database: Database, index: Outbox, scope: Scope, *, dry_run: bool) -> Erasure:
    """Remove everything that carries the given ids; all of the ledger for an empty scope.

    The index is told which versions are gone, and `ERASING` names this erasure, unless there was nothing to remove.
    """
    if dry_run:
        with database.reading() as db:
            return _counts(db, scope, dry_run=True)
    with database.writing() as db:
        index.removing(db)
        numbers = _counts(db, scope, dry_run=False)
        rows, removed = _remove(db, scope)
        index.removed(db, removed)
        if rows or removed:
            db.execute(delete(meta).where(meta.c.key == ERASING))
            db.execute(insert(meta).values(key=ERASING, value=new_id()))
    return numbers


def _remove(db: Connection, scope: Scope) -> tuple[int, list[str]]:
    """The number of other rows removed, and the versions."""
    of_scope = select(versions.c.id).where(*in_scope(versions, scope))
    memories = select(versions.c.memory_id).where(*in_scope(versions, scope))
    removals = [
        delete(outbox).where(outbox.c.version_id.in_(of_scope)),
        delete(vectors).where(vectors.c.version_id.in_(of_scope)),
        delete(changes).where(changes.c.memory_id.in_(memories)),  # their evidence goes with them
        *(delete(table).where(*in_scope(table, scope)) for table in (messages, jobs, scopes)),
    ]
    if not scope:
        removals.append(delete(documents))  # they carry no ids; only emptying the store removes them
    else:
        removals.append(delete(documents).where(documents.c.namespace.in_(files_of(db, scope))))
    rows = sum(db.execute(removal).rowcount for removal in removals)
    gone = delete(versions).where(*in_scope(versions, scope)).returning(versions.c.id)
    return rows, list(db.execute(gone).scalars())


def files_of(db: Connection, scope: Scope, kind: str | None = None) -> list[str]:
    """The namespaces of the memory tool's documents, of one kind or all, that carry these ids."""
    root = encode_namespace((FILES,))
    query = select(documents.c.namespace).where(documents.c.namespace.startswith(root, autoescape=True))
    wanted = scope.ids().items()
    found = [text for text in db.execute(query.distinct()).scalars() if wanted <= owner_of(text).items()]
    return [text for text in found if kind is None or decode_namespace(text)[4:5] == (kind,)]


def owner_of(namespace: str) -> dict[str, str]:
    """The ids that documents of the memory tool carry, by the namespace as it is stored. Others carry none."""
    root, *labels = decode_namespace(namespace)
    if root != FILES:
        return {}
    return {name: value for name, given, value in (label.partition("=") for label in labels[:3]) if given}


def _counts(db: Connection, scope: Scope, *, dry_run: bool) -> Erasure:
    memories = select(versions.c.memory_id).where(*in_scope(versions, scope)).distinct()

    def rows(table: Table, *conditions: Any) -> int:
        return db.execute(select(func.count()).select_from(table).where(*conditions)).scalar_one()

    return Erasure(
        memories=db.execute(select(func.count()).select_from(memories.subquery())).scalar_one(),
        versions=rows(versions, *in_scope(versions, scope)),
        changes=rows(changes, changes.c.memory_id.in_(memories)),
        messages=rows(messages, *in_scope(messages, scope)),
        jobs=rows(jobs, *in_scope(jobs, scope)),
        dry_run=dry_run,
        files=rows(documents, documents.c.namespace.in_(files_of(db, scope, "files"))),
    )
