"""The commands of `holdfast`. Each reads its options, calls one operation and shows what comes back."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

import typer

from ..errors import InputError, whose_memory
from . import show
from .connections import Connection, Remote
from .embedders import FORMS, embedder_of
from .importing import FORMATS, Request, format_of
from .session import Exit, Output, Session, in_session

app = typer.Typer(
    name="holdfast",
    help="Long-term memory for agents. Commands talk to a `holdfast serve` of the same folder where one runs.",
    epilog="Exit codes: 0 done, 1 refused or not found, 2 wrong usage, 3 a model failed, 4 the store or the "
    "server cannot be used.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def run() -> int:
    """Run the command line; its exit code."""
    app()
    return Exit.done


def command(name: str, *, whose: bool = True) -> Callable[[Callable[..., int | None]], Callable[..., None]]:
    """Add a function of a `Session` to the commands."""

    def add(function: Callable[..., int | None]) -> Callable[..., None]:
        made = in_session(function, whose=whose)
        app.command(name)(made)
        return made

    return add


# -- arguments ----------------------------------------------------------------------------------------------------

MemoryId = Annotated[str, typer.Argument(metavar="ID", help="The memory's id.")]
Query = Annotated[str, typer.Argument(help="What to look for; - reads standard input.")]
Filter = Annotated[str | None, typer.Option("--filter", help='JSON: {"category": "work"}.')]
AsOf = Annotated[str | None, typer.Option(help="What was known at this time, in ISO 8601.")]
Metadata = Annotated[str | None, typer.Option("--metadata", "-m", help='JSON: {"category": "work"}.')]


class Kind(StrEnum):
    ADD = "ADD"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    NOOP = "NOOP"


class By(StrEnum):
    user = "user"
    scope = "scope"


DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")]
Force = Annotated[bool, typer.Option("--force", help="Do not ask.")]


def text_of(given: str) -> str:
    """The argument; standard input for "-"."""
    return sys.stdin.read() if given == "-" else given


def object_of(name: str, given: str | None) -> dict[str, Any] | None:
    """Raises InputError."""
    if given is None:
        return None
    try:
        value = json.loads(given)
    except ValueError as error:
        raise InputError(f"{name} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f'{name} is no JSON object, like {{"category": "work"}}')
    return value


def conversation(text: str | None, file: Path | None) -> Any:
    """What is to be remembered. Raises InputError."""
    if (text is None) == (file is None):
        raise InputError("give a text, - for standard input, or --file")
    if text is not None:
        return text_of(text)
    assert file is not None
    try:
        content = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        match file.suffix:
            case ".json":
                return json.loads(content)
            case ".jsonl":
                return [json.loads(line) for line in content.splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    return content


def confirmed(force: bool, question: str) -> None:
    """Raises InputError if nobody says yes."""
    if force:
        return
    if not sys.stdin.isatty():
        raise InputError(f"{question} Nobody is there to say yes; pass --force")
    typer.confirm(question, abort=True, err=True)


# -- remembering and recalling --------------------------------------------------------------------------------


@command("add")
def add(
    session: Session,
    text: Annotated[str | None, typer.Argument(help="What was said; - reads standard input.")] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", help="A text, or messages as .json (a list) or .jsonl."),
    ] = None,
    metadata: Metadata = None,
    session_id: Annotated[str | None, typer.Option(help="The conversation.")] = None,
    happened_at: Annotated[str | None, typer.Option(help="When it was said, in ISO 8601.")] = None,
    infer: Annotated[
        bool, typer.Option("--infer/--no-infer", help="Extract facts, or keep the text.")
    ] = True,
    instructions: Annotated[str | None, typer.Option(help="What to remember, in words.")] = None,
    expires_at: Annotated[
        str | None, typer.Option(help="When it expires: a time, or a duration like P30D.")
    ] = None,
) -> None:
    """Remember what is worth remembering in a text or a conversation."""
    result = session.call(
        "add",
        resume=infer,
        messages=conversation(text, file),
        metadata=object_of("--metadata", metadata),
        session_id=session_id,
        happened_at=happened_at,
        infer=infer,
        instructions=instructions,
        expires_at=expires_at,
    )
    session.show(result, show.added)


@command("search")
def search(
    session: Session,
    query: Query,
    limit: Annotated[int, typer.Option("--limit", "-k", help="How many at most.")] = 10,
    filters: Filter = None,
    as_of: AsOf = None,
    threshold: Annotated[float | None, typer.Option(help="The lowest score, 0 to 1.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="What each score is made of.")] = False,
) -> None:
    """The memories that answer a query, best first."""
    result = session.call(
        "search",
        query=text_of(query),
        limit=limit,
        filters=object_of("--filter", filters),
        as_of=as_of,
        threshold=threshold,
        explain=explain,
    )
    session.show(result, show.hits)


@command("recall")
def recall(
    session: Session,
    query: Query,
    max_tokens: Annotated[int, typer.Option(help="How long the text may be.")] = 1000,
    filters: Filter = None,
    as_of: AsOf = None,
) -> None:
    """What an agent should see before it answers."""
    result = session.call(
        "recall",
        query=text_of(query),
        max_tokens=max_tokens,
        filters=object_of("--filter", filters),
        as_of=as_of,
    )
    session.show(result, show.context)


@command("list")
def list_(
    session: Session,
    limit: Annotated[int, typer.Option("--limit", "-k", help="How many at a time.")] = 100,
    cursor: Annotated[str | None, typer.Option(help="Where the page before ended.")] = None,
    filters: Filter = None,
    as_of: AsOf = None,
) -> None:
    """Memories, oldest first."""
    result = session.call(
        "list", limit=limit, cursor=cursor, filters=object_of("--filter", filters), as_of=as_of
    )
    session.show(result, show.memories)


@command("users")
def users(
    session: Session,
    by: Annotated[By, typer.Option(help="Together, or each combination of ids.")] = By.user,
    limit: Annotated[int, typer.Option("--limit", "-k", help="How many at a time.")] = 100,
    cursor: Annotated[str | None, typer.Option(help="Where the page before ended.")] = None,
) -> None:
    """Who has memories, how many, since when, and when they changed last."""
    session.show(session.call("users", by=by.value, limit=limit, cursor=cursor), show.owners)


@command("changes")
def changes(
    session: Session,
    operation: Annotated[list[Kind] | None, typer.Option(help="Several times for several.")] = None,
    since: Annotated[str | None, typer.Option(help="From this time on, in ISO 8601.")] = None,
    until: Annotated[str | None, typer.Option(help="Before this time, in ISO 8601.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-k", help="How many at a time.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Where the page before ended.")] = None,
) -> None:
    """What happened to memories, newest first."""
    kinds = [one.value for one in operation] if operation else None
    result = session.call("changes", operation=kinds, since=since, until=until, limit=limit, cursor=cursor)
    session.show(result, show.feed)


@command("get")
def get(session: Session, memory_id: MemoryId, as_of: AsOf = None) -> None:
    """One memory."""
    session.show(session.call("get", memory_id=memory_id, as_of=as_of), show.memory)


@command("history")
def history(session: Session, memory_id: MemoryId) -> None:
    """Everything that happened to a memory, oldest first."""
    session.show(session.call("history", memory_id=memory_id), show.changes)


# -- changing -----------------------------------------------------------------------------------------------------


@command("update")
def update(
    session: Session,
    memory_id: MemoryId,
    text: Annotated[str | None, typer.Argument(help="The new text; - reads standard input.")] = None,
    metadata: Metadata = None,
    expires_at: Annotated[str | None, typer.Option(help="A time, a duration like P30D, or never.")] = None,
) -> None:
    """Replace a memory's text or metadata, or set when it expires."""
    never = expires_at == "never"
    result = session.call(
        "update",
        memory_id=memory_id,
        text=None if text is None else text_of(text),
        metadata=object_of("--metadata", metadata),
        expires_at=None if never else expires_at,
        cleared=("expires_at",) if never else (),
    )
    session.show(result, show.change)


