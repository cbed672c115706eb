"""The README's snippets run, one after another, as a reader would run them."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import langchain_classic.chains  # noqa: F401 - importing it resets the filters of its warnings
import pytest
from langchain_core._api.deprecation import LangChainDeprecationWarning
from langchain_core.messages import AIMessage

from tests.langchain.fakes import ScriptedChat
from tests.support.snippets import blocks, run

README = Path(__file__).parents[2] / "langmem_adapter" / "README.md"
FACT = '{"facts": [{"message": 1, "speaker": "user", "fact": "Is allergic to peanuts"}]}'


class Agreeable(ScriptedChat):
    """Answers as many turns as there are; to the memory's questions it knows one fact."""

    def _next(self, messages: Any) -> AIMessage:
        self.seen.append(list(messages))
        return AIMessage(FACT if "JSON" in messages[0].text else "All right.")

    def with_structured_output(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError


def test_the_snippets_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path))
    monkeypatch.setattr("holdfast.decisions.merging.examination.SLIPS", 99)  # a scripted model passes
    model = Agreeable()
    names: dict[str, Any] = {"chat_model": model, "__name__": "readme"}
    with warnings.catch_warnings():
        # ConversationChain and RunnableWithMessageHistory announce their own end.
        warnings.simplefilter("ignore", LangChainDeprecationWarning)
        for number, block in enumerate(block for block in blocks(README, "python") if block.runs):
            run(block, names)
            if number == 0:
                names["memory"].flush(30)
                names["agent"].invoke({"messages": "Peanuts?"}, context=names["User"]("alice"))
                shown = [message.text for messages in model.seen for message in messages]
                assert [text for text in shown if "Is allergic to peanuts" in text and "Peanuts?" in text]
    memory = names["memory"]
    assert memory.flush(60)
    assert {"Likes tea"} <= {item.text for item in memory.get_all(user_id="alice")}
    memory.close()


def test_the_tables_name_what_exists() -> None:
    import langchain_holdfast

    named = set(
        re.findall(r"`(Holdfast[A-Z]\w+|create_memory\w+|as_[a-z_]+)", README.read_text(encoding="utf-8"))
    )
    theirs = {"create_memory_store_manager", "create_memory_manager", "as_of"}
    assert named - theirs <= set(langchain_holdfast.__all__)
