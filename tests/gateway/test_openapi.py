"""The gateway does what its description says, whatever it is sent; asked by schemathesis.

In deterministic steps, from a fixed seed: what is found once is found again.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from team import Member, TeamServer, serving

pytestmark = pytest.mark.node

SECONDS = 90
KERNELS = 6
"""At once. All others are refused, which is documented, too."""


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TeamServer]:
    """A team server of its own, as its log is read and its kernels are few."""
    folder = tmp_path_factory.mktemp("fuzzed") / "data"
    with serving(folder, f"[kernels]\nper_user = {KERNELS}\n") as server:
        yield server


def lines_of(server: TeamServer) -> list[str]:
    return (server.data_dir / "logs/gateway.log").read_text(errors="replace").splitlines()


def schemathesis(member: Member, phases: str, folder: Path) -> None:
    """Let it find faults. Fails with its whole account of them."""
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("st")),
            f"--config-file={Path(__file__).with_name('schemathesis.toml')}",
            "run",
            f"{member.server.gateway_url}/api/spec.json",
            f"--header=Authorization: token {member.token}",
            f"--phases={phases}",
            "--no-color",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
        cwd=folder,
    )
    assert done.returncode == 0, done.stdout


async def test_the_description_needs_no_token_and_lists_what_there_is(team: TeamServer) -> None:
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{team.gateway_url}/api/spec.json") as answer:
            assert (answer.status, answer.content_type) == (200, "application/json")
            described = await answer.json()
        async with http.get(f"{team.gateway_url}/api/spec.yaml") as answer:
            assert (answer.status, answer.content_type) == (200, "application/yaml")
            assert json.loads(await answer.text()) == described
    assert described["openapi"].startswith("3.1")
    assert "post" in described["paths"]["/api/kernels"]


@pytest.mark.parametrize("phases", ["coverage,fuzzing", "stateful"])
async def test_no_fault_and_nothing_undocumented(
    fuzzed: TeamServer, tmp_path: Path, phases: str
) -> None:
    member = fuzzed.member()
    before = len(lines_of(fuzzed))
    try:
        schemathesis(member, phases, tmp_path)
    finally:
        async with member.http() as http:
            async with http.get("api/kernels") as answer:
                left = await answer.json()
            for kernel in left:
                async with http.delete(f"api/kernels/{kernel['id']}") as answer:
                    assert answer.status == 204
            async with http.get("api/kernels") as answer:
                assert await answer.json() == []
    lines = lines_of(fuzzed)[before:]
    assert not [line for line in lines if "Traceback" in line or " ERROR " in line]
    # That it has come as far as it should: real kernels and sessions, made and ended.
    said = "\n".join(lines)
    for method, path, status in (
        ("POST", "api/kernels", 201),
        ("POST", "api/sessions", 201),
        ("GET", r"api/kernels/[0-9a-f-]{36}", 200),
        ("POST", r"api/kernels/[0-9a-f-]{36}/restart", 200),
        ("GET", r"api/kernels/[0-9a-f-]{36}/channels", 400),
        ("DELETE", r"api/kernels/[0-9a-f-]{36}", 204),
    ):
        assert re.search(rf"{method} /services/gateway/{path} {status} ", said), (method, path)