@command("delete")
def delete(
    session: Session,
    memory_id: Annotated[str | None, typer.Argument(metavar="ID", help="The memory's id.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every memory that matches.")] = False,
    filters: Filter = None,
    dry_run: DryRun = False,
    force: Force = False,
) -> None:
    """Forget a memory, or with --all those that match. `undo` brings them back."""
    if (memory_id is None) != everything:
        raise InputError("give the id of a memory, or --all")
    if memory_id is not None:
        if dry_run:
            session.show(session.call("get", memory_id=memory_id), show.memory)
        else:
            session.show(session.call("delete", memory_id=memory_id), show.change)
        return
    wanted = object_of("--filter", filters)
    if dry_run:
        session.show(session.call("list", filters=wanted), show.memories)
        return
    if not force:
        count = session.call("count", filters=wanted)["count"]
        confirmed(force, f"Forget {count} memories?")
    session.show(session.call("delete_all", filters=wanted), show.changes)


@command("undo")
def undo(
    session: Session,
    change_or_add_id: Annotated[str, typer.Argument(metavar="ID", help="Of a change, or of an add.")],
) -> None:
    """Take a change back, or everything that one add did."""
    session.show(session.call("undo", change_or_add_id=change_or_add_id), show.changes)


@command("erase")
def erase(session: Session, dry_run: DryRun = False, force: Force = False) -> None:
    """Remove everything of a user, agent or run, for good."""
    would = session.call("erase", dry_run=True)
    if dry_run:
        session.show(would, show.numbers)
        return
    named = ", ".join(f"{name}={value}" for name, value in session.ids.items())
    confirmed(
        force, f"Erase {would['memories']} memories and {would['messages']} messages of {named} for good?"
    )
    with session.progress("erasing"):
        result = session.call("erase", dry_run=False)
    session.show(result, show.numbers)


