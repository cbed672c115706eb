"""Items of another store into a memory: whose they are, which are here already, one import, then the work."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

from ...errors import InputError, whose_memory
from ..connections import Connection, Progress
from ..plain import JsonObject
from .files import at_hand
from .items import IDS, Conversation, Item, Read, Remembered, Unreadable
from .request import Reader, Request
from .rows import Export, in_order, memory_id, message_id
from .trial import tried

REFUSED = re.compile(r"line (\d+): (.*?)(?:; nothing was imported)?$", re.DOTALL)
MOST_REFUSED = 100  # items too large for the engine, or here already as somebody else's
POLL = 0.5  # seconds between looks at the work
TOLD = 100  # unreadable items reported by place; beyond that only their number


async def bring_in(source: str, read: Reader, connection: Connection, request: Request) -> JsonObject:
    """What came in. source: the format's name. Raises InputError, UnreachableError; then nothing was changed."""
    with at_hand(request.source) as path:
        found = Found.of(read(path, request), request.ids)
    found.refuse_nothing(request.source, source)
    known = await _known(connection, found)
    fresh, skipped = found.without(source, known)
    export = Export(source, fresh.memories, fresh.conversations, pending=not request.dry_run)
    refused = await _store(connection, export, request)
    unreadable = [*found.unreadable, *refused]
    result: JsonObject = {**fresh.counts(), "skipped": skipped, "unreadable": len(unreadable)}
    if not request.dry_run and fresh.memories:
        result["adds"] = list(export.adds().values())
    if not request.dry_run and fresh.conversations:
        jobs = {export.job_id(talk) for talk in fresh.conversations}
        result |= await _worked(connection, jobs, request.progress)
    return result | {"reasons": unreadable[:TOLD]}


@dataclass(slots=True)
class Found:
    memories: list[Remembered] = field(default_factory=list)
    conversations: list[Conversation] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, reads: Iterator[Read], ids: Mapping[str, str]) -> Found:
        """ids: for items whose owner the source does not name. Raises InputError if a memory would be nobody's."""
        found = cls()
        nobodys = []
        for read in reads:
            match read.item:
                case Unreadable():
                    found.unreadable.append(f"{read.where}: {read.item}")
                    continue
                case item:
                    owned = replace(item, ids={**ids, **item.ids}, where=read.where)
            if not owned.ids:
                nobodys.append(read.where)
            found.put(owned)
        if nobodys:
            more = f" and {len(nobodys) - 1} more name" if len(nobodys) > 1 else " names"
            raise whose_memory(ways=f"{nobodys[0]}{more} nobody; pass --user-id, --agent-id or --run-id")
        return found

    def put(self, item: Item) -> None:
        if isinstance(item, Remembered):
            self.memories.append(item)
        else:
            self.conversations.append(item)

    def refuse_nothing(self, place: str, source: str) -> None:
        if self.unreadable and not (self.memories or self.conversations):
            raise InputError(
                f"nothing of {place} can be read as {source}: {self.unreadable[0]}; nothing was imported"
            )

    def without(self, source: str, known: _Known) -> tuple[Found, int]:
        """What is not here yet, each item once, and how much is."""
        fresh = Found()
        seen = set(known.memories)
        skipped = 0
        for item in self.memories:
            name = memory_id(source, item)
            skipped += name in seen
            if name not in seen:
                seen.add(name)
                fresh.put(item)
        said_before = set(known.messages)
        for talk in self.conversations:
            new = []
            for said in talk.messages:
                names = {message_id(source, talk, said)}
                if said.id is not None:
                    names.add(_name(talk.ids, talk.key, said.id))
                if names & said_before:
                    skipped += 1
                else:
                    new.append(said)
                said_before |= names
            if new:
                fresh.put(replace(talk, messages=tuple(new)))
        fresh.conversations = in_order(fresh.conversations, datetime.now(UTC))
        return fresh, skipped

    def counts(self) -> JsonObject:
        return {
            "memories": len(self.memories),
            "conversations": len(self.conversations),
            "messages": sum(len(talk.messages) for talk in self.conversations),
        }

    def owners(self) -> list[dict[str, str]]:
        """The ids that items carry, each combination once."""
        items: tuple[Item, ...] = (*self.memories, *self.conversations)
        return [dict(pairs) for pairs in dict.fromkeys(tuple(sorted(item.ids.items())) for item in items)]


class _Known(StringIO):
    """A file that an export is written to, keeping only the ids."""

    def __init__(self) -> None:
        super().__init__()
        self.memories: set[str] = set()
        self.messages: set[str] = set()  # by their ids, and by those that their callers gave them

    def write(self, line: str, /) -> int:
        row = json.loads(line)
        if row.get("kind") == "version":
            self.memories.add(row["memory_id"])
        elif row.get("kind") == "message":
            self.messages.add(row["id"])
            if row["external_id"] is not None:
                self.messages.add(_name(row, row["session_id"], row["external_id"]))
        return len(line)


def _name(ids: Mapping[str, str | None], session: str | None, external_id: str) -> str:
    return json.dumps([*(ids.get(name) for name in IDS), session, external_id])


async def _known(connection: Connection, found: Found) -> _Known:
    """What is here already of all these owners: deleted memories and cleared messages, too."""
    known = _Known()
    for ids in found.owners():
        await connection.export(known, ids)
    return known


async def _store(connection: Connection, export: Export, request: Request) -> list[str]:
    """Import it in one piece, without the items that the engine refuses, which are reported. Raises InputError."""
    refused: list[str] = []
    while export.memories or export.conversations:
        with TemporaryDirectory(prefix="holdfast-") as folder:
            path = Path(folder) / "import.jsonl"
            items = _written(export, path)
            try:
                await (tried if request.dry_run else connection.import_)(path, {}, request.progress)
                break
            except InputError as error:
                found = REFUSED.match(str(error))
                item = items[int(found[1]) - 1] if found else None
                if found is None or item is None or len(refused) == MOST_REFUSED:
                    raise
        export.drop(item)
        refused.append(f"{item.where}: {found[2]}")
    return refused


def _written(export: Export, path: Path) -> list[Item | None]:
    """The item of each line of the file."""
    items = []
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for item, line in export.lines():
            items.append(item)
            file.write(line)
    return items


async def _worked(connection: Connection, jobs: set[str], progress: Progress | None) -> JsonObject:
    """Wait until the conversations are remembered, or a model fails; returns what is still to be done."""
    flushing = asyncio.ensure_future(connection.call("flush", {}))
    try:
        while True:
            ended = flushing.done()
            waiting = [job for job in (await connection.call("pending", {}))["jobs"] if job["id"] in jobs]
            if progress is not None:
                progress(len(jobs) - len(waiting), len(jobs))
            if ended or not waiting:  # others may go on adding
                break
            await asyncio.wait({flushing}, timeout=POLL)
        if ended:
            await flushing
    finally:
        flushing.cancel()
    failed = [job for job in (await connection.call("failed", {}))["jobs"] if job["id"] in jobs]
    errors = [job["error"] for job in (*failed, *waiting) if job["error"]]
    return {"pending": len(waiting), "failed": len(failed)} | ({"error": errors[0]} if errors else {})
