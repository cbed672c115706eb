"""What a line of an import may contain. Whatever is wrong raises InputError with the number of the line."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, get_args
from uuid import UUID

from ..errors import InputError
from ..storage.ledger.commit import first_ordinal
from ..storage.ledger.document_values import decode, decode_namespace, encode, encode_namespace
from ..storage.ledger.erasure import owner_of
from ..storage.ledger.exchange import BLANK, SCOPE, TABLES, TIMES, Plain, columns, name_of, scope_of
from ..storage.times import to_micros
from ..types import ROLES, JobState, Operation, Scope
from ..types.storable import storable
from . import arguments as inputs

FORMAT = "holdfast-export"
VERSION = 3
LARGEST = 2**63 - 1

_CHOICES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("message", "role"): ROLES,
    ("job", "state"): get_args(JobState),
    ("change", "operation"): get_args(Operation),
}
_DONE = ("created_at", "updated_at", "cleared_at", "finished_at", "valid_from", "valid_to", "at")
_IDS = frozenset({"id", "memory_id", *BLANK, "add_id", "external_id", "name"})


_MORE = {"change": {"evidence"}, "document": {"texts"}}  # what a row carries beside its table's columns
_SINCE_2 = "expires_at"  # of jobs and versions; in an export of format 1 nothing expires


def read_header(line: str) -> int:
    """The version of the export's format."""
    found = _object(line, 1)
    if found.get("format") != FORMAT:
        raise InputError(f"line 1: this is not an export of Holdfast; its first line says {FORMAT!r}")
    version = found.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or not 1 <= version <= VERSION:
        raise InputError(
            f"line 1: the export's format is {version!r}, this Holdfast reads up to {VERSION}: upgrade"
        )
    return version


def read_row(line: str, number: int, version: int = VERSION) -> tuple[str, Plain]:
    """The kind of a row, and the row with every column checked by itself. version: of the export's format."""
    found = _object(line, number)
    kind = found.pop("kind", None)
    if kind == "end":
        return kind, _end(found, number)
    if not isinstance(kind, str) or kind not in TABLES:
        raise InputError(f"line {number}: kind {kind!r} is none of {', '.join(TABLES)}, end")
    names = {column.name for column in columns(kind)} | _MORE.get(kind, set())
    if version == 1 and _SINCE_2 in names:
        found.setdefault(_SINCE_2, None)
    if found.keys() != names:
        differing = sorted(names ^ found.keys())
        raise InputError(f"line {number}: a {kind} with missing or unknown fields: {', '.join(differing)}")
    for column in columns(kind):
        found[column.name] = _Field(kind, column, number).checked(found[column.name])
    if kind == "change":
        _evidence(found["evidence"], number)
    if kind == "document":
        _document(found, number)
    return kind, found


def _end(found: Plain, number: int) -> Plain:
    if found.keys() != {"rows"} or not isinstance(found["rows"], int):
        raise InputError(f"line {number}: the last line is {found!r}")
    return found


def _evidence(value: Any, number: int) -> None:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InputError(f"line {number}: evidence {value!r} is no list of ids")
    if len(set(value)) != len(value):
        raise InputError(f"line {number}: evidence names a message twice")


def _document(row: Plain, number: int) -> None:
    """Its names are encoded as this store encodes them, and its value and texts are what they are taken for."""
    texts = row["texts"]
    good = (
        isinstance(_object(row["value"], number), dict)
        and decode_namespace(row["namespace"])
        and encode_namespace(decode_namespace(row["namespace"])) == row["namespace"]
        and encode(decode(row["key"])) == row["key"]
        and isinstance(texts, dict)
        and all(isinstance(text, str) and storable(text) == text and text.strip() for text in texts.values())
        and all(storable(path) == path for path in texts)
    )
    if not good:
        raise InputError(f"line {number}: a document that no store has written; nothing was imported")


def _object(line: str, number: int) -> Plain:
    try:
        found = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise InputError(f"line {number}: no JSON: {error}; nothing was imported") from error
    if not isinstance(found, dict):
        raise InputError(f"line {number}: {type(found).__name__}, not an object; nothing was imported")
    return found


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not a number that JSON knows")


