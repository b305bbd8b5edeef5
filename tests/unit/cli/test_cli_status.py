"""The one screen of `teamhub status`: what is on it, and that it fits."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cli_rig import Answer, on_a_terminal
from rich.console import Console
from teamhub.cli.status import screen
from teamhub.deployment import Deployment
from teamhub.disk import Disk
from teamhub.model import Desired, Kind, Status, Workload
from teamhub.reasons import Reason
from teamhub.supervisor import problems
from teamhub.supervisor.state import (
    MemberState,
    NodeState,
    ProcessState,
    Queued,
    State,
)

Command = Callable[..., Answer]
MIB, GIB = 1024**2, 1024**3
NOW = datetime.now(UTC)


def failed(reason: Reason | None, detail: str = "", kind: Kind = Kind.KERNEL) -> Workload:
    return Workload(
        id="0123456789ab",
        kind=kind,
        owner="ada",
        name="python3",
        environment="python3",
        size="big",
        desired=Desired.RUNNING,
        status=Status.FAILED,
        attempt=1,
        created_at=NOW,
        changed_at=NOW,
        reason=reason,
        detail=detail,
    )


def state(**more: Any) -> State:
    """A small team on a busy day."""
    values: dict[str, Any] = {
        "url": "http://127.0.0.1:8000",
        "data_dir": "/srv/teamhub",
        "up_since": NOW - timedelta(days=3),
        "problems": [],
        "processes": [
            ProcessState(name, 1234567, NOW - timedelta(days=3), memory_bytes=128 * 1024**2)
            for name in ("supervisor", "proxy", "gateway", "hub")
        ],
        "workloads": {"kernel": {"running": 12, "queued": 5}, "server": {"running": 9}},
        "failures": [],
        "nodes": [NodeState("big-machine", 64, 512 * GIB, 300 * GIB, 400 * GIB, 21, True, "")],
        "members": [MemberState(name, 3, 1) for name in ("ada", "bob", "cleo", "dan", "eve")],
        "queued": [
            Queued(f"{n}234567890", "kernel", "ada", "python3-big", NOW, "1 node: no memory free")
            for n in range(5)
        ],
        "disk": Disk(1000 * GIB, 40 * GIB),
        "waiting_sign_ups": 2,
        "last_problems": [
            problems.of_workload(failed(Reason.OUT_OF_MEMORY, "it used more than 4 GiB " * 9)),
            problems.of_process("hub", "killed by SIGKILL", NOW, running=True),
        ],
    }
    return State(**{**values, **more})


def shown(given: State, *, width: int = 80) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=False, highlight=False).print(screen(given))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_a_small_team_fits_a_small_terminal() -> None:
    lines = shown(state())
    assert len(lines) <= 24, "\n".join(lines)
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    for part in (
        "http://127.0.0.1:8000  ready, up for 3 d",
        "40.0 of 1000.0 GiB free",
        "2 wait for approval",
        "128 MiB",
        "big-machine  64    512.0 GiB  300.0 GiB  400.0 GiB  21    ready",
        "kernels: 12 running, 5 queued; servers: 9 running",
        "of ada 4, bob 4, cleo 4, dan 4 and 1 more",
        "1 node: no memory free",
        "5 WAIT",
        "kernel 01234567 of ada failed: out-of-memory",
        "-> `teamhub kernels show 01234567`. Let its owner choose a larger",
        "the hub ended (killed by SIGKILL); it runs again",
        "-> see `teamhub logs --process hub`",
    ):
        assert part in text, text


def test_one_that_is_not_ready_says_why() -> None:
    lines = shown(state(problems=["the sign-in page answers 503"], up_since=None))
    assert "not ready  teamhub" in lines[0]
    assert lines[1] == "  the sign-in page answers 503"


def test_how_long_it_is_up_is_not_how_long_it_is_ready() -> None:
    """The hub was killed in between, or just now."""
    assert "  ready, up for 3 d" in shown(state())[0]
    assert "  not ready, up for 3 d" in shown(state(problems=["the hub is away"]))[0]


@pytest.mark.parametrize(
    ("free", "total", "said"),
    [
        (0, 64 * MIB, "full: 0 of 64 MiB free"),
        (50 * MIB, GIB, "nearly full: 50 MiB of 1.0 GiB free"),
        (900 * MIB, 2 * GIB, "filling up: 900 MiB of 2.0 GiB free"),
        (40 * GIB, 1000 * GIB, "filling up: 40.0 of 1000.0 GiB free"),
    ],
)
def test_a_disk_with_little_room_is_a_problem(free: int, total: int, said: str) -> None:
    problem = problems.of_disk(Disk(total, free), NOW)
    assert problem is not None
    lines = shown(state(disk=Disk(total, free), last_problems=[problem]))
    assert any(line.endswith(f"  the data directory's disk is {said}") for line in lines), lines
    assert any("-> delete or move what is not needed" in line for line in lines)
    assert problems.of_disk(Disk(1000 * GIB, 60 * GIB), NOW) is None


def test_one_with_nothing_to_tell_is_short() -> None:
    quiet = state(
        workloads={"kernel": {}, "server": {}},
        members=[],
        queued=[],
        last_problems=[],
        waiting_sign_ups=0,
        nodes=[],
    )
    lines = shown(quiet)
    assert "kernels: none; servers: none" in lines
    assert not any("WAIT" in line or "LAST PROBLEMS" in line for line in lines)


@pytest.mark.parametrize("reason", [None, *Reason])
@pytest.mark.parametrize("kind", list(Kind))
def test_every_reason_has_a_remedy(reason: Reason | None, kind: Kind) -> None:
    found = problems.of_workload(failed(reason, "two\nlines", kind))
    assert "\n" not in found.what
    assert found.remedy
    assert "{" not in found.remedy


def test_watching_needs_a_terminal(on: Command) -> None:
    for more in ((), ("--json",)):
        answer = on("status", "--watch", *more)
        assert answer.code == 2
        assert "--watch needs a terminal" in answer.err


def test_watching_goes_on_until_ctrl_c(deployment: Deployment) -> None:
    """Also over times in which nothing runs there."""
    answers = [("no team server is running on", ""), ("Ctrl-C ends this", "\x03")]
    code, shown = on_a_terminal(
        answers, "status", "--watch", "--data-dir", str(deployment.data_dir)
    )
    assert code == 130
    assert "Traceback" not in shown
