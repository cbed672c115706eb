"""What can be asked of a memory from outside, once for the command, the HTTP API and MCP: the name of an operation,
its arguments, what it gives back as JSON, and what it may do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import InputError, NotFoundError
from ..memory import Memory
from ..types import (
    AddResult,
    Change,
    Context,
    Erasure,
    Feed,
    Flushed,
    Job,
    JournaledMessage,
    MemoryItem,
    Owners,
    Page,
    SearchHit,
)
from .plain import JsonObject, plain

# -- arguments ----------------------------------------------------------------------------------------------------


class Arguments(BaseModel):
    """Arguments as JSON. What is not given is left to the engine, which has the defaults and checks the values."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Whose(Arguments):
    user_id: str | None = Field(None, description="the user")
    agent_id: str | None = Field(None, description="the agent")
    run_id: str | None = Field(None, description="the run, or conversation, that the memory is confined to")


Filters = dict[str, Any]
FILTERS = Field(
    None,
    description='on metadata and times: {"category": "work", "created_at": {"gte": "2026-01-01"}}; operators eq, ne, '
    "in, nin, gt, gte, lt, lte, contains; AND, OR, NOT",
)
AS_OF = Field(None, description="what was known at that instant (ISO 8601) instead of now")
METADATA = Field(None, description="a JSON object that the memories carry")
EXPIRES_AT = Field(
    None,
    description="when it expires and is no longer found: a time, or a duration from now like P30D (ISO 8601)",
)
UNCHANGED = "unchanged"  # the default of `Memory.update`
NEW_EXPIRES_AT = Field(UNCHANGED, description="a time, a duration from now like P30D, or null for never")


class Adding(Whose):
    messages: str | list[str | JsonObject] = Field(
        description="a text, or a conversation: texts and objects with role, content, name, id, happened_at"
    )
    session_id: str | None = Field(None, description="the conversation that the messages belong to")
    metadata: JsonObject | None = METADATA
    happened_at: str | None = Field(None, description="when it was said (ISO 8601)")
    infer: bool | Literal["merge"] = Field(
        True, description='false keeps texts as they are; "merge" takes every text for a fact'
    )
    instructions: str | None = Field(
        None, description="what to remember or leave out, in words, for the model"
    )
    background: bool = Field(False, description="answer once the messages are journaled")
    after_seconds: float = Field(
        0, description="with background: begin once the session has been quiet for this many seconds"
    )
    expires_at: str | None = EXPIRES_AT


class Asking(Whose):
    query: str = Field(description="a question, or what is being talked about")
    filters: Filters | None = FILTERS
    as_of: str | None = AS_OF
    threshold: float | None = Field(None, description="the lowest score of a hit, from 0 to 1")
    session_id: str | None = Field(None, description="the conversation that asks")
    wait: float = Field(2.0, description="seconds to wait, at most, for adds that are under way")


class Searching(Asking):
    limit: int = Field(10, description="how many hits at most")
    explain: bool = Field(False, description="say what each score is made of")


class Recalling(Asking):
    max_tokens: int = Field(1000, description="how long the text may be")
    shown: list[str] = Field([], description="ids of messages that the prompt shows anyway")
    exclude_session: str | None = Field(None, description="a conversation that the prompt shows anyway")


class Listing(Whose):
    filters: Filters | None = FILTERS
    as_of: str | None = AS_OF
    limit: int | None = Field(None, description="how many at a time")
    cursor: str | None = Field(None, description="the `next` of the page before")


class Owning(Whose):
    by: Literal["user", "scope"] = Field(
        "user", description="count a user's together, or each combination of ids"
    )
    limit: int | None = Field(None, description="how many at a time")
    cursor: str | None = Field(None, description="the `next` of the page before")


Kind = Literal["ADD", "UPDATE", "DELETE", "NOOP"]


class Following(Whose):
    operation: Kind | list[Kind] | None = Field(None, description="one of them, or several; by default all")
    since: str | None = Field(None, description="from this time on (ISO 8601)")
    until: str | None = Field(None, description="before this time (ISO 8601)")
    limit: int | None = Field(50, description="how many at a time")
    cursor: str | None = Field(None, description="the `next` of the page before")


class Counting(Whose):
    filters: Filters | None = FILTERS
    as_of: str | None = AS_OF


class One(Whose):
    memory_id: str = Field(description="the memory's id")


class Getting(One):
    as_of: str | None = AS_OF


class Updating(One):
    text: str | None = Field(None, description="the new text")
    metadata: JsonObject | None = Field(None, description="the new metadata, as a whole")
    expires_at: str | None = NEW_EXPIRES_AT


class Undoing(Whose):
    change_or_add_id: str = Field(description="the id of a change, or of an add")


class DeletingAll(Whose):
    filters: Filters | None = FILTERS


class Erasing(Whose):
    dry_run: bool = Field(False, description="only count what would go")


class Logged(Whose):
    session_id: str | None = Field(None, description="the conversation")
    limit: int | None = Field(None, description="only the newest ones: how many")


class Retrying(Arguments):
    job_id: str | None = Field(None, description="one failed add; all of them where it is not given")


class Flushing(Arguments):
    timeout: float | None = Field(None, description="seconds to wait at most")


# -- operations that take more than one method of `Memory` ----------------------------------------------------


async def _get(memory: Memory, memory_id: str, **given: Any) -> MemoryItem:
    item = await memory.aget(memory_id, **given)
    if item is None:
        raise NotFoundError(f"there is no memory {memory_id!r}")
    return item


