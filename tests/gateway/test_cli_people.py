"""The commands about people and what runs, on a real team."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from patience import eventually, model_of
from running import Running
from team import Member, TeamServer, new_name
from teamhub.accounts import sign_up
from teamhub.deployment import Deployment
from teamhub.store import Store
from workloads import ended, leaders_of, pids_of, row

pytestmark = [pytest.mark.node, pytest.mark.timeout(240)]

HEARD_SECONDS = 2.0
"""Within which the gateway refuses what was revoked; its answers it believes for 60."""


def said(team: TeamServer, *arguments: str) -> tuple[int, str, str]:
    """Run a command as a person would; return its status and what it printed."""
    done = subprocess.run(
        command(team, *arguments),
        env=team.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def command(team: TeamServer, *arguments: str) -> Sequence[str]:
    return [sys.executable, "-m", "teamhub.cli", *arguments, "--data-dir", str(team.data_dir)]


async def asynchronously(team: TeamServer, *arguments: str) -> Any:
    return await asyncio.to_thread(team.cli, *arguments)


async def status_of(member: Member) -> int:
    async with member.http() as http, http.get("api/kernels") as response:
        return response.status


async def refused(member: Member) -> float:
    """Return how long the gateway has gone on taking a token."""
    begun = time.monotonic()

    async def look() -> bool:
        return await status_of(member) == 403

    await eventually(f"the gateway refuses {member.name}", look, 30)
    return time.monotonic() - begun


def token_id(team: TeamServer, member: Member) -> str:
    (token,) = team.cli("tokens", "list", "--user", member.name)
    assert token["kind"] == "personal"
    return str(token["id"])


async def test_a_revoked_token_is_refused_at_once(team: TeamServer) -> None:
    member, other = team.member(), team.member()
    # From here on the gateway believes both tokens for a minute.
    kernel_id = await member.start_kernel()
    assert [await status_of(one) for one in (member, other)] == [200, 200]
    async with member.connect(kernel_id) as cells, member.http() as http:
        assert (await cells.run("6 * 7")).text == "42"
        revoked = await asynchronously(team, "tokens", "revoke", token_id(team, member))
        assert [one["user"] for one in revoked] == [member.name]
        assert await refused(member) < HEARD_SECONDS
        # What is open is closed, too.
        async with asyncio.timeout(HEARD_SECONDS):
            with contextlib.suppress(aiohttp.ClientConnectionResetError):
                while not cells.websocket.closed:
                    await cells.websocket.receive()
        async with http.get(f"api/kernels/{kernel_id}") as response:
            assert response.status == 403
            assert "not valid for the gateway" in (await response.json())["message"]
    assert await status_of(other) == 200
    # The kernel is its owner's still.
    assert pids_of(kernel_id)
    again = Member(team, member.name, "", team.token(member.name))
    assert (await again.kernel(kernel_id))[0] == 200
    await asynchronously(team, "kernels", "stop", "--user", member.name, "--all")
    await ended(kernel_id)


async def test_all_tokens_of_one_user(team: TeamServer) -> None:
    member, other = team.member(), team.member()
    second = Member(team, member.name, "", team.token(member.name))
    assert [await status_of(one) for one in (member, second, other)] == [200, 200, 200]
    revoked = await asynchronously(team, "tokens", "revoke", "--user", member.name, "--all")
    assert len(revoked) == 2
    assert max(await refused(member), await refused(second)) < HEARD_SECONDS
    assert await status_of(other) == 200
    assert team.cli("tokens", "list", "--user", member.name) == []


async def test_a_reset_revokes_where_that_is_asked_for(team: TeamServer) -> None:
    member = team.member()
    assert await status_of(member) == 200
    plain = await asynchronously(team, "users", "reset", member.name)
    assert "tokens_revoked" not in plain
    assert await status_of(member) == 200
    answer = await asynchronously(team, "users", "reset", member.name, "--revoke-tokens")
    assert answer["tokens_revoked"] == 1
    assert answer["one_time_password"] not in {plain["one_time_password"], member.one_time_password}
    assert await refused(member) < HEARD_SECONDS


async def test_a_removed_member_leaves_nothing_that_runs_or_is_good(team: TeamServer) -> None:
    member, other = team.member(), team.member()
    kernel_id, others = await member.start_kernel(), await other.start_kernel()
    async with member.connect(kernel_id) as cells:
        await cells.run("open('result.txt', 'w').write('kept')")
    server = await asynchronously(team, "servers", "start", member.name)
    assert server["status"] == "running"
    group = new_name("group")
    await asynchronously(team, "groups", "create", group)
    await asynchronously(team, "groups", "add", group, member.name, other.name)

    removed = asyncio.create_task(
        asynchronously(team, "users", "remove", member.name, "--home", "archive", "--yes")
    )
    found = await removed
    assert await refused(member) < HEARD_SECONDS
    await ended(kernel_id, server["id"])
    with tarfile.open(found["archive"]) as archive:
        file = archive.extractfile(f"{member.name}/result.txt")
        assert file is not None
        assert file.read() == b"kept"
    assert Path(found["archive"]).stat().st_mode & 0o777 == 0o600
    assert not (team.data_dir / "homes" / member.name).exists()
    assert member.name not in {one["name"] for one in team.cli("users", "list")}
    (members,) = [one["members"] for one in team.cli("groups", "list") if one["name"] == group]
    assert members == [other.name]
    # Nobody else has noticed.
    assert pids_of(others)
    assert await status_of(other) == 200

    code, out, err = said(team, "users", "remove", member.name, "--yes")
    assert (code, out) == (1, "")
    assert err.startswith(f"teamhub: there is no user called '{member.name}'")
    # Whoever gets the name next has none of it.
    again = team.member(member.name)
    assert await status_of(member) == 403
    async with again.http() as http, http.get("api/kernels") as response:
        assert await response.json() == []
    await asynchronously(team, "kernels", "stop", "--user", other.name, "--all")
    await ended(others)


async def test_a_removal_that_was_killed_goes_on(team: TeamServer) -> None:
    member = team.member()
    kernel_id = await member.start_kernel()
    await model_of(member, kernel_id, execution_state="idle")
    removing = Running(command(team, "users", "remove", member.name, "--home", "delete", "--yes"))
    removing.until(lambda: any("ending" in line for line in removing.err))
    removing.process.kill()
    removing.end()
    code, _, err = said(team, "users", "remove", member.name, "--home", "delete", "--yes")
    # All of it was done already where the kill came too late.
    assert code == 0 or "there is no user called" in err
    assert await refused(member) < HEARD_SECONDS
    await ended(kernel_id)
    assert not (team.data_dir / "homes" / member.name).exists()
    assert member.name not in {one["name"] for one in team.cli("users", "list")}


async def test_progress_goes_to_stderr_and_the_end_is_said(team: TeamServer) -> None:
    member = team.member()
    code, out, err = await asyncio.to_thread(
        said, team, "users", "remove", member.name, "--home", "archive", "--yes"
    )
    assert (code, out) == (0, "")
    lines = err.splitlines()
    assert lines[0] == f"teamhub: ending {member.name}'s kernels and notebook servers"
    assert lines[1] == f"teamhub: revoking {member.name}'s tokens"
    assert lines[-1].startswith(f"teamhub: {member.name} is removed")


async def test_who_signed_up_is_let_in_by_command(team: TeamServer) -> None:
    name, other = new_name("waits"), new_name("waits")
    store = Store.of(Deployment.running(team.data_dir))
    await store.open(listen=False)
    for each in (name, other):
        await sign_up(
            store, each, "correct horse", note="of us", minimum_length=10, waiting_limit=100
        )
    waiting = {one["name"]: one["note"] for one in team.cli("users", "list", "--waiting")}
    assert (waiting[name], waiting[other]) == ("of us", "of us")
    assert team.cli("users", "approve", name) == [{"name": name, "state": "active"}]
    team.cli("users", "decline", other)
    listed = {one["name"]: one["state"] for one in team.cli("users", "list")}
    assert listed[name] == "active"
    assert other not in listed
    account = await store.accounts.get(name)
    await store.close()
    assert account is not None
    assert not account.waiting
    # The hub knows them already: their token is good at once.
    assert await status_of(Member(team, name, "", team.token(name))) == 200


async def test_users_come_from_a_file_and_go_into_groups(team: TeamServer, tmp_path: Path) -> None:
    ada, bob, group = new_name("ada"), new_name("bob"), new_name("group")
    path = tmp_path / "team.txt"
    path.write_text(f"{ada} admin\n{bob}  # new here\n")
    added = team.cli("users", "import", str(path))["added"]
    assert [(one["name"], one["role"]) for one in added] == [
        (ada, "administrator"),
        (bob, "member"),
    ]
    assert team.cli("users", "import", str(path))["already_there"] == [ada, bob]
    team.cli("groups", "create", group)
    assert team.cli("groups", "add", group, bob, ada)["members"] == [ada, bob]
    groups = {one["name"]: one["groups"] for one in team.cli("users", "list")}
    assert (groups[ada], groups[bob]) == ([group], [group])
    assert team.cli("groups", "remove", group, ada)["members"] == [bob]
    team.cli("groups", "delete", group)
    assert group not in {one["name"] for one in team.cli("groups", "list")}
    team.cli("users", "role", ada, "member")
    assert {one["name"]: one["role"] for one in team.cli("users", "list")}[ada] == "member"


async def test_a_kernel_is_explained_and_its_log_followed(team: TeamServer) -> None:
    member = team.member()
    kernel_id = await member.start_kernel()
    wake = next(path for path in team.data_dir.rglob("wake") if path.is_socket())
    before = wake.stat().st_ino
    async with member.connect(kernel_id) as cells:
        # Past ipykernel, as a library in C writes.
        await cells.run("import os; os.system(r\"printf 'one\\n\\033[2Jtwo\\n' >&2\")")
        shown = await asynchronously(team, "kernels", "show", kernel_id[:13])
        assert (shown["id"], shown["user"], shown["status"]) == (kernel_id, member.name, "running")
        assert shown["log"][-2:] == ["one", "\x1b[2Jtwo"]
        code, out, _ = await asyncio.to_thread(said, team, "kernels", "show", kernel_id)
        assert code == 0
        assert "\\x1b[2Jtwo" in out
        assert "\x1b" not in out
        following = Running(command(team, "kernels", "logs", kernel_id, "-f", "-n", "1"))
        await asyncio.to_thread(following.until, lambda: following.out == ["\\x1b[2Jtwo"])
        await cells.run("os.system('echo three')")
        await asyncio.to_thread(following.until, lambda: "three" in following.out)
        await cells.run("os.system('echo four')")
        await asyncio.to_thread(following.until, lambda: "four" in following.out)
    (shim,) = leaders_of(kernel_id)
    shim.kill()
    assert await asyncio.to_thread(following.end) == 0
    assert following.out == ["\\x1b[2Jtwo", "three", "four"]
    assert "it has ended (" in following.err[-1]
    # The dispatcher's own engine has not been disturbed: it is woken where it was.
    assert wake.stat().st_ino == before

    failed = await asynchronously(team, "kernels", "show", kernel_id)
    assert failed["status"] == "failed"
    assert failed["reason"] in following.err[-1]
    assert failed["remedy"]
    assert failed["log"][-1] == "four"
    kept = await asynchronously(team, "kernels", "logs", kernel_id, "-n", "2")
    assert kept["lines"] == ["three", "four"]
    listed = await asynchronously(team, "kernels", "list", "--all", "--user", member.name)
    assert [one["id"] for one in listed] == [kernel_id]


async def test_a_notebook_server_by_command(team: TeamServer) -> None:
    name, _ = team.add_user()
    started = await asynchronously(team, "servers", "start", name)
    assert (started["user"], started["name"], started["status"]) == (name, "", "running")
    second = await asynchronously(team, "servers", "start", f"{name}/second")
    assert (await asynchronously(team, "servers", "start", name))["id"] == started["id"]
    listed = team.cli("servers", "list", "--user", name)
    assert [one["id"] for one in listed] == [started["id"], second["id"]]
    shown = team.cli("servers", "show", f"{name}/second")
    assert shown["address"]
    assert any("/user/" in line for line in shown["log"])
    kinds = [one["kind"] for one in team.cli("tokens", "list", "--user", name)]
    assert kinds == ["server", "server"]
    code, _, err = await asyncio.to_thread(said, team, "servers", "stop", name, f"{name}/second")
    assert code == 0, err
    assert f"{name}'s notebook server second has ended" in err
    await ended(started["id"], second["id"])
    assert row(team, started["id"])["status"] == "stopped"
    assert team.cli("servers", "list", "--user", name) == []
    code, _, err = await asyncio.to_thread(said, team, "servers", "stop", name)
    assert code == 1
    assert err.count("\n") == 1
