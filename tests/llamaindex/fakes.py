"""Language models and an embedding of LlamaIndex that follow a script, and both faces of whatever they talk to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse, ToolCallBlock
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.mock import MockFunctionCallingLLM, MockLLM
from llama_index.core.tools import FunctionTool
from pydantic import Field, PrivateAttr

from tests.support.fakes import HashEmbedder

Seen = list[tuple[str, str]]


class Listening(MockLLM):
    """Answers its replies in turn, the last one for ever, and keeps what it was shown."""

    replies: list[str] = Field(default_factory=lambda: ["I see."])
    _shown: list[Seen] = PrivateAttr(default_factory=list)

    def __init__(self, *replies: str) -> None:
        super().__init__(is_chat_model=True)
        self.replies = list(replies) or ["I see."]

    @property
    def shown(self) -> list[Seen]:
        """The messages of every call, as pairs of role and text."""
        return self._shown

    def _next(self) -> str:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        self._shown.append(pairs(messages))
        return ChatResponse(message=ChatMessage(role="assistant", content=self._next()))

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        reply: ChatResponse = self.chat(messages, **kwargs)
        return reply

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> Any:
        reply = self.chat(messages, **kwargs)
        text = reply.message.content or ""

        def stream() -> Any:
            yield ChatResponse(message=reply.message, delta=text)

        return stream()

    @llm_chat_callback()
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> Any:
        reply = self.chat(messages, **kwargs)
        text = reply.message.content or ""

        async def stream() -> Any:
            yield ChatResponse(message=reply.message, delta=text)

        return stream()

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        self._shown.append([("user", prompt)])
        return CompletionResponse(text=self._next())


class Calling(MockFunctionCallingLLM):
    """A function-calling model that says what its script says: texts, or calls of tools by name and arguments."""

    _shown: list[Seen] = PrivateAttr(default_factory=list)

    def __init__(self, *script: str | tuple[str, dict[str, Any]]) -> None:
        super().__init__(is_chat_model=True)
        steps = list(script) or ["I see."]

        def respond(messages: Sequence[ChatMessage], **kwargs: Any) -> ChatMessage:
            self._shown.append(pairs(messages))
            step = steps.pop(0) if len(steps) > 1 else steps[0]
            if isinstance(step, str):
                return ChatMessage(role="assistant", content=step)
            call = ToolCallBlock(
                tool_call_id=f"call-{len(self._shown)}", tool_name=step[0], tool_kwargs=step[1]
            )
            return ChatMessage(role="assistant", blocks=[call])

        self._response_generator = respond

    @property
    def shown(self) -> list[Seen]:
        return self._shown


class HashEmbedding(BaseEmbedding):
    """Shared words make texts near, nothing else. Counts the texts that it embedded."""

    model_name: str = "hash-64"
    embedded: int = 0
    _inner: HashEmbedder = PrivateAttr(default_factory=HashEmbedder)

    @classmethod
    def class_name(cls) -> str:
        return "HashEmbedding"

    def _get_text_embedding(self, text: str) -> list[float]:
        self.embedded += 1
        return [float(value) for value in self._inner.embed_query(text)]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embedding(text)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


def pairs(messages: Sequence[ChatMessage]) -> Seen:
    return [(message.role.value, message.content or "") for message in messages]


def roles(seen: Seen) -> list[str]:
    return [role for role, _ in seen]


def text_of(seen: Seen) -> str:
    return "\n".join(text for _, text in seen)


def user(text: str) -> ChatMessage:
    return ChatMessage(role="user", content=text)


def assistant(text: str) -> ChatMessage:
    return ChatMessage(role="assistant", content=text)


def system(text: str) -> ChatMessage:
    return ChatMessage(role="system", content=text)


def called(name: str, **arguments: Any) -> ChatMessage:
    block = ToolCallBlock(tool_call_id="1", tool_name=name, tool_kwargs=arguments)
    return ChatMessage(role="assistant", blocks=[block])


def returned(text: str) -> ChatMessage:
    return ChatMessage(role="tool", content=text, additional_kwargs={"tool_call_id": "1"})


def adding_tool() -> FunctionTool:
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    return FunctionTool.from_defaults(fn=add)


class Face:
    """Calls `x`, or awaits `ax`, of whatever it is given."""

    def __init__(self, face: str) -> None:
        self.is_async = face == "async"

    def __call__(self, owner: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        if not self.is_async:
            return getattr(owner, name)(*args, **kwargs)
        twin: Callable[..., Awaitable[Any]] = getattr(owner, f"a{name}")

        async def awaited() -> Any:
            return await twin(*args, **kwargs)

        return asyncio.run(awaited())
