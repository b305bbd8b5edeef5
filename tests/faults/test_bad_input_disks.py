"""Disks that are full, or become so, or cannot be written: said in a line, and nothing is lost."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bad_input import command, free_port, snapshot
from patience import eventually
from team import TeamServer, wait_until

pytestmark = [pytest.mark.root, pytest.mark.node, pytest.mark.timeout(300)]


class Disk:
    """A small file system in memory, mounted for one test."""

    def __init__(self, path: Path, size: str) -> None:
        self.path = path
        path.mkdir()
        self._mount("-t", "tmpfs", "-o", f"size={size},mode=755", "teamhub-test", path)

    def remount(self, options: str) -> None:
        self._mount("-o", f"remount,{options}", self.path)

    def fill(self) -> None:
        """Write until there is no room for another byte."""
        with (self.path / "filler").open("ab", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                try:
                    while True:
                        file.write(b"\0" * size)
                except OSError:
                    continue

    def make_room(self) -> None:
        (self.path / "filler").unlink()

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", self.path], check=True)

    @staticmethod
    def _mount(*arguments: str | Path) -> None:
        subprocess.run(["mount", *map(str, arguments)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path / "disk", "64m")
    yield disk
    disk.unmount()


def test_a_disk_that_is_full_before_the_first_start(disk: Disk) -> None:
    disk.fill()
    data_dir = disk.path / "data"
    before = snapshot(disk.path)
    answer = command("up", "--data-dir", data_dir, "--port", str(free_port()))
    assert answer.code in {1, 2}
    assert "the disk is full; make room" in answer.said()
    assert str(data_dir) in answer.said()
    left = {path: about for path, about in snapshot(disk.path).items() if path not in before}
    assert all(about[3] in {None, b""} for about in left.values())  # type: ignore[index]
    disk.make_room()
    server = TeamServer(data_dir)
    server.start()
    assert any(line.startswith("one-time password: ") for line in server.first_output)
    server.stop()


def test_a_file_system_that_is_read_only(disk: Disk) -> None:
    (disk.path / "data").mkdir()
    disk.remount("ro")
    for name in ("data", "none"):
        before = snapshot(disk.path)
        answer = command("up", "--data-dir", disk.path / name, "--port", str(free_port()))
        assert answer.code == 2
        assert "cannot be written: Read-only file system; choose another with" in answer.said()
        assert snapshot(disk.path) == before


async def test_a_disk_that_fills_up_while_it_runs(disk: Disk) -> None:
    """Kernels go on, what needs the disk says why, and with room everything is as before."""
    server = TeamServer(disk.path / "data")
    server.start()
    try:
        member = server.member()
        kernel = await member.start_kernel()
        async with member.connect(kernel) as cells:
            assert (await cells.run("x = 6")).status == "ok"
            disk.fill()
            # Beside it IPython says that it cannot keep its history.
            assert "42" in (await cells.run("x * 7")).text
            async with member.http() as http:
                async with http.post("api/kernels", json={"name": "python3"}) as response:
                    assert response.status == 503
                    assert "the disk is full; make room" in (await response.json())["message"]
                async with http.get(f"api/kernels/{kernel}") as response:
                    assert response.status == 200
            answer = await asyncio.to_thread(
                command, "users", "add", "late", "--data-dir", server.data_dir
            )
            assert answer.code == 1
            assert "the disk is full; make room on it" in answer.said()
            disk.make_room()
            assert (await cells.run("x * 7")).text == "42"
            async with member.connect(await member.start_kernel()) as others:
                assert (await others.run("1 + 1")).text == "2"
        assert server.cli("users", "add", "late")["name"] == "late"
        assert server.cli("status")["ready"] is True
    finally:
        server.stop()
    told = "".join(path.read_text() for path in (server.data_dir / "logs").iterdir())
    assert "Traceback" not in told
    listed = await asyncio.to_thread(
        command, "users", "list", "--json", "--data-dir", server.data_dir
    )
    names = json.loads(listed.out)
    assert {user["name"] for user in names} >= {"admin", member.name, "late"}
    assert os.path.ismount(disk.path)


async def test_a_full_disk_is_not_told_as_a_bad_token_nor_as_ready(disk: Disk) -> None:
    """The hub notes when a token was used last, and of one that it cannot note it is not sure."""
    server = TeamServer(disk.path / "data")
    server.start()
    try:
        member = server.member()
        async with member.http() as http:

            async def ask(path: str) -> tuple[int, Any]:
                async with http.get(path) as response:
                    return response.status, await response.json()

            async def is_ready() -> bool:
                return (await ask("readyz"))[0] == 200

            await eventually("it is ready", is_ready)
            disk.fill()
            status, problem = await ask("api/kernels")
            assert (status, problem["message"]) == (
                503,
                "the hub cannot be asked who you are; try again in a moment",
            )

            assert (await ask("readyz"))[0] == 503

            async def cannot_be_written() -> bool:
                return (await ask("readyz"))[1]["checks"]["database"] is False

            # Writing is tried every few seconds.
            await eventually("that the database cannot be written is seen", cannot_be_written)
            assert (await ask("readyz"))[1]["checks"]["disk"] is False
            shown = await asyncio.to_thread(command, "status", "--data-dir", server.data_dir)
            assert shown.code == 1
            assert "not ready" in shown.out
            assert "not ready: the database cannot be read and written" in shown.out
            assert "0 of 64 MiB free" in shown.out
            assert "the data directory's disk is full: 0 of 64 MiB free" in shown.out
            disk.make_room()
            await eventually("it is ready again", is_ready)
            assert await ask("api/kernels") == (200, [])
    finally:
        server.stop()


def test_ctrl_c_on_a_full_disk_ends_everything_all_the_same(disk: Disk) -> None:
    server = TeamServer(disk.path / "data")
    server.start()
    member = server.member()
    asyncio.run(member.start_kernel())
    wait_until("a kernel runs", lambda: len(server.workload_processes()) > 1)
    disk.fill()
    assert server.process is not None
    server.process.send_signal(signal.SIGINT)
    code = server.process.wait(90)
    said = (disk.path / "data-up.log").read_text().splitlines()
    assert code == 1, said
    assert server.workload_processes() == []
