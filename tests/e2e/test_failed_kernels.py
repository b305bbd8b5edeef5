"""A kernel that cannot be started: whoever runs a cell is told why, at once, by the cell."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from browser import Notebook, picture
from playwright.async_api import Page, expect
from signed_in import SignedIn
from team import Cells, TeamServer

NOT_FOUND = "/nowhere/python cannot be started: No such file or directory"
DIED = "the kernel exited with code 3 before it answered"


@pytest.mark.browser
async def test_a_command_that_does_not_exist(carols_page: Page, carol: SignedIn) -> None:
    notebook = await carol.open(carols_page, "broken.ipynb", "1", "2", kernel="broken")
    # Not `ready`: a kernel that has failed before the first cell is run must be told, too.
    await notebook.connected()
    await notebook.shows("idle")
    for number in (0, 1):
        await notebook.run(number)
        await expect(notebook.output(number)).to_contain_text("The kernel could not be started")
        await expect(notebook.output(number)).to_contain_text(NOT_FOUND)
    await picture(carols_page, "failed-command-not-found")


@pytest.mark.browser
async def test_a_kernel_that_dies_at_start_and_starts_after_it_was_mended(
    carols_page: Page, carol: SignedIn
) -> None:
    cells = ["print('it', 'lives')"] * 4
    notebook = await carol.open(carols_page, "dies.ipynb", *cells, kernel="dies")
    await notebook.connected()
    await _run_in_vain(notebook, 0)
    await picture(carols_page, "failed-at-start")
    # A page that comes later finds the same kernel and is told the same.
    await notebook.reload()
    await _run_in_vain(notebook, 1)
    # Restarted while nothing has changed: told again.
    await notebook.restart()
    await _run_in_vain(notebook, 2)

    Path(carol.home / "mended").touch()
    await notebook.restart()
    assert await notebook.run_to_end(3) == "it lives\n"
    await picture(carols_page, "failed-then-restarted")


async def _run_in_vain(notebook: Notebook, number: int) -> None:
    await notebook.run(number)
    await expect(notebook.output(number)).to_contain_text(DIED)
    await expect(notebook.output(number)).to_contain_text("no licence found")


@pytest.mark.parametrize(
    ("kernel", "told"), [("broken", [NOT_FOUND]), ("dies", [DIED, "no licence found"])]
)
async def test_a_script_gets_an_error(
    failing_team: TeamServer, kernel: str, told: list[str]
) -> None:
    member = failing_team.member()
    kernel_id = await member.start_kernel(name=kernel)
    async with member.connect(kernel_id) as cells:
        # Sent at once, so while it starts; and again, when it has failed.
        for _ in range(2):
            result = await cells.run("1")
            assert result.status == "error"
            assert all(words in result.error for words in told)
        completion = {"code": "1", "cursor_pos": 1}
        reply = await _ask(cells, "complete_request", completion, "shell")
        assert reply["status"] == "error"
        # Answered as well as can be, on the channel on which it was asked: else stock clients
        # would not go on to run a cell.
        reply = await _ask(cells, "kernel_info_request", {}, "control")
        assert (reply["status"], reply["language_info"]["name"]) == ("ok", "python")
    status, model = await member.kernel(kernel_id)
    assert (status, model["execution_state"], model["status"]) == (200, "dead", "failed")
    assert any(words in model["detail"] for words in told)


async def test_a_kernel_that_takes_its_time_to_fail_loses_no_request(
    failing_team: TeamServer,
) -> None:
    member = failing_team.member()
    kernel_id = await member.start_kernel(name="dies-late")
    async with member.connect(kernel_id) as cells:
        asked = [await cells.ask("1") for _ in range(3)]
        async with asyncio.timeout(60):
            # Nothing is sent that says it.
            while (await member.kernel(kernel_id))[1].get("status") != "starting":  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        (failing_team.data_dir / "homes" / member.name / "now").touch()
        results = [await cells.answer(msg_id) for msg_id in asked]
    assert [result.status for result in results] == ["error"] * 3
    assert all("no licence server" in result.error for result in results)


async def _ask(
    cells: Cells, msg_type: str, content: dict[str, Any], channel: str
) -> dict[str, Any]:
    """Return the content of the reply, once the status `idle` that belongs to it came, too."""
    msg_id = await cells.send(msg_type, content, channel)
    found: dict[str, Any] = {}
    while True:
        message = await cells.receive()
        if message["parent_header"].get("msg_id") != msg_id:
            continue
        if message["header"]["msg_type"] == msg_type.replace("_request", "_reply"):
            assert message["channel"] == channel
            found = message["content"]
        elif message["content"].get("execution_state") == "idle":
            return found
