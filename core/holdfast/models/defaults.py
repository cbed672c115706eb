"""The defaults if the user names nothing."""

from __future__ import annotations

import logging
import os
from enum import Enum
from functools import cache
from typing import Final

from ..ports import Embedder, LanguageModel
from .endpoint import openai_installed

log = logging.getLogger("holdfast")

MODEL = "gpt-4o-mini"

_said: set[str] = set()


class Environment(Enum):
    DEFAULT = "from the environment"


FROM_ENVIRONMENT: Final = Environment.DEFAULT


def model_of(llm: LanguageModel | Environment | None) -> LanguageModel | None:
    """The given model, or the one the environment names. If it names none, the log says so once."""
    if not isinstance(llm, Environment):
        return llm
    named = default_model()
    if named is None:
        _say_once_that_there_is_no_model()
    return named


@cache
def _say_once_that_there_is_no_model() -> None:
    log.warning(
        "no model is configured (OPENAI_API_KEY is not set): statements are kept word for word. Pass llm=... to "
        "extract and merge with one, or llm=None to keep it so."
    )


def default_model() -> LanguageModel | None:
    """The model that the environment names: OPENAI_API_KEY, and if set OPENAI_BASE_URL and OPENAI_MODEL.

    None if OPENAI_API_KEY is not set. None, with one warning in the log, if it is set but the extra `openai` is
    not installed: a memory that works without a model beats one that does not open.
    """
    if not os.environ.get("OPENAI_API_KEY"):
        return None
    if not openai_installed():
        if "openai" not in _said:
            _said.add("openai")
            log.warning(
                "OPENAI_API_KEY is set, but the openai package is not installed: no model is used. "
                "pip install 'holdfast[openai]', or pass llm=None to say that this is meant."
            )
        return None
    from .openai import OpenAIModel

    return OpenAIModel(os.environ.get("OPENAI_MODEL") or MODEL)


def default_embedder() -> Embedder:
    """The bundled embedder: no key, no server, no download."""
    from .bundled import BundledEmbedder

    return BundledEmbedder()