# -- moving -------------------------------------------------------------------------------------------------------


@command("export")
def export(
    session: Session,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="By default standard output.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="The whole store, of all users.")] = False,
) -> None:
    """Write everything of a user, or with --all of everybody, as JSON Lines."""
    arguments: dict[str, Any] = {**session.ids, **({"everything": True} if everything else {})}
    if file is None or str(file) == "-":
        session.run(lambda connection: connection.export(sys.stdout, arguments))
        return
    with _whole(file) as target:
        result = session.run(lambda connection: connection.export(target, arguments))
    session.show(result, show.numbers)


@contextmanager
def _whole(file: Path) -> Iterator[Any]:
    """A file that only its owner can read, in place once it is whole. Raises InputError."""
    half = file.with_name(f"{file.name}.part")
    try:
        descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error}") from error
    try:
        with open(descriptor, "w", encoding="utf-8", newline="\n") as target:
            yield target
        half.replace(file)
    finally:
        half.unlink(missing_ok=True)


@command("import")
def import_(
    session: Session,
    source: Annotated[str, typer.Argument(help="A file, an http(s) URL, or - for standard input.")],
    origin: Annotated[
        str, typer.Option("--from", help="; ".join(f"{name}: {one.summary}" for name, one in FORMATS.items()))
    ] = "holdfast",
    dry_run: DryRun = False,
    namespace: Annotated[
        str | None,
        typer.Option(help="Whose an item of a LangGraph store is: memories/{user_id}; * is any label."),
    ] = None,
) -> None:
    """Bring memories in. Doing it twice adds nothing.

    What another store does not tell is taken from --user-id, --agent-id and --run-id. Its memories keep their ids,
    times and history; its conversations are remembered as an add of their day would have been.
    """
    read = format_of(origin).read
    with _file_of(source) as place, session.progress("importing") as progress:
        request = Request(place, session.ids, dry_run, progress, namespace)
        result = session.run(lambda connection: read(connection, request), resume=not dry_run)
    session.show(result, show.imported)


@contextmanager
def _file_of(source: str) -> Iterator[str]:
    if source != "-":
        yield source
        return
    with TemporaryDirectory(prefix="holdfast-") as folder:
        path = Path(folder) / "standard-input"
        with open(path, "wb") as file:
            while piece := sys.stdin.buffer.read(2**20):
                file.write(piece)
        yield str(path)


# -- for the store's operator ---------------------------------------------------------------------------------


@command("stats")
def stats(session: Session) -> None:
    """How much there is, and what works on it."""
    session.show(session.call("stats"), show.numbers)


@command("verify", whose=False)
def verify(session: Session) -> int:
    """Whether ledger and index agree; exit code 1 where they do not."""
    result = session.call("verify")
    session.show(result, show.numbers)
    return Exit.done if result["agree"] else Exit.refused


@command("optimize", whose=False)
def optimize(session: Session) -> None:
    """Lay the index out for reading. For quiet hours: the process that has the store waits meanwhile."""
    with session.progress("optimizing"):
        result = session.call("optimize")
    session.show(result, show.numbers)


