"""A model whose replies were recorded: what a strong one answered to the questions that the story raises."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from ..errors import ModelError
from ..models.tokens import count_tokens
from ..ports import Completion, Prompt, Schema
from ..types import Usage

__all__ = ["RecordedModel", "key"]


class RecordedModel:
    """Replays `replies.json`, and knows nothing else.

    `complete` raises ModelError for a question that was not asked when the replies were recorded: that is so where
    the story, or what the engine asks, has changed. The error holds the question, so that it can be answered anew.
    """

    def __init__(self) -> None:
        kept = json.loads((files(__package__) / "replies.json").read_text(encoding="utf-8"))
        self.name = f"recorded from {kept['model']}"
        self.replies: Mapping[str, Any] = kept["replies"]

    def complete(self, messages: Sequence[Prompt], *, schema: Schema | None = None) -> Completion:
        """The reply to exactly these messages. Its usage is counted, not recorded."""
        asked = key(messages)
        if asked not in self.replies:
            question = "\n\n".join(prompt.content for prompt in messages)
            raise ModelError(f"no reply is recorded for the question {asked!r}:\n{question}")
        reply = self.replies[asked]
        spent = sum(count_tokens(prompt.content) for prompt in messages)
        return Completion(reply, Usage(1, spent, count_tokens(json.dumps(reply, ensure_ascii=False))))

    async def acomplete(self, messages: Sequence[Prompt], *, schema: Schema | None = None) -> Completion:
        """Async `complete`."""
        return self.complete(messages, schema=schema)


def key(messages: Sequence[Prompt]) -> str:
    """What a question is kept under: a digest of every word of it."""
    told = json.dumps([[prompt.role, prompt.content] for prompt in messages], ensure_ascii=False)
    return hashlib.sha256(told.encode()).hexdigest()[:16]
