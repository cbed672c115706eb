"""`python -m holdfast.demo`, run as a user runs it, with its output in a pipe."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.demo import story


def run(home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "holdfast.demo"],
        env=inherited | {"HOLDFAST_HOME": str(home), "PYTHONIOENCODING": "ascii"} | environment,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> str:
    done = run(tmp_path_factory.mktemp("home") / "kept")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def part(told: str, title: str) -> str:
    """The lines below a heading, up to the next."""
    return told.split(f"{title}", 1)[1].split("─────", 1)[0]


def test_the_demo_says_which_model_and_embedder_it_uses(told: str) -> None:
    assert "Model: none." in told
    assert "wordllama" in told


def test_the_demo_shows_an_update_a_duplicate_and_a_contradiction_resolved(told: str) -> None:
    moved = part(told, "Wed 11 Mar 2026, alice")
    assert "merged    I live in Berlin." in moved
    assert "Lisbon" in moved
    assert "known     I'm vegetarian." in part(told, "Thu 05 Mar 2026, alice")
    assert "known     我对花生过敏。" in part(told, "Thu 12 Mar 2026, 小雨")
    assert "merged    我住在上海。" in part(told, "Thu 12 Mar 2026, 小雨")


def test_the_demo_keeps_no_questions_and_no_small_talk(told: str) -> None:
    kept = [line for line in told.splitlines() if line.startswith(("  kept", "  merged"))]
    assert kept
    assert not [line for line in kept if "?" in line or "？" in line or "Hi there" in line or "你好" in line]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Where does she live?  (", "Lisbon"),
        ("Where does she live? [as of 06 Mar]", "Berlin"),
        ("What is planned for the end of March?", "tile museum"),
        ("她住在哪里？  (", "杭州"),
        ("她住在哪里？ [as of 07 Mar]", "上海"),
        ("她的猫叫什么？", "豆豆"),
    ],
)
def test_the_demo_answers_its_questions_first(told: str, question: str, answer: str) -> None:
    asked, first, *_ = told.split(question, 1)[1].splitlines()
    assert "ms)" in asked
    assert answer in first


def test_the_demo_leaves_nothing_behind(tmp_path: Path) -> None:
    done = run(tmp_path / "home", TMPDIR=str(tmp_path))
    assert str(tmp_path / "home") in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_demo_explains_a_model_that_cannot_be_reached(tmp_path: Path) -> None:
    done = run(tmp_path, OPENAI_API_KEY="local", OPENAI_BASE_URL="http://127.0.0.1:9/v1", OPENAI_MODEL="qwen")
    assert done.returncode == 1
    assert "Model: qwen" in done.stdout
    assert "ModelError: Cannot reach qwen at http://127.0.0.1:9/v1" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_story_goes_forward_in_time() -> None:
    times = [session.at for session in story().sessions]
    assert times == sorted(times)
    assert {session.user_id for session in story().sessions} == {person.user_id for person in story().people}
