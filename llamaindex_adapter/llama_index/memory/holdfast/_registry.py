"""The engines and conversations that are alive in this process, so that copies and rebuilt objects find theirs.

LlamaIndex copies a memory (deeply, or through JSON) wherever it keeps it in a workflow's context. What cannot be
copied, the open store, stays here and is found again by a name that can.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4
from weakref import WeakValueDictionary

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.llms.llm import LLM
from llama_index.core.settings import Settings

from holdfast import (
    FROM_ENVIRONMENT,
    IN_MEMORY,
    Embedder,
    EmbedderMismatchError,
    InputError,
    LanguageModel,
    Memory,
    Scope,
    ScopedMemory,
    folder_of,
)
from holdfast.models import default_model

from ._conversation import Conversation
from ._owner import view_of
from .models import as_embedder, as_language_model

log = logging.getLogger("holdfast")

Path_ = str | PathLike[str]
Model = LLM | LanguageModel | None
ModelSize = Literal["auto", "large", "small"]
Key = tuple[str, int, int, ModelSize]
Talk = tuple[int, Scope, str]

_LEDGER = "ledger.db"  # every embedded store has one

_guard = threading.RLock()
_conversations: WeakValueDictionary[Talk, Conversation] = WeakValueDictionary()
_named: dict[str, Memory] = {}
_engines: WeakValueDictionary[str, Memory] = WeakValueDictionary()
# Strong references: requests come and go, and opening a store for each would cost as much as remembering.
_opened: dict[Key, Memory] = {}


def shared_conversation(memory: Memory, scope: Scope, session_id: str) -> Conversation:
    """The conversation of an owner and a session on an engine: one per process, whatever works on it."""
    key = (
        id(memory),
        scope,
        session_id,
    )  # a conversation holds its engine, so no other one can have its id meanwhile
    with _guard:
        found = _conversations.get(key)
        if found is None:
            found = _conversations[key] = Conversation(view_of(memory, scope), session_id)
        return found


def register_engine(memory: Memory, name: str) -> None:
    """Let objects that this process restores find an engine, by this name and by its folder.

    Call it when a process starts, with the same name in each, if contexts or dumps go from one process to
    another and the engine is not what `open_engine` would open there: a database on a server, models of your own.
    An engine stays registered until it is closed or another one takes its name.
    """
    with _guard:
        for known in [known for known, engine in _named.items() if engine.closed]:
            del _named[known]
        _named[name] = memory


def keep_alive(memory: Memory) -> str:
    """The name of an engine in dumps: the one it was registered by, else one that lives as long as it does."""
    with _guard:
        for known, engine in (*_named.items(), *_engines.items()):
            if engine is memory:
                return known
        made = uuid4().hex
        _engines[made] = memory
        return made


def chosen_engine(
    memory: Memory | None, path: Path_ | None, *, llm: Any, embed_model: Any, model_size: ModelSize
) -> Memory:
    """The engine that is passed, or the one that the other arguments open. Raises InputError for both."""
    if memory is None:
        return open_engine(path, llm=llm, embed_model=embed_model, model_size=model_size)
    if path is not None or embed_model is not None or llm is not FROM_ENVIRONMENT or model_size != "auto":
        raise InputError("pass memory=, or path=, llm=, embed_model= and model_size= to open one, not both")
    if not isinstance(memory, Memory):
        raise InputError(f"memory={memory!r} is no holdfast.Memory")
    return memory


def restored_engine(
    kind: str, engine_id: str, path: str | None, llm_name: str | None, model_size: ModelSize
) -> Memory:
    """The engine of an object that was rebuilt from a dump.

    It is the one of that name, or one on that folder, if this process has it open. Otherwise the folder is opened
    with the models that `open_engine` finds. Raises InputError, and makes nothing, if the store no longer exists,
    a model was used and none is configured here, or the embedder is another one.
    """
    with _guard:
        if (found := open_already(engine_id, path)) is not None:
            return found
        if path is None:
            raise _no_engine(kind, "which has no folder of its own and is not open in this process")
        if not (Path(path) / _LEDGER).is_file():
            raise _no_engine(kind, f"whose folder {path} holds none any more", path)
        if llm_name is not None and Settings._llm is None and default_model() is None:
            raise _no_engine(kind, f"in {path}, which used the model {llm_name!r}; none is set here", path)
        try:
            llm = None if llm_name is None else FROM_ENVIRONMENT
            return open_engine(path, llm=llm, model_size=model_size)
        except EmbedderMismatchError as error:
            raise _no_engine(kind, f"in {path}: {error}", path) from error


def open_already(engine_id: str, path: str | None) -> Memory | None:
    """The engine of that name, else one on that folder, if this process has it open."""
    with _guard:
        there = list(_open())
    for known, memory in there:
        if known == engine_id:
            return memory
    if path is None:
        return None
    # A view bound to one owner cannot be another's engine.
    whole = (memory for _, memory in there if not isinstance(memory, ScopedMemory))
    return next((memory for memory in whole if str(memory.folder) == path), None)


def _open() -> Iterator[tuple[str, Memory]]:
    """The engines that this process has open, first those that were registered."""
    opened = (("", memory) for memory in _opened.values())
    for known, memory in (*_named.items(), *_engines.items(), *opened):
        if not memory.closed:
            yield known, memory


def _no_engine(kind: str, why: str, path: str = "") -> InputError:
    return InputError(
        f"this {kind} was restored without its store, {why}. Open the engine before it is used: "
        f"open_engine({path!r}, llm=..., embed_model=...), or register_engine(Memory(...), name) under the name that "
        f"it had when it was dumped; or pass memory= where it is rebuilt: {kind}(**data, memory=...)"
    )


def open_engine(
    path: Path_ | None = None,
    *,
    llm: Any = FROM_ENVIRONMENT,
    embed_model: BaseEmbedding | Embedder | None = None,
    model_size: ModelSize = "auto",
) -> Memory:
    """The engine on a folder, opened once per process for the same model and embedder objects.

    path: as `holdfast.Memory` takes it. ":memory:" is a new store at every call.
    llm: a LlamaIndex LLM, a `holdfast.LanguageModel`, or None for none. By default `Settings.llm` if it was
        set, else what `holdfast.Memory` finds in the environment.
    embed_model: by default `Settings.embed_model` if it was set, else the bundled embedder.
    model_size: as `holdfast.Memory` takes it: "large" and "small" say how the model is asked, "auto" has it
        examined once.

    Returns the engine, which `close_engines` closes. Raises what `holdfast.Memory` raises, and InputError for models
    of another kind.
    """
    # The public properties of Settings would make an OpenAI client if nothing was set.
    model = Settings._llm if llm is FROM_ENVIRONMENT and Settings._llm is not None else llm
    chosen = embed_model if embed_model is not None else Settings._embed_model

    def opened() -> Memory:
        return _opened_with(path, model, chosen, model_size, named=embed_model is not None)

    if path is not None and str(path) == IN_MEMORY:
        return opened()
    folder = folder_of(path)
    with _guard:
        key = (str(folder), id(model), id(chosen), model_size)
        if key not in _opened or _opened[key].closed:
            _opened[key] = opened()
        return _opened[key]


def close_engines() -> None:
    """Close the engines that this package opened: background work is finished, folders are released."""
    with _guard:
        engines = list(_opened.values())
        _opened.clear()
    for memory in engines:
        memory.close()


def _opened_with(
    path: Path_ | None, model: Any, embed_model: Any, model_size: ModelSize, *, named: bool
) -> Memory:
    llm = model if model is FROM_ENVIRONMENT or model is None else as_language_model(model)
    embedder = None if embed_model is None else as_embedder(embed_model)
    try:
        return Memory(path, llm=llm, embedder=embedder, model_size=model_size)
    except EmbedderMismatchError:
        # Settings is global and set by others for other reasons: a store made with the bundled embedder stays
        # with it. Naming an embedder for this store raises the error.
        if named or embedder is None:
            raise
        memory = Memory(path, llm=llm, model_size=model_size)
        log.warning(
            "the store was made with the bundled embedder and keeps it; Settings.embed_model (%s) is not used",
            embedder.name,
        )
        return memory
