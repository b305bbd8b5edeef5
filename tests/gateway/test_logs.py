"""The logs of a real team server: what they tell, and what they never do."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from team import PASSWORD, Member, TeamServer, new_name, wait_until
from teamhub.deployment import Deployment

pytestmark = pytest.mark.node

LOGS = (sys.executable, "-m", "teamhub.cli", "logs")


def logs(team: TeamServer, *options: str) -> list[dict[str, Any]]:
    """What `teamhub logs --json` shows."""
    done = subprocess.run(
        [*LOGS, "--json", *options, "--data-dir", str(team.data_dir)],
        env=team.env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def shown(team: TeamServer, words: str, *options: str) -> list[dict[str, Any]]:
    """What is shown once a message with these words is among it."""
    found: list[dict[str, Any]] = []

    def look() -> bool:
        found[:] = logs(team, *options)
        return any(words in line["message"] for line in found)

    wait_until(f"a line with {words!r}", look)
    return found


def moment(lines: list[dict[str, Any]], words: str) -> str:
    """When the first line with these words was written. Within a millisecond there is no order."""
    told = "\n".join(line["message"] for line in lines)
    assert words in told, f"{words!r} is not in\n{told}"
    return str(next(line["time"] for line in lines if words in line["message"]))


async def test_a_kernel_is_followed_from_the_gateway_to_its_shim_and_back(
    team: TeamServer, member: Member
) -> None:
    kernel_id = await member.start_kernel()
    async with member.connect(kernel_id) as cells:
        await cells.run("import os; _ = os.system('echo to the descriptor')")
        shown(team, "linked to the shim", "--kernel", kernel_id)
        async with member.http() as http:
            for what in ("interrupt", "restart"):
                async with http.post(f"api/kernels/{kernel_id}/{what}") as answer:
                    assert answer.status < 300
    lines = shown(team, "/restart", "--kernel", kernel_id[:8])
    assert {line["kernel_id"] for line in lines} == {kernel_id}
    assert {line["user"] for line in lines} == {member.name}
    assert {line["process"] for line in lines} == {"gateway", "shim", "kernel"}
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)
    told = ["asked for", "placed on", "is starting", "the kernel answers"]
    told += ["to the descriptor", "interrupt of kernel", "restart of kernel"]
    moments = [moment(lines, words) for words in told]
    assert moments == sorted(moments)
    assert "teamhub.dispatcher" in {line["logger"] for line in lines if "logger" in line}
    async with member.http() as http, http.delete(f"api/kernels/{kernel_id}") as answer:
        assert answer.status == 204
    # Its shim is not there any more; what it said is.
    lines = shown(team, "stopped", "--kernel", kernel_id)
    assert moment(lines, "asked to end") <= moment(lines, "stopped")
    assert any("the shim ends" in line["message"] for line in lines if line["process"] == "shim")


async def test_a_request_is_followed_from_its_answer_to_the_shim(
    team: TeamServer, member: Member
) -> None:
    kernel_id = await member.start_kernel()
    async with member.connect(kernel_id) as cells:
        assert (await cells.run("6 * 7")).text == "42"
    shown(team, "linked to the shim", "--kernel", kernel_id)
    async with member.http() as http:
        async with http.post(f"api/kernels/{kernel_id}/interrupt") as answer:
            assert answer.status == 204
            asked = answer.headers["X-Request-Id"]
        async with http.get("api/kernels") as answer:
            other = answer.headers["X-Request-Id"]
    lines = shown(team, "/interrupt", "--request", asked)
    assert {(line["process"], line["kernel_id"]) for line in lines} == {
        ("gateway", kernel_id),
        ("shim", kernel_id),
    }
    assert moment(lines, "interrupt of kernel") <= moment(lines, "/interrupt")
    (line,) = shown(team, "/api/kernels", "--request", other)
    assert (line["process"], line["user"]) == ("gateway", member.name)


async def test_a_request_to_the_hub_has_an_id_too(team: TeamServer) -> None:
    seen = set()
    async with aiohttp.ClientSession() as http:
        for path in ("login", "login", "no-such-page", "static/css/style.min.css"):
            async with http.get(f"{team.url}/hub/{path}") as answer:
                seen.add(answer.headers["X-Request-Id"])
    assert len(seen) == 4
    assert all(re.fullmatch("[0-9a-f]{16}", each) for each in seen)
    async with aiohttp.ClientSession() as http, http.get(f"{team.url}/hub/nowhere") as answer:
        lines = shown(team, "/hub/nowhere", "--request", answer.headers["X-Request-Id"])
    assert {line["process"] for line in lines} == {"hub"}


def test_every_process_writes_json(team: TeamServer) -> None:
    for name in ("hub", "gateway", "supervisor"):
        raw = (team.data_dir / f"logs/{name}.log").read_text().splitlines()
        values = [json.loads(line) for line in raw if line.startswith("{")]
        assert {value["process"] for value in values} == {name}
        # What JupyterHub's migrations of its database print is nobody's line.
        others = [line for line in raw if not line.startswith("{")]
        assert name == "hub" or others == []
        assert len(values) > len(others)
    lines = logs(team, "--process", "proxy", "-n", "1000")
    assert any(
        line.get("level") == "info" and "GET /api/routes" in line["message"] for line in lines
    )


class Form:
    """The hub's sign-in page, as a browser sees it."""

    def __init__(self, http: aiohttp.ClientSession, team: TeamServer) -> None:
        self.http = http
        self.team = team
        self.text = ""

    async def sign_in(self, name: str, password: str) -> None:
        url = f"{self.team.url}/hub/login?next=%2Fhub%2Fhome"
        async with self.http.get(url) as answer:
            self.text = await answer.text()
        await self.submit(username=name, password=password)

    async def submit(self, **values: str) -> None:
        hidden = dict(
            re.findall(r'name="(_xsrf|ticket)"[^>]*?value="([^"]*)"', self.text, re.DOTALL)
        )
        url = f"{self.team.url}/hub/login?next=%2Fhub%2Fhome"
        async with self.http.post(url, data={**hidden, **values}) as answer:
            self.text = await answer.text()


