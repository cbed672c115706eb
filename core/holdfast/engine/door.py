"""Where calls of a `Memory` come in: arguments are checked, masked, and kept to the ids it is bound to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..errors import InputError, whose_memory
from ..ports import LanguageModel
from ..storage.filters import Filter, parse
from ..storage.ledger.jobs import AddOptions
from ..storage.store import Store
from ..types import Expiry, Message, Messages, Metadata, Scope
from .arguments import (
    INSTRUCTIONS_BYTES,
    QUERY_BYTES,
    TEXT_BYTES,
    UNCHANGED,
    Filters,
    Infer,
    Unchanged,
    expiry_of,
    id_of,
    infer_of,
    instant_of,
    limit_of,
    messages_of,
    metadata_of,
    moment_of,
    past_of,
    scope_of,
    seconds_of,
    share_of,
    text_of,
)
from .masking import Masking

WITHOUT_IDS = Scope()


@dataclass(frozen=True, slots=True)
class Asked:
    """One search, checked."""

    query: str
    scope: Scope
    limit: int
    filters: Filter | None = None
    as_of: int | None = None
    threshold: float | None = None
    explain: bool = False
    session: str | None = None
    wait: float = 0.0  # seconds, for what was said under these ids but is not known yet
    relevant: bool = False  # fewer hits, or none, if nothing known is relevant to the query


@dataclass(frozen=True, slots=True)
class Door:
    """Where calls of a `Memory` come in: their arguments, checked and masked, within the ids it is bound to.

    bound: of a view, the ids that every call has. require_scope: refuse calls without any.
    """

    store: Store
    masking: Masking
    now: Callable[[], datetime]
    require_scope: bool = False
    bound: Scope = WITHOUT_IDS

    def scope(
        self, user_id: str | None, agent_id: str | None, run_id: str | None, *, required: bool = False
    ) -> Scope:
        """The scope of a call, on an open store. required: at least one id has to be given.

        Raises InputError, ClosedError.
        """
        self.store.check()
        given = scope_of(user_id, agent_id, run_id)
        scope = self._narrowed(given) if self.bound else given
        if not scope and (required or self.require_scope):
            raise whose_memory()
        return scope

    def _narrowed(self, given: Scope) -> Scope:
        """The ids this memory is bound to and those of a call. Raises InputError if they differ."""
        for name, value in self.bound.ids().items():
            if given.ids().get(name, value) != value:
                raise InputError(
                    f"{name}={given.ids()[name]!r}: this memory is bound to {name}={value!r}; "
                    "use the Memory that it came from"
                )
        return Scope(**{**self.bound.ids(), **given.ids()})

    def exported(
        self, user_id: str | None, agent_id: str | None, run_id: str | None, everything: bool
    ) -> Scope:
        """The scope of an export. Raises InputError if it is unclear whether everybody's is meant."""
        if not everything:
            return self.scope(user_id, agent_id, run_id, required=True)
        self.whole("export(everything=True)")
        if any(one is not None for one in (user_id, agent_id, run_id)):
            raise InputError("export: pass ids or everything=True, not both")
        return Scope()

    def whole(self, name: str) -> None:
        """The store is open and this is no view: the operation concerns all of it. Raises InputError, ClosedError."""
        self.store.check()
        if self.bound:
            raise InputError(
                f"{name} concerns the whole store; call it on the Memory that this view came from"
            )

    def messages(self, messages: Messages, happened_at: datetime | str | None) -> list[Message]:
        now = moment_of("now", self.now())
        at = now if happened_at is None else past_of("happened_at", happened_at, now)
        return [self.masking.message(message) for message in messages_of(messages, at, now)]

    def expiry(self, expires_at: Expiry | None) -> int | None:
        return expiry_of(expires_at, moment_of("now", self.now()))

    def end(self, expires_at: Expiry | Unchanged | None) -> int | Unchanged | None:
        return UNCHANGED if expires_at == UNCHANGED else self.expiry(expires_at)

    def options(
        self,
        infer: Infer,
        instructions: str | None,
        metadata: Mapping[str, Any] | None,
        expires_at: Expiry | None,
        llm: LanguageModel | None,
        window_tokens: int,
    ) -> AddOptions:
        """What an add asks for."""
        return AddOptions(
            infer=bool(infer_of(infer)),
            extract=infer != "merge",
            instructions=self.instructions(instructions),
            metadata=self.metadata(metadata),
            model=llm.name if llm is not None and infer else "",
            window_tokens=window_tokens,
            expires_at=self.expiry(expires_at),
        )

    def session(self, session_id: str | None) -> str | None:
        """The session's id as it is stored."""
        return None if session_id is None else self.masking.name(id_of("session_id", session_id))

    def text(self, name: str, value: str, most: int = TEXT_BYTES) -> str:
        return self.masking.text(text_of(name, value, most))

    def instructions(self, value: str | None) -> str | None:
        return None if value is None else self.text("instructions", value, INSTRUCTIONS_BYTES)

    def metadata(self, value: Mapping[str, Any] | None) -> Metadata:
        masked: Metadata = self.masking.json(metadata_of(value))
        return masked

    def filters(self, filters: Filters) -> Filter | None:
        """Raises FilterError."""
        return parse(self.masking.filters(filters))

    def asked(
        self,
        query: str,
        scope: Scope,
        limit: int,
        filters: Filters,
        as_of: datetime | str | None,
        threshold: float | None,
        session_id: str | None,
        wait: float,
        explain: bool = False,
    ) -> Asked:
        return Asked(
            self.text("query", query, QUERY_BYTES),
            scope,
            limit_of(limit),
            self.filters(filters),
            instant_of(as_of),
            share_of("threshold", threshold),
            explain=explain,
            session=self.session(session_id),
            wait=seconds_of("wait", wait),
        )
