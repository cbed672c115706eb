"""Retain's long-term memory as native parts of LlamaIndex.

from llama_index.memory.retain import RetainMemory

memory = RetainMemory.from_defaults(user_id="alice")
engine = index.as_chat_engine(memory=memory)
"""

from ._registry import close_engines, open_engine
from .base import RetainMemory
from .block import RetainMemoryBlock
from .chat_store import RetainChatStore
from .models import LlamaIndexEmbedder, LlamaIndexModel, as_embedder, as_language_model
from .retriever import RetainRetriever
from .tools import RetainToolSpec

__all__ = [
    "LlamaIndexEmbedder",
    "LlamaIndexModel",
    "RetainChatStore",
    "RetainMemory",
    "RetainMemoryBlock",
    "RetainRetriever",
    "RetainToolSpec",
    "as_embedder",
    "as_language_model",
    "close_engines",
    "open_engine",
]
