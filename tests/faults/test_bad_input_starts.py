"""Starts that are interrupted, and clocks that are wrong."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from bad_input import command, free_port, snapshot
from team import TeamServer
from up_rig import Site, Up

pytestmark = [pytest.mark.node, pytest.mark.timeout(400)]

MOMENTS = ("opening the database", "starting the proxy, the hub and the gateway", "waiting for ")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A place for a team server, at a path that is long and has blanks and accents in it."""
    site = Site(tmp_path / ("a long päth with blanks, " * 4).strip() / "data", free_port())
    yield site
    for up in site.ups:
        up.process.kill()
        up.end()
    left = site.processes()
    for process in left:
        process.kill()
    assert not left


def has_said(up: Up, text: str) -> bool:
    return any(text in line for line in up.err)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_first_start_that_is_interrupted_and_the_next(site: Site, number: int) -> None:
    """Whenever it was, the next start comes up, and an administrator can get in."""
    for moment in MOMENTS:
        up = site.up()
        up.until(partial(has_said, up, moment))
        code = up.signal(number).end()
        assert code == (-number if number == signal.SIGKILL else 0), up.err
        assert not any("Traceback" in line for line in up.err)
        assert up.out == [], "a password that nobody reads would be lost"
    up = site.up().ready()
    up.until(lambda: any(line.startswith("one-time password: ") for line in up.out))
    assert "administrator: admin" in up.out
    assert site.token("ada")
    assert up.signal(signal.SIGINT).end() == 0
    assert site.processes() == []
    for log in (site.data_dir / "logs").iterdir():
        assert "Traceback" not in log.read_text(), log


def test_a_password_that_was_shown_to_nobody_can_be_had_again(site: Site) -> None:
    """Killed between the account and the line with its password, as far as anybody can tell."""
    up = site.up().ready()
    up.signal(signal.SIGKILL).end()
    again = site.up().ready()
    again.until(lambda: any("`teamhub users reset admin`" in line for line in again.err))
    assert not any(line.startswith("one-time password") for line in again.out)
    assert len(site.json("users", "reset", "admin")["one_time_password"]) > 10
    assert again.signal(signal.SIGINT).end() == 0


# The clock


@pytest.mark.faketime
@pytest.mark.parametrize("existing", [False, True], ids=["first", "later"])
def test_a_clock_before_this_release_is_refused(tmp_path: Path, existing: bool) -> None:
    data_dir = tmp_path / "data"
    if existing:
        (data_dir / "run").mkdir(parents=True)
    before = snapshot(data_dir)
    faketime = shutil.which("faketime")
    assert faketime is not None
    answer = command(
        *("up", "--data-dir", data_dir, "--port", str(free_port())),
        prefix=(faketime, "-f", "2019-01-01 12:00:00"),
        env={"TZ": "UTC"},
    )
    assert answer.code == 1
    assert answer.said() == (
        "teamhub: the clock of this machine says 2019-01-01 12:00 UTC, which is before this "
        "teamhub was made (November 2026); set the clock (`timedatectl set-ntp true` has the "
        "network do it), then try again"
    )
    assert snapshot(data_dir) == before


def test_a_clock_that_was_set_back_by_a_day(tmp_path: Path) -> None:
    """Which is the same as a database whose every moment is a day later, for all processes."""
    server = TeamServer(tmp_path / "data")
    server.start()
    member = server.member()
    server.process.kill()  # type: ignore[union-attr]
    server.process.wait(30)  # type: ignore[union-attr]
    for name in ("gateway", "hub", "proxy"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(server.pid_of(name), signal.SIGKILL)
    server.process = None
    later(server.data_dir / "teamhub.sqlite", timedelta(days=1))
    later(server.data_dir / "hub.sqlite", timedelta(days=1), but=("expires_at",))
    server.start()
    try:
        told = [line for line in server.first_output if "the clock of this machine says" in line]
        assert len(told) == 1
        assert "before the newest moment in the database" in told[0]
        assert server.cli("status")["ready"] is True
        assert server.cli("kernels", "list") == []

        # The token is of before, and the lease was held when its holder was killed.
        async def a_cell() -> str:
            async with member.connect(await member.start_kernel()) as cells:
                return (await cells.run("6 * 7")).text

        assert asyncio.run(a_cell()) == "42"
        assert server.token(member.name)
        assert server.add_user()
    finally:
        server.stop()


def later(path: Path, span: timedelta, but: tuple[str, ...] = ()) -> None:
    """Move every moment in a database."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        moments = connection.execute(
            "SELECT t.name, c.name FROM sqlite_master AS t, pragma_table_info(t.name) AS c "
            "WHERE t.type = 'table' AND c.type IN ('DATETIME', 'TIMESTAMP')"
        ).fetchall()
        assert moments
        for table, column in moments:
            if column in but:
                continue
            for row, text in connection.execute(
                f"SELECT rowid, {column} FROM {table} WHERE {column} IS NOT NULL"  # noqa: S608
            ).fetchall():
                moved = datetime.fromisoformat(text) + span
                connection.execute(
                    f"UPDATE {table} SET {column} = ? WHERE rowid = ?",  # noqa: S608
                    (moved.isoformat(" "), row),
                )
