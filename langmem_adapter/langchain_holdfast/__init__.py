"""Holdfast's long-term memory as native parts of LangChain and LangGraph.

    from langchain.agents import create_agent
    from langchain_holdfast import HoldfastMiddleware, create_memory_tools
    from holdfast import Memory

    memory = Memory()
    agent = create_agent(
        model, tools=create_memory_tools(memory), middleware=[HoldfastMiddleware(memory)], context_schema=User
    )
    agent.invoke({"messages": "I'm allergic to peanuts"}, context=User(user_id="alice"))

Names are imported when they are first used: `HoldfastMemory` alone needs langchain-classic (the extra `classic`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._convert import to_holdfast_messages, to_langchain_messages
    from .chat_history import HoldfastChatMessageHistory
    from .classic import HoldfastMemory
    from .memory_tool import MemoryToolMiddleware
    from .middleware import HoldfastMiddleware
    from .models import LangChainEmbedder, LangChainModel, as_embedder, as_language_model
    from .retriever import HoldfastRetriever
    from .store import HoldfastStore
    from .tools import create_manage_memory_tool, create_memory_tools, create_search_memory_tool

__version__ = "0.1.0"

_HOME = {
    "_convert": ("to_holdfast_messages", "to_langchain_messages"),
    "chat_history": ("HoldfastChatMessageHistory",),
    "classic": ("HoldfastMemory",),
    "memory_tool": ("MemoryToolMiddleware",),
    "middleware": ("HoldfastMiddleware",),
    "models": ("LangChainEmbedder", "LangChainModel", "as_embedder", "as_language_model"),
    "retriever": ("HoldfastRetriever",),
    "store": ("HoldfastStore",),
    "tools": ("create_manage_memory_tool", "create_memory_tools", "create_search_memory_tool"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "HoldfastChatMessageHistory",
    "HoldfastMemory",
    "HoldfastMiddleware",
    "HoldfastRetriever",
    "HoldfastStore",
    "LangChainEmbedder",
    "LangChainModel",
    "MemoryToolMiddleware",
    "as_embedder",
    "as_language_model",
    "create_manage_memory_tool",
    "create_memory_tools",
    "create_search_memory_tool",
    "to_holdfast_messages",
    "to_langchain_messages",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
