"""What mem0 and Holdfast make of the same messages with the same model: parts of mem0_beside.py."""

from __future__ import annotations

import tempfile
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np

from bench.data import cases, locomo
from bench.data.locomo import Conversation
from bench.data.minilm import MiniLM
from bench.data.replies import KEPT, of_environment
from bench.peers.mem0_peer import FILTER, USER, MiniLMVectors, Recorded, opened
from bench.quality import extraction, merging
from holdfast.decisions.extraction import Fact, Window
from holdfast.types import Usage

# --- extraction -------------------------------------------------------------------------------------------


def extract(args: Namespace) -> dict[str, Any]:
    """Both from the same pairs of messages. mem0 does not name the message behind a fact: the nearest of its
    pair is taken, which can only flatter."""
    conversation = next(c for c in locomo.load(args.path) if c.name == args.conversation)
    embedder = MiniLM()
    mem0_run, more = _mem0_extracts(conversation, args.messages, embedder)
    made = list(extraction.windows_of(conversation.turns[: args.messages], "sessions"))
    runs = {"mem0": mem0_run, "Holdfast": extraction.extracted(made, of_environment())}
    figures: dict[str, Any] = {}
    for name, run in runs.items():
        figures[name] = extraction.measured(conversation, run, embedder) | {
            "calls": run.usage.calls,
            "input_tokens_per_call": round(run.usage.input_tokens / max(run.usage.calls, 1)),
            "output_tokens_per_call": round(run.usage.output_tokens / max(run.usage.calls, 1)),
        }
        print(name, *(fact.text for fact, _ in run.facts), sep="\n    ")  # the data set's words: never stored
    figures["mem0"] |= more
    return {"extraction": figures | {"conversation": conversation.name}}


def _mem0_extracts(c: Conversation, count: int, embedder: MiniLM) -> tuple[extraction.Run, dict[str, float]]:
    run, attributed = extraction.Run(), []
    turns = c.turns[:count]
    roles = {c.speakers[0]: "user", c.speakers[1]: "assistant"}
    vectors, model = MiniLMVectors(), Recorded(KEPT)
    with (
        tempfile.TemporaryDirectory() as folder,
        opened("with extras", vectors, vectors.dimensions, Path(folder), model) as memory,
    ):
        for at in range(0, len(turns), 2):
            pair = turns[at : at + 2]
            messages = [{"role": roles[turn.speaker], "content": turn.spoken} for turn in pair]
            kept = memory.add(messages, user_id=USER)["results"]
            window = Window(tuple(extraction.message(turn) for turn in pair), at, ())
            for one in kept:
                fact = _fact(one["memory"], window, embedder)
                run.facts.append((fact, window))
                told = memory.get(one["id"]).get("attributed_to")
                attributed.append(told == roles[pair[fact.sources[0]].speaker])
            run.windows += 1
            run.messages += len(pair)
            print(f"  mem0, messages {at} and {at + 1}: {model.calls[-1]}", flush=True)
    run.usage = Usage(
        len(model.calls),
        sum(call["input_tokens"] for call in model.calls),
        sum(call["output_tokens"] for call in model.calls),
    )
    more = {
        "attributed_to the right speaker": float(np.mean(attributed)) if attributed else 0.0,
        "replies cut off": sum(call["finish"] == "length" for call in model.calls),
    }
    return run, more


def _fact(text: str, window: Window, embedder: MiniLM) -> Fact:
    said = [f"{message.name}: {message.content}" for message in window.messages]
    near = embedder.embed(said) @ embedder.embed([text])[0]
    return Fact(text, tuple(int(at) for at in np.argsort(-near)), None)


# --- merging ----------------------------------------------------------------------------------------------


def merge(args: Namespace) -> dict[str, Any]:
    of_kind: dict[str, cases.Case] = {}
    for case in cases.load(args.cases):
        if case.language == "en":
            of_kind.setdefault(case.kind, case)
    chosen = list(of_kind.values())[: args.count]
    mine, theirs = merging.Model(of_environment()), Recorded(KEPT)
    embed, strategy = merging.embedder(), merging.strategy_of("large")
    # One after the other: where a server keeps one prompt at hand, turns would have it read mem0's anew each time.
    decided = [merging.decide(strategy, merging.fact_of(case, embed), mine) for case in chosen]
    outcomes = {
        "Holdfast": [merging.outcome(case, one) for case, one in zip(chosen, decided, strict=True)],
        "mem0": [_mem0_merges(case, theirs) for case in chosen],
    }
    for name, those in outcomes.items():
        for one in those:
            print(f"  {one.case.kind} {name}: {one.operation} right={one.right} -> {one.store}", flush=True)
    figures = {name: cases.summary(those) for name, those in outcomes.items()}
    figures["Holdfast"] |= {
        "calls": mine.usage.calls,
        "input tokens": mine.usage.input_tokens,
    }
    figures["mem0"] |= {
        "calls": len(theirs.calls),
        "input tokens": sum(call["input_tokens"] for call in theirs.calls),
    }
    for name, those in outcomes.items():
        figures[name]["stores"] = {one.case.kind: [one.right, one.operation, one.store] for one in those}
    return {"merging": figures | {"file": args.cases.name}}


def _mem0_merges(case: cases.Case, model: Recorded) -> cases.Outcome:
    vectors = MiniLMVectors()
    with (
        tempfile.TemporaryDirectory() as folder,
        opened("with extras", vectors, vectors.dimensions, Path(folder), model) as memory,
    ):
        for text in case.memories:
            memory.add(text, user_id=USER, infer=False)
        events = [one["event"] for one in memory.add(case.fact, user_id=USER)["results"]]
        listed = memory.get_all(filters=FILTER, top_k=100)["results"]
    store = [one["memory"] for one in listed]
    operation = events[0] if events else "NOOP"
    target = case.target if operation == "NOOP" else None
    return cases.judged(case, operation, target, store)
