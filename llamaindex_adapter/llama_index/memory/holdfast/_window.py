"""Which part of a history fits a prompt, and where recalled memories go. Pure functions; inputs are not changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, takewhile
from typing import Literal

from llama_index.core.base.llms.types import (
    BaseContentBlock,
    BaseRecursiveContentBlock,
    CacheControl,
    CachePoint,
    ChatMessage,
    DocumentBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

InsertMethod = Literal["user", "system"]
Count = Callable[[str], int]
Measured = tuple[ChatMessage, int]  # a message and its tokens

# As LlamaIndex's `Memory` counts, too: an image or a recording, and a document.
MEDIUM_TOKENS = 256
DOCUMENT_TOKENS = 2048
RECALL_SHARE = 0.3  # of a token limit, at most; LlamaIndex's `Memory` leaves as much to its blocks


def message_tokens(message: ChatMessage, count: Count) -> int:
    """How long a message is: its texts, its tool calls and additional arguments as JSON, media at a flat rate."""
    tokens = sum(_block_tokens(block, count) for block in message.blocks)
    if message.additional_kwargs:
        tokens += count(json.dumps(message.additional_kwargs, default=str, ensure_ascii=False))
    return tokens


def _block_tokens(block: BaseContentBlock, count: Count) -> int:
    match block:
        case TextBlock():
            return count(block.text)
        case ThinkingBlock():
            return count(block.content or "")
        case ToolCallBlock():
            return count(f"{block.tool_name} {block.tool_kwargs}")
        case CachePoint() | CacheControl():
            return 0  # a mark for the provider rather than content
        case DocumentBlock():
            return DOCUMENT_TOKENS
        case BaseRecursiveContentBlock():
            return sum(_block_tokens(nested, count) for nested in block.nested_blocks)
        case _:
            return MEDIUM_TOKENS


def fitting(history: Sequence[ChatMessage], lengths: Sequence[int], limit: int) -> list[ChatMessage]:
    """A history that fits `limit` tokens as it is, else its newest turns after the system messages that lead it.

    lengths: the tokens of each message.

    Turns stay whole, so that a tool call never loses its result and the first message is a user's. The last turn
    is kept even if it alone exceeds the limit; its tool calls are then dropped, the oldest first, but not what
    the user said.
    """
    if sum(lengths) <= limit:
        return list(history)
    measured = list(zip(history, lengths, strict=True))
    lead = _leading(measured)
    left = limit - _total(lead)
    kept: list[Measured] = []
    for turn in reversed(_split(measured[len(lead) :], MessageRole.USER)):
        if _total(turn) > left and kept:
            break
        kept = [*(turn if _total(turn) <= left else _shortened(turn, left)), *kept]
        left -= _total(turn)
    return [message for message, _ in (*lead, *kept)]


def inserted(
    history: Sequence[ChatMessage], recalled: str, method: InsertMethod, said: ChatMessage | None
) -> list[ChatMessage]:
    """The history with recalled memories in it: merged into one message, which is a copy.

    method: "user" merges them into `said`, so that a provider's cache of the earlier messages stays good; "system"
        into the system message that leads the history. If there is none to merge into, they become a system
        message in front.
    said: the message of `history` that is being answered, if it is there already. Earlier ones were sent before,
        and stay as they are.
    """
    if not recalled:
        return list(history)
    if method == "user":
        at = next((at for at, message in enumerate(history) if message is said), None)
    else:
        at = 0 if history and history[0].role == MessageRole.SYSTEM else None
    if at is None:
        return [ChatMessage(role=MessageRole.SYSTEM, content=recalled), *history]
    merged = _merged(history[at], recalled, before=method == "user")
    return [*history[:at], merged, *history[at + 1 :]]


def _merged(message: ChatMessage, recalled: str, *, before: bool) -> ChatMessage:
    """A copy of the message with the memories in it: in its own text if it has one, so that it stays plain."""
    if len(message.blocks) == 1 and isinstance(message.blocks[0], TextBlock):
        own = message.blocks[0].text
        text = f"{recalled}\n\n{own}" if before else f"{own}\n\n{recalled}"
        return message.model_copy(update={"blocks": [TextBlock(text=text)]})
    block = TextBlock(text=recalled)
    blocks = [block, *message.blocks] if before else [*message.blocks, block]
    return message.model_copy(update={"blocks": blocks})


def _leading(messages: Sequence[Measured]) -> list[Measured]:
    led = takewhile(lambda part: part[0].role in (MessageRole.SYSTEM, MessageRole.DEVELOPER), messages)
    return list(led)


def _split(messages: Sequence[Measured], role: MessageRole) -> list[list[Measured]]:
    """Runs of messages, each beginning with one of `role`; what precedes the first such message is dropped
    unless there is none at all."""
    runs: list[list[Measured]] = []
    for part in messages:
        if part[0].role == role:
            runs.append([part])
        elif runs:
            runs[-1].append(part)
    return runs or ([list(messages)] if messages else [])


def _shortened(turn: Sequence[Measured], limit: int) -> list[Measured]:
    """A turn without as many of its oldest tool calls and their results as necessary."""
    first, rounds = list(turn[:1]), _split(turn[1:], MessageRole.ASSISTANT)
    while len(rounds) > 1 and _total((*first, *chain(*rounds))) > limit:
        rounds.pop(0)
    return [*first, *chain(*rounds)]


def _total(messages: Iterable[Measured]) -> int:
    return sum(tokens for _, tokens in messages)
