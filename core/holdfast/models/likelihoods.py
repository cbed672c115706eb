"""How likely a model found each value of a choice, from the log probabilities in an OpenAI-style reply."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..ports import Schema

MOST_ALTERNATIVES = 10  # of one token; most endpoints report 20 at most


def spoken(choice: Any) -> list[dict[str, Any]]:
    """The tokens of a choice of the `openai` package, as `likelihoods` takes them; empty if it has none."""
    logprobs = getattr(choice, "logprobs", None)
    return [token.model_dump() for token in getattr(logprobs, "content", None) or []]


def likelihoods(tokens: Sequence[Mapping[str, Any]], schema: Schema | None) -> dict[str, float]:
    """Value -> probability, of the token that the value of `schema.choice` begins with; they add up to 1.

    tokens: `choices[0].logprobs.content` of a reply: token, logprob, top_logprobs. Empty if there is no such
    token, or the schema asks for no choice.
    """
    if schema is None or schema.choice is None:
        return {}
    values = schema.json["properties"][schema.choice]["enum"]
    text = "".join(one["token"] for one in tokens)
    found = re.search(rf'"{re.escape(schema.choice)}"\s*:\s*"', text)
    position = 0
    for one in tokens:
        start, position = position, position + len(one["token"])
        if found and start <= found.end() < position:
            before = one["token"][: found.end() - start]
            return _of_values(one.get("top_logprobs") or [], before, values)
    return {}


def _of_values(
    alternatives: Sequence[Mapping[str, Any]], before: str, values: Sequence[str]
) -> dict[str, float]:
    likely = dict.fromkeys(values, 0.0)
    for one in alternatives:
        begun = one["token"].removeprefix(before).split('"')[0]
        meant = [value for value in values if begun and value.startswith(begun)]
        if len(meant) == 1 and one["token"].startswith(before):
            likely[meant[0]] += math.exp(one["logprob"])
    total = sum(likely.values())
    return {value: one / total for value, one in likely.items()} if total else {}
