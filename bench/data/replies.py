"""A model whose replies are kept, so that a bench that was stopped goes on where it was and asks nothing twice."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from holdfast.errors import ModelError
from holdfast.models.openai import OpenAIModel
from holdfast.ports import Completion, LanguageModel, Prompt, Schema
from holdfast.types import Usage

KEPT = Path(__file__).parents[1] / "results" / "raw"  # not in the repository: replies quote what was asked

PATIENCE = 1800  # seconds for a reply: a model on a busy processor


class NotKept(ModelError):
    """There is no kept reply, and no model is to be asked."""


class Remembered:
    """A model with its replies on disk, one file for each request.

    model: None for what is kept alone. spent: what the replies cost when they were made, by the form of reply.
    """

    def __init__(self, model: LanguageModel | None, folder: Path = KEPT, *, name: str = "") -> None:
        self._model = model
        self._name = name or (model.name if model else "")
        self._folder = folder
        self.spent: Counter[str] = Counter()
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def name(self) -> str:
        return self._name

    def complete(self, messages: Sequence[Prompt], *, schema: Schema | None = None) -> Completion:
        reply = self._reply(messages, schema)
        form, spent = schema.name if schema else "text", reply.usage
        self.spent += Counter(
            {
                f"{form} calls": spent.calls,
                f"{form} input tokens": spent.input_tokens,
                f"{form} output tokens": spent.output_tokens,
            }
        )
        return reply

    async def acomplete(self, messages: Sequence[Prompt], *, schema: Schema | None = None) -> Completion:
        return self.complete(messages, schema=schema)

    def _reply(self, messages: Sequence[Prompt], schema: Schema | None) -> Completion:
        asked = [self.name, [asdict(message) for message in messages], schema and dict(schema.json)]
        digest = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:24]
        path = self._folder / f"{digest}.json"
        if path.exists():
            kept = json.loads(path.read_text(encoding="utf-8"))
            return Completion(kept["content"], Usage(**kept["usage"]), kept.get("likelihoods", {}))
        if self._model is None:
            raise NotKept("no kept reply")
        reply = self._model.complete(messages, schema=schema)
        content = reply.content if isinstance(reply.content, str) else dict(reply.content)
        kept = {"content": content, "usage": reply.usage.to_dict(), "likelihoods": dict(reply.likelihoods)}
        path.write_text(json.dumps(kept, ensure_ascii=False), encoding="utf-8")
        return reply


def of_environment(folder: Path = KEPT) -> Remembered:
    """The model of OPENAI_BASE_URL, OPENAI_API_KEY and OPENAI_MODEL."""
    if "OPENAI_MODEL" not in os.environ:
        raise SystemExit(
            "set OPENAI_API_KEY, OPENAI_BASE_URL and OPENAI_MODEL, and install the extra `openai`"
        )
    return Remembered(OpenAIModel(os.environ["OPENAI_MODEL"], timeout=PATIENCE), folder)
