"""What is decided without a model, and what is not believed of one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from .answers import TAKEN_TOGETHER
from .composing import extended, replaced, revised
from .data import Decision, Decisions, Neighbour, NewFact, Relation, Verdict
from .evidence import dated, missing, normalised, read
from .relations import REVALUED, judged, near_duplicate
from .rules import speaks_of_change

# Where code cannot tell, the memory that is meant shares at least 0.33 of its words in all of the cases, or a
# concept with a change ("Uses VS Code", "Switched to Neovim"). Cosines differ between embedders: only what any
# of them calls alike is asked about for its cosine alone. `python bench/merging.py [--observations FILE]`
NEAR_WORDS = 0.3
NEAR_WORDS_LONG = 0.5  # of long statements, which share words by chance
NEAR_COSINE = 0.75
# Of facts that one named person told: with a word in common, and without.
ALIKE, VERY_ALIKE = 0.75, 0.85
# Words that a correction may take the place of: one value.
MOST_DROPPED, MOST_DROPPED_CHINESE = 1, 6
# Below it, statements without a word in common hardly ever have to do with each other (bundled embedder).
REMOTE_COSINE = 0.2


@dataclass(frozen=True, slots=True)
class Judgement:
    """How a fact stands to one of its neighbours.

    text: the memory afterwards, where it was written for us.
    """

    neighbour: Neighbour
    verdict: Verdict
    text: str | None = None


def judgements(fact: NewFact) -> tuple[list[Judgement], list[Neighbour]]:
    """What code can tell about a fact's neighbours, and the neighbours of which it cannot tell."""
    told, open_ = [], []
    for neighbour in fact.neighbours:
        verdict = told_by_words(fact, neighbour)
        if verdict is None and is_near(fact.text, neighbour):
            open_.append(neighbour)
        else:
            told.append(Judgement(neighbour, verdict or Verdict("different", "not near")))
    return told, open_


def told_by_words(fact: NewFact, neighbour: Neighbour) -> Verdict | None:
    """How a fact stands to a memory, as far as their words and speakers tell; None where a model is to be asked."""
    verdict = judged(*bare(fact, neighbour))
    if verdict and verdict.relation == "same":
        return verdict
    if said_by_others(fact, neighbour):
        return Verdict("different", "said by someone else")
    if not akin(fact, neighbour):
        if verdict and (verdict.relation == "less" or verdict.reason == REVALUED):
            return verdict
        return None if may_be_akin(fact, neighbour) else Verdict("different", "they share little but a name")
    return verdict


def bare(fact: NewFact, neighbour: Neighbour) -> tuple[str, str]:
    """The texts of a fact and of a memory. What one named person told of themselves begins with their name, which
    tells nothing of whether two such statements belong together: it is left out."""
    texts = fact.text, neighbour.memory.text
    if len(fact.speakers) != 1 or fact.speakers != neighbour.memory.speakers:
        return texts
    name = re.compile(rf"{re.escape(fact.speakers[0])}(?:['’]s)?(?! and\b|[和跟与、])\s*", re.IGNORECASE)
    told, known = (text[found.end() :] if (found := name.match(text)) else "" for text in texts)
    return (told[:1].upper() + told[1:], known[:1].upper() + known[1:]) if told and known else texts


def said_by_others(fact: NewFact, neighbour: Neighbour) -> bool:
    """Whether another speaker told the memory: what one says leaves another's word as it is."""
    mine, theirs = set(fact.speakers), set(neighbour.memory.speakers)
    return bool(mine and theirs) and mine.isdisjoint(theirs)


def akin(fact: NewFact, neighbour: Neighbour) -> bool:
    """Whether two facts speak of one thing; of facts that were not told by named people that is not in doubt.

    Such facts are alike before they tell anything: they name the same few people and report what was said. Only
    what is left counts, half of what the shorter tells; a cosine counts for nothing. Of 520 facts of a LoCoMo
    conversation the 1.5B model joined or replaced 120 that had little more than the name in common.
    """
    if not (fact.speakers and neighbour.memory.speakers):
        return True
    new, old = map(read, bare(fact, neighbour))
    if (new.one | new.keyed) & (old.one | old.keyed):
        return True
    told, known = _told(fact, neighbour)
    shared = told & known
    return 2 * len(shared) >= min(len(told), len(known)) and (
        len(shared) >= 2 or (bool(told) and told == known)
    )


