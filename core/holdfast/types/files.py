"""What the memory tool answers, and what it keeps of a file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .records import Record


@dataclass(frozen=True, slots=True)
class ToolReply(Record):
    """What the model is told of its call.

    text: the content of the tool's result.
    is_error: whether the command was refused; nothing was changed then.
    change_id: of what it changed, for `MemoryTool.undo`; None if it changed nothing.
    """

    text: str
    is_error: bool = False
    change_id: str | None = None


@dataclass(frozen=True, slots=True)
class FileVersion(Record):
    """One version of a file.

    number: 1 for the first version of this path, without a gap.
    text: None if the file was deleted or moved away.
    command: what wrote it: create, str_replace, insert, delete, rename or undo.
    change_id: the same for all files that one command changed.
    """

    path: str
    number: int
    text: str | None
    command: str
    change_id: str
    created_at: datetime
