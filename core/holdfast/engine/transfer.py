"""Export and import: a scope, or a whole store, as JSON Lines.

The first line is a header with the format's version, the last one counts the rows, so that a truncated file
is not taken for a whole one. Between them is a row per line: `{"kind": "message", ...}`; see `ledger/exchange.py`.
An import reads the file once, checking every row, into a spool of its own; then it embeds the texts; then it stores
everything in one transaction.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count, islice
from os import PathLike
from tempfile import TemporaryFile
from typing import IO as IO_
from typing import Any

import numpy as np

from ..decisions.retrieval.ranking import indexed_text
from ..errors import InputError, StorageError
from ..io import IO
from ..storage.generation import Basis
from ..storage.ledger import Ledger
from ..storage.ledger.exchange import TABLES, Intake, Named, name_of, rows_out, stored_versions
from ..storage.places import private
from ..storage.projection import Progress
from ..storage.store import Store
from ..storage.times import from_micros
from ..types import Scope, Transfer
from .arguments import TEXT_BYTES
from .embed import BATCH, Matrix, embed_documents
from .transfer_rows import FORMAT, VERSION, Checker, read_header, read_row

Place = str | PathLike[str] | IO_[str]
# A line is one row. The longest holds a message and its data, where JSON may write six characters for one.
LINE = 6 * 2 * TEXT_BYTES + 2**20


# -- export -------------------------------------------------------------------------------------------------------


def export(ledger: Ledger, scope: Scope, target: Place) -> Transfer:
    with _writing(target) as file:
        counts = dict.fromkeys(TABLES, 0)
        now = datetime.now(UTC).isoformat()
        _write(file, {"format": FORMAT, "version": VERSION, "exported_at": now, "scope": scope.ids()})
        for kind, row in rows_out(ledger.database, scope):
            _write(file, {"kind": kind, **row})
            counts[kind] += 1
        _write(file, {"kind": "end", "rows": sum(counts.values())})
    return _transfer(counts)


def _write(file: IO_[str], row: Mapping[str, Any]) -> None:
    file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def _writing(target: Place) -> Iterator[IO_[str]]:
    """The caller's file; or a path, which is replaced when everything is written."""
    if not isinstance(target, (str, PathLike)):
        yield target
        return
    path = _path(target)
    half = f"{path}.part"
    try:
        with open(half, "w", encoding="utf-8", newline="\n", opener=private) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(half, path)
    except OSError as error:
        raise StorageError(f"the export to {path} failed: {error}") from error
    finally:
        if os.path.exists(half):
            os.remove(half)


# -- import -------------------------------------------------------------------------------------------------------


async def import_(store: Store, io: IO, source: Place, scope: Scope, progress: Progress | None) -> Transfer:
    """Raises InputError with the number of a line, EmbeddingError, StorageError; then nothing was changed."""
    spool = await io.run(_Spool.read, source, Checker(scope, from_micros(store.ledger.clock())))
    with spool:

        async def take(basis: Basis) -> Transfer:
            known = await _embedded(store, io, basis, spool, progress)
            intake = Intake(store.ledger.database, basis.embedder.name, known, store.ledger.outbox.changed)
            await io.run(intake.take, spool.rows(), spool.checker.scopes)
            return _transfer(intake.stored, intake.skipped)

        return await store.committed(io, take)


class _Spool:
    """The checked rows of an import, in a file of our own, so that what is stored is what was checked."""

    def __init__(self, file: IO_[str], checker: Checker) -> None:
        self._file = file
        self.checker = checker

    @classmethod
    def read(cls, source: Place, checker: Checker) -> _Spool:
        file = TemporaryFile("w+", encoding="utf-8", newline="\n")  # noqa: SIM115 - `_Spool` closes it
        try:
            for number, kind, row in _checked(source, checker):
                file.write(json.dumps([number, kind, row], ensure_ascii=False) + "\n")
        except BaseException:
            file.close()
            raise
        return cls(file, checker)

    def __enter__(self) -> _Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def rows(self) -> Iterator[tuple[int, str, dict[str, Any]]]:
        self._file.seek(0)
        for line in self._file:
            number, kind, row = json.loads(line)
            yield number, kind, row

    def texts(self) -> Iterator[list[tuple[Named, str]]]:
        """What is embedded of versions and documents, in batches, by the names that `Intake` has for it."""
        named = (pair for _, kind, row in self.rows() for pair in _texts(kind, row))
        while some := list(islice(named, BATCH)):
            yield some


def _texts(kind: str, row: Mapping[str, Any]) -> list[tuple[Named, str]]:
    if kind == "version":
        return [(row["id"], indexed_text(row["text"], row["speakers"]))]
    if kind == "document":
        return [((*name_of(kind, row), path), text) for path, text in row["texts"].items()]
    return []


def _checked(source: Place, checker: Checker) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Every row with the number of its line. Raises InputError."""
    ended: int | None = None
    rows = version = 0
    for number, line in enumerate(_lines(source), 1):
        if number == 1:
            version = read_header(line)
            continue
        if ended is not None:
            raise InputError(f"line {number}: there is something after the end")
        kind, row = read_row(line, number, version)
        if kind == "end":
            ended = row["rows"]
            continue
        checker.check(number, kind, row)
        rows += 1
        yield number, kind, row
    if ended is None:
        raise InputError("the file ends without its last line: it was cut short; nothing was imported")
    if ended != rows:
        raise InputError(f"the file should have {ended!r} rows and has {rows}; nothing was imported")


def _path(place: str | PathLike[str]) -> str:
    path = os.fspath(place)
    if "\x00" in path:
        raise InputError(f"{place!r} is no path: it contains a NUL character")
    return path


def _lines(source: Place) -> Iterator[str]:
    try:
        if not isinstance(source, (str, PathLike)):
            yield from _text_lines(source)
            return
        with open(_path(source), encoding="utf-8") as file:
            yield from _text_lines(file)
    except OSError as error:
        raise InputError(f"{source!r} cannot be read: {error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"the file is not text in UTF-8: {error}; nothing was imported") from error


def _text_lines(source: IO_[str]) -> Iterator[str]:
    for number in count(1):
        line = source.readline(LINE + 1)
        if not isinstance(line, str):
            raise InputError("the file is open in binary mode; open it as text")
        if len(line) > LINE:
            raise InputError(f"line {number} has more than {LINE:,} characters; nothing was imported")
        if not line:
            return
        yield line


async def _embedded(
    store: Store, io: IO, basis: Basis, spool: _Spool, progress: Progress | None
) -> dict[Named, Matrix]:
    """The vectors of documents, and of the versions that are not here yet."""
    found: dict[Named, Matrix] = {}
    done, total = 0, spool.checker.texts
    batches = spool.texts()
    while some := await io.run(next, batches, None):
        fresh = await _fresh(store, io, some)
        vectors = await embed_documents(io, basis.embedder, [text for _, text in fresh])
        found |= {name: np.array(vector) for (name, _), vector in zip(fresh, vectors, strict=True)}
        done += len(some)
        if progress is not None:
            progress(done, total)
    return found


async def _fresh(store: Store, io: IO, some: Sequence[tuple[Named, str]]) -> list[tuple[Named, str]]:
    versions = [name for name, _ in some if isinstance(name, str)]
    here = await io.run(stored_versions, store.ledger.database, versions)
    return [(name, text) for name, text in some if name not in here]


def _transfer(counts: Mapping[str, int], skipped: int = 0) -> Transfer:
    return Transfer(
        messages=counts["message"],
        jobs=counts["job"],
        versions=counts["version"],
        changes=counts["change"],
        skipped=skipped,
        documents=counts["document"],
    )
