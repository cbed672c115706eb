"""Many at once: threads, tasks, processes, forks. No error, no lost fact, no duplicate."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from holdfast import Event, Memory, StorageError, StoreLockedError
from holdfast.decisions.merging import Decision
from holdfast.io import THREADS
from holdfast.storage.lock import FolderLock
from tests.support import children, inside
from tests.support.fakes import HashEmbedder, ScriptedMerger, ScriptedModel, facts
from tests.support.processes import Child

WRITERS = 64


def opened(path: Any = ":memory:", **options: Any) -> Memory:
    return Memory(path, llm=None, embedder=HashEmbedder(), **options)


def users_of(at: int) -> tuple[str, str]:
    """Half of a writer's facts go to one user whom all share."""
    return "shared", f"user {at % 16}"


def expect_everything(memory: Memory) -> None:
    own = Counter[str]()
    for user in ["shared", *(f"user {at}" for at in range(16))]:
        items = memory.get_all(user_id=user).items
        own.update(item.text for item in items if item.text.startswith("fact"))
        said = [item.text for item in items if item.text.startswith("I like green tea")]
        assert len(said) == 1, f"{user}: one statement became {len(said)} memories"
        for item in items:
            history = memory.history(item.id)
            assert history[0].operation == "ADD"
            assert history[-1].after == item.text
        positions = [message.position for message in memory.messages(user_id=user)]
        assert positions == list(range(1, len(positions) + 1))
    assert own == Counter(f"fact {at} for {user}" for at in range(WRITERS) for user in users_of(at))
    assert memory.index.verify()
    assert not memory.jobs.pending()


def test_sixty_four_threads(tmp_path: Path) -> None:
    def work(at: int) -> None:
        for user in users_of(at):
            memory.add(f"fact {at} for {user}", user_id=user, infer=False)
            memory.add("I like green tea.", user_id=user)
            assert memory.search(f"fact {at}", user_id=user)

    with opened(tmp_path) as memory:
        with ThreadPoolExecutor(WRITERS) as pool:
            list(pool.map(work, range(WRITERS)))
        expect_everything(memory)


async def test_sixty_four_tasks(tmp_path: Path) -> None:
    async def work(at: int) -> None:
        for user in users_of(at):
            await memory.aadd(f"fact {at} for {user}", user_id=user, infer=False)
            await memory.aadd("I like green tea.", user_id=user)
            assert await memory.asearch(f"fact {at}", user_id=user)

    async with opened(tmp_path) as memory:
        await asyncio.gather(*(work(at) for at in range(WRITERS)))
        expect_everything(memory)


def test_tasks_on_several_loops_and_threads_share_a_store(tmp_path: Path) -> None:
    def work(at: int) -> None:
        with opened(tmp_path) as mine:
            if at % 2:
                mine.add(f"fact {at}", user_id="alice", infer=False)
            else:
                asyncio.run(mine.aadd(f"fact {at}", user_id="alice", infer=False))

    with opened(tmp_path) as memory:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(16)))
        assert {item.text for item in memory.get_all(user_id="alice")} == {f"fact {at}" for at in range(16)}
        assert memory.index.verify()


def test_cancelled_tasks_lose_nothing_and_leave_no_lock() -> None:
    async def storm() -> None:
        async with opened() as memory:
            tasks = [
                asyncio.ensure_future(memory.aadd(f"fact {at}", user_id="alice", infer=False))
                for at in range(40)
            ]
            for turn, task in enumerate(tasks):
                await asyncio.sleep(0.002)
                if turn % 2:
                    task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await memory.aresume()
            journaled = {message.message.content for message in await memory.amessages(user_id="alice")}
            known = [item.text for item in await memory.aget_all(user_id="alice")]
            assert sorted(known) == sorted(journaled)
            assert {f"fact {at}" for at in range(0, 40, 2)} <= journaled
            assert await memory.index.averify()

    asyncio.run(asyncio.wait_for(storm(), 60))


