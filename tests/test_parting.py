"""Facts that tell two things at once become two, where nothing of either is lost."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from holdfast import Memory, Prompt
from holdfast.merging import parted
from holdfast.ports import Completion, Schema
from tests.conftest import Opener


@pytest.mark.parametrize(
    ("text", "speaker", "parts"),
    [
        ("Moved to Lisbon and eats fish now", "", ["Moved to Lisbon", "Eats fish now"]),
        ("Anna moved to Lisbon and eats fish now", "Anna", ["Anna moved to Lisbon", "Anna eats fish now"]),
        ("小安搬到了里斯本，现在吃鱼", "小安", ["小安搬到了里斯本", "小安现在吃鱼"]),
        (
            "Anna's home is in Oslo and works as a nurse",
            "Anna",
            ["Anna's home is in Oslo and works as a nurse"],
        ),
        ("Moved to Lisbon and eats fish now", "Anna", ["Moved to Lisbon and eats fish now"]),
        (
            "Works at Siemens and lives in Berlin, and is vegan",
            "",
            ["Works at Siemens", "Lives in Berlin", "Is vegan"],
        ),
        ("搬到了里斯本，现在吃鱼", "", ["搬到了里斯本", "现在吃鱼"]),
    ],
)
def test_what_there_is_one_of_is_told_apart(text: str, speaker: str, parts: Sequence[str]) -> None:
    assert list(parted(text, [speaker] if speaker else [])) == parts


@pytest.mark.parametrize(
    "text",
    [
        "Likes cats and dogs",
        "Was born and raised in Nairobi",
        "Moved to Berlin and works there",
        "Got married and moved to Oslo in 2019",
        "Has a sister, Zelda, who moved to Quito and works as a nurse",
        "Brother Tom lives in Graz and works as a baker",
        "有个姐姐叫泽楠，住在札幌，当护士",
        "Likes pizza",
        "",
    ],
)
def test_what_leans_on_the_rest_stays_with_it(text: str) -> None:
    assert parted(text) == (text,)


class Telling:
    """A model that tells these facts of every message, and finds everything changed."""

    name = "telling"

    def __init__(self, *facts: str) -> None:
        self.facts = [{"message": 1, "speaker": "user", "fact": fact} for fact in facts]

    def complete(self, messages: Sequence[Prompt], *, schema: Schema | None = None) -> Completion:
        if schema is not None and schema.choice:
            likely = {"same": 0.01, "adds": 0.01, "changes": 0.97, "different": 0.01}
            return Completion({"relation": "changes"}, likelihoods=likely)
        return Completion({"facts": self.facts})

    async def acomplete(self, messages: Sequence[Prompt], *, schema: Schema | None = None) -> Completion:
        return self.complete(messages, schema=schema)


def texts_of(memory: Memory) -> set[str]:
    return {item.text for item in memory.get_all(user_id="mia").items}


def test_one_sentence_brings_two_memories_up_to_date() -> None:
    with Memory(":memory:", llm=Telling("Moved to Lisbon and eats fish now")) as memory:
        for text in ("Lives in Berlin", "Is vegetarian"):
            memory.add(text, user_id="mia", infer=False)
        result = memory.add("I've moved to Lisbon and I eat fish now", user_id="mia")
        assert [change.operation for change in result.changes] == ["UPDATE", "UPDATE"]
        assert texts_of(memory) == {"Moved to Lisbon", "Eats fish now"}


FACTS = ("Moved from Siemens to Bosch", "Works as a product manager")
SAID = "I moved from Siemens to Bosch and still work as a product manager"


def test_facts_about_one_memory_change_it_one_after_the_other_and_are_undone_together(
    open_memory: Opener,
) -> None:
    known = "Works at Siemens as a product manager"
    memory = open_memory(llm=Telling(*FACTS))
    memory.add(known, user_id="mia", infer=False)
    result = memory.add(SAID, user_id="mia")
    (item,) = memory.get_all(user_id="mia").items
    assert [change.operation for change in result.changes] == ["UPDATE", "UPDATE"]
    assert item.version == 3
    assert all(word in item.text for word in ("Bosch", "product manager"))
    assert result.changes[1].before == result.changes[0].after
    assert memory.search("product manager", user_id="mia")[0].text == item.text
    memory.undo(result.id)
    assert [item.text for item in memory.get_all(user_id="mia").items] == [known]
    assert memory.verify()
