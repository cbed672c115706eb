"""What an endpoint understands: how it is asked for structure, and which parameters it takes.

Endpoints that call themselves OpenAI-compatible differ. Each refusal narrows the dialect by one step, so
that asking again comes to an end; the dialect is pure data and knows nothing of the network.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ..ports import Prompt, Schema
from .likelihoods import MOST_ALTERNATIVES

Structure = Literal["json_schema", "tool", "json_object", "text"]
LADDER: tuple[Structure, ...] = ("json_schema", "tool", "json_object", "text")

_STRUCTURE_REFUSED = re.compile(
    r"response_format|json_schema|json_object|structured|grammar|guided|schema|\btools?\b|tool_choice|function",
    re.IGNORECASE,
)
_REFUSING_STATUS = frozenset({400, 404, 405, 415, 422, 500, 501})  # llama.cpp says 500 to tools it cannot do


@dataclass(frozen=True, slots=True)
class Dialect:
    """structure: how structure is asked for. `fixed` means that the user chose it.
    temperature / limit / likelihoods: whether these parameters are sent; the last asks how likely each value of a
        schema's choice was.
    brief: whether a reply is cut off at its schema's length; not of models that think before they answer.
    """

    structure: Structure = "json_schema"
    fixed: bool = False
    temperature: bool = True
    limit: bool = True
    likelihoods: bool = True
    brief: bool = True

    def narrowed(self, status: int, message: str, *, structured: bool) -> Dialect | None:
        """The dialect to try after the endpoint refused this one; None where that would not help.

        structured: whether the refused request asked for structure at all.
        """
        if self.likelihoods and "logprobs" in message:  # OpenAI says 403 to those of its reasoning models
            return replace(self, likelihoods=False)
        if status not in _REFUSING_STATUS:
            return None
        if self.limit and ("max_tokens" in message or "max_completion_tokens" in message):
            # A reasoning model, which wants no limit on its thoughts, or a context too short for ours.
            return replace(self, limit=False)
        if self.temperature and "temperature" in message:
            return replace(self, temperature=False)
        if structured and not self.fixed and self.structure != "text" and _STRUCTURE_REFUSED.search(message):
            return replace(self, structure=LADDER[LADDER.index(self.structure) + 1])
        return None

    def request(
        self,
        messages: Sequence[Prompt],
        schema: Schema | None,
        *,
        temperature: float | None,
        limit: int | None,
    ) -> dict[str, Any]:
        """The arguments of the request, model aside."""
        arguments: dict[str, Any] = {}
        if self.temperature and temperature is not None:
            arguments["temperature"] = temperature
        if self.limit and limit is not None:
            brief = schema.max_tokens if schema and self.brief else None
            arguments["max_tokens"] = min(limit, brief or limit)
        if schema is not None and self.structure in {"json_object", "text"}:
            messages = with_schema(messages, schema)
        arguments["messages"] = [{"role": prompt.role, "content": prompt.content} for prompt in messages]
        if schema is not None:
            arguments |= self.form(schema)
        return arguments

    def form(self, schema: Schema) -> dict[str, Any]:
        """The arguments that ask for a reply of this form, and, of a choice, for how likely each value was."""
        arguments = _structured(self.structure, schema)
        if schema.choice and self.likelihoods and self.structure != "tool":
            arguments |= {"logprobs": True, "top_logprobs": MOST_ALTERNATIVES}
        return arguments


def _structured(structure: Structure, schema: Schema) -> dict[str, Any]:
    form = dict(schema.json)
    match structure:
        case "json_schema":
            wanted = {"name": schema.name, "description": schema.description, "schema": form, "strict": True}
            return {"response_format": {"type": "json_schema", "json_schema": wanted}}
        case "tool":
            only = {"type": "function", "function": {"name": schema.name}}
            return {
                "tools": [{"type": "function", "function": function} for function in functions(schema)],
                "tool_choice": "required" if schema.calls else only,
            }
        case "json_object":
            return {"response_format": {"type": "json_object"}}
        case "text":
            return {}


def functions(schema: Schema) -> list[dict[str, Any]]:
    """The functions that a model calls in the place of a reply of this form: its `calls`, else the form as one."""
    return [
        {"name": one.name, "description": one.description, "parameters": dict(one.json)}
        for one in schema.calls or (schema,)
    ]


def called(schema: Schema | None, calls: Sequence[tuple[str, Any]]) -> Any:
    """What a model said by calling functions, each a name and its arguments: the arguments of the one whose
    arguments are the reply, or all calls where the form has several."""
    if schema is not None and schema.calls:
        return {"calls": [{"name": name, "arguments": arguments} for name, arguments in calls]}
    return next((arguments for _, arguments in calls if arguments), "")


def with_schema(messages: Sequence[Prompt], schema: Schema) -> list[Prompt]:
    """The messages with the schema at the end of the first system message, where it can be cached."""
    form = json.dumps(schema.json, ensure_ascii=False)
    demand = f"Reply with one JSON object that fits this JSON Schema, and nothing else:\n{form}"
    if messages and messages[0].role == "system":
        return [Prompt("system", f"{messages[0].content}\n\n{demand}"), *messages[1:]]
    return [Prompt("system", demand), *messages]
