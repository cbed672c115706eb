"""Merging as users meet it: from the message that tells a fact, through extraction and merging, to the memories.

    OPENAI_BASE_URL=… OPENAI_MODEL=… python -m bench.quality.merging_messages [--record DIR] [--wrong]

`merging_messages.json` holds, for 132 of the cases in `merging_cases.json`, what somebody would have typed for the
fact of the case: written by another author than the cases', who saw the cases, not the code; one third with a
question or a remark around it. The memories of a case are stored as they are, the message is added, and then counts
what the store says: every detail that still holds, nothing stale, and as many memories as there were before, or more
where the case wants an ADD. A message may bring more than one fact, and details in other words count as lost: the
figure errs on the low side.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.data.cases import CASES, Case, asked_for, load
from bench.data.replies import KEPT, Remembered, of_environment
from holdfast import Memory
from holdfast.engine.paths import SIZES, ModelSize

MESSAGES = CASES.with_name("merging_messages.json")


@dataclass(frozen=True)
class Stored:
    """What became of a message. lost / stale: as in `cases.Outcome`. more: further memories than before."""

    case: Case
    memories: Sequence[str]
    lost: Sequence[str | list[str]]
    stale: Sequence[str]
    more: int

    @property
    def right(self) -> bool:
        wanted = self.more > 0 if "ADD" in self.case.operations else self.more <= 0
        return wanted and not self.lost and not self.stale


def added(case: Case, message: str, model: Remembered, size: ModelSize) -> Stored:
    with Memory(":memory:", llm=model, model_size=size) as memory:
        for text in case.memories:
            memory.add(text, user_id="user", infer=False)
        memory.add([{"role": "user", "content": message}], user_id="user")
        texts = [item.text for item in memory.get_all(user_id="user").items]
    lost, stale = asked_for(case, texts)
    return Stored(case, texts, lost, stale, len(texts) - len(case.memories))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--size", default="large", choices=SIZES, help="the path, as `Memory(model_size=...)`"
    )
    parser.add_argument("--record", type=Path, default=KEPT, help="folder of the replies that were given")
    parser.add_argument("--only", default="", help="ids that contain this")
    parser.add_argument("--wrong", action="store_true", help="print the cases that went wrong")
    arguments = parser.parse_args()
    model = of_environment(arguments.record)
    messages = json.loads(MESSAGES.read_text(encoding="utf-8"))
    cases = [case for case in load() if case.id in messages and arguments.only in case.id]
    done: list[Stored] = []
    for case in cases:
        one = added(case, messages[case.id], model, arguments.size)
        done.append(one)
        print(f"\r{len(done)} of {len(cases)}", end="", flush=True)
        if arguments.wrong and not one.right:
            print(f"\r{case.id} {case.kind}: {case.memories} + {messages[case.id]!r} -> {list(one.memories)}")
            print(f"    wanted {case.operations}; lost {one.lost}; stale {one.stale}; {one.more:+d} memories")
    print()
    groups: dict[str, list[Stored]] = defaultdict(list)
    for one in done:
        for name in ("all", one.case.language, one.case.kind):
            groups[name].append(one)
    for name, members in groups.items():
        right = sum(one.right for one in members) / len(members)
        print(
            f"{name:14} cases {len(members)}  right {right:.3f}  lost a detail {sum(bool(o.lost) for o in members)}"
            f"  kept a stale one {sum(bool(o.stale) for o in members)}"
        )
    print(f"model: {model.name}; {dict(model.spent)}")


if __name__ == "__main__":
    main()
