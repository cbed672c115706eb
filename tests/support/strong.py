"""What a strong model answered, replayed to the engine in the forms in which models reply.

`data/strong/merging.json` holds 115 cases (see `bench/data/cases.py`) with the `decision` that the model took: its
operation, the position of the memory, and that memory's new text. `data/strong/extraction.json` holds windows of
messages with the `facts` that it told of each.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.data.cases import Outcome, case_of, judged

from holdfast import Message
from holdfast.ports import Completion, Prompt, Schema
from holdfast.types import Usage

DATA = Path(__file__).parents[1] / "data" / "strong"
LATER = datetime(2026, 4, 1, tzinfo=UTC)  # than all that was said
FUNCTIONS = {"ADD": "add_memory", "UPDATE": "update_memory", "DELETE": "delete_memory", "NOOP": "none"}
_LINE = re.compile(r"\[(\d+)\] (?:\([^)]*\) )?(.*)")

Told = Mapping[str, Any]


class StrongModel:
    """Tells the facts and takes the decision that it is given, by the numbers it is shown.

    calls: whether it answers the question of merging by function calls. Keeps what it was shown, by form of reply.
    """

    name = "test/strong"

    def __init__(self, *, calls: bool = False) -> None:
        self.facts: Sequence[Told] = ()
        self.decision: Told = {}
        self.shown: dict[str, list[str]] = {}
        self._calls = calls

    def complete(self, messages: Sequence[Prompt], *, schema: Schema | None = None) -> Completion:
        assert schema is not None
        asked = messages[-1].content
        self.shown.setdefault(schema.name, []).append(asked)
        if schema.name == "facts":
            return Completion({"facts": list(self.facts)}, Usage(1, 1, 1))
        row = {"fact": 1, "memory": self._number(asked), "text": self.decision["text"]}
        operation = self.decision["operation"]
        reply = (
            {"calls": [{"name": FUNCTIONS[operation], "arguments": row}]}
            if self._calls
            else {"decisions": [{**row, "operation": operation}]}
        )
        return Completion(reply, Usage(1, 1, 1))

    async def acomplete(self, messages: Sequence[Prompt], *, schema: Schema | None = None) -> Completion:
        return self.complete(messages, schema=schema)

    def _number(self, asked: str) -> int:
        """Of the memory that the decision is about, among those that are shown above the first empty line."""
        if self.decision["target"] is None:
            return 0
        lines = (_LINE.fullmatch(line) for line in asked.partition("\n\n")[0].splitlines())
        (number,) = [int(line[1]) for line in lines if line and line[2] == self.decision["target"]]
        return number


@dataclass(frozen=True)
class Merged:
    """A case as the engine carried it out. exact: the decision as it was taken, and nothing else."""

    outcome: Outcome
    exact: bool


def merging() -> list[Told]:
    return json.loads((DATA / "merging.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def windows(folder: Path = DATA) -> list[Told]:
    return json.loads((folder / "extraction.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def merge(memory: Any, model: StrongModel, told: Told) -> Merged:
    """Add a case's fact as a message, to a user of its own who has the case's memories."""
    case, decision, user = case_of(told), told["decision"], told["id"]
    known = [
        Message(text, name=name or None) for text, name in zip(case.memories, case.speakers, strict=True)
    ]
    ids = [change.memory_id for change in memory.add(known, user_id=user, infer=False)]
    target = decision["memory"]
    model.facts = [{"message": 1, "speaker": case.fact_speaker or "user", "fact": case.fact, "when": ""}]
    model.decision = {**decision, "target": None if target is None else case.memories[target]}
    changes = memory.add(Message(case.fact, name=case.fact_speaker or None), user_id=user)
    about = ids.index(changes[0].memory_id) if changes[0].memory_id in ids else None
    store = {item.id: item.text for item in memory.get_all(user_id=user)}
    wanted = dict(zip(ids, case.memories, strict=True))
    match decision["operation"]:
        case "ADD":
            wanted[changes[0].memory_id] = case.fact
        case "UPDATE":
            wanted[ids[target]] = decision["text"]
        case "DELETE":
            del wanted[ids[target]]
    exact = [change.operation for change in changes] == [decision["operation"]] and about == target
    return Merged(judged(case, changes[0].operation, about, list(store.values())), exact and store == wanted)


def extract(memory: Any, model: StrongModel, window: Told) -> tuple[list[Told], list[str]]:
    """Add a window for a user of its own. The facts that are not stored word for word under their message alone;
    and the user's messages that the model was not shown word for word."""
    user = window["id"]
    model.facts = [{**fact, "message": fact["message"] + 1} for fact in window["facts"]]
    model.shown.clear()
    if window["context"]:
        memory.record(_messages(window["context"]), user_id=user, session_id="s")
    added = memory.add(_messages(window["messages"]), user_id=user, session_id="s")
    stored = {(item.text, item.sources) for item in memory.get_all(user_id=user)}
    missing = [
        fact for fact in window["facts"] if (fact["fact"], (added.messages[fact["message"]],)) not in stored
    ]
    shown = "\n".join(model.shown["facts"])
    users = [said["content"] for said in window["messages"] if said["role"] == "user"]
    return missing, [text for text in users if text.strip() not in shown]


def _messages(told: Sequence[Told]) -> list[Message]:
    return [Message(one["content"], role=one["role"], happened_at=_instant(one)) for one in told]


def _instant(told: Told) -> datetime | None:
    at = told.get("happened_at")
    return datetime.fromisoformat(at) if at else None
