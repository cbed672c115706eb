"""`HoldfastMemory`: memory for the chains of langchain-classic. Needs the extra `classic`.

`BaseMemory` is deprecated but works; new code should use `HoldfastMiddleware`.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from langchain_classic.base_memory import BaseMemory
from langchain_classic.memory.utils import get_prompt_input_key
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, get_buffer_string
from pydantic import ConfigDict, Field, PrivateAttr, model_validator

from holdfast import InputError, JournaledMessage, Memory, ScopedMemory
from holdfast.io import IO, Asyncio, Inline, run_inline
from holdfast.types import storable

from ._convert import to_holdfast_messages, to_langchain_messages
from ._options import End, Filters, Metadata, OnError, checked, failing_open
from ._scope import Scoping

_INLINE, _ASYNCIO = Inline(), Asyncio()


class HoldfastMemory(BaseMemory):
    """Recalled memories, and on request the recent turns, for `ConversationChain`, `LLMChain`, `CombinedMemory`.

    memory: the store, or a view of it.
    user_id, agent_id, run_id: whose memory it is; at least one, unless `memory` is bound to one. No config reaches
        these chains, so each user has a memory, and a chain, of their own.
    session_id: the conversation, for `clear` and the recent turns; by default a new one.
    memory_key: the prompt variable that it fills.
    input_key, output_key: which of several inputs and outputs are what was said.
    turns: how many of the session's last turns (a question with its answer) it shows besides what it recalls.
    return_messages: fill the variable with messages instead of a string.
    human_prefix, ai_prefix: how turns begin in a string.
    max_tokens: the budget of what is recalled. filters: as for `Memory.recall`.
    metadata, instructions, expires_at: as for `Memory.add`; a duration counts from each turn.
    background: remember after `save_context` has returned.
    on_error: "log" logs a failure of memory and lets the chain answer without it; "raise" raises it.

    `clear` empties the session; memories stay until they are deleted or erased.

    Raises pydantic's ValidationError, when it is made, for wrong arguments and without an owner.
    """

    memory: Memory = Field(exclude=True, repr=False)
    user_id: str | None = None
    agent_id: str | None = None
    run_id: str | None = None
    session_id: str = Field(default_factory=lambda: str(uuid.uuid4()))
    memory_key: str = "history"
    input_key: str | None = None
    output_key: str | None = None
    turns: int = Field(default=0, ge=0)
    return_messages: bool = False
    human_prefix: str = "Human"
    ai_prefix: str = "AI"
    max_tokens: int = Field(default=1000, ge=1)
    filters: Filters = None
    metadata: Metadata = None
    instructions: str | None = None
    expires_at: End = None
    background: bool = False
    on_error: OnError = "log"

    model_config = ConfigDict(arbitrary_types_allowed=True)
    _view: ScopedMemory = PrivateAttr()

    @model_validator(mode="before")
    @classmethod
    def _is_memory(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and "memory" in values:
            checked(values["memory"], "HoldfastMemory")
        return values

    @model_validator(mode="after")
    def _checked(self) -> HoldfastMemory:
        checked(
            self.memory,
            "HoldfastMemory",
            max_tokens=self.max_tokens,
            filters=self.filters,
            metadata=self.metadata,
            instructions=self.instructions,
            expires_at=self.expires_at,
        )
        self._view = Scoping("HoldfastMemory", self.memory, self.user_id, self.agent_id, self.run_id).bound()
        return self

    @property
    def memory_variables(self) -> list[str]:
        """The prompt variable that it fills."""
        return [self.memory_key]

    # -- before the chain ---------------------------------------------------------------------------------------

    def load_memory_variables(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """What is recalled for the input, and the recent turns."""
        return run_inline(self._loaded(_INLINE, inputs))

    async def aload_memory_variables(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Async `load_memory_variables`."""
        return await self._loaded(_ASYNCIO, inputs)

    async def _loaded(self, io: IO, inputs: dict[str, Any]) -> dict[str, Any]:
        query, known = self._said(inputs), ""
        said: tuple[JournaledMessage, ...] = ()
        if self.turns:
            with failing_open(self.on_error, "HoldfastMemory: reading the last turns"):
                said = await io.call(self._view.messages, self._view.amessages, **self._shown())
        if query:
            with failing_open(self.on_error, "HoldfastMemory: recall"):
                known = (
                    await io.call(self._view.recall, self._view.arecall, query, **self._asked(said))
                ).text
        return self._variables(known, said)

    def _said(self, inputs: dict[str, Any]) -> str:
        """What the user said; empty if the inputs do not tell, as when there are none."""
        key = self.input_key
        if key is None and len(set(inputs) - {self.memory_key, "stop"}) == 1:
            key = get_prompt_input_key(inputs, [self.memory_key])
        value = inputs.get(key) if key is not None else None
        return storable(_text(value)).strip() if value is not None else ""

    def _asked(self, said: tuple[JournaledMessage, ...]) -> dict[str, Any]:
        return {
            "max_tokens": self.max_tokens,
            "filters": self.filters,
            "session_id": self.session_id if self.turns else None,
            "shown": [one.id for one in said],
        }

    def _shown(self) -> dict[str, Any]:
        return {"session_id": self.session_id, "limit": 2 * self.turns}

    def _variables(self, known: str, said: tuple[JournaledMessage, ...]) -> dict[str, Any]:
        turns = to_langchain_messages(said)
        if self.return_messages:
            return {self.memory_key: [*([SystemMessage(known)] if known else []), *turns]}
        spoken = get_buffer_string(turns, human_prefix=self.human_prefix, ai_prefix=self.ai_prefix)
        return {self.memory_key: "\n".join(part for part in (known, spoken) if part)}

    # -- after the chain ----------------------------------------------------------------------------------------

    def save_context(self, inputs: dict[str, Any], outputs: dict[str, Any]) -> None:
        """Remember the turn. Of the inputs, only what was said: they also hold what was recalled."""
        run_inline(self._saved(_INLINE, inputs, outputs))

    async def asave_context(self, inputs: dict[str, Any], outputs: dict[str, Any]) -> None:
        """Async `save_context`."""
        await self._saved(_ASYNCIO, inputs, outputs)

    async def _saved(self, io: IO, inputs: dict[str, Any], outputs: dict[str, Any]) -> None:
        adding = self._addition(inputs, outputs)
        with failing_open(self.on_error, "HoldfastMemory: remembering"):
            await io.call(self._view.add, self._view.aadd, **adding)

    def _addition(self, inputs: dict[str, Any], outputs: dict[str, Any]) -> dict[str, Any]:
        key = self.input_key or get_prompt_input_key(inputs, [self.memory_key])
        said: list[BaseMessage] = [
            HumanMessage(_text(inputs[key])),
            AIMessage(_text(outputs[self._output_of(outputs)])),
        ]
        return {
            "messages": to_holdfast_messages(said),
            "session_id": self.session_id,
            "metadata": self.metadata,
            "instructions": self.instructions,
            "expires_at": self.expires_at,
            "background": self.background,
        }

    def _output_of(self, outputs: dict[str, Any]) -> str:
        if self.output_key is not None:
            return self.output_key
        if len(outputs) == 1:
            return next(iter(outputs))
        if "output" in outputs:
            return "output"
        raise InputError(f"which of {sorted(outputs)} is the answer? pass output_key=")

    # -- forgetting ---------------------------------------------------------------------------------------------

    def clear(self) -> None:
        """Empty the session. Memories stay."""
        self._view.clear_messages(session_id=self.session_id)

    async def aclear(self) -> None:
        """Async `clear`."""
        await self._view.aclear_messages(session_id=self.session_id)


def _text(value: Any) -> str:
    """Chains pass strings, messages, or lists of messages."""
    if isinstance(value, BaseMessage):
        return value.text
    if isinstance(value, list) and all(isinstance(one, BaseMessage) for one in value):
        return "\n".join(one.text for one in value)
    return str(value)
