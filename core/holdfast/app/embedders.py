"""How the command names an embedder."""

from __future__ import annotations

from ..errors import InputError
from ..ports import Embedder

FORMS = "bundled, wordllama, fastembed/MODEL, openai/MODEL or openai/MODEL@DIMENSIONS"


def embedder_of(name: str | None) -> Embedder | None:
    """The embedder of that name; None for none, which is a store's default. Raises InputError."""
    from .. import models

    if name is None:
        return None
    kind, _, model = name.partition("/")
    if name == "bundled":
        return models.BundledEmbedder()
    if name == "wordllama":
        return models.WordLlamaEmbedder()
    if kind == "fastembed" and model:
        return models.FastEmbedEmbedder(model)
    if kind == "openai" and model:
        model, at, dimensions = model.partition("@")
        if not at:
            return models.OpenAIEmbedder(model)
        if dimensions.isascii() and dimensions.isdigit():
            return models.OpenAIEmbedder(model, dimensions=int(dimensions))
    raise InputError(f"{name!r} is no embedder that the command knows: {FORMS}")
