"""Kernels that cannot be started: the cell says why, at once, and a restart tries again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from patience import eventually, model_of
from team import Member, Result, TeamServer, serving
from workloads import ended, leaders_of, processes_of, row, waiting

pytestmark = pytest.mark.timeout(240)

START_TIMEOUT_SECONDS = 8
NO_NODE = "1 node: less memory than this size"

# Waits for a file, so that no test need guess how long anything takes.
_GATED = 'while [ ! -e "$GATE" ]; do sleep 0.02; done; '
_COMPLAINS = "echo 'loading settings' >&2; echo 'the module foo is missing' >&2; exit 3"
_IF_MENDED = 'if [ -e "$MENDED" ]; then exec "$0" -m ipykernel_launcher -f "$1"; fi; '
SETTINGS = f"""
[kernels]
start_timeout_seconds = {START_TIMEOUT_SECONDS}

[sizes.standard]

[sizes.huge]
memory = "4096 TiB"

[environments.python3]
display_name = "Python 3"
sizes = ["standard"]

[environments.missing]
display_name = "Missing"
argv = ["/nowhere/bin/kernel", "-f", "{{connection_file}}"]
sizes = ["standard"]

[environments.broken]
display_name = "Broken"
argv = ["sh", "-c", '''{_GATED}{_COMPLAINS}''']
sizes = ["standard"]

[environments.silent]
display_name = "Silent"
argv = ["sh", "-c", "echo 'waiting for a licence'; exec sleep 1000"]
sizes = ["standard"]

[environments.mended]
display_name = "Mended"
argv = ["sh", "-c", '''{_IF_MENDED}{_COMPLAINS}''', "{{prefix}}/bin/python", "{{connection_file}}"]
sizes = ["standard"]

