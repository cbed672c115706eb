"""Tables for notebooks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from holdfast.types import AddResult, Change, Changes, Context, Hits, MemoryItem, Page, SearchHit

AT = datetime(2026, 3, 1, 12, 34, 56, tzinfo=UTC)
MEMORY = MemoryItem(
    "0123456789ab", "喜欢打网球", "alice", None, None, {"category": "hobbies"}, AT, AT, None, AT, None
)
CHANGE = Change("c1", "0123456789ab", "UPDATE", "Likes tennis", "Likes tennis on Sundays", "adds the day", AT)


class Reader(HTMLParser):
    """Collects tags and visible text, and fails on tags that are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.text: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_a_memory_shows_its_text_day_owner_and_metadata() -> None:
    html = MEMORY._repr_html_()
    assert Reader(html).text[:5] == ["memory", "when", "whose", "metadata", "id"]
    for part in ("喜欢打网球", "2026-03-01 12:34", "user_id: alice", "category: hobbies", "…456789ab"):
        assert part in html


def test_hits_show_their_score_and_explanation() -> None:
    html = Hits([SearchHit(MEMORY, 0.876, {"dense": 0.5, "keywords": 0.376})])._repr_html_()
    assert Reader(html).text[:2] == ["score", "memory"]
    assert "0.88" in html
    assert "dense: 0.50" in html
    assert "parts" not in Hits([SearchHit(MEMORY, 0.876)])._repr_html_()


def test_parts_are_shown_largest_first_without_those_that_add_nothing() -> None:
    html = Hits([SearchHit(MEMORY, 0.9, {"recency": 0.004, "keywords": 0.2, "dense": 0.5})])._repr_html_()
    assert "dense: 0.50<br>keywords: 0.20" in html
    assert "recency" not in html


def test_the_owner_is_shown_once_memories_of_several_are_listed() -> None:
    other = replace(MEMORY, user_id="bob")
    assert "bob" in Page((MEMORY, other), total=2)._repr_html_()
    assert "alice" not in Page((MEMORY, MEMORY), total=2)._repr_html_()


def test_changes_show_what_was_before_and_after() -> None:
    html = Changes([CHANGE, replace(CHANGE, operation="ADD", before=None, undoes="c0")])._repr_html_()
    assert "<s>Likes tennis</s>" in html
    assert "Likes tennis on Sundays" in html
    assert "(undo)" in html


def test_a_noop_is_not_shown_as_a_deletion() -> None:
    html = AddResult("a1", "done", (replace(CHANGE, operation="NOOP", after=None),))._repr_html_()
    assert "<s>" not in html
    assert "Likes tennis" in html


def test_a_superseded_memory_is_struck_through_with_its_end() -> None:
    html = Page((replace(MEMORY, valid_to=AT),), total=1)._repr_html_()
    assert "<s>喜欢打网球</s>" in html
    assert "until" in html


def test_the_end_of_a_memory_that_expires_is_shown() -> None:
    assert "expires" not in MEMORY._repr_html_()
    assert "2027-01-01 00:00" in replace(MEMORY, expires_at=datetime(2027, 1, 1, tzinfo=UTC))._repr_html_()


def test_nothing_is_shown_as_nothing() -> None:
    assert "nothing" in Hits()._repr_html_()


def test_tables_bring_no_colours_of_their_own() -> None:
    html = MEMORY._repr_html_() + Changes([CHANGE])._repr_html_() + Context("text")._repr_html_()
    assert "color" not in html
    assert "background" not in html


@given(st.text(), st.text())
def test_whatever_was_said_is_shown_as_text_and_never_as_markup(text: str, key: str) -> None:
    hostile = f'<script>"{text}"</script>\'>'
    memory = replace(MEMORY, text=hostile, metadata={key + "<b>": hostile}, id=hostile, user_id=hostile)
    change = replace(CHANGE, before=hostile, after=hostile, reason=hostile, memory_id=hostile)
    for html in (
        Hits([SearchHit(memory, 1.0, {hostile: 1.0})])._repr_html_(),
        Changes([change])._repr_html_(),
        Context(hostile)._repr_html_(),
    ):
        known = {"table", "thead", "tbody", "tr", "th", "td", "s", "code", "br", "small", "pre"}
        assert Reader(html).tags <= known
