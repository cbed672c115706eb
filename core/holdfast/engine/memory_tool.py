"""Anthropic's memory tool (`memory_20250818`) on the ledger: files of a scope, every version of which is kept.

A file is two kinds of documents: its head, which says what it is now, and its versions. A version is written only
if its number is free: of two simultaneous commands, in whatever processes, one finds the number taken, reads again
and works on what the other left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..errors import InputError, NotFoundError, StorageError, UndoError
from ..io import IO, operation
from ..storage.ledger.document_values import FILES
from ..storage.ledger.documents import TakenError
from ..storage.ledger.ids import new_id
from ..types import Scope
from ..types.documents import Document, DocumentOperation, DocumentResult, Find, Namespace, Put
from ..types.files import FileVersion, ToolReply
from .arguments import LARGEST_LIMIT, SCOPE_KEYS, text_of
from .documents import Documents
from .memory_files import ROOT, Changes, RefusedError, both_file_and_directory, carried_out, path_of

ATTEMPTS = 20  # of a command, while others change the same files


@dataclass(frozen=True, slots=True)
class Head:
    """What a file is now. text: None if it no longer exists. version: the number of its last version."""

    text: str | None
    version: int


class MemoryTool:
    """The files under `/memories` of one user, agent or run: `memory.memory_tool(user_id="alice")`.

    `run` carries out the model's calls. Thread-safe; closed with the memory. A redactor masks texts
    as it does those of memories. `Memory.erase` removes the files with all of their versions.
    """

    def __init__(self, documents: Documents, scope: Scope) -> None:
        self._documents = documents
        self._scope = scope
        self._files, self._versions = (_namespace(kind, scope) for kind in ("files", "versions"))

    @property
    def scope(self) -> Scope:
        """Whose files they are."""
        return self._scope

    @operation
    async def run(self, io: IO, command: Mapping[str, Any]) -> ToolReply:
        """Carry out a call by the model: the `input` of its tool use.

        command: `{"command": "view", "path": "/memories"}`; or create, str_replace, insert, delete, rename.

        The model's mistakes are answered in the reply. Raises StorageError, ClosedError; then nothing was changed.
        """
        for _ in range(ATTEMPTS):
            heads = await self._heads(io)
            try:
                text, changes = carried_out(_present(heads), command)
            except RefusedError as refused:
                return ToolReply(str(refused), is_error=True)
            try:
                return ToolReply(text, False, await self._write(io, heads, changes, command["command"]))
            except TakenError:
                continue
        raise _busy()

    arun = run.twin

    @operation
    async def history(self, io: IO, path: str = ROOT) -> tuple[FileVersion, ...]:
        """Every version of a file, or of all files of a directory, oldest first. Raises NotFoundError."""
        wanted = _path_of(path)
        kept = [one for one in await self._kept(io) if f"{one.path}/".startswith(f"{wanted}/")]
        if not kept and wanted != ROOT:
            raise NotFoundError(f"there never was a file {path!r}")
        return tuple(kept)

    ahistory = history.twin

    @operation
    async def undo(self, io: IO, change_id: str) -> tuple[FileVersion, ...]:
        """Restore the files that a command changed. That is itself a change, and can be undone.

        Returns the new versions. Raises NotFoundError, and UndoError if one of these files was changed since.
        """
        text_of("change_id", change_id)
        for _ in range(ATTEMPTS):
            heads, kept = await self._heads(io), await self._kept(io)
            try:
                undone = await self._write(io, heads, _before(heads, kept, change_id), "undo")
            except TakenError:
                continue
            return tuple(one for one in await self._kept(io) if one.change_id == undone)
        raise _busy()

    aundo = undo.twin

    async def _heads(self, io: IO) -> dict[str, Head]:
        """path -> what the file is; including files that are gone."""
        found = await self._find(io, self._files)
        return {one.key: Head(one.value["text"], one.value["version"]) for one in found}

    async def _kept(self, io: IO) -> list[FileVersion]:
        """All versions of all files, oldest first."""
        return _in_order([_version(one) for one in await self._find(io, self._versions)])

    async def _find(self, io: IO, namespace: Namespace) -> Sequence[Document]:
        [found] = await self._batch(io, [Find(namespace, limit=LARGEST_LIMIT)])
        assert isinstance(found, list)
        return [one for one in found if isinstance(one, Document)]

    async def _write(self, io: IO, heads: Mapping[str, Head], changes: Changes, command: str) -> str | None:
        """The id of the change; None if there is nothing to change. Raises TakenError."""
        if not changes:
            return None
        change = new_id()
        puts: list[Put] = []
        for path, text in sorted(changes.items()):  # in one order: two servers then never wait for each other
            number = heads[path].version + 1 if path in heads else 1
            version = {"text": text, "command": command, "change": change}
            puts.append(Put((*self._versions, path), str(number), version, new=True))
            puts.append(Put(self._files, path, {"text": text, "version": number}))
        await self._batch(io, puts)
        return change

    async def _batch(self, io: IO, operations: Sequence[DocumentOperation]) -> list[DocumentResult]:
        return await io.call(self._documents.batch, self._documents.abatch, operations)


def _namespace(kind: str, scope: Scope) -> Namespace:
    """The namespace of files of exactly this scope."""
    ids = scope.ids()
    return (FILES, *(f"{name}={ids[name]}" if name in ids else name for name in SCOPE_KEYS), kind)


def _present(heads: Mapping[str, Head]) -> dict[str, str]:
    return {path: head.text for path, head in heads.items() if head.text is not None}


def _before(heads: Mapping[str, Head], kept: Sequence[FileVersion], change_id: str) -> Changes:
    """What the files of a change were before it. Raises NotFoundError, UndoError."""
    texts = {(one.path, one.number): one.text for one in kept}
    made = [one for one in kept if one.change_id == change_id]
    if not made:
        raise NotFoundError(f"there is no change {change_id!r} of these files")
    for one in made:
        if heads[one.path].version != one.number:
            raise UndoError(f"{one.path} was changed since; undo that first")
    changes: Changes = {one.path: texts.get((one.path, one.number - 1)) for one in made}
    files = {path for path, text in (_present(heads) | changes).items() if text is not None}
    if (blocked := both_file_and_directory(files)) is not None:
        raise UndoError(f"{blocked} would be a file, and is a directory now")
    return changes


def _in_order(versions: Sequence[FileVersion]) -> list[FileVersion]:
    """Oldest first; those of one file by their numbers, whatever the clocks of several machines say."""
    reached: dict[str, datetime] = {}
    dated: list[tuple[datetime, int, FileVersion]] = []
    for one in sorted(versions, key=lambda one: one.number):
        reached[one.path] = max(one.created_at, reached.get(one.path, one.created_at))
        dated.append((reached[one.path], one.number, one))
    return [one for _, _, one in sorted(dated, key=lambda row: (row[0], row[1], row[2].path))]


def _version(document: Document) -> FileVersion:
    value = document.value
    return FileVersion(
        document.namespace[-1],
        int(document.key),
        value["text"],
        value["command"],
        value["change"],
        document.created_at,
    )


def _path_of(path: str) -> str:
    try:
        return path_of(text_of("path", path))
    except RefusedError as refused:
        raise InputError(str(refused).removeprefix("Error: ")) from refused


def _busy() -> StorageError:
    return StorageError(f"others changed these files {ATTEMPTS} times while they were read; try again")
