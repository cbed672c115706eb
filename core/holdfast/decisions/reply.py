"""From what a model wrote to the JSON object in it.

Models wrap JSON in code fences, prose and thoughts, forget commas and stop halfway. Whole objects are
decoded as they stand; broken ones go through json_repair. What stays unclear (no object, several of one
kind) is `Unreadable`, with a message for the model: guessing among answers would lose facts.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, SupportsIndex

from ..types import storable
from .question import Unreadable

LONGEST = 400_000  # characters; far beyond any reply to our questions (4,096 tokens are about 20,000)
DEEPEST = 64  # brackets inside brackets; json_repair takes seconds if thousands stay open
LONGEST_BROKEN = 24_000  # 4,096 tokens of English; json_repair's own scans can take seconds beyond it
LOOKS = 1_000_000  # at characters while repairing: about a second
OPENINGS = 64  # brackets to try before giving up on clean JSON inside prose

_SEVERAL = "There are several JSON objects in the reply. Reply with one that holds everything."
_THOUGHTS = re.compile(r"\A\s*<(think|thinking|reasoning)>")
_OBJECT = re.compile(r"(\[\s{0,99})?\{")
_BRACKET = re.compile(r"[\[\]{}]")
# What opens JSON, well-formed or nearly so, but not {name} or [1] in prose.
_JSON_START = re.compile(
    r"""[{\[]\s{0,99}["'“]|\[\s{0,99}[\[{]|\{\s{0,99}\w{1,40}\s?:"""
)  # and not {name} or [1]
_DECODER = json.JSONDecoder(strict=False)


def read_object(content: str | Mapping[str, Any]) -> Mapping[str, Any]:
    """The JSON object in a reply, made safe to store: texts as `storable`, null for NaN.

    Raises `Unreadable` if there is none, or more than one candidate.
    """
    try:
        found = content if isinstance(content, Mapping) else _found(_answer(content))
        return {_clean(str(key)): _clean(value) for key, value in found.items()}
    except RecursionError:
        raise Unreadable("The reply is nested too deeply. Reply with one flat JSON object.") from None


def _found(text: str) -> dict[str, Any]:
    whole = _whole(text)
    return _repaired(text) if whole is None else whole


def _answer(text: str) -> str:
    """The reply without the thoughts that reasoning models write before it."""
    if len(text) > LONGEST:
        raise Unreadable("The reply is too long. Reply with one short JSON object.")
    thoughts = _THOUGHTS.match(text)
    if thoughts:
        _, _, text = text.partition(f"</{thoughts.group(1)}>")
    text = text.strip().lstrip("\ufeff")
    if not text:
        raise Unreadable("The reply is empty. Reply with one JSON object.")
    return text


def _whole(text: str) -> dict[str, Any] | None:
    """The one object that decodes as it stands, alone or inside prose; None if none does."""
    spans: list[tuple[int, Any]] = []
    position = 0
    for _ in range(OPENINGS):
        opening = _BRACKET.search(text, position)
        if opening is None:
            break
        try:
            value, position = _DECODER.raw_decode(text, opening.start())
        except ValueError:
            if _JSON_START.match(text, opening.start()):
                return None  # a broken or truncated object: what decodes inside is only a part of it
            position = opening.end()
        else:
            spans.append((position - opening.start(), value))
    return _single([(length, value) for length, value in spans if _holds_object(value)])


def _holds_object(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(v, dict) for v in value))


def _single(spans: list[tuple[int, Any]]) -> dict[str, Any] | None:
    if not spans:
        return None
    _, best = max(spans, key=lambda span: span[0])
    if isinstance(best, list):
        if len(best) != 1 or not isinstance(best[0], dict):
            raise Unreadable("The reply is a JSON array. Reply with one JSON object.")
        best = best[0]
    rivals = [value for _, value in spans if isinstance(value, dict) and value.keys() == best.keys()]
    if any(rival != best for rival in rivals):
        raise Unreadable(_SEVERAL)
    return best  # type: ignore[no-any-return]


def _repaired(text: str) -> dict[str, Any]:
    start = _OBJECT.search(text)
    if start is None:
        raise Unreadable("There is no JSON object in the reply. Reply with one JSON object and nothing else.")
    text = text[start.start() :].removesuffix("```").rstrip()
    if len(text) > LONGEST_BROKEN:
        raise Unreadable("The reply is not valid JSON, and long. Reply with one short, valid JSON object.")
    if _depth(text) > DEEPEST:
        raise Unreadable("The reply is nested too deeply. Reply with one flat JSON object.")
    import json_repair

    try:
        value: Any = json_repair.loads(_Metered(text), skip_json_loads=True)
    except Exception as error:
        # Whatever the repair trips over, the cause is a reply that is not JSON: never the caller's fault.
        raise Unreadable("The reply is not valid JSON. Reply with one valid JSON object.") from error
    if isinstance(value, list):
        objects = [item for item in value if isinstance(item, dict) and item]
        if len(objects) > 1:
            raise Unreadable(_SEVERAL)
        value = objects[0] if objects else None
    if not isinstance(value, dict) or not value:
        raise Unreadable("The reply is not a JSON object. Reply with one JSON object and nothing else.")
    return value


class _Metered(str):
    """A text that may be looked at only so often.

    json_repair needs one to four looks per character for sensible replies, but a look per pair of
    characters for some nonsense (20,000 characters of it took 80 s). A clock would not be deterministic.
    """

    _left: int

    def __new__(cls, text: str) -> _Metered:
        self = super().__new__(cls, text)
        self._left = min(LOOKS, 10_000 + 20 * len(text))
        return self

    def __getitem__(self, key: SupportsIndex | slice) -> str:
        self._left -= 1
        if self._left < 0:
            raise ValueError("too many looks")
        return super().__getitem__(key)


def _depth(text: str) -> int:
    """How many brackets are open at once, at most; those inside strings too, to be safe."""
    deepest = open_now = 0
    for bracket in _BRACKET.finditer(text):
        open_now = open_now + 1 if bracket.group() in "{[" else max(0, open_now - 1)
        deepest = max(deepest, open_now)
    return deepest


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, Mapping):
        return {_clean(str(key)): _clean(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
