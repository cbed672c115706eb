"""Language models and embedders that come with Holdfast. Each is imported when it is first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bundled import BundledEmbedder
    from .defaults import default_embedder, default_model
    from .fastembed import FastEmbedEmbedder
    from .openai import OpenAIEmbedder, OpenAIModel
    from .wordllama import WordLlamaEmbedder

__all__ = [
    "BundledEmbedder",
    "FastEmbedEmbedder",
    "OpenAIEmbedder",
    "OpenAIModel",
    "WordLlamaEmbedder",
    "default_embedder",
    "default_model",
]

_HOME = {
    "BundledEmbedder": "bundled",
    "FastEmbedEmbedder": "fastembed",
    "OpenAIEmbedder": "openai",
    "OpenAIModel": "openai",
    "WordLlamaEmbedder": "wordllama",
    "default_embedder": "defaults",
    "default_model": "defaults",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
