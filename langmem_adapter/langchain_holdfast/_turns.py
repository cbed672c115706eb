"""Pure: which messages of a thread belong to the turn, which are not remembered yet, and how recall is shown."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.messages import AnyMessage, BaseMessage, HumanMessage, SystemMessage


def unremembered(
    messages: Sequence[BaseMessage], *, remembered: str | None, held: Sequence[BaseMessage]
) -> list[BaseMessage]:
    """What a thread says beyond what is remembered of it, oldest first.

    remembered: the id of the last message that is. Where it is unknown or gone, the turn begins with the last
        messages of the user: a client without a checkpointer sends its whole history every time.
    held: messages that earlier steps saw unremembered; those that a summary has replaced since are among the
        result.
    """
    said = [message for message in messages if not is_summary(message)]
    present = said[_first(said, remembered, {message.id for message in held}) :]
    ids = {message.id for message in said}
    return [*(message for message in held if message.id not in ids), *present]


def _first(said: Sequence[BaseMessage], remembered: str | None, held: set[str | None]) -> int:
    ids = [message.id for message in said]
    if remembered is not None and remembered in ids:
        return ids.index(remembered) + 1
    seen = [at for at, identifier in enumerate(ids) if identifier is not None and identifier in held]
    return min([last_question(said), *seen])


def last_question(said: Sequence[BaseMessage]) -> int:
    """Where the last uninterrupted run of the user's messages begins; the end where there is none."""
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
    said = [message for message in messages if not is_summary(message)]
    asked = (m.text for m in said[last_question(said) :] if isinstance(m, HumanMessage))
    return "\n".join(text for text in asked if text.strip())


def is_summary(message: BaseMessage) -> bool:
    """Whether SummarizationMiddleware wrote it: the user's message in form, nothing that the user said."""
    return message.additional_kwargs.get("lc_source") == "summarization"


def worth_holding(messages: Sequence[BaseMessage]) -> list[AnyMessage]:
    """Those that a summary must not take from memory: what people and the agent said, without tools' output."""
    return [m for m in messages if m.type in ("human", "ai") and m.text.strip()]  # type: ignore[misc]


def with_recalled(system: SystemMessage | None, recalled: str) -> SystemMessage:
    """The system message with what was recalled at its end, after all that providers can cache."""
    if system is None:
        return SystemMessage(recalled)
    if isinstance(system.content, str):
        content = f"{system.content}\n\n{recalled}" if system.content else recalled
        return system.model_copy(update={"content": content})
    return system.model_copy(update={"content": [*system.content, {"type": "text", "text": recalled}]})
