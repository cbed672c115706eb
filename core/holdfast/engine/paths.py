"""What a model can do, found out once and kept; and which path its questions take."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ..decisions.merging import Decide, Examination, MergeStrategy
from ..decisions.merging.examination import PAPERS, examination_of, marked, papers
from ..errors import InputError, ModelReplyError
from ..io import IO, holding
from ..ports import LanguageModel
from ..storage.store import Store
from ..types import Usage
from .ask import Asking

_log = logging.getLogger("holdfast")

ModelSize = Literal["auto", "large", "small"]
SIZES: tuple[ModelSize, ...] = get_args(ModelSize)
MESSAGES_OF_SMALL = 2  # a turn and its answer: given six messages, a 1.5B model told one fact six times


@dataclass(frozen=True, slots=True)
class Path:
    """How a model is asked. merger: None if no model is asked, and only equal texts are folded.
    messages: the most per extraction question; None for as many as a window holds."""

    merger: MergeStrategy | None
    messages: int | None = None


def size_of(value: Any) -> ModelSize:
    """A `model_size`. Raises InputError."""
    if value not in SIZES:
        raise InputError(f"model_size={value!r}: choose one of {', '.join(SIZES)}")
    size: ModelSize = value
    return size


class Paths:
    """The choice of the path, for one model and one store."""

    def __init__(
        self, store: Store, llm: LanguageModel | None, merger: MergeStrategy | None, size: ModelSize
    ) -> None:
        self._store = store
        self._llm = llm
        self._merger = merger
        self._size = size

    @property
    def examined(self) -> Examination | None:
        """How the model did in this store's examination; None before it, and if there is none."""
        told = self._store.ledger.setting(self._key) if self._llm is not None else None
        return examination_of(json.loads(told)) if told else None

    async def path(self, io: IO) -> tuple[Path, Usage]:
        """The path to take, and what finding it out cost: nothing after the first time."""
        if self._llm is None:
            return Path(self._merger), Usage()
        if self._size == "large" or (self._size == "auto" and self._merger is not None):
            return Path(self._merger or Decide()), Usage()
        if self._size == "small":
            return self._careful(), Usage()
        spent = Usage()
        async with holding(io, self._store.locks, self._key):
            examination = await io.run(lambda: self.examined)
            if examination is None:
                examination, spent = await self._examine(io, self._llm)
        return (Path(Decide()) if examination.passed else self._careful()), spent

    async def _examine(self, io: IO, llm: LanguageModel) -> tuple[Examination, Usage]:
        asking, strategy, right = Asking(io, llm), Decide(), 0
        asked = papers(strategy)
        answers = await asking.answers([question for _, questions in asked for question in questions])
        for paper, (facts, _), answer in zip(PAPERS, asked, answers, strict=True):
            if not isinstance(answer, ModelReplyError):
                right += marked(paper, strategy.decide(facts, [answer]))
        spent = asking.usage
        examination = Examination(
            llm.name,
            right,
            sum(len(expected) for _, expected in PAPERS),
            spent.input_tokens + spent.output_tokens,
        )
        told = json.dumps(examination.to_dict(), ensure_ascii=False)
        await io.run(lambda: self._store.ledger.set(**{self._key: told}))
        _log.info(
            "the model %r decided %d of %d known cases correctly: it is asked %s",
            llm.name, right, examination.asked, "all at once" if examination.passed else "with care, step by step",
        )  # fmt: skip
        return examination, spent

    @property
    def _key(self) -> str:
        assert self._llm is not None
        return f"examined: {self._llm.name}"

    def _careful(self) -> Path:
        from ..decisions.small_models import Careful

        return Path(self._merger or Careful(), MESSAGES_OF_SMALL)