def may_be_akin(fact: NewFact, neighbour: Neighbour) -> bool:
    """Whether a model is asked about two such facts all the same, and believed where it calls them the same."""
    told, known = _told(fact, neighbour)
    return neighbour.similarity >= (ALIKE if told & known else VERY_ALIKE)


def _told(fact: NewFact, neighbour: Neighbour) -> tuple[frozenset[str], frozenset[str]]:
    """The words of a fact and of a memory, without the people, the days, and what only reports."""
    near = [neighbour.memory for neighbour in fact.neighbours]
    people = read(" ".join({*fact.speakers, *(name for memory in near for name in memory.speakers)})).words
    new, old = (
        frozenset(word for word in read(text).words - people - _REPORTED if not dated([word]))
        for text in (fact.text, neighbour.memory.text)
    )
    return new, old


def replaces(fact: NewFact, neighbour: Neighbour) -> bool:
    """Whether a model may be believed that a fact replaces a memory. Of what named people told in passing only
    what speaks of a change, denies, or tells what there is one of: two parades in a year are two."""
    if not (fact.speakers and neighbour.memory.speakers):
        return True
    new, old = map(read, bare(fact, neighbour))
    told, known = _told(fact, neighbour)
    if (new.one | new.keyed) & (old.one | old.keyed):
        return True
    return speaks_of_change(new, old) and (new.negated == old.negated or known <= told)


_REPORTED = read("says said shares shared shows photo picture feels felt thinks really great good so").words


def is_near(fact: str, neighbour: Neighbour) -> bool:
    """Whether a memory is worth a question: by words, by cosine, or for a change it may have been."""
    new, old = read(fact), read(neighbour.memory.text)
    same_subject = new.subject if new.subject == old.subject else frozenset[str]()
    enough = NEAR_WORDS if new.short and old.short else NEAR_WORDS_LONG
    smaller = min(len(new.words - same_subject), len(old.words - same_subject)) or 1
    return (
        len((new.words & old.words) - same_subject) / smaller >= enough
        or neighbour.similarity >= NEAR_COSINE
        or (new.replaced and bool(new.concepts & old.concepts))
    )


def nearest(fact: NewFact, among: Sequence[Neighbour]) -> Neighbour | None:
    """The memory that a fact is most likely to be about: by cosine and by the share of words in common."""

    def closeness(neighbour: Neighbour) -> float:
        new, old = map(read, bare(fact, neighbour))
        smaller = min(len(new.objects), len(old.objects)) or 1
        return neighbour.similarity + len(new.objects & old.objects) / smaller

    found = max(among, key=closeness, default=None)
    if found is None or is_near(fact.text, found):
        return found
    both_short = read(fact.text).short and read(found.memory.text).short
    return found if both_short and found.similarity >= REMOTE_COSINE else None


def shortcut(fact: NewFact) -> tuple[Decision, ...] | None:
    """The decisions for a fact that no model need be asked about, else None."""
    told, open_ = judgements(fact)
    if not open_ or any(j.verdict.relation != "different" for j in told):
        return conclude(fact, told)
    return None


def conclude(fact: NewFact, told: Iterable[Judgement]) -> tuple[Decision, ...]:
    """The decisions for one fact, from how it stands to each of its neighbours."""
    by: dict[Relation, list[Judgement]] = {}
    for judgement in told:
        by.setdefault(judgement.verdict.relation, []).append(judgement)
    for relation in ("same", "contradicts", "less", "extends"):
        if relation in by:
            return (_decision(fact, max(by[relation], key=_strength)),)
    return added(fact, "nothing known says this or contradicts it")


def drops_more(fact: str, memory: str, text: str) -> bool:
    """Whether a correction, which puts one value right, would cost a memory several names, numbers or words."""
    told, known, after = read(fact), read(memory), read(text)
    said = after.words | after.names | after.numbers | told.denied
    words = MOST_DROPPED_CHINESE if known.chinese else MOST_DROPPED
    return told.corrected and (
        len((known.names | known.numbers) - said) > 1 or len(known.objects - said) > words
    )


