"""A store with a bit of everything, and all that can be seen of one: to compare copies."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from holdfast import Memory, Message
from holdfast.storage.ledger.copying import TABLES, at_rest, key_of
from holdfast.types import Get, Put
from tests.support.fakes import HashEmbedder, Ticking

USERS = ("alice", "bob")


def opened(place: dict[str, Any], **options: Any) -> Memory:
    return Memory(
        **place,
        **{"llm": None, "model_size": "large", "embedder": HashEmbedder(), "now": Ticking(), **options},
    )


def lived_in(place: dict[str, Any], **options: Any) -> Memory:
    """A store with a bit of everything."""
    memory = opened(place, **options)
    live(memory)
    return memory


def live(memory: Any) -> None:
    """A bit of everything."""
    said = [
        Message("I live in Lisbon. 我喜欢打网球。", id="m1"),
        Message("Noted.", role="assistant", id="m2"),
    ]
    added = memory.add(said, user_id="alice", session_id="s", metadata={"深": [1, 2.5, None, {"a": True}]})
    memory.undo(memory.update(added[1].memory_id, "Plays tennis in Porto").id)
    memory.add([Message("I like tea.", id="m3")], user_id="alice", session_id="s")
    memory.add([Message("I like coffee.", id="m3")], user_id="alice", session_id="s")  # an edit
    memory.delete(memory.add("I have a car", user_id="alice", agent_id="guide")[0].memory_id)
    memory.add("I wear a cast", user_id="bob", infer=False, expires_at=timedelta(hours=1))
    memory.add("I am allergic to nuts", user_id="bob", infer=False, happened_at="2026-01-02")
    memory.record(Message("", data={"call": {"id": 1}}), user_id="bob", run_id="r")
    memory.clear_messages(user_id="alice", session_id="s", keep=["m2"])
    memory.documents.batch(
        [
            Put(
                ("notes", "a/b"),
                "k%",
                {"text": "the cello", "nul": "\x00"},
                {"text": "the cello"},
                ttl=timedelta(days=9),
            )
        ]
    )
    memory.memory_tool(user_id="bob").run(
        {"command": "create", "path": "/memories/plan.md", "file_text": "Learn the cello"}
    )


def told(memory: Any) -> Any:
    """What the public face tells, but for ids, times and scores, which no two stores have in common."""
    return [
        (
            [
                (item.text, item.version, item.speakers, dict(item.metadata), item.expires_at is None)
                for item in memory.get_all(user_id=user)
            ],
            [
                [(change.operation, change.before, change.after) for change in memory.history(item.id)]
                for item in memory.get_all(user_id=user)
            ],
            [(change.operation, change.after) for change in memory.changes(user_id=user, limit=None)],
            [
                memory.search(query, user_id=user)[0].text
                for query in ("Where do I live?", "tennis in Porto", "a cast", "nuts", "网球")
            ],
            [(it.message.content, it.message.role, it.message.data) for it in memory.messages(user_id=user)],
            memory.recall("tennis", user_id=user).text,
            memory.memory_tool(user_id=user).run({"command": "view", "path": "/memories"}).text,
            memory.documents.batch([Get(("notes", "a/b"), "k%")])[0].value,
            memory.count(user_id=user),
            bool(memory.index.verify()),
        )
        for user in USERS
    ]


def seen(memory: Memory) -> Any:
    """What the public face shows, now and at every instant at which something changed."""
    found: list[Any] = []
    for user in USERS:
        items = memory.get_all(user_id=user).items
        moments = {change.at for change in memory.changes(user_id=user, limit=None)}
        found.append(
            (
                [item.to_dict() for item in items],
                [change.to_dict() for item in items for change in memory.history(item.id)],
                [
                    [item.to_dict() for item in memory.get_all(user_id=user, as_of=at)]
                    for at in sorted(moments)
                ],
                [
                    [
                        (hit.memory.to_dict(), round(hit.score, 4))
                        for hit in memory.search(query, user_id=user, as_of=at)
                    ]
                    for query in ("Where do I live?", "tennis in Porto", "cast", "网球")
                    for at in (None, *sorted(moments))
                ],
                [message.to_dict() for message in memory.messages(user_id=user)],
                memory.memory_tool(user_id=user).run({"command": "view", "path": "/memories"}),
            )
        )
    found.append([owner.to_dict() for owner in memory.users(by="scope")])
    return found


def rows(memory: Memory) -> Any:
    """Everything that the ledger holds."""
    with memory._store.ledger.database.reading() as db:
        return {
            table.name: sorted(
                (at_rest(row) for row in db.execute(table.select())),
                key=lambda row: str(key_of(table, row)),
            )
            for table in TABLES
        }