@dataclass(frozen=True, slots=True)
class _Field:
    """One column's value in one row."""

    kind: str
    column: Any
    number: int

    def checked(self, value: Any) -> Any:
        name = self.column.name
        try:
            if value is None:
                return self._absent()
            if name in TIMES:
                return _time(value)
            if name in ("metadata", "data", "speakers"):
                return _json(name, value)
            if self.column.type.python_type is bool:
                return _expect(value, isinstance(value, bool), "true or false")
            if self.column.type.python_type is int:
                return _number(name, value)
            assert self.column.type.python_type is str
            return self._text(value)
        except InputError as error:
            raise InputError(f"line {self.number}: {name}: {error}; nothing was imported") from error

    def _absent(self) -> None:
        name = self.column.name
        if (
            self.column.nullable
            or name in BLANK
            or (self.kind, name) in {("message", "add_id"), ("version", "valid_to"), ("version", "ordinal")}
        ):
            return
        raise InputError("missing")

    def _text(self, value: Any) -> str:
        name = self.column.name
        _expect(value, isinstance(value, str), "a string")
        if self.kind == "document":
            return str(_expect(value, storable(value) == value, "a text that a store keeps"))
        choices = _CHOICES.get((self.kind, name))
        if choices is not None:
            return str(_expect(value, value in choices, f"one of {', '.join(choices)}"))
        if (self.kind, name) in {
            ("version", "id"),
            ("change", "before"),
            ("change", "after"),
            ("version", "restores"),
        }:
            _uuid(value)
        if name in _IDS:
            return inputs.id_of(name, value)
        if (self.kind, name) == ("version", "text"):
            return inputs.text_of(name, value)
        return inputs.text_of(name, value) if value.strip() else str(value)


def _expect(value: Any, condition: bool, wanted: str) -> Any:
    if not condition:
        raise InputError(f"{value!r} is not {wanted}")
    return value


def _time(value: Any) -> str:
    _expect(value, isinstance(value, str), "a time in ISO 8601")
    return inputs.moment_of("time", value).isoformat()


def _number(name: str, value: Any) -> int:
    least = 1 if name in ("version", "window_tokens", "position", "episode") else 0
    good = isinstance(value, int) and not isinstance(value, bool) and least <= value <= LARGEST
    most = LARGEST if name in ("ordinal", "ttl") else 2**31 - 1
    return int(_expect(value, good and value <= most, f"a whole number from {least} to {most}"))


def _json(name: str, value: Any) -> Any:
    if name == "speakers":
        _expect(
            value, isinstance(value, list) and all(isinstance(item, str) for item in value), "a list of names"
        )
        return [inputs.text_of(name, item) for item in value]
    _expect(value, isinstance(value, dict), "an object")
    return inputs.metadata_of(value) if name == "metadata" else inputs.json_of(name, value, inputs.TEXT_BYTES)


def _uuid(value: str) -> None:
    try:
        same = str(UUID(value)) == value
    except ValueError:
        same = False
    _expect(value, same, "a UUID")


class _Chain:
    """What is known of one memory's versions so far."""

    def __init__(self, row: Plain) -> None:
        self.scope = scope_of(row)
        self.ordinal = row["ordinal"]
        self.created_at = row["created_at"]
        self.version = 0
        self.ends: str | None = ""
        self.ids: set[str] = set()


