"""Scripted chat models and the two faces in which every test of an agent runs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field

Reply = str | AIMessage | Exception


@dataclass
class User:
    """The runtime context of the tests' agents."""

    user_id: str


class ScriptedChat(BaseChatModel):
    """Gives its replies in order, raises the exceptions among them, and keeps what it was shown."""

    replies: list[Any] = Field(default_factory=list)
    seen: list[list[BaseMessage]] = Field(default_factory=list)

    def __init__(self, *replies: Reply, **values: Any) -> None:
        super().__init__(replies=list(replies), **values)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **_: Any) -> Any:
        return self

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._next(messages))])

    def _stream(self, messages: list[BaseMessage], *_: Any, **__: Any) -> Iterator[ChatGenerationChunk]:
        reply = self._next(messages)
        yield ChatGenerationChunk(
            message=AIMessageChunk(
                reply.content,
                tool_call_chunks=[
                    {"name": c["name"], "args": _json(c["args"]), "id": c["id"], "index": at}
                    for at, c in enumerate(reply.tool_calls)
                ],
            )
        )

    def _next(self, messages: list[BaseMessage]) -> AIMessage:
        self.seen.append(list(messages))
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return AIMessage(reply) if isinstance(reply, str) else cast(AIMessage, reply)

    def recalled(self, call: int = -1) -> str:
        """What a call showed of memory, wherever it stood; empty where it showed nothing."""
        shown = "\n".join(message.text for message in self.seen[call])
        return "\n".join(re.findall(r"<memories.*?</memories>", shown, re.DOTALL))

    def system(self, call: int = -1) -> str:
        """The text of the system message of a call; empty where it had none."""
        first = self.seen[call][0]
        return first.text if first.type == "system" else ""


def calls(name: str, identifier: str = "call-1", **arguments: Any) -> AIMessage:
    """A reply that calls a tool."""
    return AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": identifier}])


class Runner:
    """Runs LangChain objects in one face: `run(agent, input)` is `invoke`, or an awaited `ainvoke`."""

    def __init__(self, face: str) -> None:
        self.face = face

    def __call__(self, runnable: Any, given: Any, **options: Any) -> Any:
        if self.face == "sync":
            return runnable.invoke(given, **options)
        return asyncio.run(runnable.ainvoke(given, **options))

    def call(self, target: Any, name: str, *args: Any, **options: Any) -> Any:
        """A method, or its awaited `a…` twin."""
        if self.face == "sync":
            return getattr(target, name)(*args, **options)
        return asyncio.run(getattr(target, f"a{name}")(*args, **options))


def thread(name: str, **configurable: Any) -> dict[str, Any]:
    return {"configurable": {"thread_id": name, **configurable}}


def says(text: str, **values: Any) -> Mapping[str, Any]:
    return {"messages": [{"role": "user", "content": text, **values}]}


def _json(value: Any) -> str:
    import json

    return json.dumps(value)
