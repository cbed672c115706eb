"""What any embedder has to do, in both faces. The implementations are listed in `implementations.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from holdfast import Embedder, Memory
from tests.contracts.implementations import EMBEDDERS, Place

TEXTS = ["I like tennis", "我喜欢打网球", "🎾", "\u00e9 e\u0301", " ", "<|endoftext|>", "word " * 5_000]
Call = Callable[..., Any]


@pytest.fixture(params=EMBEDDERS.values(), ids=EMBEDDERS)
def embedder(request: pytest.FixtureRequest, place: Place) -> Embedder:
    made: Embedder = request.param(place)
    return made


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest, embedder: Embedder) -> Call:
    """A method of the embedder, or its awaited twin; the answer as a matrix or a vector."""

    def called(name: str, argument: Any) -> Any:
        if request.param == "sync":
            return np.asarray(getattr(embedder, name)(argument), np.float32)
        return np.asarray(asyncio.run(getattr(embedder, f"a{name}")(argument)), np.float32)

    return called


def test_it_has_a_name_and_a_number_of_dimensions_that_stay(embedder: Embedder) -> None:
    assert isinstance(embedder, Embedder)
    before = (embedder.name, embedder.dimensions)
    assert isinstance(embedder.name, str)
    assert embedder.name.strip()
    assert embedder.dimensions > 0
    embedder.embed_documents(TEXTS[:2])
    assert (embedder.name, embedder.dimensions) == before


def test_each_text_has_a_finite_vector_of_that_many_dimensions(embedder: Embedder, call: Call) -> None:
    vectors = call("embed_documents", TEXTS)
    assert vectors.shape == (len(TEXTS), embedder.dimensions)
    assert np.isfinite(vectors).all()
    assert call("embed_query", TEXTS[1]).shape == (embedder.dimensions,)


def test_vectors_come_in_the_order_of_the_texts_however_many(embedder: Embedder, call: Call) -> None:
    texts = [f"text {at}" for at in range(300)]
    vectors = call("embed_documents", texts)
    for at in (0, 150, 299):
        np.testing.assert_allclose(vectors[at], call("embed_documents", [texts[at]])[0], atol=1e-5)
    assert not np.allclose(vectors[0], vectors[150], atol=1e-3)


def test_both_faces_give_the_same_vectors(embedder: Embedder) -> None:
    documents = asyncio.run(_awaited(embedder.aembed_documents, TEXTS))
    np.testing.assert_allclose(documents, np.asarray(embedder.embed_documents(TEXTS)), atol=1e-5)
    query = asyncio.run(_awaited(embedder.aembed_query, TEXTS[0]))
    np.testing.assert_allclose(query, np.asarray(embedder.embed_query(TEXTS[0])), atol=1e-5)


async def _awaited(function: Callable[[Any], Any], argument: Any) -> Any:
    return np.asarray(await function(argument))


def test_threads_share_it(embedder: Embedder) -> None:
    expected = np.asarray(embedder.embed_documents(TEXTS[:2]))
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(embedder.embed_documents, [TEXTS[:2]] * 8):
            np.testing.assert_allclose(np.asarray(found), expected, atol=1e-5)


def test_the_engine_finds_what_it_embedded(embedder: Embedder) -> None:
    with Memory(":memory:", llm=None, embedder=embedder) as memory:
        memory.add(["I play tennis on Sundays", "the invoice is overdue"], user_id="alice", infer=False)
        assert (
            memory.search("I play tennis on Sundays", user_id="alice")[0].text == "I play tennis on Sundays"
        )
