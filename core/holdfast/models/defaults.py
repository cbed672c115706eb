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


class Environment(Enum):
    DEFAULT = "from the environment"


FROM_ENVIRONMENT: Final = Environment.DEFAULT


def model_of(llm: LanguageModel | Environment | None) -> LanguageModel | None:
    """The given model, or the one the environment names. If there is none, the log says so once."""
    if not isinstance(llm, Environment):
        return llm
    if (why := why_no_model()) is not None:
        _say_once(
            f"no model is used, and statements are kept word for word: {why}. Pass llm=... to extract and merge with "
            "one, or llm=None to keep it so."
        )
    return default_model()


@cache
def _say_once(what: str) -> None:
    log.warning(what)


def default_model() -> LanguageModel | None:
    """The model that the environment names: OPENAI_API_KEY, and if set OPENAI_BASE_URL and OPENAI_MODEL.

    None if OPENAI_API_KEY is not set, or the extra `openai` is not installed: a memory that works without a model
    beats one that does not open.
    """
    if why_no_model() is not None:
        return None
    from .openai import OpenAIModel

    return OpenAIModel(os.environ.get("OPENAI_MODEL") or MODEL)


def why_no_model() -> str | None:
    """What is missing for `default_model` to give one; None if nothing is."""
    if not os.environ.get("OPENAI_API_KEY"):
        return "OPENAI_API_KEY is not set"
    if not openai_installed():
        return (
            "OPENAI_API_KEY is set, but the openai package is not installed (pip install 'holdfast[openai]')"
        )
    return None


def default_embedder() -> Embedder:
    """The bundled embedder: no key, no server, no download."""
    from .bundled import BundledEmbedder

    return BundledEmbedder()
