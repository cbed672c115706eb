"""Merging as users meet it: from the message that tells a fact, through extraction and merging, to the memories.

    OPENAI_BASE_URL=… OPENAI_MODEL=… python bench/merging_messages.py [--cache DIR] [--offline] [--wrong]

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
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from extraction import Remembered
from merging import Case, asked_for

from holdfast import Memory
from holdfast.models import default_model

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Stored:
    """What became of a message. lost / stale: as in `merging.Outcome`. more: further memories than before."""

    case: Case
    memories: Sequence[str]
    lost: Sequence[str | list[str]]
    stale: Sequence[str]
    more: int

    @property
    def right(self) -> bool:
        wanted = self.more > 0 if "ADD" in self.case.operations else self.more <= 0
        return wanted and not self.lost and not self.stale


def added(case: Case, message: str, model: Remembered) -> Stored:
    with Memory(":memory:", llm=model) as memory:
        for text in case.memories:
            memory.add(text, user_id="user", infer=False)
        memory.add([{"role": "user", "content": message}], user_id="user")
        texts = [item.text for item in memory.get_all(user_id="user").items]
    lost, stale = asked_for(case, texts)
    return Stored(case, texts, lost, stale, len(texts) - len(case.memories))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cache", type=Path, default=HERE / "results" / "raw", help="folder for raw replies")
    parser.add_argument("--offline", action="store_true", help="only what is cached")
    parser.add_argument("--only", default="", help="ids that contain this")
    parser.add_argument("--wrong", action="store_true", help="print the cases that went wrong")
    arguments = parser.parse_args()
    llm = default_model()
    if llm is None:
        raise SystemExit(
            "set OPENAI_API_KEY, OPENAI_BASE_URL and OPENAI_MODEL, and install the extra `openai`"
        )
    model = Remembered(llm, arguments.cache, offline=arguments.offline)
    messages = json.loads((HERE / "merging_messages.json").read_text(encoding="utf-8"))
    stored = json.loads((HERE / "merging_cases.json").read_text(encoding="utf-8"))
    cases = [Case(**case) for case in stored if case["id"] in messages and arguments.only in case["id"]]
    done: list[Stored] = []
    for case in cases:
        one = added(case, messages[case.id], model)
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
    print("model:", os.environ.get("OPENAI_MODEL", "the default"))


if __name__ == "__main__":
    main()
