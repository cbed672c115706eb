"""Facts as they were found, and the ledger changes that follow from decisions about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from ..decisions.extraction import Fact, statements
from ..decisions.merging import Decision, Decisions
from ..decisions.retrieval.ranking import indexed_text
from ..decisions.text.frame import strip_recalled
from ..decisions.text.speakers import speaker_of
from ..storage.ledger.commit import Write
from ..storage.ledger.jobs import AddOptions
from ..storage.times import to_micros
from ..types import JournaledMessage, MemoryItem, Metadata, Scope
from .embed import Matrix


@dataclass(frozen=True)
class Found:
    """A fact, with the journaled messages that it came from."""

    text: str
    behind: tuple[JournaledMessage, ...]
    happened_at: datetime | None

    @cached_property
    def speakers(self) -> tuple[str, ...]:
        names = (speaker_of(said.message) for said in self.behind)
        return tuple(dict.fromkeys(name for name in names if name))

    @property
    def indexed(self) -> str:
        return indexed_text(self.text, self.speakers)


def found_in(fact: Fact, window: Sequence[JournaledMessage]) -> Found:
    """An extracted fact with the messages of its window that it came from."""
    return Found(fact.text, tuple(window[at] for at in fact.sources), fact.happened_at)


def verbatim(said: JournaledMessage) -> Found:
    return Found(said.message.content, (said,), said.happened_at)


def without_model(said: Sequence[JournaledMessage]) -> list[Found]:
    """What users stated, word for word, sentence by sentence."""
    found = []
    for message in said:
        own = replace(message.message, content=strip_recalled(message.message.content))
        found += [Found(text, (message,), message.happened_at) for text in statements(own)]
    return found


def item_of(fact: Found, memory_id: str, scope: Scope, metadata: Metadata) -> MemoryItem:
    """The memory that a fact becomes if added, before it is committed."""
    said = fact.behind[0].created_at
    return MemoryItem(
        memory_id,
        fact.text,
        **{name: getattr(scope, name) for name in ("user_id", "agent_id", "run_id")},
        metadata=metadata,
        created_at=said,
        updated_at=said,
        happened_at=fact.happened_at,
        valid_from=said,
        valid_to=None,
        speakers=fact.speakers,
    )


def writes_of(
    found: Sequence[Found], vectors: Matrix, decisions: Decisions, new_ids: Sequence[str], options: AddOptions
) -> list[Write]:
    """The changes that carry out the decisions, in order; a text that merging composed is still without its vector.

    new_ids: ids of the memories that added facts become. options: give them their metadata and expiry.
    """
    writes: list[Write] = []
    changed: set[str] = set()  # by an earlier one of these facts: no longer at the version that was read
    for at, (fact, decided) in enumerate(zip(found, decisions, strict=True)):
        for decision in decided:
            target = decision.target.id if decision.target is not None else None
            if decision.repeats is not None:
                target = _memory_of(decisions[decision.repeats][0], new_ids[decision.repeats])
            if decision.operation == "NOOP" and target not in changed:
                decision = _kept_longer(decision, options)
            write = _write(decision, fact, vectors[at], target, new_ids[at], options)
            writes.append(replace(write, expected=None) if target in changed else write)
            if write.operation != "NOOP":
                changed.add(target or new_ids[at])
    return writes


def _memory_of(decision: Decision, new_id: str) -> str:
    return decision.target.id if decision.target is not None else new_id


def _write(
    decision: Decision, fact: Found, vector: Matrix, target: str | None, new_id: str, options: AddOptions
) -> Write:
    known = decision.target
    episode, position = _place(fact)
    speakers = tuple(dict.fromkeys((*(known.speakers if known else ()), *fact.speakers)))
    return Write(
        decision.operation,
        decision.reason,
        decision.text,
        target=target,
        expected=known.version if known is not None else None,
        metadata={**known.metadata, **options.metadata} if known is not None else options.metadata,
        vector=vector if (decision.text, speakers) == (fact.text, fact.speakers) else None,
        happened_at=_micros(fact, known),
        speakers=speakers,
        sources=tuple(message.id for message in fact.behind),
        episode=episode,
        position=position,
        expires_at=options.expires_at if options.expires_at is not None or known is None else _expiry(known),
        memory_id=new_id if decision.operation == "ADD" else None,
    )


def _kept_longer(decision: Decision, options: AddOptions) -> Decision:
    """A memory told again with a later expiry gets that one. Being told again never shortens it."""
    known = decision.target
    end = None if known is None else _expiry(known)
    if known is None or end is None or options.expires_at is None or options.expires_at <= end:
        return decision
    return replace(decision, operation="UPDATE", text=known.text, reason="told again, and kept for longer")


def _expiry(known: MemoryItem) -> int | None:
    return None if known.expires_at is None else to_micros(known.expires_at)


def addition(fact: Found, vector: Matrix, options: AddOptions, reason: str) -> Write:
    episode, position = _place(fact)
    return Write(
        "ADD",
        reason,
        fact.text,
        metadata=options.metadata,
        vector=vector,
        happened_at=_micros(fact, None),
        speakers=fact.speakers,
        episode=episode,
        position=position,
        sources=tuple(message.id for message in fact.behind),
        expires_at=options.expires_at,
    )


def _place(fact: Found) -> tuple[int | None, int | None]:
    """Where in the conversation it was said: episode and position."""
    if not fact.behind:
        return None, None
    first = min(fact.behind, key=lambda message: message.position)
    return first.episode, first.position


def _micros(fact: Found, known: MemoryItem | None) -> int | None:
    at = fact.happened_at or (
        fact.behind[0].happened_at if fact.behind else known.happened_at if known else None
    )
    return None if at is None else to_micros(at)
