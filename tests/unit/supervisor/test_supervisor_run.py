"""The whole life of a supervisor, of tiny programs, in a process of its own."""

from __future__ import annotations

import asyncio
import signal
import socket
import sqlite3
from collections.abc import Iterator

import psutil
import pytest
from supervisor_rig import Lines, Run
from teamhub.deployment import Deployment
from teamhub.errors import NotRunningError
from teamhub.supervisor import apply, record
from teamhub.supervisor.children import strays
from teamhub.supervisor.down import Ended, down
from teamhub.supervisor.lock import holder

pytestmark = pytest.mark.timeout(400)  # each starts several interpreters


@pytest.fixture
def runs() -> Iterator[list[Run]]:
    started: list[Run] = []
    yield started
    for run in started:
        run.process.kill()
        run.end()


def living(pids: dict[str, int]) -> list[str]:
    return [
        name
        for name, pid in pids.items()
        if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_it_comes_up_says_so_once_and_ends_with_all_it_started(
    deployment: Deployment, runs: list[Run], number: int
) -> None:
    runs.append(run := Run(deployment).ready())
    children = run.children()
    assert sorted(children) == sorted(living(children)) == ["gateway", "hub", "proxy"]
    assert run.signal(number).end() == 0
    assert living(children) == []
    assert run.out[0] == f"teamhub is ready: {deployment.public_url()}"
    assert sum(line.startswith("teamhub is ready") for line in run.out) == 1
    assert not record.record_file(deployment).exists()
    assert holder(deployment.data_dir) is None


def test_the_first_start_alone_shows_the_administrators_password(
    deployment: Deployment, runs: list[Run]
) -> None:
    runs.append(first := Run(deployment).ready())
    assert first.signal(signal.SIGTERM).end() == 0
    assert first.out[1] == "administrator: admin"
    password = first.out[2].removeprefix("one-time password: ")
    assert len(password) > 10
    runs.append(second := Run(deployment).ready())
    assert second.signal(signal.SIGTERM).end() == 0
    assert len(second.out) == 1
    said = "\n".join(second.err)
    assert "the administrator admin has not signed in yet; `teamhub users reset admin`" in said
    logs = "".join(path.read_text() for path in deployment.logs_dir.iterdir())
    assert password not in "\n".join([*second.out, *first.err, said, logs])


def test_the_second_up_says_so_and_changes_nothing(deployment: Deployment, runs: list[Run]) -> None:
    runs.append(first := Run(deployment).ready())
    before = {path: path.stat().st_mtime_ns for path in deployment.run_dir.glob("*.json")}
    runs.append(second := Run(deployment))
    assert second.end() == 3
    assert second.err == [
        f"teamhub: a team server is already running on {deployment.data_dir} "
        f"(process {first.process.pid}): {deployment.public_url()}"
    ]
    assert before == {path: path.stat().st_mtime_ns for path in deployment.run_dir.glob("*.json")}
    assert sorted(living(first.children())) == ["gateway", "hub", "proxy"]
    assert first.signal(signal.SIGINT).end() == 0


def test_one_that_was_killed_is_followed_by_one_that_cleans_up(
    deployment: Deployment, runs: list[Run]
) -> None:
    runs.append(killed := Run(deployment).ready())
    old = killed.children()
    killed.signal(signal.SIGKILL).end()
    assert sorted(living(old)) == ["gateway", "hub", "proxy"]
    runs.append(following := Run(deployment).ready())
    assert living(old) == []
    assert not set(old.values()) & set(following.children().values())
    assert following.signal(signal.SIGINT).end() == 0


def test_what_the_killed_one_had_not_noted_down_is_ended_too(
    deployment: Deployment, runs: list[Run]
) -> None:
    runs.append(killed := Run(deployment).ready())
    old = killed.children()
    killed.signal(signal.SIGKILL).end()
    record.remove(deployment)
    runs.append(following := Run(deployment).ready())
    assert living(old) == []
    assert following.signal(signal.SIGINT).end() == 0


def test_a_program_that_is_broken_is_named_with_its_last_words(
    deployment: Deployment, runs: list[Run]
) -> None:
    runs.append(run := Run(deployment, "broken"))
    assert run.end() == 1
    assert run.out == []
    said = "\n".join(run.err)
    assert "the hub ends each time it is started (exit code 7)" in said
    assert str(deployment.log_file("hub")) in said
    assert "no such thing" in said
    assert strays(deployment.data_dir) == []


def test_ctrl_c_while_it_comes_up_ends_what_there_is(
    deployment: Deployment, runs: list[Run]
) -> None:
    runs.append(run := Run(deployment, "slow"))
    run.until(lambda: any("waiting for the gateway" in line for line in run.err))
    children = run.children()
    assert run.signal(signal.SIGINT).end() == 0
    assert run.out == []
    assert living(children) == []


def test_a_child_that_is_killed_comes_back(deployment: Deployment, runs: list[Run]) -> None:
    runs.append(run := Run(deployment).ready())
    hub = run.children()["hub"]
    psutil.Process(hub).kill()
    run.until(lambda: any("the hub has ended (killed by SIGKILL)" in line for line in run.err))
    assert run.signal(signal.SIGINT).end() == 0
    assert sum("has ended (" in line for line in run.err) == 1


def test_a_port_that_is_taken_is_one_clear_line(deployment: Deployment, runs: list[Run]) -> None:
    port = deployment.config.proxy.port
    with socket.create_server(("127.0.0.1", port)):
        runs.append(run := Run(deployment))
        assert run.end() == 1
    assert run.err[-1].startswith(f"teamhub: port {port} of 127.0.0.1 is in use")
    assert "--port" in run.err[-1]


async def test_down_ends_it(deployment: Deployment, runs: list[Run], lines: Lines) -> None:
    runs.append(run := Run(deployment).ready())
    children = run.children()
    reaped = asyncio.create_task(asyncio.to_thread(run.end))
    ended = await down(deployment, lines, keep_kernels=False)
    assert ended.supervisor == run.process.pid
    assert living(children) == []
    assert await reaped == 0


async def test_down_after_a_kill_ends_what_is_left(
    deployment: Deployment, runs: list[Run], lines: Lines
) -> None:
    runs.append(run := Run(deployment).ready())
    children = run.children()
    run.signal(signal.SIGKILL).end()
    ended = await down(deployment, lines, keep_kernels=False)
    assert ended == Ended(None, processes=3)
    assert ended.anything
    assert living(children) == []
    assert not (await down(deployment, lines, keep_kernels=False)).anything


async def test_down_where_nothing_runs_makes_no_database(
    deployment: Deployment, lines: Lines
) -> None:
    deployment.prepare()
    assert not (await down(deployment, lines, keep_kernels=False)).anything
    assert not (deployment.data_dir / "teamhub.sqlite").exists()


def test_a_store_that_is_newer_is_refused_untouched(
    deployment: Deployment, runs: list[Run]
) -> None:
    runs.append(run := Run(deployment).ready())
    assert run.signal(signal.SIGINT).end() == 0
    database = deployment.data_dir / "teamhub.sqlite"
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    runs.append(again := Run(deployment))
    assert again.end() == 1
    assert "newer than this teamhub" in again.err[-1]


async def test_new_settings_are_refused_where_nobody_knows_their_file(
    deployment: Deployment, runs: list[Run], lines: Lines
) -> None:
    runs.append(run := Run(deployment).ready())
    children = run.children()
    said = await apply.ask(deployment, lines)
    assert (said.state, said.exit_code) == ("failed", 1)
    assert "the settings' file is not known" in said.message
    assert run.children() == children
    assert list((deployment.run_dir / "requests").iterdir()) == []
    assert run.signal(signal.SIGINT).end() == 0
    with pytest.raises(NotRunningError, match="reads the settings when it starts"):
        await apply.ask(deployment, lines)