@command("reindex", whose=False)
def reindex(
    session: Session,
    to: Annotated[
        str | None,
        typer.Option(metavar="PLACE", help="Copy it there: a folder, or postgresql://... The old one stays."),
    ] = None,
    to_index: Annotated[
        str | None,
        typer.Option(help="With a database: pgvector, the default, or the URL of a Qdrant server."),
    ] = None,
    to_embedder: Annotated[
        str | None, typer.Option(help=f"By default the one it has. Another one: {FORMS}.")
    ] = None,
) -> None:
    """Build the index anew, with another embedder or in another place. Cut short, it goes on when it is run again.

    A copy has everything: history, messages, documents, vectors. It is compared with the original at the end. What is
    written to the original afterwards stays there, so stop what writes to it.
    """
    if session.place.url or session.place.served():
        raise InputError("a server has this memory open; stop it: `holdfast reindex` opens the memory itself")
    if to_index and not (to and "://" in to):
        raise InputError("--to-index goes with --to postgresql://...")
    embedder = embedder_of(to_embedder)
    with session.place.open(resume=False) as memory, session.progress("reindexing") as progress:
        if to is None:
            points = memory.index.rebuild(embedder, progress=progress)
            result: dict[str, Any] = {"points": points, "embedder": memory.embedder.name}
        else:
            database = {"ledger": to, "index": to_index or "pgvector"} if "://" in to else {"path": to}
            result = memory.copy_to(**database, embedder=embedder, progress=progress).to_dict()
    session.show(result, show.numbers)


@app.command()
def demo(
    no_model: Annotated[bool, typer.Option("--no-model", help="What a memory does without one.")] = False,
) -> None:
    """A memory at work, in a folder that is thrown away."""
    from ..demo.__main__ import main

    raise typer.Exit(main(["--no-model"] if no_model else []))


# -- serving ------------------------------------------------------------------------------------------------------


def needs(extra: Literal["server"]) -> None:
    """Raises InputError if an extra is not installed."""
    from importlib.util import find_spec

    missing = [name for name in ("mcp", "starlette", "uvicorn", "jinja2") if find_spec(name) is None]
    if missing:
        raise InputError(f'this needs {", ".join(missing)}: pip install "holdfast[{extra}]"')


@command("serve", whose=False)
def serve(
    session: Session,
    host: Annotated[str, typer.Option(help="Another address only with tokens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="HOLDFAST_PORT", help="0 is any that is free.")] = 8377,
    token_file: Annotated[
        Path | None,
        typer.Option(
            envvar="HOLDFAST_TOKEN_FILE",
            help='What tokens open: [{"token": "...", "user_id": "alice"}, {"token": "...", "admin": true}].',
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="A name that the server is reached by; several times for several."),
    ] = None,
    max_body: Annotated[int, typer.Option(help="Bytes of a request.")] = 8 * 2**20,
    max_import: Annotated[int, typer.Option(help="Bytes of an import.")] = 2**30,
) -> None:
    """Share the memory among commands, MCP clients and programs: one process that has it open.

    HOLDFAST_TOKEN is an administrator's token, beside those of --token-file. Commands on the same folder need none.
    """
    needs("server")
    from .access import Grant, checked_token, read_tokens
    from .server import Limits
    from .serving import Address
    from .serving import serve as run_server

    tokens = {} if token_file is None else read_tokens(token_file)
    if session.place.token:
        tokens[checked_token(session.place.token, "HOLDFAST_TOKEN")] = Grant()

    def ready(url: str, link: str) -> None:
        if session.output is Output.json:
            show.json_out({"url": url, "inspector": link})
        else:
            typer.echo(f"Serving {(session.place.ledger and 'the ledger') or session.place.home} at {url}")
            typer.echo(f"  look into it: {link} (opens once; `holdfast inspect` gives another)")
            typer.echo(f"  MCP: {url}/mcp/USER   API: {url}/docs   stop: Ctrl-C")
        sys.stdout.flush()

    run_server(
        session.place,
        Address(host, port),
        tokens=tokens,
        hosts=frozenset(allow_host or ()),
        limits=Limits(max_body, max_import),
        ready=ready,
    )


@command("inspect", whose=False)
def inspect(session: Session) -> None:
    """A link to the inspector of the server that runs. It opens in one browser, within the hour."""
    if not (session.place.url or session.place.served()):
        raise InputError(f"no server has {session.place.home} open: start `holdfast serve`")

    async def link(connection: Connection) -> str:
        assert isinstance(connection, Remote)
        return await connection.link()

    address = session.run(link)
    if session.as_json:
        show.json_out({"inspector": address})
    else:
        typer.echo(address)


@command("mcp")
def mcp(session: Session) -> None:
    """MCP over standard input and output, for one user (-u or HOLDFAST_USER_ID).

    Several may run on one folder: the first one serves it to the others, and to commands.
    """
    needs("server")
    from .mcp_server import over_stdio
    from .sharing import shared

    if not session.ids:
        raise whose_memory(ways="pass --user-id or set HOLDFAST_USER_ID")

    async def talk() -> None:
        async with shared(session.place) as connection:
            await over_stdio(connection, session.ids)

    asyncio.run(talk())