[environments.huge]
display_name = "Huge"
sizes = ["huge"]
"""


@dataclass(frozen=True)
class Failure:
    """A way to fail, and what is to be said of it."""

    environment: str
    reason: str
    detail: str
    ename: str
    log: tuple[str, ...] = ()


FAILURES = (
    Failure("missing", "command-not-found", "/nowhere/bin/kernel", "CommandNotFound"),
    Failure(
        "broken",
        "exited-at-start",
        "the kernel exited with code 3 before it answered",
        "ExitedAtStart",
        ("loading settings", "the module foo is missing"),
    ),
    Failure(
        "silent",
        "start-timeout",
        f"the kernel did not answer within {START_TIMEOUT_SECONDS} s",
        "StartTimeout",
        ("waiting for a licence",),
    ),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TeamServer]:
    """A team server with environments that do not work."""
    with serving(tmp_path_factory.mktemp("failed") / "data", SETTINGS) as server:
        yield server


@pytest.fixture(scope="module")
def member(server: TeamServer) -> Member:
    """A member of that team."""
    return server.member()


def says_why(result: Result, failure: Failure) -> None:
    """Check that a cell shows reason and last log lines, as an error of its own."""
    assert result.status == "error"
    kinds = [message["header"]["msg_type"] for message in result.messages]
    assert sorted(kinds) == sorted(["status", "error", "status", "execute_reply"])
    assert kinds.index("error") < kinds.index("execute_reply")
    reply = next(m for m in result.messages if m["header"]["msg_type"] == "execute_reply")
    assert reply["channel"] == "shell"
    error = next(m for m in result.messages if m["header"]["msg_type"] == "error")
    for content in (reply["content"], error["content"]):
        assert content["ename"] == failure.ename
        assert failure.detail in content["evalue"]
        shown = "\n".join(content["traceback"])
        assert failure.detail in shown
        assert all(line in shown for line in failure.log), shown
        assert "Restart the kernel to try again." in shown


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.environment)
async def test_cells_say_why(member: Member, tmp_path: Path, failure: Failure) -> None:
    gate = tmp_path / "gate"
    kernel_id = await member.start_kernel(name=failure.environment, env={"GATE": str(gate)})
    async with member.connect(kernel_id) as cells:
        before = [await cells.ask(f"print({number})") for number in range(2)]
        gate.touch()
        for msg_id in before:
            says_why(await cells.answer(msg_id), failure)
        status, model = await member.kernel(kernel_id)
        assert (status, model["execution_state"], model["status"]) == (200, "dead", "failed")
        assert model["reason"] == failure.reason
        assert failure.detail in model["detail"]
        # The websocket is still open, and what comes only now is answered, too.
        says_why(await cells.run("print(3)"), failure)
        await ended(kernel_id)
    # So it is for somebody who connects only now.
    async with member.connect(kernel_id) as cells:
        says_why(await cells.run("print(4)"), failure)
    assert waiting(member.server, kernel_id) == 0
    await deleted(member, kernel_id)


async def test_whoever_was_away_is_told_on_return(member: Member, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    kernel_id = await member.start_kernel(name="broken", env={"GATE": str(gate)})
    async with member.connect(kernel_id) as cells:
        asked = await cells.ask("print(1)")

        async def kept() -> bool:
            return waiting(member.server, kernel_id) == 1

        await eventually("the cell waits", kept)
    gate.touch()
    await model_of(member, kernel_id, execution_state="dead")
    async with member.connect(kernel_id, cells.session) as cells:
        says_why(await cells.answer(asked), FAILURES[1])
    assert waiting(member.server, kernel_id) == 0
    await deleted(member, kernel_id)


async def test_a_restart_tries_again(member: Member, tmp_path: Path) -> None:
    mended = tmp_path / "mended"
    kernel_id = await member.start_kernel(name="mended", env={"MENDED": str(mended)})
    async with member.connect(kernel_id) as cells:
        says_why(await cells.run("1"), FAILURES[1])
        await restarted(member, kernel_id)
        says_why(await cells.run("2"), FAILURES[1])
        await model_of(member, kernel_id, execution_state="dead")
        assert row(member.server, kernel_id)["attempt"] == 2
        mended.touch()
        await restarted(member, kernel_id)
        assert (await cells.run("6 * 7")).text == "42"
        model = await model_of(member, kernel_id, execution_state="idle")
        assert "reason" not in model
    found = row(member.server, kernel_id)
    assert (found["status"], found["attempt"], found["reason"]) == ("running", 3, None)
    assert len(leaders_of(kernel_id)) == 1
    await deleted(member, kernel_id)


async def test_what_fits_nowhere_is_queued_and_says_so(member: Member) -> None:
    kernel_id = await member.start_kernel(name="huge")
    model = await model_of(member, kernel_id, status="queued", detail=NO_NODE)
    assert model["execution_state"] == "starting"
    async with member.connect(kernel_id) as cells:
        asked = await cells.ask("print(1)")
        async with member.http() as http, http.get("api/kernels") as response:
            found = {one["id"]: one["detail"] for one in await response.json()}
        assert found[kernel_id] == NO_NODE
        listed = member.server.cli("kernels", "list", "--user", member.name)
        assert [one["detail"] for one in listed if one["id"] == kernel_id] == [NO_NODE]
        # Others go past it.
        other = await member.start_kernel(name="python3")
        async with member.connect(other) as others:
            assert (await others.run("6 * 7")).text == "42"
        async with member.http() as http, http.delete(f"api/kernels/{kernel_id}") as response:
            assert response.status == 204
        result = await cells.answer(asked)
        assert result.status == "error"
        assert "stopped" in result.error
    assert (await member.kernel(kernel_id))[0] == 404
    assert processes_of(kernel_id) == []
    assert row(member.server, kernel_id)["status"] == "stopped"
    await deleted(member, other)


async def test_a_deleted_failure_is_gone(member: Member, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    kernel_id = await member.start_kernel(name="broken", env={"GATE": str(gate)})
    await model_of(member, kernel_id, execution_state="dead")
    await deleted(member, kernel_id)
    async with member.http() as http, http.get("api/kernels") as response:
        assert kernel_id not in {one["id"] for one in await response.json()}


async def test_no_such_kernelspec(member: Member) -> None:
    async with member.http() as http, http.post("api/kernels", json={"name": "no"}) as response:
        assert response.status == 404
        assert "'no'" in (await response.json())["message"]


async def restarted(member: Member, kernel_id: str) -> None:
    """Ask for a restart, which is answered at once."""
    async with member.http() as http, http.post(f"api/kernels/{kernel_id}/restart") as response:
        assert response.status == 200
        model = await response.json()
    assert (model["id"], model["execution_state"]) == (kernel_id, "starting")


async def deleted(member: Member, kernel_id: str) -> None:
    """Delete a kernel, and see that nothing of it is left."""
    async with member.http() as http, http.delete(f"api/kernels/{kernel_id}") as response:
        assert response.status == 204
    assert (await member.kernel(kernel_id))[0] == 404
    await ended(kernel_id)
