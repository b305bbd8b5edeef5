"""`teamhub config apply` on a real team server: what changes, what goes on, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from team import TeamServer

pytestmark = [pytest.mark.node, pytest.mark.timeout(400)]

PLAIN = "[kernels]\nper_user = 20\n"
MORE = PLAIN + (
    '[sizes.standard]\n[sizes.small]\nmemory = "512 MiB"\n'
    '[environments.python3]\ndisplay_name = "Python 3"\n'
    '[environments.more]\ndisplay_name = "One more"\nsizes = ["small"]\n'
)


def ask(server: TeamServer, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command on a deployment; its exit status is the test's to look at."""
    return subprocess.run(
        [sys.executable, "-m", "teamhub.cli", *arguments, "--data-dir", str(server.data_dir)],
        env=server.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def write(server: TeamServer, text: str) -> None:
    (server.data_dir / "teamhub.toml").write_text(text)


def pids(server: TeamServer) -> dict[str, int]:
    return {name: server.pid_of(name) for name in ("proxy", "hub", "gateway")}


def in_force(server: TeamServer) -> bytes:
    return (server.data_dir / "run/settings.json").read_bytes()


async def specs(server: TeamServer, member: Any) -> set[str]:
    async with member.http() as http, http.get("api/kernelspecs") as response:
        assert response.status == 200, await response.text()
        return set((await response.json())["kernelspecs"])


async def test_a_new_environment_is_there_and_a_kernel_keeps_its_variable(
    own_team: TeamServer,
) -> None:
    write(own_team, PLAIN)
    own_team.start()
    member = own_team.member()
    kernel = await member.start_kernel(name="python3")
    async with member.connect(kernel) as cells:
        assert (await cells.run("kept = 41")).status == "ok"
    assert await specs(own_team, member) == {"python3"}
    before = pids(own_team)

    write(own_team, MORE)
    checked = own_team.cli("config", "check")
    assert checked["running"] is True
    assert checked["applies"] is True
    assert {change["path"] for change in checked["changes"]} == {"sizes.small", "environments.more"}
    applied = own_team.cli("config", "apply")
    assert set(applied["changed"]) == {"sizes.small", "environments.more"}
    assert set(applied["restarted"]) == {"hub", "gateway"}

    # It returns when it holds: nothing is waited for here.
    assert await specs(own_team, member) == {"python3", "python3-small", "more"}
    async with member.connect(kernel) as cells:
        assert (await cells.run("kept + 1")).text == "42"
    after = pids(own_team)
    assert after["proxy"] == before["proxy"]
    assert after["hub"] != before["hub"]
    assert after["gateway"] != before["gateway"]
    processes = {p["name"]: p for p in own_team.cli("status")["processes"]}
    assert [processes[name]["restarts"] for name in ("hub", "gateway")] == [0, 0]

    again = own_team.cli("config", "apply")
    assert (again["changed"], again["restarted"]) == ([], [])
    assert pids(own_team) == after
    assert not list((own_team.data_dir / "run/requests").iterdir())


def test_a_bad_file_changes_nothing(own_team: TeamServer) -> None:
    write(own_team, PLAIN)
    own_team.start()
    before, settings = pids(own_team), in_force(own_team)

    write(own_team, PLAIN + "[proxy]\nprot = 5\n")
    done = ask(own_team, "config", "apply")
    assert done.returncode == 2
    assert "proxy.prot: there is no such setting; did you mean 'port'?" in done.stderr
    assert done.stderr.count("\n") == 1

    write(own_team, MORE + "[hub]\nadmin = 'other'\n")
    done = ask(own_team, "config", "apply")
    assert done.returncode == 1
    assert "hub.admin: only a restart of everything applies this" in done.stderr
    assert "`teamhub down --keep-kernels`, then `teamhub up`" in done.stderr
    assert own_team.cli("config", "check")["applies"] is False

    other = own_team.data_dir.parent / "other.toml"
    other.write_text(PLAIN)
    done = ask(own_team, "config", "apply", "--config", str(other))
    assert done.returncode == 1
    assert f"was started with {own_team.data_dir / 'teamhub.toml'}; change that file" in done.stderr

    (own_team.data_dir / "run/origin.json").unlink()
    done = ask(own_team, "config", "apply")
    assert done.returncode == 1
    assert "was started by an earlier teamhub" in done.stderr

    assert (pids(own_team), in_force(own_team)) == (before, settings)


def test_the_port_that_up_was_given_goes_on_winning(own_team: TeamServer) -> None:
    """The file says 8000 by default, and the server was started with --port."""
    own_team.start()
    assert own_team.cli("config", "check")["changes"] == []
    write(own_team, f"[proxy]\nport = {own_team.port + 1}\n")
    assert own_team.cli("config", "apply")["changed"] == []


def test_where_the_hub_does_not_come_up_the_old_settings_are_put_back(
    own_team: TeamServer, tmp_path: Path
) -> None:
    write(own_team, PLAIN)
    own_team.start()
    settings = in_force(own_team)
    write(own_team, PLAIN + '[hub.extra.JupyterHub]\nauthenticator_class = "no.such.Class"\n')
    done = ask(own_team, "config", "apply")
    assert done.returncode == 1, done.stderr
    assert "not applied, the old settings are in force: the hub ends each time" in done.stderr
    assert "no.such" in done.stderr
    assert in_force(own_team) == settings
    assert own_team.cli("status")["ready"] is True
    # And the next one, which is right, is applied.
    write(own_team, PLAIN + "[accounts]\nminimum_password_length = 12\n")
    assert own_team.cli("config", "apply")["restarted"] == ["hub"]
    assert json.loads(in_force(own_team))["accounts"]["minimum_password_length"] == 12


def test_where_nothing_runs(own_team: TeamServer) -> None:
    done = ask(own_team, "config", "apply")
    assert done.returncode == 4
    write(own_team, PLAIN)
    own_team.start()
    own_team.stop()
    done = ask(own_team, "config", "apply")
    assert done.returncode == 4
    assert "`teamhub up` reads the settings when it starts" in done.stderr
