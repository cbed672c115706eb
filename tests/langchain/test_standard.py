"""LangChain's own conformance tests, unmodified."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import BaseTool
from langchain_tests.integration_tests import RetrieversIntegrationTests, ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests

from holdfast import Memory
from langchain_holdfast import HoldfastRetriever, create_memory_tools
from tests.support.fakes import HashEmbedder


@pytest.fixture(scope="module", autouse=True)
def _store() -> Any:
    with Memory(":memory:", llm=None, embedder=HashEmbedder()) as memory:
        for number in range(5):
            memory.add(f"Owns tea cup number {number}.", user_id="alice", infer=False)
        Tools.memory = memory
        yield
        del Tools.memory


class Tools:
    memory: Memory

    def made(self, at: int) -> BaseTool:
        return create_memory_tools(self.memory, user_id="alice")[at]


class _Search(Tools):
    @property
    def tool_constructor(self) -> Any:
        return self.made(0)

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"query": "tea"}


class _Manage(Tools):
    @property
    def tool_constructor(self) -> Any:
        return self.made(1)

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"content": "Likes tea"}


class TestSearchUnit(_Search, ToolsUnitTests):
    pass


class TestSearchIntegration(_Search, ToolsIntegrationTests):
    pass


class TestManageUnit(_Manage, ToolsUnitTests):
    pass


class TestManageIntegration(_Manage, ToolsIntegrationTests):
    pass


class TestRetriever(Tools, RetrieversIntegrationTests):
    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return HoldfastRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"memory": self.memory, "user_id": "alice"}

    @property
    def retriever_query_example(self) -> str:
        return "tea cup"
