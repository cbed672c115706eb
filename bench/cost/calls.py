"""How much of Holdfast one call passes through: calls of its functions, distinct functions, files.

    python -m bench.cost.calls [--table]

One user who is known by a few memories tells one message, and asks one question; the model follows a script, so that
only Holdfast's own work is counted. A coroutine or generator that goes on counts as called again. What is done once
per process (imports, caches) is done before. --table: the functions that are called most.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np

import holdfast
from holdfast import Memory
from holdfast.ports import Completion
from holdfast.types import Usage

PACKAGE = str(Path(holdfast.__file__).parent)
KNOWN = ("Lives in Rome", "Works as a baker", "Has a sister called Ana", "Likes green tea", "Runs on Sundays")


class Words:
    """A text's vector depends on its bytes alone."""

    name = "bench/words"
    dimensions = 64

    def embed_query(self, text: str) -> Any:
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
        vector = np.random.default_rng(seed).standard_normal(self.dimensions).astype(np.float32)
        return vector / np.linalg.norm(vector)

    def embed_documents(self, texts: Sequence[str]) -> Any:
        return np.stack([self.embed_query(text) for text in texts])

    async def aembed_query(self, text: str) -> Any:
        return self.embed_query(text)

    async def aembed_documents(self, texts: Sequence[str]) -> Any:
        return self.embed_documents(texts)


class Script:
    """One fact of each conversation, another one each time; it replaces the first memory that is shown."""

    name = "bench/script"

    def __init__(self) -> None:
        self.cities = iter(("Bergen", "Oslo"))
        self.fact = ""

    def complete(self, messages: Sequence[Any], *, schema: Any = None) -> Completion:
        if schema.name == "facts":
            self.fact = f"Lives in {next(self.cities)} since March"
            told = {"message": 1, "speaker": "user", "fact": self.fact, "when": ""}
            return Completion({"facts": [told]}, Usage(1, 100, 10))
        row = {"fact": 1, "operation": "UPDATE", "memory": 1, "text": self.fact}
        return Completion({"decisions": [row]}, Usage(1, 100, 10))

    async def acomplete(self, messages: Sequence[Any], *, schema: Any = None) -> Completion:
        return self.complete(messages, schema=schema)


def counted(work: Callable[[], object]) -> Counter[CodeType]:
    """How often each of Holdfast's functions was called."""
    calls: Counter[CodeType] = Counter()

    def called(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            calls[frame.f_code] += 1

    sys.setprofile(called)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


def report(name: str, calls: Counter[CodeType], table: bool) -> None:
    files = Counter[str]()
    for code, count in calls.items():
        files[code.co_filename.removeprefix(PACKAGE + "/")] += count
    print(f"{name:8} {calls.total():6,} calls, {len(calls):4} functions, {len(files):3} files")
    if table:
        for code, count in calls.most_common(40):
            print(f"    {count:5}  {code.co_filename.removeprefix(PACKAGE + '/')}:{code.co_qualname}")
        print("   ", ", ".join(f"{name} {count}" for name, count in sorted(files.items())))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        Memory(folder, llm=Script(), embedder=Words(), model_size="large") as memory,
    ):
        memory.add(list(KNOWN), user_id="ana", infer=False)
        memory.add("I have moved to Bergen.", user_id="ana")
        memory.recall("Where does she live?", user_id="ana")
        add = counted(lambda: memory.add("I have moved to Oslo in March.", user_id="ana"))
        recall = counted(lambda: memory.recall("Where does she work?", user_id="ana"))
    report("add", add, options.table)
    report("recall", recall, options.table)


if __name__ == "__main__":
    main()
