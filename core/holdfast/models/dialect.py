"""What a model understands: how it is asked for structure, which parameters it takes, and what to try next.

Endpoints and frameworks differ, and few say beforehand what they support. A `Dialect` is one way to ask; each refusal
narrows it by one step, so that asking again comes to an end. A `Ladder` climbs down these steps for one model and
remembers what the model answered to. Neither knows the network: the caller says how a request is made.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ..errors import HoldfastError, InputError
from ..ports import Completion, Prompt, Schema
from ..types import Usage
from .likelihoods import MOST_ALTERNATIVES, likelihoods

log = logging.getLogger("holdfast")

Structure = Literal["json_schema", "tool", "json_object", "text"]
Rungs = tuple[Structure, ...]
LADDER: Rungs = ("json_schema", "tool", "json_object", "text")

# How providers say that they do not support what was asked for; anything else is a failure of the request.
_STRUCTURE_REFUSED = re.compile(
    r"response_format|json_schema|json_object|structured|grammar|guided|schema|\btools?\b|tool_choice|function"
    r"|not supported",
    re.IGNORECASE,
)
_LENGTH_REFUSED = re.compile(r"length limit|max_(?:completion_|output_)?tokens|num_predict", re.IGNORECASE)
_REFUSING_STATUS = frozenset(
    {400, 404, 405, 415, 422, 500, 501}
)  # llama.cpp answers 500 to unsupported tools


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model said, as its framework or endpoint handed it over.

    parsed: the object, if it was parsed already.
    calls: the functions that the model called, each a name and its arguments.
    tokens: `choices[0].logprobs.content` as OpenAI writes it; empty if the provider does not say.
    cut_off: whether a limit on its length ended it.
    """

    text: str = ""
    parsed: Mapping[str, Any] | None = None
    calls: Sequence[tuple[str, Any]] = ()
    usage: Usage = field(default_factory=lambda: Usage(calls=1))
    tokens: Sequence[Mapping[str, Any]] = ()
    cut_off: bool = False

    @property
    def unanswered(self) -> bool:
        """Whether the model was still thinking when it was cut off: no object has begun."""
        if self.calls or self.parsed is not None:
            return False
        return not self.text.strip() or (self.cut_off and "{" not in self.text)

    def completion(self, schema: Schema | None) -> Completion:
        """The reply as the engine takes it: what the model called, else the object, else its text."""
        said = _called(schema, self.calls) or self.parsed
        return Completion(self.text if said is None else said, self.usage, likelihoods(self.tokens, schema))


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way to ask a model.

    rungs: how structure is asked for, followed by what is left to try.
    temperature / limit / likelihoods: whether these parameters are sent; the last asks how likely each value of a
        schema's choice was.
    brief: whether a reply is cut off at its schema's length; not of models that think before they answer.
    """

    rungs: Rungs = LADDER
    temperature: bool = True
    limit: bool = True
    likelihoods: bool = True
    brief: bool = True

    @property
    def structure(self) -> Structure:
        """How structure is asked for."""
        return self.rungs[0]

    def most_tokens(self, schema: Schema | None) -> int | None:
        """The length at which a reply of this form is cut off; None if it is not."""
        return schema.max_tokens if schema and self.brief else None

    def narrowed(self, error: Exception, schema: Schema | None) -> Dialect | None:
        """The dialect to try after this error; None if it does not refuse what this dialect asked for.

        schema: that of the failed request.
        """
        if isinstance(error, HoldfastError):
            return None
        said, status = str(error), getattr(error, "status_code", None)
        if self.likelihoods and "logprobs" in said:  # OpenAI says 403 to those of its reasoning models
            return replace(self, likelihoods=False)
        if isinstance(status, int) and status not in _REFUSING_STATUS:
            return None
        if (self.limit or self.most_tokens(schema)) and _LENGTH_REFUSED.search(said):
            # A reasoning model, which takes no limit on its thoughts, or a context too short for ours.
            return replace(self, limit=False, brief=False)
        if self.temperature and "temperature" in said:
            return replace(self, temperature=False)
        if schema is None or len(self.rungs) == 1:
            return None
        if isinstance(error, (NotImplementedError, AttributeError)) or _STRUCTURE_REFUSED.search(said):
            return replace(self, rungs=self.rungs[1:])
        return None

    def request(
        self,
        messages: Sequence[Prompt],
        schema: Schema | None,
        *,
        temperature: float | None,
        limit: int | None,
    ) -> dict[str, Any]:
        """The arguments of a request to an OpenAI-compatible endpoint, model aside."""
        arguments: dict[str, Any] = {}
        if self.temperature and temperature is not None:
            arguments["temperature"] = temperature
        if self.limit and limit is not None:
            arguments["max_tokens"] = min(limit, self.most_tokens(schema) or limit)
        shown = self.shown(messages, schema)
        arguments["messages"] = [{"role": prompt.role, "content": prompt.content} for prompt in shown]
        return arguments | self.form(schema)

    def shown(self, messages: Sequence[Prompt], schema: Schema | None) -> Sequence[Prompt]:
        """The messages, including the schema if nothing else tells the model about it."""
        if schema is None or self.structure in {"json_schema", "tool"}:
            return messages
        return with_schema(messages, schema)

    def form(self, schema: Schema | None) -> dict[str, Any]:
        """The arguments that ask an OpenAI-compatible endpoint for a reply of this form, and, for a choice, for how
        likely each value was."""
        if schema is None:
            return {}
        arguments = _structured(self.structure, schema)
        if schema.choice and self.likelihoods and self.structure != "tool":
            arguments |= {"logprobs": True, "top_logprobs": MOST_ALTERNATIVES}
        return arguments


class Ladder:
    """How one model is asked for structure, and what was learned about it. Thread-safe.

    model: its name, for the log.
    dialect: how it is asked first. A dialect is remembered once the model has answered to it, for the life of this
        object.
    """

    def __init__(self, model: str, dialect: Dialect) -> None:
        self._model = model
        self.dialect = dialect

    async def ask(self, schema: Schema | None, request: Callable[[Dialect], Awaitable[Reply]]) -> Completion:
        """The reply to the first way of asking that the model does not refuse.

        schema: the form that the reply should have; None for a text.
        request: asks the model in a dialect. A reply cut off before it began is requested again without the limit.

        Raises what `request` raises if it is not a refusal, or nothing is left to try.
        """
        began = tried = self.dialect
        while True:
            try:
                reply = await request(tried)
            except Exception as error:
                narrower = tried.narrowed(error, schema)
                if narrower is None:
                    raise
            else:
                if not (tried.most_tokens(schema) and reply.unanswered):
                    if self.dialect == began:  # else a concurrent request has learned already
                        self.dialect = tried
                    return reply.completion(schema)
                narrower = replace(tried, brief=False)
            log.debug("%s did not answer to %s; trying %s", self._model, tried, narrower)
            tried = narrower


def rungs(structured: str, known: Rungs = LADDER, *, first: Structure = LADDER[0]) -> Rungs:
    """The ways to ask for structure that are tried one after another.

    structured: "auto" for those among `known` from `first` on, else the only one.

    Raises InputError if it is none of these.
    """
    if structured == "auto":
        return known[known.index(first) :]
    for structure in known:
        if structure == structured:
            return (structure,)
    raise InputError(f"structured={structured!r}: choose one of auto, {', '.join(known)}")


def functions(schema: Schema) -> list[dict[str, Any]]:
    """The functions that a model calls instead of a reply of this form: its `calls`, else the form as one."""
    return [
        {"name": one.name, "description": one.description, "parameters": dict(one.json)}
        for one in schema.calls or (schema,)
    ]


def with_schema(messages: Sequence[Prompt], schema: Schema) -> list[Prompt]:
    """The messages with the schema at the end of the first system message, where it can be cached."""
    form = json.dumps(schema.json, ensure_ascii=False)
    demand = f"Reply with one JSON object that fits this JSON Schema, and nothing else:\n{form}"
    if messages and messages[0].role == "system":
        return [Prompt("system", f"{messages[0].content}\n\n{demand}"), *messages[1:]]
    return [Prompt("system", demand), *messages]


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


def _called(schema: Schema | None, calls: Sequence[tuple[str, Any]]) -> Any:
    """The arguments of the function whose arguments are the reply, or all calls if the form has several; None
    if nothing was called."""
    if calls and schema is not None and schema.calls:
        return {"calls": [{"name": name, "arguments": arguments} for name, arguments in calls]}
    return next((arguments for _, arguments in calls if arguments), None)
