"""Holdfast's long-term memory as native parts of LlamaIndex.

from llama_index.memory.holdfast import HoldfastMemory

memory = HoldfastMemory.from_defaults(user_id="alice")
engine = index.as_chat_engine(memory=memory)
"""

from ._convert import to_holdfast_messages, to_llamaindex_messages
from ._registry import close_engines, open_engine, register_engine
from .async_chat_store import HoldfastAsyncChatStore
from .block import HoldfastMemoryBlock
from .chat_store import HoldfastChatStore
from .memory import HoldfastMemory
from .models import LlamaIndexEmbedder, LlamaIndexModel, as_embedder, as_language_model
from .retriever import HoldfastRetriever
from .tools import HoldfastToolSpec

__all__ = [
    "HoldfastAsyncChatStore",
    "HoldfastChatStore",
    "HoldfastMemory",
    "HoldfastMemoryBlock",
    "HoldfastRetriever",
    "HoldfastToolSpec",
    "LlamaIndexEmbedder",
    "LlamaIndexModel",
    "as_embedder",
    "as_language_model",
    "close_engines",
    "open_engine",
    "register_engine",
    "to_holdfast_messages",
    "to_llamaindex_messages",
]
