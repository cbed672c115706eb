"""`python -m holdfast.demo`: tell the story to a memory in a fresh folder, and print what becomes of it."""

from __future__ import annotations

import io
import sys
import tempfile
import time
from datetime import datetime

from holdfast import AddResult, Change, HoldfastError, Memory, SearchHit
from holdfast.models import default_model
from holdfast.places import default_folder

from . import Person, Session, Story, StoryClock, story

LINE = "─" * 78


def main() -> int:
    """Print the demo; 1 where the model or the store failed, with the reason on stderr."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # a pipe on Windows would refuse the Chinese half
    try:
        tell(story())
    except HoldfastError as error:
        print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def tell(told: Story) -> None:
    """Remember every session, then ask."""
    clock = StoryClock(told.sessions[0].at)
    with tempfile.TemporaryDirectory(prefix="holdfast-demo-") as folder:
        start = time.perf_counter()
        with Memory(folder, llm=default_model(), now=clock) as memory:
            memory.search("whatever loads on first use", user_id="nobody")
            introduce(memory, folder, time.perf_counter() - start)
            added = [remember(memory, clock, session) for session in told.sessions]
            for person in told.people:
                ask(memory, person)
            show_history(memory, added)
            take_back(memory, added[-1], told.sessions[-1].user_id)
    print(f"\n{LINE}\nThe folder of this run is gone. By default memories are kept in {default_folder()}")


def introduce(memory: Memory, folder: str, seconds: float) -> None:
    print(f"Holdfast demo. A fresh store in {folder}, opened in {seconds:.1f} s.")
    print(f"Embedder: {memory.embedder.name}, {memory.embedder.dimensions} dimensions.")
    if memory.llm is None:
        print("Model: none. Statements are kept word for word; questions and small talk are not.")
        print("With OPENAI_API_KEY (and OPENAI_BASE_URL, OPENAI_MODEL) set, a model extracts and merges.")
    else:
        print(f"Model: {memory.llm.name}. It extracts and merges.")


def remember(memory: Memory, clock: StoryClock, session: Session) -> AddResult:
    """One conversation goes in; what was kept and what was merged comes out."""
    heading(f"{session.at:%a %d %b %Y}, {session.user_id}\n")
    for message in session.messages:
        print(f"  {session.user_id if message['role'] == 'user' else message['role']}: {message['content']}")
    clock.set(session.at)
    start = time.perf_counter()
    result = memory.add(list(session.messages), user_id=session.user_id, happened_at=session.at)
    milliseconds = (time.perf_counter() - start) * 1000
    print()
    for change in result:
        show_change(change)
    spent = result.usage
    cost = f"{spent.calls} model calls, {spent.input_tokens} + {spent.output_tokens} tokens"
    print(f"  [{milliseconds:.0f} ms, {cost if spent.calls else 'no model call'}]", flush=True)
    return result


def show_change(change: Change) -> None:
    match change.operation:
        case "ADD":
            print(f"  kept      {change.after}")
        case "UPDATE":
            print(f"  merged    {change.before}\n       ->   {change.after}\n            ({change.reason})")
        case "DELETE":
            print(f"  closed    {change.before}\n            ({change.reason})")
        case "NOOP":
            print(f"  known     {change.text}")


def ask(memory: Memory, person: Person) -> None:
    """What each question recalls, what an agent would see, and what was known earlier."""
    heading(f"Asked about {person.user_id}")
    for question in person.questions:
        ask_once(memory, person.user_id, question)
    question, instant = person.earlier
    ask_once(memory, person.user_id, question, as_of=instant)
    start = time.perf_counter()
    context = memory.recall(person.prompt, user_id=person.user_id, max_tokens=300)
    milliseconds = (time.perf_counter() - start) * 1000
    print(
        f"\n  For an agent about to answer “{person.prompt}” ({context.tokens} tokens, {milliseconds:.1f} ms):"
    )
    for line in context.text.splitlines():
        print(f"    {line}")


def ask_once(memory: Memory, user_id: str, question: str, as_of: datetime | None = None) -> None:
    start = time.perf_counter()
    hits = memory.search(question, user_id=user_id, limit=2, as_of=as_of)
    milliseconds = (time.perf_counter() - start) * 1000
    when = f" [as of {as_of:%d %b}]" if as_of is not None else ""
    print(f"\n  {question}{when}  ({milliseconds:.1f} ms)")
    for hit in hits:
        show_hit(hit)


def show_hit(hit: SearchHit) -> None:
    print(f"    {hit.score:.2f}  {hit.text}")


def show_history(memory: Memory, added: list[AddResult]) -> None:
    """Every version of the memory that changed first."""
    changed = next((change for result in added for change in result if change.operation == "UPDATE"), None)
    if changed is None:
        return
    heading("The history of one memory\n")
    for change in memory.history(changed.memory_id):
        print(f"  {change.at:%d %b %H:%M}  {change.operation:<7} {change.text}")


def take_back(memory: Memory, result: AddResult, user_id: str) -> None:
    """Undo the last conversation, and say what holds again."""
    heading(f"The last conversation of {user_id} taken back\n")
    for change in memory.undo(result.id, user_id=user_id):
        show_change(change)
    print(f"  {memory.count(user_id=user_id)} memories of {user_id}, as before it.")


def heading(text: str) -> None:
    print(f"\n{LINE}\n{text}")


if __name__ == "__main__":
    sys.exit(main())
