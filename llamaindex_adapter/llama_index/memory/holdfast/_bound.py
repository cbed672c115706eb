"""What the objects that LlamaIndex copies have in common: whose memory they are, and which engine they work on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from llama_index.core.bridge.pydantic import BaseModel, Field, ValidationError

from holdfast import FROM_ENVIRONMENT, InputError, Memory, Scope, ScopedMemory

from ._owner import given_ids, view_of
from ._registry import ModelSize, Path_, chosen_engine, keep_alive, open_already, restored_engine


class Bound(BaseModel):
    """Bound for good to an owner and an engine: the one that is passed, or one that is opened.

    A dump names the engine but does not contain it. What is rebuilt from it finds the engine if this process has
    it, or opens the folder it names; see `restored_engine`.
    """

    fixed: ClassVar[frozenset[str]] = frozenset({"user_id", "agent_id", "run_id"})

    user_id: str | None = None
    agent_id: str | None = None
    run_id: str | None = None
    path: str | None = None
    engine_id: str = ""
    llm_name: str | None = None
    model_size: ModelSize = "auto"
    # Not private attributes, which a deep copy would copy: fields that no dump contains.
    memory: Any = Field(default=None, exclude=True, repr=False)

    def __init__(
        self,
        *,
        path: Path_ | None = None,
        memory: Memory | None = None,
        llm: Any = FROM_ENVIRONMENT,
        embed_model: Any = None,
        model_size: ModelSize = "auto",
        **fields: Any,
    ) -> None:
        fields.pop("class_name", None)  # LlamaIndex writes it into its dumps
        fields |= given_ids(memory, fields)
        self._check_names(fields)
        models: dict[str, Any] = {"llm": llm, "embed_model": embed_model, "model_size": model_size}
        place = None if path is None else os.fspath(path)
        if not fields.get("engine_id"):
            memory = chosen_engine(memory, place, **models)
        elif memory is None and (llm is not FROM_ENVIRONMENT or embed_model is not None):
            memory = chosen_engine(None, place, **models)
        elif memory is None:
            memory = open_already(fields["engine_id"], place)
        try:
            super().__init__(path=place, memory=memory, model_size=model_size, **fields)
        except ValidationError as error:
            wrong = error.errors()[0]
            name = ".".join(map(str, wrong["loc"]))
            raise InputError(
                f"{name}={wrong['input']!r} of a {type(self).__name__}: {wrong['msg']}"
            ) from error

        if self.memory is not None:
            self._check(self.memory)

    def model_post_init(self, context: Any, /) -> None:
        if self.memory is not None:
            self._work_on(self.memory)

    @property
    def engine(self) -> Memory:
        """The engine: everything that it can do beyond a chat's memory.

        Raises InputError if this object came from another process and its engine is not available in this one.
        """
        if self.memory is None:
            found = restored_engine(
                type(self).__name__, self.engine_id, self.path, self.llm_name, self.model_size
            )
            self._check(found)
            self._work_on(found)
        engine: Memory = self.memory
        return engine

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy on the same engine. With another owner, session or engine it is another conversation.

        Raises InputError if `update` names no field of this class, or leaves the copy without an owner.
        """
        changes = dict(update or {})
        self._check_names(changes)
        copied = super().model_copy(update=changes, deep=deep)
        given_ids(None, copied._scope.ids())
        if "memory" in changes:
            copied._work_on(copied.memory)
        if changes.keys() & {*self.fixed, "memory"}:
            copied._part()
        return copied

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self.model_copy()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).model_validate, (self.model_dump(),)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.fixed:
            raise InputError(
                f"{name}={value!r} cannot be assigned: whose conversation it is, is fixed when a "
                f"{type(self).__name__} is made; make another one, or model_copy(update={{{name!r}: {value!r}}})"
            )
        super().__setattr__(name, value)

    @property
    def _scope(self) -> Scope:
        return Scope(self.user_id, self.agent_id, self.run_id)

    @property
    def _view(self) -> ScopedMemory:
        """The engine within its owner's ids."""
        return view_of(self.engine, self._scope)

    def _work_on(self, memory: Memory) -> None:
        self.memory = memory
        self.path = None if memory.folder is None else str(memory.folder)
        self.engine_id = keep_alive(memory)
        self.llm_name = None if memory.llm is None else memory.llm.name

    def _check(self, memory: Memory) -> None:
        """Raise now what the engine would raise for this object's settings during a turn."""

    def _part(self) -> None:
        """Forget what belongs to the conversation of the original."""

    @classmethod
    def _check_names(cls, fields: Mapping[str, Any]) -> None:
        for name in fields:
            if name not in cls.model_fields:
                known = sorted({*cls.model_fields, "llm", "embed_model"} - {"engine_id", "llm_name"})
                raise InputError(f"{cls.__name__} has no argument {name!r}; it takes {', '.join(known)}")
