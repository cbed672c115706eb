"""`python -m holdfast.demo`, run as a user runs it, with its output in a pipe."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from holdfast import Memory, ModelError
from holdfast.demo import RecordedModel, StoryClock, story
from holdfast.demo.recorded import key
from holdfast.ports import Completion, Prompt, Schema
from tests.support.endpoint import Endpoint, chat


def run(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "holdfast.demo", *arguments],
        env=inherited | {"HOLDFAST_HOME": str(home), "PYTHONIOENCODING": "ascii"} | environment,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def printed(done: subprocess.CompletedProcess[str]) -> str:
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that the demo has to write in."""
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def told(folder: Path) -> str:
    """What the demo prints. A key alone asks nobody."""
    return printed(run(folder / "home", OPENAI_API_KEY="of somebody", TMPDIR=str(folder)))


@pytest.fixture(scope="module")
def told_without(tmp_path_factory: pytest.TempPathFactory) -> str:
    return printed(run(tmp_path_factory.mktemp("home") / "kept", "--no-model"))


def part(told: str, title: str) -> list[str]:
    """The lines below a heading, up to the next."""
    return [line.strip() for line in told.split(f"── {title}", 1)[1].split("\n\n", 1)[0].splitlines()[1:]]


def answers(told: str, question: str) -> list[str]:
    asked, *found = told.split(f"  {question}", 1)[1].splitlines()
    assert "ms)" in asked
    return found[:2]


def test_the_demo_says_that_its_model_s_replies_are_recorded_and_whose_they_are(told: str) -> None:
    assert "Model: recorded from Claude." in told.splitlines()[1]


def test_the_demo_adds_knows_adds_to_corrects_and_ends_what_it_remembers(told: str) -> None:
    assert "ADD     Is vegetarian" in part(told, "Mon 02 Mar 2026, alice")
    assert "NOOP    Is vegetarian (known already)" in part(told, "Thu 05 Mar 2026, alice")
    moved = part(told, "Wed 11 Mar 2026, alice")
    assert "UPDATE  Lives in Berlin -> Lives in Lisbon" in moved
    assert "UPDATE  Has a dog named Rex -> Has a dog named Rex, who turned three on 11 March 2026" in moved
    assert "DELETE  Has a dentist appointment on 20 March 2026" in moved
    chinese = part(told, "Thu 12 Mar 2026, 小雨")
    assert {
        "UPDATE  住在上海 -> 住在杭州",
        "NOOP    对花生过敏 (known already)",
        "ADD     很喜欢西湖",
    } <= set(chinese)


def test_the_demo_shows_a_history_with_dates_and_takes_a_conversation_back(told: str) -> None:
    history = part(told, "The history of one memory")
    assert [line.split()[0] for line in history] == ["ADD", "NOOP", "UPDATE"]
    assert all(" Mar " in line for line in history)
    taken_back = part(told, "The last conversation of alice taken back")
    assert "UPDATE  Eats fish, otherwise vegetarian -> Is vegetarian" in taken_back
    assert taken_back[-1] == "alice has 5 memories again, as before it."


def test_the_demo_shows_what_an_agent_sees_within_its_budget(told: str) -> None:
    seen = told.split("What an agent sees before it answers “Plan a dinner", 1)[1].split("</memories>", 1)[0]
    assert "of at most 100" in seen
    assert "- [15 March 2026] Eats fish, otherwise vegetarian" in seen


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Where does she live? (", "Lives in Lisbon"),
        ("Where does she live? [as of 06 Mar]", "Lives in Berlin"),
        ("When will Nora visit?", "28 March 2026"),
        ("她住在哪里？ (", "住在杭州"),
        ("她住在哪里？ [as of 07 Mar]", "住在上海"),
        ("什么时候去北京？", "看故宫"),
    ],
)
def test_the_demo_answers_its_questions_first(told: str, question: str, answer: str) -> None:
    assert answer in answers(told, question)[0]


def test_the_readme_shows_what_the_demo_prints(told: str) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    [excerpt] = [block for block in readme.split("```") if "UPDATE  Lives in Berlin" in block]
    assert "\n".join(excerpt.strip().splitlines()[1:]) in told