async def _stats(memory: Memory, **ids: Any) -> JsonObject:
    """Numbers of what there is, and what works on it."""
    return {
        "memories": await memory.acount(**ids),
        "pending": len(await memory.jobs.apending()),
        "failed": len(await memory.jobs.afailed()),
        "model": None if memory.llm is None else memory.llm.name,
        "embedder": memory.embedder.name,
        "folder": None if memory.folder is None else str(memory.folder),
    }


async def _verify(memory: Memory) -> JsonObject:
    agreement = await memory.index.averify()
    return {"agree": bool(agreement), **asdict(agreement)}


# -- the table ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Operation:
    """One row of the table.

    run: a coroutine function of a `Memory` and of the arguments that were given.
    result: what comes back: a record, or `(key, type)` for a list or a value, which JSON shows under that key.
    reads: it changes nothing. destroys: what it changes is gone, or no longer found.
    whole: it concerns all users and is refused to tokens bound to ids.
    """

    name: str
    summary: str
    arguments: type[Arguments]
    run: Callable[..., Awaitable[Any]]
    result: type | tuple[str, Any]
    reads: bool = False
    destroys: bool = False
    whole: bool = False

    async def __call__(self, memory: Memory, given: Mapping[str, Any]) -> JsonObject:
        """The result as JSON. Raises InputError if the arguments are not this operation's."""
        asked = read_arguments(self.arguments, given)
        answer = plain(await self.run(memory, **asked))
        return {self.result[0]: answer} if isinstance(self.result, tuple) else answer


def read_arguments(arguments: type[Arguments], given: Mapping[str, Any]) -> JsonObject:
    """Those that are given, checked. Raises InputError."""
    try:
        read = arguments.model_validate(given)
    except ValidationError as error:
        raise InputError("; ".join(_told(one) for one in error.errors(include_url=False))) from error
    return {name: getattr(read, name) for name in read.model_fields_set}


def _told(error: Mapping[str, Any]) -> str:
    where = ".".join(map(str, error["loc"])) or "the arguments"
    return f"{where}: {error['msg'][:1].lower()}{error['msg'][1:]}"


OPERATIONS: Mapping[str, Operation] = {
    row.name: row
    for row in (
        Operation(
            "add",
            "Remember what is worth remembering in a text or a conversation.",
            Adding,
            Memory.aadd,
            AddResult,
        ),
        Operation(
            "search",
            "The memories that answer a query, best first.",
            Searching,
            Memory.asearch,
            ("hits", list[SearchHit]),
            reads=True,
        ),
        Operation(
            "recall",
            "What an agent should see before it answers: a text within a budget of tokens.",
            Recalling,
            Memory.arecall,
            Context,
            reads=True,
        ),
        Operation("list", "Memories, oldest first.", Listing, Memory.aget_all, Page, reads=True),
        Operation("count", "How many memories match.", Counting, Memory.acount, ("count", int), reads=True),
        Operation("users", "Who has memories, and how many.", Owning, Memory.ausers, Owners, reads=True),
        Operation(
            "changes",
            "What happened to memories, newest first.",
            Following,
            Memory.achanges,
            Feed,
            reads=True,
        ),
        Operation("get", "A memory by its id.", Getting, _get, MemoryItem, reads=True),
        Operation(
            "history",
            "Everything that happened to a memory, oldest first.",
            One,
            Memory.ahistory,
            ("changes", list[Change]),
            reads=True,
        ),
        Operation(
            "messages",
            "The journal: what was said, oldest first.",
            Logged,
            Memory.amessages,
            ("messages", list[JournaledMessage]),
            reads=True,
        ),
        Operation(
            "update",
            "Replace a memory's text or metadata, or set when it expires.",
            Updating,
            Memory.aupdate,
            Change,
        ),
        Operation(
            "delete",
            "Forget a memory; its history stays, and `undo` brings it back.",
            One,
            Memory.adelete,
            Change,
            destroys=True,
        ),
        Operation(
            "delete_all",
            "Forget every memory that matches.",
            DeletingAll,
            Memory.adelete_all,
            ("changes", list[Change]),
            destroys=True,
        ),
        Operation(
            "undo",
            "Take a change back, or everything that one add did. Itself undoable.",
            Undoing,
            Memory.aundo,
            ("changes", list[Change]),
        ),
        Operation(
            "erase",
            "Remove everything that carries these ids, for good.",
            Erasing,
            Memory.aerase,
            Erasure,
            destroys=True,
        ),
        Operation("stats", "How much there is, and what works on it.", Whose, _stats, dict, reads=True),
        Operation(
            "pending",
            "Adds that are journaled and not done.",
            Arguments,
            lambda memory: memory.jobs.apending(),
            ("jobs", list[Job]),
            reads=True,
        ),
        Operation(
            "failed",
            "Adds that were given up after several attempts.",
            Arguments,
            lambda memory: memory.jobs.afailed(),
            ("jobs", list[Job]),
            reads=True,
        ),
        Operation(
            "retry",
            "Put failed adds back to work; how many.",
            Retrying,
            lambda memory, **given: memory.jobs.aretry(**given),
            ("retried", int),
        ),
        Operation("flush", "Wait for what the background can do.", Flushing, Memory.aflush, Flushed),
        Operation(
            "verify",
            "Whether ledger and index agree.",
            Arguments,
            _verify,
            dict,
            reads=True,
            whole=True,
        ),
        Operation(
            "optimize",
            "Lay the embedded index out for reading.",
            Arguments,
            lambda memory: memory.index.aoptimize(),
            ("done", bool),
            whole=True,
        ),
    )
}


def operation(name: str) -> Operation:
    """Raises NotFoundError."""
    if name not in OPERATIONS:
        raise NotFoundError(f"there is no operation {name!r}; there are {', '.join(OPERATIONS)}")
    return OPERATIONS[name]
