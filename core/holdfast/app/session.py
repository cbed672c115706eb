"""One run of the command: where the memory is, whose it is, and how results are shown."""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from .. import folder_of
from ..errors import HoldfastError, ModelError, StorageError
from .access import IDS
from .connections import Connection, Place, Progress, connected
from .embedders import FORMS
from .failures import UnreachableError
from .plain import JsonObject
from .show import Shown, json_out, show

T = TypeVar("T")


class Output(StrEnum):
    text = "text"
    json = "json"


class Exit:
    """Exit codes. A `verify` that finds a discrepancy counts as refused."""

    done = 0
    refused = 1  # not found, not allowed, a wrong value: nothing was changed
    usage = 2  # the command line itself is wrong
    model = 3  # a model failed; messages are journaled
    storage = 4  # the store or the server cannot be used


def exit_code(error: HoldfastError) -> int:
    if isinstance(error, ModelError):
        return Exit.model
    return Exit.storage if isinstance(error, (StorageError, UnreachableError)) else Exit.refused


@dataclass(frozen=True, slots=True)
class Session:
    """place: where the memory is. ids: whose. output: None for tables on a terminal and JSON in a pipe."""

    place: Place
    ids: Mapping[str, str]
    output: Output | None

    @property
    def as_json(self) -> bool:
        return not sys.stdout.isatty() if self.output is None else self.output is Output.json

    def run(self, work: Callable[[Connection], Awaitable[T]], *, resume: bool = False) -> T:
        """The result of `work` on a connection that is closed afterwards."""

        async def connect() -> T:
            async with connected(self.place, resume=resume) as connection:
                return await work(connection)

        return asyncio.run(connect())

    def call(
        self, name: str, *, resume: bool = False, cleared: Collection[str] = (), **given: Any
    ) -> JsonObject:
        """An operation of the table; None means not given, except for what is to be cleared."""
        named = {key: value for key, value in given.items() if value is not None}
        arguments = {**self.ids, **named, **dict.fromkeys(cleared)}
        return self.run(lambda connection: connection.call(name, arguments), resume=resume)

    def show(self, result: JsonObject, shown: Shown) -> None:
        if self.as_json:
            json_out(result)
        else:
            show(result, shown)

    @contextmanager
    def progress(self, doing: str) -> Iterator[Progress]:
        """A bar on the terminal, while the block works; nothing if nobody is watching."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        console = Console(stderr=True)
        columns = (
            SpinnerColumn(),
            TextColumn(doing),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task(doing, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)


# -- options that every command has -------------------------------------------------------------------------------

HELP = "Where and whose"
Home = Annotated[
    Path | None,
    typer.Option(envvar="HOLDFAST_HOME", help="The folder of the memory.", rich_help_panel=HELP),
]
Url = Annotated[
    str | None,
    typer.Option(envvar="HOLDFAST_URL", help="A server, instead of a folder.", rich_help_panel=HELP),
]
Ledger = Annotated[
    str | None,
    typer.Option(
        envvar="HOLDFAST_LEDGER", help="postgresql://..., instead of a folder.", rich_help_panel=HELP
    ),
]
Index = Annotated[
    str | None,
    typer.Option(
        envvar="HOLDFAST_INDEX", help="pgvector, or the URL of a Qdrant server.", rich_help_panel=HELP
    ),
]
Embedder = Annotated[
    str | None,
    typer.Option(envvar="HOLDFAST_EMBEDDER", help=f"The memory's: {FORMS}.", rich_help_panel=HELP),
]
UserId = Annotated[
    str | None,
    typer.Option("--user-id", "-u", envvar="HOLDFAST_USER_ID", help="The user.", rich_help_panel=HELP),
]
AgentId = Annotated[
    str | None,
    typer.Option("--agent-id", envvar="HOLDFAST_AGENT_ID", help="The agent.", rich_help_panel=HELP),
]
RunId = Annotated[
    str | None,
    typer.Option("--run-id", envvar="HOLDFAST_RUN_ID", help="The run.", rich_help_panel=HELP),
]
Out = Annotated[
    Output | None,
    typer.Option(
        "--output", "-o", help="By default text on a terminal, JSON in a pipe.", rich_help_panel=HELP
    ),
]
PLACES = {"home": Home, "url": Url, "ledger": Ledger, "index": Index, "embedder": Embedder}
WHOSE = {"user_id": UserId, "agent_id": AgentId, "run_id": RunId}


def session_of(given: dict[str, Any]) -> Session:
    """The session that the common options describe, which are taken out of `given`. Raises InputError."""
    home, url, ledger, index, embedder = (given.pop(name, None) for name in PLACES)
    named = {name: given.pop(name, None) for name in IDS}
    place = Place(folder_of(home), url, os.environ.get("HOLDFAST_TOKEN"), ledger, index, embedder)
    ids = {name: value for name, value in named.items() if value is not None}
    return Session(place, ids, given.pop("output", None))


def in_session(function: Callable[..., int | None], *, whose: bool = True) -> Callable[..., None]:
    """A command out of a function of a `Session`: with the common options, and errors shown in one line."""

    @wraps(function)
    def command(**given: Any) -> None:
        try:
            code = function(session_of(given), **given)
        except HoldfastError as error:
            typer.echo(f"holdfast: {error}", err=True)
            code = exit_code(error)
        except BrokenPipeError:  # `holdfast list | head`: nobody reads on
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = Exit.done
        raise typer.Exit(code or Exit.done)

    signature = inspect.signature(function, eval_str=True)
    own = list(signature.parameters.values())[1:]
    common = PLACES | (WHOSE if whose else {}) | {"output": Out}
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=option)
        for name, option in common.items()
    ]
    dressed: Any = command
    dressed.__signature__ = signature.replace(parameters=[*own, *added], return_annotation=None)
    dressed.__annotations__ = {one.name: one.annotation for one in (*own, *added)}
    del dressed.__wrapped__  # typer would look through it
    return command