def _strength(judgement: Judgement) -> tuple[float, float]:
    return judgement.verdict.weight, judgement.neighbour.similarity


def _decision(fact: NewFact, judgement: Judgement) -> Decision:
    memory, verdict = judgement.neighbour.memory, judgement.verdict
    if verdict.relation in ("same", "less"):
        return Decision("NOOP", fact.text, memory, verdict.reason)
    compose = replaced if verdict.relation == "contradicts" else extended
    if verdict.reason == TAKEN_TOGETHER and compose is replaced:
        compose = revised
    text = judgement.text or compose(memory.text, fact.text)
    if verdict.relation == "contradicts" and drops_more(fact.text, memory.text, text):
        text = extended(memory.text, fact.text)
    return Decision("UPDATE", text, memory, verdict.reason)


def repeats(facts: Sequence[NewFact]) -> Mapping[int, int]:
    """Facts that repeat an earlier one of the same batch -> its position."""
    found: dict[int, int] = {}
    for i, fact in enumerate(facts):
        earlier = (j for j in range(i) if j not in found and near_duplicate(fact.text, facts[j].text))
        match = next(earlier, None)
        if match is not None:
            found[i] = match
    return found


def repeated(fact: NewFact, position: int) -> tuple[Decision, ...]:
    return (Decision("NOOP", fact.text, None, "repeats another fact of the same conversation", position),)


def added(fact: NewFact, reason: str) -> tuple[Decision, ...]:
    """Kept as it is: what becomes of a fact when there is any doubt."""
    return (Decision("ADD", fact.text, None, reason),)


def reviewed(facts: Sequence[NewFact], proposed: Sequence[Sequence[Decision]]) -> Decisions:
    """The decisions that hold up, and a safe one in the place of each that does not."""
    taken: dict[str, Decision] = {}
    result: list[tuple[Decision, ...]] = []
    for fact, decisions in zip(facts, proposed, strict=True):
        kept = tuple(d for d in (_held(fact, decision, taken) for decision in decisions) if d is not None)
        result.append(kept or added(fact, "kept beside it, for the decision made could not be carried out"))
        taken.update({d.target.id: d for d in kept if d.target and d.operation in ("UPDATE", "DELETE")})
    return tuple(result)


def _held(fact: NewFact, decision: Decision, taken: Mapping[str, Decision]) -> Decision | None:
    if decision.operation == "ADD" or decision.repeats is not None:
        return decision if decision.text.strip() else replace(decision, text=fact.text)
    if decision.target is None or decision.target.id not in {n.memory.id for n in fact.neighbours}:
        return None
    earlier = taken.get(decision.target.id)
    if earlier is not None:
        still_said = decision.operation == "NOOP" and not missing(fact.text, earlier.text)
        return decision if still_said and earlier.operation == "UPDATE" else None
    return _worded(fact, decision) if decision.operation == "UPDATE" else decision


def _worded(fact: NewFact, decision: Decision) -> Decision:
    assert decision.target is not None
    text = decision.text.strip() or extended(decision.target.text, fact.text)
    if normalised(text) == normalised(decision.target.text):
        return Decision("NOOP", fact.text, decision.target, "already known")
    return replace(decision, text=text)


def written(text: str, fact: str, memory: str) -> str:
    """A memory's text as the model wrote it, or as code composes it where that one cannot be trusted."""
    return text if text.strip() and _keeps(text, fact, memory) else extended(memory, fact)


def _keeps(text: str, fact: str, memory: str) -> bool:
    """Whether a memory's new text is in the fact's language, says the fact, and drops only what may go."""
    after, new, old = read(text), read(fact), read(memory)
    unsaid, dropped = new.objects - after.words, old.objects - after.words
    if (
        after.chinese != new.chinese
        or unsaid & (new.numbers | new.names)
        or 2 * len(unsaid) > len(new.objects)
    ):
        return False
    verdict = judged(fact, memory)
    contradicts = verdict.relation == "contradicts" if verdict else new.changed or new.corrected or new.ended
    return contradicts or not dropped
