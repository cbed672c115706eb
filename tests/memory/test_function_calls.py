"""A model with tools and no schemas decides by calling functions: the same decisions come out.

One conversation, told to an OpenAI-compatible endpoint, to a LangChain model and to a LlamaIndex model.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from llama_index.core.base.llms.types import ChatMessage, ToolCallBlock

from holdfast import LanguageModel
from holdfast.models import OpenAIModel
from langchain_holdfast import as_language_model
from llama_index.memory.holdfast import LlamaIndexModel
from tests.conftest import Opener
from tests.langchain.fakes import ScriptedChat
from tests.llamaindex.fakes import Calling
from tests.support.endpoint import Answer, Endpoint, chat, refused

Call = tuple[str, dict[str, Any]]

BERLIN = "I live alone in Berlin and I have a dog, Rex. I am waiting for a visa."
LISBON = "I moved in with Ben in Lisbon. Rex is three. I like tea. The visa is off, I like coffee."
OFFERED = ["add_memory", "update_memory", "delete_memory", "none"]


def told(*texts: str) -> Call:
    rows = [{"message": 1, "speaker": "user", "fact": text, "when": ""} for text in texts]
    return "facts", {"facts": rows}


SCRIPT: list[list[Call]] = [
    [told("Lives alone in Berlin", "Has a dog, Rex", "Is waiting for a visa", "Likes coffee")],
    [
        told(
            "Lives with Ben in Lisbon",
            "Rex is three",
            "Likes tea",
            "Has given up the visa",
            "Is fond of coffee",
        )
    ],
    [
        ("update_memory", {"fact": 1, "memory": 1, "text": "Lives in Lisbon with Ben"}),
        ("update_memory", {"fact": 2, "memory": 2, "text": "Has a dog, Rex, who is three"}),
        ("add_memory", {"fact": 3}),
        ("delete_memory", {"fact": 4, "memory": 3}),
        ("none", {"fact": 5, "memory": 4}),
    ],
]


class Offers(list[list[str]]):
    """The names of the functions that each question offered."""


def openai(endpoint: Endpoint, offers: Offers) -> LanguageModel:
    script = [list(calls) for calls in SCRIPT]

    def answer(body: dict[str, Any]) -> Answer:
        if "tools" not in body:
            return refused("response_format is not available", 422)
        offers.append([tool["function"]["name"] for tool in body["tools"]])
        assert body["tool_choice"] == (
            "required" if len(offers[-1]) > 1 else {"type": "function", "function": {"name": "facts"}}
        )
        calls = [
            {
                "id": f"c{at}",
                "type": "function",
                "function": {"name": name, "arguments": json.dumps(arguments)},
            }
            for at, (name, arguments) in enumerate(script.pop(0))
        ]
        return chat(None, finish="tool_calls", tool_calls=calls)

    endpoint.answer = answer
    return OpenAIModel("small", base_url=endpoint.url, api_key="local", max_retries=0)


class Offered(ScriptedChat):
    """Keeps what it is offered; has no schemas."""

    offers: Any = None

    def bind_tools(self, tools: Any, *, tool_choice: Any = None, **_: Any) -> Any:
        self.offers.append([tool.get("function", {}).get("name") or tool["title"] for tool in tools])
        assert tool_choice == "any"
        return self


def langchain(endpoint: Endpoint, offers: Offers) -> LanguageModel:
    replies = [
        AIMessage(
            "",
            tool_calls=[{"name": name, "args": args, "id": str(at)} for at, (name, args) in enumerate(calls)],
        )
        for calls in SCRIPT
    ]
    return as_language_model(Offered(*replies, offers=offers), structured="tool")


def llamaindex(endpoint: Endpoint, offers: Offers) -> LanguageModel:
    script = [list(calls) for calls in SCRIPT]

    def respond(messages: Any, **kwargs: Any) -> ChatMessage:
        offers.append([tool.metadata.name for tool in kwargs["tools"]])
        blocks = [
            ToolCallBlock(tool_call_id=str(at), tool_name=name, tool_kwargs=args)
            for at, (name, args) in enumerate(script.pop(0))
        ]
        return ChatMessage(role="assistant", blocks=blocks)

    llm = Calling()
    llm._response_generator = respond
    return LlamaIndexModel(llm)


@pytest.mark.parametrize("make", [openai, langchain, llamaindex], ids=lambda make: make.__name__)
def test_the_four_operations_are_offered_as_functions_and_carried_out(
    open_memory: Opener, endpoint: Endpoint, make: Callable[[Endpoint, Offers], LanguageModel]
) -> None:
    offers = Offers()
    memory = open_memory(llm=make(endpoint, offers))
    memory.add(BERLIN, user_id="alice")
    result = memory.add(LISBON, user_id="alice")
    assert [(one.operation, one.before, one.after) for one in result] == [
        ("UPDATE", "Lives alone in Berlin", "Lives in Lisbon with Ben"),
        ("UPDATE", "Has a dog, Rex", "Has a dog, Rex, who is three"),
        ("ADD", None, "Likes tea"),
        ("DELETE", "Is waiting for a visa", None),
        ("NOOP", "Likes coffee", "Likes coffee"),
    ]
    assert offers == [["facts"], ["facts"], OFFERED]


def test_arguments_that_are_no_json_are_asked_for_once_more_and_then_the_facts_are_kept(
    open_memory: Opener, endpoint: Endpoint
) -> None:
    asked: list[dict[str, Any]] = []

    def answer(body: dict[str, Any]) -> Answer:
        if "tools" not in body:
            return refused("response_format is not available", 422)
        asked.append(body)
        name, arguments = "none", '{"fact": 1, "mem'
        if len(body["tools"]) == 1:
            text = "Likes tea" if len(asked) == 1 else "Likes rice"
            name, arguments = told(text)[0], json.dumps(told(text)[1])
        call = {"id": "c", "type": "function", "function": {"name": name, "arguments": arguments}}
        return chat(None, finish="tool_calls", tool_calls=[call])

    endpoint.answer = answer
    memory = open_memory(llm=OpenAIModel("small", base_url=endpoint.url, api_key="local", max_retries=0))
    memory.add("I like tea", user_id="alice")
    [change] = memory.add("I like rice", user_id="alice")
    assert (change.operation, change.after) == ("ADD", "Likes rice")
    assert "could not be read" in change.reason
    assert len(asked) == 4