def all_logs(team: TeamServer) -> Iterator[Path]:
    """Every log that there is, of ended workloads, too."""
    for path in team.data_dir.rglob("*"):
        if path.is_file() and re.fullmatch(r"log(\.\d+)?|.+\.log(\.\d+)?", path.name):
            yield path
    yield Path(f"{team.data_dir}-up.log")


async def test_no_log_tells_a_secret(team: TeamServer) -> None:
    name, one_time_password = team.add_user()
    wrong, as_name = (f"wrong-{uuid.uuid4().hex}" for _ in range(2))
    password = f"{PASSWORD} {uuid.uuid4().hex}"
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as http:
        form = Form(http, team)
        await form.sign_in(as_name, wrong)
        await form.sign_in(name, wrong)
        assert "Wrong user name or password" in form.text
        await form.sign_in(name, one_time_password)
        assert "ticket" in form.text
        ticket = re.findall(r'name="ticket"[^>]*?value="([^"]*)"', form.text, re.DOTALL)[0]
        await form.submit(new_password=password, new_password_again=password)
        assert name in form.text
        assert "/hub/logout" in form.text
        cookies = [cookie.value for cookie in jar if "path" in cookie and len(cookie.value) > 12]
        token = team.token(name)
        member = Member(team, name, one_time_password, token)
        async with member.http() as own, own.get(f"api/kernels?token={token}") as answer:
            assert answer.status == 200
        for path in (f"/user/{name}/api?token={token}", f"/hub/login?next=%2Fx%3Ftoken%3D{token}"):
            async with http.get(team.url + path) as answer:
                await answer.read()
    kernel_id = await member.start_kernel()
    async with member.connect(kernel_id) as cells:
        assert (await cells.run("6 * 7")).text == "42"
    secrets = {
        "one-time password": one_time_password,
        "password": password,
        "wrong password": wrong,
        "password as a name": as_name,
        "ticket": ticket,
        "token": token,
        **{f"cookie {number}": value for number, value in enumerate(cookies)},
        **vars(Deployment.running(team.data_dir).secrets()),
    }
    del secrets["gateway_public_key"]
    assert len(cookies) >= 2
    shown(team, "Sign-in refused", "--process", "hub", "--since", "10m")
    read = 0
    for path in all_logs(team):
        text = path.read_text(errors="replace")
        read += 1
        assert [what for what, secret in secrets.items() if secret in text] == [], path
    assert read >= 5
    # It is known all the same whose password was guessed.
    lines = logs(team, "--process", "hub", "--level", "warning", "--since", "10m")
    assert any(f"a wrong password for {name}" in line["message"] for line in lines)


def test_a_page_of_logs_for_people(team: TeamServer) -> None:
    done = subprocess.run(
        [*LOGS, "-n", "20", "--data-dir", str(team.data_dir)],
        env=team.env,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert len(lines) >= 20
    assert "\x1b" not in done.stdout
    pattern = (
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} (hub|gateway|proxy|supervisor|shim|notebook) .*"
    )
    assert all(re.fullmatch(pattern, line) for line in lines if not line.startswith("    "))


async def test_logs_are_rotated_while_it_runs(own_team: TeamServer) -> None:
    path = own_team.data_dir / "teamhub.toml"
    path.write_text("[logs]\nkeep_bytes = 20000\nkeep_files = 9\n")
    own_team.start()
    member = own_team.member(new_name())
    count = 0

    async def ask(http: aiohttp.ClientSession) -> None:
        nonlocal count
        for _ in range(100):
            for url in (f"{own_team.gateway_url}/api/kernels", f"{own_team.url}/hub/api/users"):
                async with http.get(f"{url}/no-{count}") as answer:
                    assert answer.status == 404 or "hub" in url
            count += 1

    async with member.http() as http:
        for _ in range(2):
            older = [own_team.data_dir / f"logs/{name}.log.1" for name in ("hub", "gateway")]
            before = [inode(path) for path in older]
            await ask(http)
            for path, known in zip(older, before, strict=True):
                wait_until(f"there is another {path.name}", partial(is_another, path, known))
        await ask(http)
    for process in ("hub", "gateway"):
        lines = logs(own_team, "--process", process, "--since", "1h")
        found = [re.search(r"GET \S+/no-(\d+) ", line["message"]) for line in lines]
        numbers = [int(match[1]) for match in found if match]
        assert sorted(set(numbers)) == list(range(count)), process


def inode(path: Path) -> int | None:
    """Which file is at a path, None where there is none."""
    return path.stat().st_ino if path.exists() else None


def is_another(path: Path, before: int | None) -> bool:
    """Whether there is another file at a path than before."""
    return inode(path) not in {before, None}