def test_a_sync_call_that_would_block_its_own_loop_for_ever_is_refused() -> None:
    async def mixed() -> None:
        asked, answer = asyncio.Event(), asyncio.Event()

        class Slow(ScriptedModel):
            async def acomplete(self, messages: Any, *, schema: Any = None) -> Any:
                asked.set()
                await answer.wait()
                return self.complete(messages, schema=schema)

        model = Slow([facts("Lives in Rome"), facts("Likes tea")])
        adding = ScriptedMerger(lambda fact: (Decision("ADD", fact.text, None, "new"),))
        async with Memory(":memory:", llm=model, embedder=HashEmbedder(), merger=adding) as memory:
            under_way = asyncio.ensure_future(memory.aadd("I live in Rome.", user_id="alice"))
            await asked.wait()
            with pytest.raises(StorageError, match="aadd"):
                memory.add("I like tea.", user_id="alice")
            assert memory.search("Rome", user_id="alice") == []
            memory.add("something else", user_id="bob", infer=False)
            answer.set()
            await under_way
            assert await memory.aflush(10)
            await memory.aresume()
            assert {it.text for it in memory.get_all(user_id="alice")} == {"Lives in Rome", "Likes tea"}

    asyncio.run(asyncio.wait_for(mixed(), 30))


MAINTAINED = """
import asyncio, sys
from holdfast import Memory
from tests.support.fakes import HashEmbedder

async def main():
    async with Memory(sys.argv[1], llm=None, embedder=HashEmbedder()) as memory:
        await memory.aadd([f"text {at}" for at in range(2_500)], user_id="bulk", infer=False)
        adds = [memory.aadd(f"fact {at}", user_id=f"user {at}", infer=False) for at in range(20)]
        await asyncio.gather(memory.index.averify(), *adds, memory.index.arepair(), memory.index.averify())
        assert await memory.index.averify()
        assert await asyncio.to_thread(lambda: True), "the application's threads are its own"

asyncio.run(main())
"""

# As where an agent runs synchronous tools: every thread of the event loop's default executor waits for alice's lock,
# which an add has that embeds its texts, with the bundled embedder, in a thread.
CROWDED = """
import asyncio, os, sys
from holdfast import Memory, Scope
from holdfast.io import Asyncio, holding
from tests.support import inside

async def main():
    async with Memory(sys.argv[1], llm=None) as memory:
        async with holding(Asyncio(), inside.store_of(memory).locks, Scope(user_id="alice")):
            adding = asyncio.ensure_future(memory.aadd(["text"] * 600, user_id="alice", infer=False))
            while not await memory.jobs.apending():
                await asyncio.sleep(0.01)
            threads = min(32, (os.cpu_count() or 1) + 4)
            crowd = [asyncio.ensure_future(asyncio.to_thread(memory.add, "fact", user_id="alice", infer=False))
                     for _ in range(threads)]
            await asyncio.sleep(0.5)
        await asyncio.gather(adding, *crowd)
        assert await memory.acount(user_id="alice") == 600 + threads

asyncio.run(main())
"""


