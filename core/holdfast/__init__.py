"""Long-term memory for agents: what was said becomes memory, merges, and comes back.

    from holdfast import Memory

    m = Memory()
    m.add("I live in Lisbon and I'm vegetarian", user_id="alice")
    print(m.recall("where should we eat?", user_id="alice"))

Names are imported when they are first used, so that `import holdfast` costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .engine.documents import Documents
    from .engine.events import Event
    from .engine.jobs import Jobs
    from .engine.maintenance import IndexMaintenance
    from .engine.memory_tool import MemoryTool
    from .engine.tracing import otel_listener
    from .errors import (
        ClosedError,
        EmbedderMismatchError,
        EmbeddingError,
        FilterError,
        HoldfastError,
        InputError,
        ModelError,
        ModelRefusedError,
        ModelReplyError,
        NotFoundError,
        StorageError,
        StoreLockedError,
        StoreVersionError,
        UndoError,
    )
    from .memory import Memory, ScopedMemory
    from .models.defaults import FROM_ENVIRONMENT
    from .ports import Completion, Embedder, LanguageModel, Prompt, Redactor, Reranker, Schema
    from .storage.places import IN_MEMORY, folder_of
    from .storage.projection import Agreement
    from .types import (
        AddResult,
        Change,
        Changes,
        Context,
        Copied,
        Day,
        Erasure,
        Feed,
        FileVersion,
        Flushed,
        Hits,
        Job,
        JournaledMessage,
        MemoryItem,
        Message,
        Owner,
        Owners,
        Page,
        Scope,
        SearchHit,
        ToolReply,
        Transfer,
        Usage,
    )

__version__ = "0.1.0"

_HOME = {
    "storage.places": ("IN_MEMORY", "folder_of"),
    "storage.projection": ("Agreement",),
    "errors": (
        "ClosedError",
        "EmbedderMismatchError",
        "EmbeddingError",
        "FilterError",
        "InputError",
        "ModelError",
        "ModelRefusedError",
        "ModelReplyError",
        "NotFoundError",
        "HoldfastError",
        "StorageError",
        "StoreLockedError",
        "StoreVersionError",
        "UndoError",
    ),
    "engine.documents": ("Documents",),
    "engine.events": ("Event",),
    "engine.jobs": ("Jobs",),
    "engine.maintenance": ("IndexMaintenance",),
    "engine.memory_tool": ("MemoryTool",),
    "engine.tracing": ("otel_listener",),
    "memory": ("Memory", "ScopedMemory"),
    "models.defaults": ("FROM_ENVIRONMENT",),
    "ports": ("Completion", "Embedder", "LanguageModel", "Prompt", "Redactor", "Reranker", "Schema"),
    "types": (
        "AddResult",
        "Change",
        "Changes",
        "Context",
        "Copied",
        "Day",
        "Erasure",
        "Feed",
        "FileVersion",
        "Flushed",
        "Hits",
        "Job",
        "JournaledMessage",
        "MemoryItem",
        "Message",
        "Owner",
        "Owners",
        "Page",
        "Scope",
        "SearchHit",
        "ToolReply",
        "Transfer",
        "Usage",
    ),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "FROM_ENVIRONMENT",
    "IN_MEMORY",
    "AddResult",
    "Agreement",
    "Change",
    "Changes",
    "ClosedError",
    "Completion",
    "Context",
    "Copied",
    "Day",
    "Documents",
    "Embedder",
    "EmbedderMismatchError",
    "EmbeddingError",
    "Erasure",
    "Event",
    "Feed",
    "FileVersion",
    "FilterError",
    "Flushed",
    "Hits",
    "HoldfastError",
    "IndexMaintenance",
    "InputError",
    "Job",
    "Jobs",
    "JournaledMessage",
    "LanguageModel",
    "Memory",
    "MemoryItem",
    "MemoryTool",
    "Message",
    "ModelError",
    "ModelRefusedError",
    "ModelReplyError",
    "NotFoundError",
    "Owner",
    "Owners",
    "Page",
    "Prompt",
    "Redactor",
    "Reranker",
    "Schema",
    "Scope",
    "ScopedMemory",
    "SearchHit",
    "StorageError",
    "StoreLockedError",
    "StoreVersionError",
    "ToolReply",
    "Transfer",
    "UndoError",
    "Usage",
    "folder_of",
    "otel_listener",
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
