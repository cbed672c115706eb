"""Fixtures of the LangChain tests: a store in memory without a model, and both faces."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from holdfast import Memory
from tests.langchain.fakes import Runner
from tests.support.fakes import HashEmbedder


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory(":memory:", llm=None, embedder=HashEmbedder()) as opened:
        yield opened


@pytest.fixture(params=["sync", "async"])
def run(request: pytest.FixtureRequest) -> Runner:
    return Runner(request.param)
