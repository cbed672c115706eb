"""Makes `ledger-v<schema version>.db`, with the code of the day: run it once per schema version, before the next.

    python -m tests.data.make_ledger

A small store with everything in it; today's code has to open what earlier code wrote (tests/reliability).
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from pathlib import Path

from holdfast import Memory, Message
from holdfast.storage.ledger.migrations import NEWEST
from tests.support.fakes import HashEmbedder, ScriptedModel, Ticking, facts


def main() -> None:
    folder = Path(tempfile.mkdtemp())
    model = ScriptedModel([facts("Ana lives in Lisbon", "Ana喜欢打网球"), ConnectionError("down")])
    with Memory(
        folder, llm=model, model_size="large", embedder=HashEmbedder(8), now=Ticking(), resume_on_open=False
    ) as memory:
        said = [
            Message("I live in Lisbon. 我喜欢打网球。", id="m1", name="Ana"),
            Message("Noted.", role="assistant"),
        ]
        added = memory.add(said, user_id="alice", session_id="s", metadata={"kind": ["home", 1.5, None]})
        memory.update(added[0].memory_id, "Lives in Porto", expires_at="2190-01-01")
        memory.undo(memory.delete(added[1].memory_id).id)
        memory.record(Message("", data={"call": 1}), user_id="alice", agent_id="guide")
        try:
            memory.add("I have a dog", user_id="bob")
        except Exception as error:
            print("left unfinished:", error)
    target = Path(__file__).with_name(f"ledger-v{NEWEST}.db")
    with sqlite3.connect(folder / "ledger.db") as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.execute("VACUUM")
    db.close()
    shutil.copy(folder / "ledger.db", target)
    shutil.rmtree(folder)
    print(f"{target}: {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