@pytest.mark.parametrize("attack", [MAINTAINED, CROWDED], ids=["maintained", "crowded"])
def test_neither_maintenance_nor_a_crowd_of_threads_brings_everything_to_a_stop(
    tmp_path: Path, attack: str
) -> None:
    """In a process of its own, which can be ended where it hangs."""
    command = [sys.executable, "-c", attack, str(tmp_path / "store")]
    done = subprocess.run(command, cwd=children.ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


async def test_closing_many_memories_at_once_leaves_the_threads_to_others(tmp_path: Path) -> None:
    memories = [opened(tmp_path / str(at)) for at in range(THREADS + 2)]
    for memory in memories:
        memory.add("fact", user_id="alice", infer=False, background=True)
    await asyncio.wait_for(asyncio.gather(*(memory.aclose() for memory in memories)), 120)
    for at in range(len(memories)):
        with opened(tmp_path / str(at), resume_on_open=False) as memory:
            assert memory.count(user_id="alice") == 1


def test_a_cancelled_add_gives_back_the_older_one_that_it_was_about_to_do() -> None:
    async def cancelled() -> None:
        async with opened(resume_on_open=False) as memory:
            inside.idle(memory)
            older = await memory.aadd("older", user_id="alice", infer=False, background=True)
            own, older_one, go_on = threading.Event(), threading.Event(), threading.Event()

            def slowly() -> None:
                if not own.is_set():
                    own.set()
                    return
                older_one.set()
                assert go_on.wait(60)

            inside.at(memory, "leased", slowly)
            newer = asyncio.ensure_future(memory.aadd("newer", user_id="alice", infer=False))
            assert await asyncio.to_thread(older_one.wait, 60)
            assert [job.state for job in await memory.jobs.apending() if job.id == older.id] == ["running"]
            newer.cancel()
            await asyncio.sleep(0.05)
            go_on.set()
            with pytest.raises(asyncio.CancelledError):
                await newer
            inside.at(memory, "leased", lambda: None)
            assert [job.state for job in await memory.jobs.apending()] == ["pending", "pending"]
            await memory.aresume()
            assert [item.text for item in await memory.aget_all(user_id="alice")] == ["older", "newer"]

    asyncio.run(asyncio.wait_for(cancelled(), 60))


@pytest.mark.parametrize("face", ["sync", "async"])
def test_a_listener_may_write_for_the_same_user(face: str) -> None:
    def noting(event: Event) -> None:
        if event.operation in ("add", "update", "delete", "undo") and memory.count(user_id="alice") < 5:
            memory.add(f"noted {event.operation}", user_id="alice", infer=False)

    async def changes() -> None:
        added = await memory.aadd("fact", user_id="alice", infer=False)
        await memory.aupdate(added.changes[0].memory_id, "another")
        await memory.adelete(added.changes[0].memory_id)

    with opened() as memory:
        memory.subscribe(noting)
        if face == "async":
            asyncio.run(asyncio.wait_for(changes(), 60))
        else:
            added = memory.add("fact", user_id="alice", infer=False)
            memory.update(added.changes[0].memory_id, "another")
            memory.delete(added.changes[0].memory_id)
        assert any(item.text.startswith("noted") for item in memory.get_all(user_id="alice"))


def test_a_second_process_is_refused_however_often_it_tries(tmp_path: Path) -> None:
    with opened(tmp_path) as memory:
        memory.add("fact 0", user_id="alice", infer=False)
        written = 1
        with Child(children.opens, tmp_path, 100, printing=True) as other:
            while other.poll() is None:
                memory.add(f"fact {written}", user_id="alice", infer=False)
                written += 1
            said = other.stdout.read().splitlines()
            assert other.returncode == 0
        assert len(said) == 100
        assert all(f"process {os.getpid()}" in line for line in said)
        assert memory.count(user_id="alice") == written
        assert memory.index.verify()


FORKED = """
import os, sys, threading
from holdfast import Event, Memory, StorageError, StoreLockedError
from holdfast.io import THREADS
from holdfast.storage.lock import FolderLock
from tests.support.fakes import HashEmbedder, ScriptedMerger, ScriptedModel, facts

path = sys.argv[1]
memory = Memory(path, llm=None, embedder=HashEmbedder())
memory.add("before the fork", user_id="alice", infer=False)
child = os.fork()
if child == 0:
    refused = 0
    for use in (lambda: memory.add("x", user_id="alice"), lambda: memory.search("x", user_id="alice"),
                lambda: memory.get_all(user_id="alice"), lambda: Memory(path, llm=None, embedder=HashEmbedder())):
        try:
            use()
        except StoreLockedError:
            refused += 1
    memory.close()
    with Memory(path + "-own", llm=None, embedder=HashEmbedder()) as own:
        own.add("in the child", user_id="alice", infer=False)
        assert own.index.verify()
    os._exit(0 if refused == 4 else 10 + refused)
_, status = os.waitpid(child, 0)
memory.add("after the fork", user_id="alice", infer=False)
assert memory.index.verify(), memory.index.verify()
memory.close()
with Memory(path, llm=None, embedder=HashEmbedder()) as again:
    assert again.index.verify() and again.count(user_id="alice") == 2
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_forked_child_is_refused_and_its_parent_is_unharmed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FORKED, str(tmp_path / "store")]
    done = subprocess.run(command, cwd=children.ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_a_lock_that_a_dead_process_left_means_nothing(tmp_path: Path) -> None:
    opened(tmp_path).close()
    (tmp_path / "lock.pid").write_text("999999")
    with opened(tmp_path) as memory:
        assert memory.index.verify()
        with pytest.raises(StoreLockedError):
            FolderLock(tmp_path).acquire()
