"""What other processes of the tests do: `with start(adds, url, 1, 8): ...`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from holdfast import Memory
from tests.support.fakes import HashEmbedder

ROOT = Path(__file__).parents[2]


def opened(ledger: str, index: str = ":memory:") -> Memory:
    return Memory(ledger=ledger, index=index, llm=None, embedder=HashEmbedder())


def adds(ledger: str, number: str, count: str, index: str = ":memory:") -> None:
    """Facts of its own, and one statement that all of them say."""
    with opened(ledger, index) as memory:
        for at in range(int(count)):
            memory.add(f"fact {at} of writer {number}", user_id="alice", infer=False)
            memory.add("I like something that everybody likes", user_id="alice", session_id=number)


def works(ledger: str, index: str = ":memory:") -> None:
    """Do what is pending."""
    with opened(ledger, index) as memory:
        memory.flush(60)


def opens(folder: str, times: str) -> None:
    """Try to open a folder that another process has; each time it has to be refused."""
    from holdfast import StoreLockedError

    for _ in range(int(times)):
        try:
            Memory(folder, llm=None, embedder=HashEmbedder()).close()
        except StoreLockedError as error:
            print(error)
        else:
            sys.exit("opened what another process has open")


def fills(folder: str, room: str) -> None:
    """Leave so many bytes free, and add until there are none. Prints the answers; a clear error ends it well."""
    from holdfast import StorageError

    with Memory(folder, llm=None, embedder=HashEmbedder()) as memory:
        memory.add("fact of old", user_id="alice", infer=False)
        free = shutil.disk_usage(folder).free
        Path(folder, "..", "ballast").write_bytes(bytes(max(0, free - int(room))))
        for at in range(10_000):
            text = f"fact {at} " + "x" * 2000
            try:
                memory.add(text, user_id="alice", infer=False)
            except StorageError as error:
                print("full:", error, flush=True)
                break
            print(f"fact {at}", flush=True)
        assert memory.search("fact of old", user_id="alice")  # reading goes on


def fills_with_short_facts(folder: str, room: str) -> None:
    """As `fills`, in both faces by turns, with facts that fill the index before the ledger."""
    import asyncio

    from holdfast import StorageError

    with Memory(folder, llm=None, embedder=HashEmbedder()) as memory:
        memory.add("fact of old", user_id="alice", infer=False)
        free = shutil.disk_usage(folder).free
        Path(folder, "..", "ballast").write_bytes(bytes(max(0, free - int(room))))
        for at in range(0, 100_000, 200):
            texts = [f"f{number}" for number in range(at, at + 200)]
            try:
                memory.add(texts[:100], user_id="alice", infer=False)
                asyncio.run(memory.aadd(texts[100:], user_id="alice", infer=False))
            except StorageError as error:
                print("full:", error, flush=True)
                break
            print("\n".join(texts), flush=True)
        assert memory.search("fact of old", user_id="alice")
        for change in (memory.index.optimize, memory.index.rebuild, memory.index.repair):
            try:
                change()
            except StorageError as error:
                print("full:", error, flush=True)


def is_opened(folder: str, room: str) -> None:
    """Open a store on a disk with so many bytes free: it opens, or says why not."""
    from holdfast import StorageError

    (Path(folder).parent / "ballast").write_bytes(
        bytes(max(0, shutil.disk_usage(Path(folder).parent).free - int(room)))
    )
    try:
        with Memory(folder, llm=None, embedder=HashEmbedder()) as memory:
            print(f"opened {memory.count()}")
    except StorageError as error:
        print(f"refused: {error}")


def optimizes(folder: str, dimensions: str) -> None:
    """Optimize a store that is open and ready."""
    with Memory(folder, llm=None, embedder=HashEmbedder(int(dimensions))) as memory:
        print("ready", flush=True)
        assert memory.index.optimize()