def test_without_a_model_nothing_is_merged_but_equal_text(told_without: str) -> None:
    assert "Model: none." in told_without
    assert "UPDATE" not in told_without
    assert "DELETE" not in told_without.split("taken back", 1)[0]
    assert "NOOP    我对花生过敏。 (known already)" in part(told_without, "Thu 12 Mar 2026, 小雨")


def test_without_a_model_what_contradicts_itself_stands_side_by_side_with_its_dates(
    told_without: str,
) -> None:
    older, newer = sorted(answers(told_without, "Where does she live? ("), key=lambda line: "11 Mar" in line)
    assert ("02 Mar" in older, "Berlin" in older) == (True, True)
    assert ("11 Mar" in newer, "Lisbon" in newer) == (True, True)
    both = "".join(answers(told_without, "她住在哪里？ ("))
    assert ("杭州" in both, "上海" in both) == (True, True)


@pytest.mark.parametrize("face", ["sync", "async"])
async def test_every_recorded_reply_is_asked_for_and_none_is_missing(face: str) -> None:
    class Listening(RecordedModel):
        asked: ClassVar[set[str]] = set()

        def complete(self, messages: Sequence[Prompt], *, schema: Schema | None = None) -> Completion:
            self.asked.add(key(messages))
            return super().complete(messages, schema=schema)

    model = Listening()
    clock = StoryClock(story().sessions[0].at)
    with Memory(":memory:", llm=model, model_size="large", now=clock) as memory:
        for session in story().sessions:
            clock.set(session.at)
            said = list(session.messages)
            if face == "sync":
                memory.add(said, user_id=session.user_id, happened_at=session.at)
            else:
                await memory.aadd(said, user_id=session.user_id, happened_at=session.at)
    assert model.asked == set(model.replies)


def test_a_question_that_has_changed_is_refused_and_shown_to_be_answered_anew() -> None:
    with pytest.raises(ModelError, match=r"no reply is recorded for the question .*\n.*another question"):
        RecordedModel().complete([Prompt("user", "another question")])


def test_the_demo_leaves_nothing_behind(told: str, folder: Path) -> None:
    assert str(folder / "home") in told
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("fact", ["", "Has a dog named Rex"])
def test_the_demo_asks_the_model_at_a_base_url_and_bears_whatever_it_says(
    endpoint: Endpoint, tmp_path: Path, fact: str
) -> None:
    told = [{"message": 1, "speaker": "user", "fact": fact, "when": ""}] if fact else []
    endpoint.answer = lambda _: chat(json.dumps({"facts": told, "decisions": []}))
    shown = printed(run(tmp_path, OPENAI_API_KEY="local", OPENAI_BASE_URL=endpoint.url, OPENAI_MODEL="tiny"))
    assert "Model: tiny. It extracts and merges." in shown
    assert len(endpoint.bodies) >= len(story().sessions)
    assert ("ADD     Has a dog named Rex" in shown) == bool(fact)


def test_the_demo_explains_a_model_that_cannot_be_reached(tmp_path: Path) -> None:
    done = run(tmp_path, OPENAI_API_KEY="local", OPENAI_BASE_URL="http://127.0.0.1:9/v1", OPENAI_MODEL="qwen")
    assert done.returncode == 1
    assert "Model: qwen" in done.stdout
    assert "ModelError: Cannot reach qwen at http://127.0.0.1:9/v1" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_demo_says_what_a_base_url_without_a_key_lacks(tmp_path: Path) -> None:
    done = run(tmp_path, OPENAI_BASE_URL="http://127.0.0.1:9/v1")
    assert done.returncode == 1
    assert (
        "InputError: OPENAI_BASE_URL='http://127.0.0.1:9/v1' names a model that cannot be asked"
        in done.stderr
    )


def test_the_story_goes_forward_in_time() -> None:
    times = [session.at for session in story().sessions]
    assert times == sorted(times)
    assert {session.user_id for session in story().sessions} == {person.user_id for person in story().people}
