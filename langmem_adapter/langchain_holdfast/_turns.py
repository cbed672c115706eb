"""Pure: which messages of a thread are not journaled yet, what is asked, and how recall is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from langchain.agents.middleware import ModelRequest
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, SystemMessage
from langgraph.typing import ContextT

from ._convert import is_framework_s

Inject: TypeAlias = Literal["user", "system"]


def unjournaled(messages: Sequence[BaseMessage], last: str | None) -> list[BaseMessage]:
    """A thread's messages that are not journaled yet, oldest first.

    last: the id of the last message that is. If it is unknown or gone, the turn begins with the last messages of
        the user, as a client without a checkpointer sends its whole history every time. Messages with known ids
        are not journaled twice.
    """
    said = [message for message in messages if not is_framework_s(message)]
    ids = [message.id for message in said]
    return said[ids.index(last) + 1 if last in ids else last_question(said) :]


def last_question(said: Sequence[BaseMessage]) -> int:
    """Where the last uninterrupted run of the user's messages begins; the end if there is none."""
    at = len(said)
    while at > 0 and not isinstance(said[at - 1], HumanMessage):
        at -= 1
    if at == 0:
        return len(said)
    while at > 0 and isinstance(said[at - 1], HumanMessage):
        at -= 1
    return at


def question(messages: Sequence[BaseMessage]) -> str:
    """What the user said last: what there is to recall for. Empty for pictures and the like."""
    said = [message for message in messages if not is_framework_s(message)]
    asked = (m.text for m in said[last_question(said) :] if isinstance(m, HumanMessage))
    return "\n".join(text for text in asked if text.strip())


def goes_on(messages: Sequence[BaseMessage]) -> bool:
    """Whether tools are called next, so that the answer does not end the turn."""
    return bool(messages) and isinstance(messages[-1], AIMessage) and bool(messages[-1].tool_calls)


def shown(request: ModelRequest[ContextT], recalled: str, where: Inject) -> ModelRequest[ContextT]:
    """The request with what was recalled: before the words of the user's last message, or if there is none or
    `where` says so, at the end of the system message."""
    if not recalled:
        return request
    messages = request.messages
    asked = [at for at, message in enumerate(messages) if isinstance(message, HumanMessage)]
    if where == "system" or not asked:
        return request.override(system_message=_after(request.system_message, recalled))
    at = asked[-1]
    return request.override(messages=[*messages[:at], _before(messages[at], recalled), *messages[at + 1 :]])


def _after(system: SystemMessage | None, recalled: str) -> SystemMessage:
    """The system message with what was recalled at its end, after all that providers can cache."""
    if system is None:
        return SystemMessage(recalled)
    if isinstance(system.content, str):
        content = f"{system.content}\n\n{recalled}" if system.content else recalled
        return system.model_copy(update={"content": content})
    return system.model_copy(update={"content": [*system.content, {"type": "text", "text": recalled}]})


def _before(message: AnyMessage, recalled: str) -> AnyMessage:
    """The user's message with what was recalled ahead of it, so that the model reads the question last."""
    if isinstance(message.content, str):
        return message.model_copy(update={"content": f"{recalled}\n\n{message.content}"})
    return message.model_copy(update={"content": [{"type": "text", "text": recalled}, *message.content]})
