"""Databases, secrets and notes of a run that are not as they were left: one line, nothing changed.

And where a start can put it right, it does, with all the data.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bad_input import Answer, command, free_port, snapshot
from team import TeamServer

pytestmark = [pytest.mark.node, pytest.mark.timeout(300)]

DATABASES = ("teamhub.sqlite", "hub.sqlite")


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a team server that has run, has a member, and was ended."""
    server = TeamServer(tmp_path_factory.mktemp("ended") / "data")
    server.start()
    server.member("ada")
    server.stop()
    for name in DATABASES:
        # All of it in the one file, so that damage to that file is damage to the data.
        with contextlib.closing(sqlite3.connect(server.data_dir / name)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return server.data_dir


@pytest.fixture
def data_dir(ended: Path, tmp_path: Path) -> Path:
    """A copy of it, for one test."""
    path = tmp_path / "data"
    shutil.copytree(ended, path)
    return path


@pytest.fixture
def server(data_dir: Path) -> Iterator[TeamServer]:
    """A team server on that copy, not yet started."""
    server = TeamServer(data_dir)
    yield server
    server.stop()


def up(data_dir: Path) -> Answer:
    """Run `teamhub up`, which must not come up and not change anything."""
    before = snapshot(data_dir)
    answer = command("up", "--data-dir", data_dir, "--port", str(free_port()))
    assert snapshot(data_dir) == before
    return answer


def written(path: Path, position: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(position)
        file.write(data)


def executed(path: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def foreign(path: Path) -> None:
    path.unlink()
    executed(path, "CREATE TABLE songs (title TEXT)")


NO_DATABASE = "is damaged (file is not a database); put back a copy of it, or move it"
MALFORMED = "is damaged (database disk image is malformed); put back a copy of it, or move it"
NEWER = "UPDATE alembic_version SET version_num = '9999'"
DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "header": (lambda path: written(path, 0, b"garbage " * 4), NO_DATABASE),
    "text": (lambda path: path.write_text("a text\n" * 999), NO_DATABASE),
    "truncated": (lambda path: os.truncate(path, 5000), MALFORMED),
    "page": (lambda path: written(path, 3 * 4096, b"\xff" * 4096), MALFORMED),
    "newer": (lambda path: executed(path, NEWER), "is at version 9999, which "),
    "foreign": (foreign, "is another program's (it has the tables songs)"),
    "directory": (
        lambda path: (path.unlink(), path.mkdir()),
        "cannot be used: unable to open database file; it should be a file in a directory that",
    ),
}


def names(data_dir: Path) -> list[str]:
    answer = command("users", "list", "--json", "--data-dir", data_dir)
    return sorted(user["name"] for user in json.loads(answer.out))


@pytest.mark.parametrize("name", DATABASES)
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_database_that_is_not_what_it_was(data_dir: Path, name: str, damage: str) -> None:
    path = data_dir / name
    do, said = DAMAGE[damage]
    do(path)
    answer = up(data_dir)
    assert answer.code == 1
    assert f"the database {path} " in answer.said()
    assert said in answer.said()


@pytest.mark.parametrize("name", DATABASES)
def test_a_database_that_another_program_holds(data_dir: Path, name: str) -> None:
    source = (
        "import sqlite3, sys\n"
        "held = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "held.execute('PRAGMA locking_mode=EXCLUSIVE')\n"
        "held.execute('BEGIN EXCLUSIVE')\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    path = data_dir / name
    with subprocess.Popen(
        [sys.executable, "-c", source, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        answer = command("up", "--data-dir", data_dir, "--port", str(free_port()))
        assert holder.stdin is not None
        holder.stdin.close()
    assert answer.code == 1
    line = answer.said()
    assert f"the database {path} is held locked by " in line
    assert f"(process {holder.pid}); end that, then try again" in line
    assert "ada" in names(data_dir)


@pytest.mark.parametrize(
    "name", ["cookie", "proxy-token", "gateway-token", "operator-token", "gateway-curve"]
)
@pytest.mark.parametrize("content", [b"", b"hello", b"\xff\xfe", b"a b c"], ids=repr)
def test_a_secret_that_is_none(data_dir: Path, name: str, content: bytes) -> None:
    path = data_dir / "secrets" / name
    path.write_bytes(content)
    answer = up(data_dir)
    assert answer.code == 1
    assert answer.said().startswith(
        f"teamhub: {path}: is not what teamhub once wrote there; put it back, or remove it"
    )


def test_a_secret_that_cannot_be_read(data_dir: Path) -> None:
    path = data_dir / "secrets/cookie"
    path.unlink()
    path.mkdir()
    assert f"{path}: cannot be read: Is a directory; it should be a file" in up(data_dir).said()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("settings.json", "{"),
        ("settings.json", ""),
        ("settings.json", '{"proxy": 5}'),
        ("settings.json", '{"data_dir": "/somewhere", "unknown": 1}'),
    ],
)
def test_commands_where_the_settings_in_force_are_damaged(
    data_dir: Path, name: str, content: str
) -> None:
    path = data_dir / "run" / name
    path.write_text(content)
    before = snapshot(data_dir)
    for arguments in (("status",), ("users", "list"), ("kernels", "list"), ("down",)):
        answer = command(*arguments, "--data-dir", data_dir)
        assert answer.code == 1
        assert answer.said() == (
            f"teamhub: {path}: cannot be understood: it is damaged, or of another teamhub; "
            f"`teamhub up --data-dir {data_dir}` writes it anew"
        )
    assert snapshot(data_dir) == before


def test_a_start_puts_right_what_it_can(server: TeamServer) -> None:
    """Notes of a run are written anew, secrets closed and said, and what is gone is made again."""
    data_dir = server.data_dir
    (data_dir / "run/settings.json").write_text("{")
    (data_dir / "run/ports.json").write_text('{"hub": "x", "gateway": 0, "proxy_api": 5}')
    (data_dir / "run/processes.json").write_text("[1]")
    (data_dir / "run/up.lock").write_text("no number")
    (data_dir / "secrets").chmod(0o755)
    (data_dir / "secrets/cookie").chmod(0o644)
    (data_dir / "secrets/operator-token").unlink()
    server.start()
    told = "\n".join(server.first_output)
    assert f"others could read in {data_dir}/secrets: secrets, cookie. They no longer can" in told
    for path in (data_dir / "secrets", *(data_dir / "secrets").iterdir()):
        assert path.stat().st_mode & 0o077 == 0
    assert "ada" in names(data_dir)
    assert server.token("ada")


def test_what_a_crash_left_in_the_journal_is_there_after_the_next_start(
    server: TeamServer,
) -> None:
    server.start()
    server.add_user("bob")
    token = server.token("bob")
    assert server.process is not None
    for name in ("gateway", "hub", "proxy"):
        os.kill(server.pid_of(name), signal.SIGSTOP)
    pids = [server.pid_of(name) for name in ("gateway", "hub", "proxy")]
    # All at once, as when the machine loses its power, so that nobody tidies up.
    os.kill(server.process.pid, signal.SIGKILL)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    server.process.wait(30)
    assert (server.data_dir / "teamhub.sqlite-wal").stat().st_size > 0
    server.process = None
    server.start()
    assert {"ada", "bob"} <= set(names(server.data_dir))
    assert server.cli("status")["ready"] is True
    assert server.token("bob") != token


async def test_a_database_that_is_removed_under_the_running_server(server: TeamServer) -> None:
    """What is asked says so at once, nothing new is made in its place, and put back it goes on."""
    server.start()
    member = server.member()
    path = server.data_dir / "teamhub.sqlite"
    aside = server.data_dir / "aside.sqlite"
    path.rename(aside)
    async with member.http() as http:
        async with http.post("api/kernels", json={"name": "python3"}) as response:
            assert response.status == 503
            assert (await response.json())["message"] == (
                f"the database {path} was removed under the running server; put it back, or end "
                "the server with `teamhub down` and start it again"
            )
        async with http.get("readyz") as response:
            assert response.status == 503
        assert not path.exists()
        aside.rename(path)
        async with member.connect(await member.start_kernel()) as cells:
            assert (await cells.run("6 * 7")).text == "42"
    assert "ada" in await asyncio.to_thread(names, server.data_dir)