class Checker:
    """What rows say of one another: nothing points outside the file or its scope, or into the future."""

    def __init__(self, within: Scope, now: datetime) -> None:
        self._within = within
        self._now = now
        self._jobs: dict[str, Scope] = {}
        self._messages: dict[str, Scope] = {}
        self._named: set[tuple[Any, ...]] = set()
        self._chains: dict[str, _Chain] = {}
        self._made: Counter[int] = Counter()  # ordinals, by their instants
        self._ids: dict[str, set[tuple[str, ...]]] = {kind: set() for kind in TABLES}
        self._order = list(TABLES)
        self.scopes: set[Scope] = set()
        self.texts = 0  # to be embedded

    def check(self, number: int, kind: str, row: Plain) -> None:
        try:
            self._in_order(kind)
            self._once(kind, name_of(kind, row))
            if "user_id" in row:
                self._scoped(row)
            self._past(kind, row)
            one: Callable[[Plain], None] = getattr(self, f"_{kind}")
            one(row)
        except InputError as error:
            raise InputError(f"line {number}: {error}; nothing was imported") from error

    def _in_order(self, kind: str) -> None:
        if kind not in self._order:
            raise InputError(f"a {kind} where only {', '.join(self._order)} may follow")
        del self._order[: self._order.index(kind)]

    def _once(self, kind: str, name: tuple[str, ...]) -> None:
        if name in self._ids[kind]:
            raise InputError(f"{kind} {'/'.join(name)!r} comes twice")
        self._ids[kind].add(name)

    def _scoped(self, row: Plain) -> None:
        scope = scope_of(row)
        inputs.scope_of(*(row[name] for name in SCOPE))
        if any(row[name] != value for name, value in self._within.ids().items()):
            raise InputError(f"it belongs to {scope.ids()}, and only {self._within.ids()} may be imported")
        self.scopes.add(scope)

    def _past(self, kind: str, row: Plain) -> None:
        """What was done or said is in the past; only what a memory is about, and what is planned, may lie ahead."""
        for name in (*_DONE, *(["happened_at"] if kind == "message" else [])):
            if row.get(name) is not None:
                inputs.past_of(name, row[name], self._now)

    def _job(self, row: Plain) -> None:
        self._jobs[row["id"]] = scope_of(row)
        if row["state"] == "running":
            row["state"] = "pending"  # its worker is elsewhere

    def _message(self, row: Plain) -> None:
        scope = scope_of(row)
        if row["add_id"] is not None and self._jobs.get(row["add_id"]) != scope:
            raise InputError(f"there is no job {row['add_id']!r} of its scope")
        if row["external_id"] is not None:
            named = (scope, row["session_id"], row["external_id"])
            if named in self._named:
                raise InputError(f"external_id {row['external_id']!r} comes twice in its session")
            self._named.add(named)
        if not row["content"].strip() and row["data"] is None:
            raise InputError("a message without content and without data")
        self._messages[row["id"]] = scope

    def _edit(self, row: Plain) -> None:
        scopes = {self._messages.get(row[side]) for side in ("message_id", "replaces")}
        if len(scopes) != 1 or None in scopes or row["message_id"] == row["replaces"]:
            raise InputError(
                f"it replaces {row['replaces']!r} by {row['message_id']!r}: no messages of one scope"
            )

    def _document(self, row: Plain) -> None:
        self.texts += len(row["texts"])
        owner = owner_of(row["namespace"])
        if any(owner.get(name) != value for name, value in self._within.ids().items()):
            raise InputError(f"it belongs to {owner}, and only {self._within.ids()} may be imported")

    def _version(self, row: Plain) -> None:
        self.texts += 1
        if row["ordinal"] is None:
            row["ordinal"] = self._ordinal(row)
        chain = self._chains.setdefault(row["memory_id"], _Chain(row))
        if chain.scope != scope_of(row):
            raise InputError(f"memory {row['memory_id']!r} changes its scope")
        if (row["ordinal"], row["created_at"]) != (chain.ordinal, chain.created_at):
            raise InputError(f"memory {row['memory_id']!r} changes its ordinal or created_at")
        if row["version"] != chain.version + 1:
            raise InputError(f"memory {row['memory_id']!r} has no version {chain.version + 1}")
        if chain.ends is None or (chain.ends and _moment(row["valid_from"]) < _moment(chain.ends)):
            raise InputError(f"memory {row['memory_id']!r} has two versions at the same time")
        if row["valid_to"] is not None and _moment(row["valid_to"]) <= _moment(row["valid_from"]):
            raise InputError("valid_to is not after valid_from")
        if row["restores"] is not None and row["restores"] not in chain.ids:
            raise InputError(f"it restores {row['restores']!r}, which is no earlier version of it")
        chain.version, chain.ends = row["version"], row["valid_to"]
        chain.ids.add(row["id"])

    def _ordinal(self, row: Plain) -> int:
        """For another store's memory: by its creation, in file order within one instant."""
        chain = self._chains.get(row["memory_id"])
        if chain is not None:
            return int(chain.ordinal)
        first = first_ordinal(to_micros(_moment(row["created_at"])))
        self._made[first] += 1
        return first + self._made[first]

    def _change(self, row: Plain) -> None:
        chain = self._chains.get(row["memory_id"])
        if chain is None:
            raise InputError(f"there is no memory {row['memory_id']!r}")
        for side in ("before", "after"):
            if row[side] is not None and row[side] not in chain.ids:
                raise InputError(f"{side}: {row[side]!r} is no version of memory {row['memory_id']!r}")
        sides = (row["before"] is not None, row["after"] is not None)
        wanted = {"ADD": (False, True), "DELETE": (True, False)}.get(row["operation"], (True, True))
        if sides != wanted:
            raise InputError(f"{row['operation']} with before {row['before']!r} and after {row['after']!r}")
        if row["undoes"] is not None and (row["undoes"],) not in self._ids["change"]:
            raise InputError(f"it undoes {row['undoes']!r}, which is no earlier change")
        if row["add_id"] is not None and self._jobs.get(row["add_id"]) != chain.scope:
            raise InputError(f"there is no job {row['add_id']!r} of its scope")
        for source in row["evidence"]:
            if self._messages.get(source) != chain.scope:
                raise InputError(f"evidence: there is no message {source!r} of its scope")


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
