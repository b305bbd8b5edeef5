"""`teamhub doctor` on a real team server: what the trial finds, and that nothing is left of it."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from contextlib import closing
from typing import Any

import pytest
from team import TeamServer, wait_until

pytestmark = [pytest.mark.node, pytest.mark.timeout(300)]

STEPS = ["account", "sign-in", "token", "kernel", "cell", "stop", "removal"]


def start(server: TeamServer, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *(sys.executable, "-u", "-m", "teamhub.cli", "doctor"),
            *("--data-dir", str(server.data_dir), *arguments),
        ],
        env={**server.env, "COLUMNS": "300"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def examined(server: TeamServer) -> tuple[int, dict[str, Any]]:
    """Return the exit status, and the checks by name."""
    process = start(server, "--json")
    out, err = process.communicate(timeout=150)
    answer = json.loads(out) if out else pytest.fail(err)
    assert answer["ok"] is (process.returncode == 0)
    return process.returncode, {check["name"]: check for check in answer["checks"]}


def left_of_trials(server: TeamServer) -> list[str]:
    """Everything that there still is of members called doctor-…"""
    with closing(sqlite3.connect(server.data_dir / "teamhub.sqlite")) as store:
        found = [row[0] for row in store.execute("SELECT name FROM accounts")]
        found += [
            row[0]
            for row in store.execute(
                "SELECT owner FROM workloads WHERE status NOT IN ('stopped', 'failed')"
            )
        ]
    with closing(sqlite3.connect(server.data_dir / "hub.sqlite")) as hub:
        found += [row[0] for row in hub.execute("SELECT name FROM users")]
    found += [path.name for path in (server.data_dir / "homes").iterdir()]
    found += [path.name for path in (server.data_dir / "run/doctor").iterdir()]
    return [name for name in found if name.startswith("doctor-")]


def is_ready(server: TeamServer) -> bool:
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{server.gateway_url}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_a_server_that_is_well(team: TeamServer) -> None:
    code, checks = examined(team)
    assert code == 0, [check for check in checks.values() if check["verdict"] == "problem"]
    assert [checks[f"trial: {step}"]["verdict"] for step in STEPS] == ["ok"] * len(STEPS)
    assert checks["trial: cell"]["text"].startswith("6*7 is 42")
    for name in ("database", "hub database", "processes", "ports", "address", "dispatcher"):
        assert checks[name]["verdict"] == "ok", checks[name]
    assert left_of_trials(team) == []


def test_it_says_so_line_by_line(team: TeamServer) -> None:
    process = start(team)
    out, err = process.communicate(timeout=150)
    assert process.returncode == 0, out + err
    lines = out.splitlines()
    assert any(line.startswith("ok       trial: cell      6*7 is 42") for line in lines)
    assert lines[-1].endswith("skipped")
    # In a pipe there is no progress, and nobody's terminal to colour.
    assert err == ""
    assert "\x1b" not in out


@pytest.mark.parametrize("step", ["account", "sign-in", "kernel"])
def test_ctrl_c_leaves_nothing(team: TeamServer, step: str) -> None:
    process = start(team)
    assert process.stdout is not None
    while f"trial: {step}" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=150)
    # It may have been as good as done; then it ends well.
    assert process.returncode in {130, 0}, err
    assert left_of_trials(team) == []


def test_a_kernel_that_does_not_start_is_told_with_its_reason(own_team: TeamServer) -> None:
    (own_team.data_dir / "teamhub.toml").write_text(
        '[environments.python3]\ndisplay_name = "Broken"\n'
        'argv = ["/bin/sh", "-c", "echo no such module >&2; exit 3", "{connection_file}"]\n'
    )
    own_team.start()
    code, checks = examined(own_team)
    assert code == 1
    cell = checks["trial: cell"]
    assert cell["verdict"] == "problem"
    assert "the cell failed: The kernel could not be started" in cell["text"]
    assert "`teamhub logs --kernel " in cell["remedy"]
    assert checks["trial: stop"] == checks["trial: stop"] | {
        "verdict": "skipped",
        "text": "trial: cell failed",
    }
    assert checks["trial: removal"]["verdict"] == "ok"
    assert left_of_trials(own_team) == []

    # Mended, and something else was killed meanwhile: a warning, which is no problem.
    (own_team.data_dir / "teamhub.toml").write_text("")
    own_team.cli("config", "apply")
    own_team.kill("gateway")
    wait_until("the gateway is back", lambda: is_ready(own_team), 60)
    code, checks = examined(own_team)
    assert code == 0
    assert checks["processes"]["verdict"] == "warning"
    assert "the gateway once (killed by SIGKILL)" in checks["processes"]["text"]


def test_a_trial_that_was_killed_is_cleaned_up_by_a_later_one(
    own_team: TeamServer,
) -> None:
    own_team.start()
    process = start(own_team)
    assert process.stdout is not None
    while "trial: sign-in" not in process.stdout.readline():
        assert process.poll() is None
    process.kill()
    process.communicate()
    left = left_of_trials(own_team)
    assert left
    # Young ones may be somebody else's that is under way.
    examined(own_team)
    assert left_of_trials(own_team) == left
    (marker,) = (own_team.data_dir / "run/doctor").iterdir()
    os.utime(marker, (1, 1))
    code, _ = examined(own_team)
    assert code == 0
    assert left_of_trials(own_team) == []
