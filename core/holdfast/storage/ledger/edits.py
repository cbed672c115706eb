"""Messages sent again under a known id: the same text is a repeat, a different one is an edit.

An edited message keeps its id and its place in the log, with the new text from then on. The old text becomes a
message of its own outside the log, kept as the evidence of what came from it. Once the new text is remembered,
memories that only the old one supports are closed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, exists, insert, select, update

from ...types import JournaledMessage, Message
from ..times import FOREVER, to_micros
from .ids import new_id
from .schema import edits, evidence, messages, versions

CHUNK = 500  # ids per statement: databases limit their parameters
REASON = "the message that it came from was edited"


def edited(known: dict[str, JournaledMessage], said: Sequence[Message]) -> dict[str, Message]:
    """The messages whose text is new, by the journal's ids."""
    found: dict[str, Message] = {}
    for message in said:
        before = known.get(message.id) if message.id is not None else None
        if before is not None and before.message.content != message.content:
            found.setdefault(before.id, message)
    return found


def revise(db: Connection, told: dict[str, Message], add_id: str, now: int) -> list[Row[Any]]:
    """Carry out the edits and return the messages as they are now. add_id: the add that remembers them, or ""."""
    for message_id, message in told.items():
        assert message.happened_at is not None
        before = db.execute(select(messages).where(messages.c.id == message_id)).one()._asdict()
        del before["seq"]
        old = {**before, "id": new_id(), "external_id": None, "cleared_at": now}
        db.execute(insert(messages), [old])
        db.execute(update(evidence).where(evidence.c.message_id == message_id).values(message_id=old["id"]))
        db.execute(insert(edits), [{"message_id": message_id, "replaces": old["id"]}])
        values = {
            "content": message.content,
            "data": dict(message.data) if message.data is not None else None,
            "happened_at": to_micros(message.happened_at),
            "created_at": now,
            "add_id": add_id,
        }
        db.execute(update(messages).where(messages.c.id == message_id).values(values))
    return [row for some in _chunks(told) for row in db.execute(_by_id(some))]


def give_up_ids(db: Connection, ids: Iterable[str]) -> None:
    """Release the callers' ids of these messages."""
    for some in _chunks(ids):
        db.execute(update(messages).where(messages.c.id.in_(some)).values(external_id=None))


def superseded(db: Connection, add_id: str) -> Sequence[str]:
    """The memories that only former texts of the messages remembered by an add support."""
    return db.execute(_SUPERSEDED, {"add": add_id}).scalars().all()


def _superseded() -> Select[Any]:
    former = (
        select(edits.c.replaces)
        .join(messages, messages.c.id == edits.c.message_id)
        .where(messages.c.add_id == bindparam("add"))
    )
    other = evidence.alias()
    supported = exists().where(other.c.memory_id == versions.c.memory_id, other.c.message_id.not_in(former))
    return (
        select(versions.c.memory_id)
        .join(evidence, evidence.c.memory_id == versions.c.memory_id)
        .where(evidence.c.message_id.in_(former), versions.c.valid_to == FOREVER, ~supported)
        .distinct()
    )


_SUPERSEDED = _superseded()


def _by_id(ids: Sequence[str]) -> Select[Any]:
    return select(messages).where(messages.c.id.in_(ids)).order_by(messages.c.seq)


def _chunks(ids: Iterable[str]) -> list[list[str]]:
    listed = list(ids)
    return [listed[start : start + CHUNK] for start in range(0, len(listed), CHUNK)]
