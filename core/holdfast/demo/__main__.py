"""`python -m holdfast.demo`: tell the story to a memory in a fresh folder, and print what becomes of it."""

from __future__ import annotations

import argparse
import io
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime

from holdfast import AddResult, Change, HoldfastError, InputError, Memory

from ..models import default_model
from ..ports import LanguageModel
from ..storage.places import default_folder
from . import Person, RecordedModel, Session, Story, StoryClock, story

WIDTH = 74  # of a heading


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the demo; 1 where the model or the store failed, with the reason on stderr."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # a pipe on Windows would refuse the Chinese half
    parser = argparse.ArgumentParser(prog="python -m holdfast.demo", description=__doc__)
    parser.add_argument("--no-model", action="store_true", help="what a memory does without a model")
    try:
        tell(story(), None if parser.parse_args(arguments).no_model else model())
    except HoldfastError as error:
        print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def model() -> LanguageModel:
    """The model at `OPENAI_BASE_URL` where that is set, else the recorded one."""
    url = os.environ.get("OPENAI_BASE_URL")
    if not url:
        return RecordedModel()
    if llm := default_model():
        return llm
    raise InputError(
        f"OPENAI_BASE_URL={url!r} names a model that cannot be asked: install holdfast[openai] and set "
        "OPENAI_API_KEY, to any text where the endpoint wants none"
    )


def tell(told: Story, llm: LanguageModel | None) -> None:
    """Remember every session, then ask."""
    clock = StoryClock(told.sessions[0].at)
    recorded = isinstance(llm, RecordedModel)  # it knows the story's questions alone, and no examination
    with tempfile.TemporaryDirectory(prefix="holdfast-demo-") as folder:
        start = time.perf_counter()
        with Memory(folder, llm=llm, model_size="large" if recorded else "auto", now=clock) as memory:
            memory.search("whatever loads on first use", user_id="nobody")
            introduce(memory, time.perf_counter() - start)
            added = [remember(memory, clock, session) for session in told.sessions]
            for person in told.people:
                ask(memory, person)
            show_history(memory, [change for result in added for change in result])
            take_back(memory, added[-1], told.sessions[-1].user_id)
    print(f"\nThe folder of this run is gone. By default memories are kept in {default_folder()}")


def introduce(memory: Memory, seconds: float) -> None:
    print(f"Holdfast demo: a fresh store in a folder, opened in {seconds:.1f} s; no server, no key.")
    match memory.llm:
        case None:
            print("Model: none. What users state is kept word for word, and only equal text is folded:")
            print("what contradicts itself stands side by side, each with its date.")
        case RecordedModel() as llm:
            print(f"Model: {llm.name}. Its replies to this conversation ship with the package;")
            print("all else happens now. --no-model does without; OPENAI_BASE_URL asks a model of yours.")
        case llm:
            print(f"Model: {llm.name}. It extracts and merges.")


def remember(memory: Memory, clock: StoryClock, session: Session) -> AddResult:
    """One conversation goes in; what was kept and what was merged comes out."""
    heading(f"{session.at:%a %d %b %Y}, {session.user_id}")
    for message in session.messages:
        print(f"  {session.user_id if message['role'] == 'user' else message['role']}: {message['content']}")
    clock.set(session.at)
    result = memory.add(list(session.messages), user_id=session.user_id, happened_at=session.at)
    for change in result:
        show_change(change)
    if (spent := result.usage).calls:
        tokens = f"{spent.input_tokens} tokens in, {spent.output_tokens} out"
        print(f"      [calls of the model: {spent.calls}; {tokens}]")
    return result


def show_change(change: Change) -> None:
    text = f"{change.before} -> {change.after}" if change.operation == "UPDATE" else change.text
    known = " (known already)" if change.operation == "NOOP" else ""
    print(f"      {change.operation:<6}  {text}{known}", flush=True)


def ask(memory: Memory, person: Person) -> None:
    """What each question finds, what was known earlier, and what an agent would see."""
    heading(f"Asked about {person.user_id}")
    for question in person.questions:
        ask_once(memory, person.user_id, question)
    question, instant = person.earlier
    ask_once(memory, person.user_id, question, as_of=instant)
    start = time.perf_counter()
    context = memory.recall(person.prompt, user_id=person.user_id, max_tokens=100)
    took = f"{context.tokens} tokens of at most 100, {elapsed(start)}"
    print(f"  What an agent sees before it answers “{person.prompt}” ({took}):")
    for line in context.text.splitlines():
        print(f"      {line}")


def ask_once(memory: Memory, user_id: str, question: str, as_of: datetime | None = None) -> None:
    start = time.perf_counter()
    hits = memory.search(question, user_id=user_id, limit=2, as_of=as_of)
    when = f" [as of {as_of:%d %b}]" if as_of is not None else ""
    print(f"  {question}{when} ({elapsed(start)})")
    for hit in hits:
        at = hit.memory.happened_at or hit.memory.created_at
        print(f"      {hit.score:.2f}  {at:%d %b}  {hit.text}")


def elapsed(start: float) -> str:
    return f"{(time.perf_counter() - start) * 1000:.1f} ms"


def show_history(memory: Memory, changes: Sequence[Change]) -> None:
    """All that happened to the first memory of which something was said again, if there is one."""
    again = [change.memory_id for change in changes if change.operation != "ADD"]
    heading("The history of one memory")
    for change in memory.history(again[0]) if again else ():
        print(f"      {change.operation:<6}  {change.at:%d %b %H:%M}  {change.text}")


def take_back(memory: Memory, result: AddResult, user_id: str) -> None:
    """Undo what the last conversation changed, and say what holds again."""
    heading(f"The last conversation of {user_id} taken back")
    changed = any(change.operation != "NOOP" for change in result)
    for change in memory.undo(result.id, user_id=user_id) if changed else ():
        show_change(change)
    print(f"  {user_id} has {memory.count(user_id=user_id)} memories again, as before it.")


def heading(text: str) -> None:
    print(f"\n── {text} {'─' * (WIDTH - len(text))}")


if __name__ == "__main__":
    sys.exit(main())
