"""One at a time for each workload."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from teamhub.engines.locks import Locks

DEADLINE_SECONDS = 10.0


async def test_one_at_a_time_and_no_file_left(tmp_path: Path) -> None:
    locks = Locks(tmp_path)
    inside = 0

    async def work() -> None:
        nonlocal inside
        async with locks.hold("w"):
            inside += 1
            assert inside == 1
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(work() for _ in range(20)))
    assert list(tmp_path.iterdir()) == []
    assert not locks.busy("w")


async def test_two_sets_of_locks_in_one_directory_exclude_each_other(tmp_path: Path) -> None:
    first, second = Locks(tmp_path), Locks(tmp_path)
    order = []

    async def later() -> None:
        async with second.hold("w"):
            order.append("second")

    async with first.hold("w"):
        waiting = asyncio.create_task(later())
        async with second.hold("another"):
            order.append("another")
        order.append("first")
    async with asyncio.timeout(DEADLINE_SECONDS):
        await waiting
    assert order == ["another", "first", "second"]


async def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    code = (
        "import asyncio,sys;from pathlib import Path;from teamhub.engines.locks import Locks\n"
        "async def main():\n"
        "  async with Locks(Path(sys.argv[1])).hold('w'):\n"
        "    print('held', flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())"
    )
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert holder.stdout is not None
    async with asyncio.timeout(DEADLINE_SECONDS):
        assert await holder.stdout.readline() == b"held\n"
        holder.kill()
        await holder.wait()
        async with Locks(tmp_path).hold("w"):
            pass


async def test_waiting_can_be_given_up(tmp_path: Path) -> None:
    first, second = Locks(tmp_path), Locks(tmp_path)
    async with first.hold("w"):
        waiting = asyncio.create_task(second.hold("w").__aenter__())
        await asyncio.sleep(0)  # let it begin
        assert second.busy("w")
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert waiting.cancelled()
    async with asyncio.timeout(DEADLINE_SECONDS), second.hold("w"):
        pass
