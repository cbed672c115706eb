"""The text of a memory after an update, written by code: nothing is dropped by accident."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

from . import lexicon
from .clauses import RELATIVE, WITH, untouched
from .evidence import CJK as _CJK
from .evidence import Evidence, dated, missing, normalised, read
from .values import values, with_values, without_values

_NOT = re.compile(
    r"[,，]?\s*(?:and )?\b(?:not|instead of|rather than)\b [^,;，；。]+|[,，]\s*(?:而)?不是[^,;，；。]+"
)


def extended(old: str, new: str) -> str:
    """One text that says both."""
    if not missing(old, new):
        return new
    if not missing(new, old):
        return old
    return _joined(new, [old])


# "X, not Y", "not Y but X", "是X，不是Y", "不是Y，是X": the value that holds, and the one that is denied.
_INSTEAD_OF = (
    re.compile(r"(?:\bnot|n't) (?P<denied>[^,;.]+?),? (?:but|it's|it is) (?P<holds>[^,;.]+)\.?$"),
    re.compile(r"^(?P<holds>.+?),? (?:and )?(?:not|instead of|rather than) (?P<denied>[^,;.]+)\.?$"),
    re.compile(r"^(?P<holds>[^，,。是]+)[，,]\s*(?:而)?不是(?P<denied>[^，,。]+)$"),
    re.compile(r"是(?P<holds>[^，,。是]+)[，,]\s*(?:而)?不是(?P<denied>[^，,。]+)"),
    re.compile(r"不是(?P<denied>[^，,。]+?)[，,]?\s*(?:而)?是(?P<holds>[^，,。]+)"),
)
_ARTICLE = re.compile(r"^(?:the|a|an) ", re.IGNORECASE)
_PIECE = re.compile(rf"\d+(?:[.,:/-]\d+)*|\s+|[{_CJK}]|[^\W\d_{_CJK}]+(?:['’-][^\W\d_{_CJK}]+)*|.", re.DOTALL)
_LINKS = "is|are|was|were|has|have|called|named|spelled|in|at|on|for|with|to"
_BETWEEN = r"[,，、;；/]|\band\b|\bor\b|\bas well as\b|&|和|跟|以及|及|与"
_LISTED = re.compile(rf"\s*(?:{_BETWEEN})\s*", re.IGNORECASE)
_ONLY_BETWEEN = re.compile(rf"\s*(?:(?:{_BETWEEN})\s*)+", re.IGNORECASE)
_COMMA_CJK = re.compile("[，,；;]")
_DENIED_CJK = re.compile(r"(?:不再|不|没有?|停|取消)(.{3,}?)了?$")
_KIN_FIRST = re.compile(rf"^((?:{'|'.join(lexicon.OTHERS)})(?:-in-law)? ?)(.+)$", re.IGNORECASE)
_KIN_NAMED = re.compile(rf"\b((?:{lexicon.KIN})(?:-in-law)?) ([A-Z][\w'-]*)")
_NAMED = re.compile(
    r"\b(?:named|called) ([A-Z][\w'-]*)|(?:叫做?|名叫)([\u4e00-\u9fff]{2,3}?)(?=[，,；;。、的]|$)"
)
# What a new statement leaves as it was: times and sums, with the words before them, and places. In Chinese an
# employer looks like a place, so that only a correction leaves it.
_LEFT = frozenset({"time", "weekday", "date", "money"})
_LEAD = re.compile(
    r"(?:\b(?:at|on|in|during|since|every|from|the|first|second|third|last) )+$", re.IGNORECASE
)
_NAME = r"[A-Z][\w'’-]*(?:(?: | & )[A-Z][\w'’-]*)*"
_CALLED = rf"(?:(?:the|a|an|his|her|their|my) )?(?:(?!is |was |are )[a-z]+ ){{0,2}}{_NAME}"
# In what town, where and with whom. Of each kind the new statement may name another, and what it names anew may be
# in the place of all but the town.
_PHRASES = tuple(re.compile(rf"\b(?:{words}) {_CALLED}") for words in ("in|to", "at|on|near", "with"))
_WHERE = re.compile(r"\b(?:in|to|from|near) (?:the )?[A-Z]|[\u4e00-\u9fff]")
_PLACE_CJK = re.compile("在[\u4e00-\u9fff]{2,4}?(?=当|做|上|读|教|开|(?<!大)学|工作|打工|办)")
_ABOUT_PLACE_CJK = re.compile("在|地[点址方]|场地|城市")
LONGEST_WORD = 12
LONGEST_VALUE = 4  # words, or Chinese characters, that stand for one value
_LASTING = frozenset({"home", "work", "partner", "vehicle", "studies", "baby"})


def replaced(old: str, new: str) -> str:
    """The new statement, with all that the old one says besides what it changes."""
    if _ends_a_part(old, new):
        text = _without_listed(old, new)
        return _saying_all(new, text) if text else _joined(new, [old])
    all_else = bool(lexicon.ALL_ELSE.search(new))
    new = _introduced_again(old, lexicon.ALL_ELSE.sub("", new))
    places = (_denied_in_place, _values_in_place, _value_in_place)
    text = next((text for place in places if (text := place(old, new))), None)
    text = text or _joined(without_denials(old, new), untouched(old, new, all_else=all_else))
    left = _left(old, new, text) + _introduction(old, new)
    return _joined(text, [one for one in left if missing(one, text)])


def _without_listed(old: str, new: str) -> str | None:
    """The old statement without the values of a list that the new one ends: of "on Tuesdays and Thursdays" one."""
    ended = {(value.kind, value.plain) for value in values(new)}
    known = values(old)
    for i, value in enumerate(known):
        if (value.kind, value.plain) not in ended:
            continue
        before, after = known[i - 1] if i else None, known[i + 1] if i + 1 < len(known) else None
        if after and after.kind == value.kind and _ONLY_BETWEEN.fullmatch(old[value.end : after.start]):
            return old[: value.start] + old[after.start :]
        if before and before.kind == value.kind and _ONLY_BETWEEN.fullmatch(old[before.end : value.start]):
            return old[: before.end] + old[value.end :]
    return None


def _introduction(old: str, new: str) -> list[str]:
    """How the old statement introduces whom the new one begins with: "Has a brother named Ewan"."""
    found = _NAMED.search(old)
    name = found and (found[1] or found[2])
    begins = name is not None and new.startswith(name) and not read(new).corrected
    return [old[: found.end()]] if found and begins else []


def _introduced_again(old: str, new: str) -> str:
    """The new statement with whom it names called what the old one calls them: "Sister Nadia", not "Nadia"."""
    for kin, name in () if read(new).persons else _KIN_NAMED.findall(old):
        if re.search(rf"(?<!^)\b{name}\b", new):
            return re.sub(rf"\b{name}\b", f"{kin} {name}", new, count=1)
    found = _KIN_FIRST.match(old)
    name = found and re.match(r"[A-Z][\w'-]*|[\u4e00-\u9fff]{2}", found[2])
    said = _without_preface(new)
    if not found or not name or not said.startswith(name[0]) or read(new).persons:
        return new
    return found[1] + said


def _ends_a_part(old: str, new: str) -> bool:
    """Whether a statement ends or denies only some of the things that the old one lists: the others still hold."""
    told, known = read(new), read(old)
    if told.corrected or not (told.ended or (told.negated and not known.negated)):
        return False
    company = WITH.search(old)
    if told.subject and company and told.subject <= read(company[1]).words:
        return True  # of someone who takes part: "Ivo is no longer involved"
    if told.one & known.one or not known.objects - told.words:
        return False
    denied = _DENIED_CJK.search(new)
    about = read(denied[1]).pairs if denied else told.pairs
    for clause in _COMMA_CJK.split(old) if told.chinese else [old]:
        listed = [read(item) for item in _LISTED.split(clause) if not RELATIVE.match(item)]
        listed = [item for item in listed if item.objects - told.concepts]
        touched = [_mentions(told, item, about) for item in listed]
        if len(listed) > 1 and all(touched):  # the first says what they are a list of as well
            touched[0] = (
                listed[0].plain[-2:] in about if told.chinese else listed[0].sequence[-1] in told.words
            )
        if any(touched) and not all(touched):
            return True
    return False


def _mentions(told: Evidence, item: Evidence, about: frozenset[str]) -> bool:
    if told.chinese:
        return told.plain.startswith(item.plain) or bool(item.pairs & about)
    return bool(item.objects & told.words - told.concepts)


def _values_in_place(old: str, new: str) -> str | None:
    """The old statement with the values that the new one gives; with the new one before it where that says more."""
    text = None if read(new).ended else with_values(old, new)
    said = without_denials(old, new)
    if text is None or _content_of(without_values(said)) <= _content_of(text):
        return text
    another = read(new).one & read(old).one & _LASTING
    told, known = read(without_values(new)), read(without_values(old))
    others = told.names - known.names - known.words and known.names - told.names - told.words
    return None if others or another else _joined(new, [text])


def _saying_all(said: str, text: str) -> str:
    """A text, with the new statement before it where that one says more."""
    return text if _content_of(without_values(said)) <= _content_of(text) else _joined(said, [text])


def _content_of(text: str) -> frozenset[str]:
    told = read(text)
    return told.objects | told.numbers


def _left(old: str, new: str, text: str) -> list[str]:
    """The times, sums and places of the old statement that the new one, about the same thing, leaves as they were."""
    told, known = read(new), read(old)
    if (
        told.ended
        or told.negated != known.negated
        or (told.one & known.one and not told.corrected and not _at_home(told, known, new))
        or not told.objects & known.objects
    ):
        return []
    given = {value.kind for value in values(new)}
    spans = [(v.start, v.end) for v in values(old) if v.kind in _LEFT and v.kind not in given]
    if not told.chinese:
        kinds = _PHRASES[:1] if told.names - known.names else _PHRASES
        spans += [span for kind in kinds if not kind.search(new) for span in _phrases(kind, old)]
    elif told.corrected and not _ABOUT_PLACE_CJK.search(new):
        spans += _phrases(_PLACE_CJK, old)
    left = []
    for start, end in sorted(spans):
        lead = _LEAD.search(old[:start])
        phrase = old[lead.start() if lead else start : end]
        if phrase.casefold() not in text.casefold():
            left.append(phrase)
    return left


def _phrases(kind: re.Pattern[str], text: str) -> list[tuple[int, int]]:
    """Where phrases of a kind stand in a text, but for those that are values."""
    taken = [range(value.start, value.end) for value in values(text)]
    found = [match.span() for match in kind.finditer(text)]
    return [(start, end) for start, end in found if not any(range(start, end)[-1] in one for one in taken)]


def _at_home(told: Evidence, known: Evidence, new: str) -> bool:
    """Whether a statement tells of the same home, and not where it is: "Yuki moved into the loft"."""
    return told.one & known.one == {"home"} and not _WHERE.search(new)


def _denied_in_place(old: str, new: str) -> str | None:
    """The old statement with the value that holds in the place of the one that is denied, where both are named."""
    said = _without_preface(new)
    for form in _INSTEAD_OF:
        found = form.search(said)
        if not found:
            continue
        holds, denied = found["holds"].strip(), found["denied"].strip()
        place, bare = _place(denied, old), False
        if not place:
            text = _part_in_place(old, holds, denied)
            place = None if text else _place(_ARTICLE.sub("", denied), old)
            if not place:
                return text
            bare = True  # "Sister Hannah" for "a cousin, not a sister"
        if not missing(_without(denied, old), holds):
            return None  # the fact says all the rest as well
        before, after = old[: place.start()], old[place.end() :]
        lead = denied.split()[0]
        if holds.casefold().startswith(f"{lead} ".casefold()):
            value = _fitting(lead + holds[len(lead) :], before, after)
        else:
            value = _value(holds, before, after)
        if value:
            value = _ARTICLE.sub("", value) if bare else value
            text = before + (value if before else value[:1].upper() + value[1:]) + after
            return text if not missing(holds, text) else _joined(holds, [text])
    return None


def _place(phrase: str, text: str) -> re.Match[str] | None:
    return re.search(rf"(?<![^\W{_CJK}]){re.escape(phrase)}(?![^\W{_CJK}])", text, re.IGNORECASE)


def _part_in_place(old: str, holds: str, denied: str) -> str | None:
    """Of 不是做后端的，是前端: the part of what is denied that the old statement names."""
    match = SequenceMatcher(None, denied, old, autojunk=False).find_longest_match()
    part = denied[match.a : match.a + match.size]
    if not re.fullmatch(rf"[{_CJK}]{{2,}}", part) or len(holds) > LONGEST_WORD:
        return None
    return old.replace(part, holds.removeprefix(denied[: match.a]).removesuffix("的"), 1)


def _value(holds: str, before: str, after: str) -> str | None:
    """What of "The wedding is in June" takes the place between "The wedding at the Riverside is in" and "."."""
    word = re.search(r"(\w+) $", before) or re.search(rf"([{_CJK}])$", before)
    lead = re.escape(word[0]) if word else ""
    found = word and re.search(rf"(?:\b|(?<=[{_CJK}])){lead}(?!.*{lead})(.+)$", holds)
    found = found or re.search(rf"\b(?:{_LINKS})\s+(?!.*\b(?:{_LINKS})\b)(.+)$", holds)
    value = found[1] if found else holds if len(holds.split()) == 1 and len(holds) <= LONGEST_WORD else None
    return value and _fitting(value, before, after)


def _fitting(value: str, before: str, after: str) -> str | None:
    """The value without what stands before and after its place already."""
    value, before, after = value.strip(), before.strip(), after.strip()
    ends = (n for n in range(len(value), 0, -1) if after.startswith(value[-n:]) and _whole(value, -n))
    value = value[: len(value) - next(ends, 0)]
    starts = (n for n in range(len(value), 0, -1) if before.endswith(value[:n]) and _whole(value, n))
    return value[next(starts, 0) :].strip() or None


def _whole(text: str, position: int) -> bool:
    """Whether no word of letters is cut there; every Chinese character may end one."""
    return not re.fullmatch(r"[^\W_]{2}", text[:position][-1:] + text[position:][:1], re.ASCII)


def _without(phrase: str, text: str) -> str:
    return re.sub(re.escape(phrase), " ", text, flags=re.IGNORECASE)


def _value_in_place(old: str, new: str) -> str | None:
    """The old statement with one value exchanged, where the new one says the same but for it, and less.

    "The wedding is at the Riverside in May", "The wedding is in June". Of a correction, a date or a number all
    the rest is kept; otherwise only if nothing follows the value, for that would describe what is replaced.
    """
    said = _without_preface(new)
    told, known = read(new), read(old)
    a, b = _PIECE.findall(old), _PIECE.findall(said)
    steps = SequenceMatcher(
        None, [x.casefold() for x in a], [x.casefold() for x in b], autojunk=False
    ).get_opcodes()
    changed = [
        (a[i:j], b[k:m], j)
        for tag, i, j, k, m in steps
        if tag == "replace" and _content(a[i:j]) + _content(b[k:m])
    ]
    inserted = " ".join("".join(b[k:m]) for tag, _, _, k, m in steps if tag == "insert")
    added = any(map(str.isalnum, lexicon.CHANGE.sub("", inserted)))
    if len(changed) != 1 or added or told.negated != known.negated or told.ended:
        return None
    (gone, value, end), rest = changed[0], [a[i:j] for tag, i, j, _, _ in steps if tag == "delete"]
    longest = max(len(_content(gone)), len(_content(value)))
    if not any(map(_content, rest)) or longest > LONGEST_VALUE or "其实" in value:
        return None
    exact = dated(_content(gone)) and dated(_content(value))
    follows = any(_content(a[i:j]) for tag, i, j, _, _ in steps if tag == "delete" and i >= end)
    lasting = told.one & known.one & _LASTING
    if not _content(gone) or not (told.corrected or exact or not (follows or lasting)):
        return None
    text = "".join("".join(a[i:j] if tag in ("equal", "delete") else b[k:m]) for tag, i, j, k, m in steps)
    return " ".join(text.split()) if not missing(said, text) else None


def _content(pieces: Sequence[str]) -> list[str]:
    """The content words among the pieces; of Chinese, the characters."""
    return list(read("".join(pieces)).sequence)


def without_denials(old: str, new: str) -> str:
    """`new` without remarks about the correction ("Actually …", ", not 4 May"), where something else is left."""
    bare = _without_preface(new)
    positive = _NOT.sub("", bare).strip()
    kept = read(positive)
    denied = read(new).denied & read(old).words
    if kept.words - read(old).words and not kept.negated and denied:
        bare = positive
    if bare != new.strip() and normalised(bare):
        return bare[0].upper() + bare[1:]
    return new.strip()


def _without_preface(text: str) -> str:
    return lexicon.PREFACED.sub("", lexicon.without_preface(text))


def _joined(first: str, others: Sequence[str]) -> str:
    separator = "；" if read(first).chinese else "; "
    parts = [first.rstrip(".。;； "), *(text.strip() for text in others)]
    return separator.join(part for part in parts if normalised(part)) or first
