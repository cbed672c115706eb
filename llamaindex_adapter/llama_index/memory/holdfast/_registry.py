"""The engines and conversations that are alive in this process, so that copies and rebuilt objects find theirs.

LlamaIndex copies a memory (deeply, or through JSON) wherever it keeps it in a workflow's context. What cannot be
copied, the open store, stays here and is found again by a name that can.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from os import PathLike
from typing import Any, TypeVar
from uuid import uuid4
from weakref import WeakValueDictionary

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.llms.llm import LLM
from llama_index.core.settings import Settings

from holdfast import FROM_ENVIRONMENT, Embedder, EmbedderMismatchError, InputError, LanguageModel, Memory
from holdfast.places import IN_MEMORY, folder_of

from ._conversation import Conversation
from .models import as_embedder, as_language_model

log = logging.getLogger("holdfast")

T = TypeVar("T")
Path_ = str | PathLike[str]
Model = LLM | LanguageModel | None
Key = tuple[str, int, int]

_guard = threading.RLock()
_conversations: WeakValueDictionary[str, Conversation] = WeakValueDictionary()
_engines: WeakValueDictionary[str, Memory] = WeakValueDictionary()
# Strong: requests come and go, and opening a store for each would cost what remembering costs.
_opened: dict[Key, Memory] = {}


def check_owner(
    user_id: str | None = None, agent_id: str | None = None, run_id: str | None = None, **_: object
) -> None:
    """Raises InputError where nobody owns what is to be made."""
    if user_id is None and agent_id is None and run_id is None:
        raise InputError(
            "whose memory? pass at least one of user_id=, agent_id=, run_id=. An engine that makes its own memory "
            "(memory_cls=HoldfastMemory) cannot know: pass memory=HoldfastMemory.from_defaults(user_id=...) instead"
        )


def shared_conversation(live_id: str, make: Callable[[], Conversation]) -> Conversation:
    """The conversation of that id, made if nothing in this process holds it any more."""
    with _guard:
        found = _conversations.get(live_id)
        if found is None or found.memory.closed:
            found = _conversations[live_id] = make()
        return found


def keep_alive(memory: Memory) -> str:
    """The id under which `alive` finds an engine, for as long as something holds it."""
    live_id = next((known for known, engine in _engines.items() if engine is memory), None) or uuid4().hex
    _engines[live_id] = memory
    return live_id


def alive(live_id: str) -> Memory | None:
    """The engine of that id, if it is alive and open."""
    memory = _engines.get(live_id)
    return None if memory is None or memory.closed else memory


def open_engine(
    path: Path_ | None = None,
    *,
    llm: Any = FROM_ENVIRONMENT,
    embed_model: BaseEmbedding | Embedder | None = None,
) -> Memory:
    """The engine on a folder, opened once per process for the same model and embedder objects.

    path: as `holdfast.Memory` takes it. ":memory:" is a new store at every call.
    llm: a LlamaIndex LLM, a `holdfast.LanguageModel`, or None for none. By default `Settings.llm` where it was set,
        else what `holdfast.Memory` finds in the environment.
    embed_model: by default `Settings.embed_model` where it was set, else the bundled embedder.

    Raises what `holdfast.Memory` raises, and InputError for models of another kind.
    """
    # The public properties of Settings would make an OpenAI client where nothing was set.
    model = Settings._llm if llm is FROM_ENVIRONMENT and Settings._llm is not None else llm
    chosen = embed_model if embed_model is not None else Settings._embed_model

    def opened() -> Memory:
        return _opened_with(path, model, chosen, named=embed_model is not None)

    if path is not None and str(path) == IN_MEMORY:
        return opened()
    folder = folder_of(path)
    with _guard:
        key = (str(folder), id(model), id(chosen))
        if key not in _opened or _opened[key].closed:
            _opened[key] = opened()
        return _opened[key]


def engine_on(folder: str) -> Memory:
    """An engine on a folder for an object that was rebuilt: one that this process has open, else a new one."""
    with _guard:
        for (place, *_), memory in _opened.items():
            if place == folder and not memory.closed:
                return memory
    return open_engine(folder)


def close_engines() -> None:
    """Close the engines that this package opened: background work is finished, folders are given free."""
    with _guard:
        engines = list(_opened.values())
        _opened.clear()
    for memory in engines:
        memory.close()


def _opened_with(path: Path_ | None, model: Any, embed_model: Any, *, named: bool) -> Memory:
    llm = model if model is FROM_ENVIRONMENT or model is None else as_language_model(model)
    embedder = None if embed_model is None else as_embedder(embed_model)
    try:
        return Memory(path, llm=llm, embedder=embedder)
    except EmbedderMismatchError:
        # Settings is global, and set by others for other reasons: a store that was made with the bundled embedder
        # stays with it. Whoever names an embedder for this store gets the error.
        if named or embedder is None:
            raise
        memory = Memory(path, llm=llm)
        log.warning(
            "the store was made with the bundled embedder and keeps it; Settings.embed_model (%s) is not used",
            embedder.name,
        )
        return memory
