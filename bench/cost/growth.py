"""How the cost of a text grows with its length: 1, 10 and 100 KB of anything, added and asked.

    python -m bench.cost.growth [--kilobytes 1 10 100] [--only KIND ...] [--bundled] [--json FILE]

Each text is all of one kind. It is added as it is (`infer=False`), without a model, and with a model that follows a
script; it is asked for; and a memory of its length is recalled. Through the whole public face, with the embedder and
the model taken out; `--bundled` keeps the bundled embedder in. Times are milliseconds of the processor, the best of
three; beside the longest text stands how often more it takes than the one before: 10 for one ten times as long.
"""

from __future__ import annotations

import argparse
import gc
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from bench.cost.overhead import Pool
from holdfast import Memory
from holdfast.ports import Completion
from holdfast.types import Usage

REPEATS = 3
LONG = 1.0  # seconds: what takes longer is not repeated

KINDS: dict[str, str | Callable[[int], str]] = {
    "one letter": "a",
    "words": "The quick brown fox jumps over the lazy dog and ",
    "words, all different": lambda at: f"w{at:x}ord ",
    "statements": lambda at: f"My sister number {at} lives in Porto. ",
    "one-word sentences": "Yes. ",
    "questions": "Why? ",
    "dates": "2023-05-08 ",
    "dates in words": "May 8, 2023, ",
    "Chinese dates": "2023年5月8日",
    "numbers": lambda at: f"{at} ",
    "one number": "7",
    "Chinese": "我喜欢打网球，",
    "Chinese statements": "我喜欢打网球。",
    "Japanese": "私はテニスが好きです。",
    "Korean": "나는 테니스를 좋아한다. ",
    "Hindi": "मैं दिल्ली में रहता हूँ। ",
    "Thai": "ฉันอาศัยอยู่ในกรุงเทพ",
    "Arabic": "أعيش في القاهرة. ",
    "emoji": "😀",
    "joined emoji": "👩‍👩‍👧",
    "accents": "e\u0301",
    "newlines": "\n",
    "spaces": " ",
    "lines": lambda at: f"item {at}\n",
    "list": lambda at: f"- item {at} is here\n",
    "log": lambda at: f"2023-05-08 12:00:00 INFO request {at} done\n",
    "code": lambda at: f"    x{at} = f({at})\n",
    "fences": "```\n",
    "brackets": "[",
    "pairs of brackets": "()",
    "quotes": '"',
    "quoted words": '"yes" ',
    "full stops": ".",
    "abbreviations": "e.g. Dr. ",
    "apostrophes": "a'",
    "commas": "1,",
    "underscores": "_",
    "addresses": "a@b.co ",
    "links": "https://a.co/b ",
    "frames": "<memories ",
    "closed frames": '<memories source="holdfast">\n- x\n</memories>\n',
    "markers": "[INST] ",
    "JSON": '{"a": [1, 2]}, ',
}


def text_of(kind: str, length: int) -> str:
    """About so many bytes of a kind; a letter at both ends, as blank text is refused."""
    piece = KINDS[kind]
    one = piece if isinstance(piece, str) else piece(10_000)
    times = max(1, length // len(one.encode()))
    body = one * times if isinstance(piece, str) else "".join(piece(at) for at in range(times))
    return f"a {body} a"


class Script:
    """Tells what it is shown: the last hundred characters; and adds every fact."""

    name = "bench/script"

    def complete(self, messages: Sequence[Any], *, schema: Any = None) -> Completion:
        if schema.name == "facts":
            fact = {
                "message": 0,
                "speaker": "user",
                "fact": f"Said {messages[-1].content[-100:]}",
                "when": "",
            }
            return Completion({"facts": [fact]}, Usage(1, 100, 10))
        return Completion({"decisions": []}, Usage(1, 100, 10))

    async def acomplete(self, messages: Sequence[Any], *, schema: Any = None) -> Completion:
        return self.complete(messages, schema=schema)


@contextmanager
def told(embedder: Any, llm: Script | None = None) -> Iterator[Memory]:
    """A new store that holds a little."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Memory(folder, llm=llm, embedder=embedder, model_size="large") as memory,
    ):
        memory.add(["I live in Lisbon.", "I like tea.", "My dog is called Rex."], user_id="ana", infer=False)
        yield memory


def operations(embedder: Any, said: str) -> Iterator[tuple[str, Callable[[], object]]]:
    """What is measured; what is told again is known, so each add has a user of its own."""
    users = (f"user-{n}" for n in count())
    for name, llm, infer in (("kept", None, False), ("no model", None, True), ("model", Script(), True)):
        with told(embedder, llm) as memory:
            yield f"add, {name}", lambda: memory.add(said, user_id=next(users), infer=infer)  # noqa: B023
    with told(embedder) as memory:
        yield "search", lambda: memory.search(said, user_id="ana")
        memory.add(said, user_id="ben", infer=False)
        yield "recall of it", lambda: memory.recall("Where do I live?", user_id="ben", max_tokens=200_000)


def milliseconds(work: Callable[[], object]) -> float:
    best = float("inf")
    gc.collect()
    for _ in range(REPEATS):
        start = time.process_time()
        work()
        spent = time.process_time() - start
        best = min(best, spent)
        if spent > LONG:
            break
    return best * 1000


def measure(kind: str, kilobytes: Sequence[int], embedder: Any) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for size in kilobytes:
        for name, work in operations(embedder, text_of(kind, size * 1000)):
            found.setdefault(name, []).append(milliseconds(work))
    return found


def show(kind: str, row: dict[str, list[float]]) -> None:
    print(kind, flush=True)
    for name, spent in row.items():
        ratio = f"x {spent[-1] / spent[-2]:5.1f}" if len(spent) > 1 else ""
        print(f"    {name:16}", "".join(f"{one:10.1f}" for one in spent), ratio, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kilobytes", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--only", nargs="+", choices=list(KINDS), default=list(KINDS), metavar="KIND")
    parser.add_argument("--bundled", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.bundled:
        from holdfast.models.bundled import BundledEmbedder

    embedder = BundledEmbedder() if options.bundled else Pool()
    rows: dict[str, dict[str, list[float]]] = {}
    for kind in options.only:
        rows[kind] = measure(kind, options.kilobytes, embedder)
        show(kind, rows[kind])
    if options.json:
        options.json.write_text(json.dumps({"kilobytes": options.kilobytes, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
