"""Operations: written once, called in two faces, and looking like plain methods to whoever inspects them."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any, get_type_hints

import pytest

from holdfast import Documents, Hits, IndexMaintenance, InputError, Jobs, Memory
from holdfast.engine.opened import OpenMemory
from holdfast.io import ASYNCIO, INLINE, IO, operation

TWINS = [
    (kind, name)
    for kind in (Memory, OpenMemory, Documents, Jobs, IndexMaintenance)
    for name in vars(kind)
    if hasattr(kind, f"a{name}") and not name.startswith("_")
]


class Box:
    """Things by key."""

    def __init__(self) -> None:
        self.seen: list[IO] = []

    @operation
    async def get(self, io: IO, key: str, *, times: int = 1) -> str:
        """The thing of a key."""
        self.seen.append(io)
        if not key:
            raise InputError("key is empty")
        return await io.run(lambda: key * times)

    aget = get.twin


class Louder(Box):
    def get(self, key: str, *, times: int = 1) -> str:
        return super().get(key, times=times).upper()

    async def aget(self, key: str, *, times: int = 1) -> str:
        return (await super().aget(key, times=times)).upper()


def test_both_faces_do_the_same_each_on_its_driver() -> None:
    box = Box()
    assert box.get("a", times=2) == asyncio.run(box.aget("a", times=2)) == "aa"
    assert box.seen == [INLINE, ASYNCIO]


def test_what_an_operation_raises_comes_out_of_both_faces() -> None:
    with pytest.raises(InputError, match="key is empty"):
        Box().get("")
    with pytest.raises(InputError, match="key is empty"):
        asyncio.run(Box().aget(""))


def test_an_operation_is_inherited_and_overridden_like_a_method() -> None:
    assert Louder().get("a", times=2) == asyncio.run(Louder().aget("a", times=2)) == "AA"
    assert Box.get(Louder(), "a") == "a"


def test_an_operation_can_be_replaced_on_one_object() -> None:
    box: Any = Box()
    box.get = lambda key: "replaced"
    assert box.get("a") == "replaced"
    assert asyncio.run(box.aget("a")) == "a"


def test_a_wrong_argument_is_named_as_for_any_method() -> None:
    box: Any = Box()
    with pytest.raises(TypeError, match=r"Box\.get\(\) got an unexpected keyword argument 'tmes'"):
        box.get("a", tmes=2)
    with pytest.raises(TypeError, match=r"Box\.get\(\) missing 1 required positional argument: 'key'"):
        box.get()


@pytest.mark.parametrize(("kind", "name"), TWINS, ids=lambda value: getattr(value, "__name__", value))
def test_a_method_and_its_twin_have_one_signature_without_a_driver(kind: type, name: str) -> None:
    face, twin = getattr(kind, name), getattr(kind, f"a{name}")
    assert inspect.signature(face) == inspect.signature(twin)
    assert "io" not in inspect.signature(face).parameters
    assert not {"args", "kwargs"} & {*inspect.signature(face).parameters}
    assert get_type_hints(face) == get_type_hints(twin)
    assert set(get_type_hints(face)) == {*inspect.signature(face).parameters, "return"} - {"self"}


@pytest.mark.parametrize(("kind", "name"), TWINS, ids=lambda value: getattr(value, "__name__", value))
def test_a_method_tells_what_it_does_and_its_twin_whose_it_is(kind: type, name: str) -> None:
    face, twin = getattr(kind, name), getattr(kind, f"a{name}")
    assert (face.__name__, face.__qualname__) == (name, f"{kind.__name__}.{name}")
    assert (twin.__name__, twin.__qualname__) == (f"a{name}", f"{kind.__name__}.a{name}")
    assert face.__doc__
    assert not face.__doc__.startswith("Async")
    assert twin.__doc__ == f"Async `{name}`."
    assert inspect.iscoroutinefunction(twin)
    assert not inspect.iscoroutinefunction(face)


def test_every_operation_of_a_memory_has_a_twin() -> None:
    counts = [len([name for kind, name in TWINS if kind is one]) for one in (Memory, Jobs, IndexMaintenance)]
    assert counts == [24, 3, 4]
    alone = {
        name
        for name, _ in inspect.getmembers(Memory, inspect.isfunction)
        if not name.startswith("_") and not hasattr(Memory, f"a{name}")
    }
    assert alone - {f"a{name}" for _, name in TWINS} == {
        "check",
        "memory_tool",
        "on_close",
        "scoped",
        "subscribe",
    }


def test_the_hints_of_an_operation_are_types() -> None:
    assert get_type_hints(Memory.search)["return"] is Hits
    assert get_type_hints(Memory.asearch)["query"] is str


def test_the_annotations_of_an_operation_are_types_not_their_names() -> None:
    parameters = inspect.signature(Memory.asearch).parameters
    assert parameters["query"].annotation is str
    assert parameters["user_id"].annotation == str | None
