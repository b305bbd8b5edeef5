"""Coming back: after a reload, and after one's notebook server was stopped, the kernel is there."""

from __future__ import annotations

import re

import psutil
import pytest
from browser import Notebook, new_page, picture, put_notebook, sign_in
from playwright.async_api import Browser, Page, expect
from team import Member, TeamServer

pytestmark = pytest.mark.browser


async def test_a_notebook_finds_its_kernel_again(team: TeamServer, browser: Browser) -> None:
    member = team.member()
    page = await new_page(browser)
    await sign_in(page, team, member.name, member.one_time_password)
    put_notebook(
        team,
        member.name,
        "kept.ipynb",
        "import os; kept = os.getpid(); print(kept)",
        "print(kept, os.getpid())",
    )
    notebook = Notebook(page)
    await notebook.open(team, member.name, "kept.ipynb")
    await notebook.ready()
    pid = int(await notebook.run_to_end(0))
    await notebook.save()

    await notebook.reload()
    assert await notebook.run_to_end(1) == f"{pid} {pid}\n"
    await notebook.save()

    await _stop_and_start_server(page, team)
    assert psutil.pid_exists(pid)
    await notebook.open(team, member.name, "kept.ipynb")
    await notebook.ready()
    await expect(notebook.output(0)).to_have_text(f"{pid}\n")
    await notebook.cell(1).locator(".cm-content").click()
    await page.keyboard.press("End")
    await page.keyboard.insert_text("; print('again')")
    await notebook.run(1)
    await expect(notebook.output(1)).to_have_text(f"{pid} {pid}\nagain\n")
    await picture(page, "coming-back-after-the-server-was-stopped")
    assert len(await _kernels(member)) == 1


async def _stop_and_start_server(page: Page, team: TeamServer) -> None:
    await page.goto(f"{team.url}/hub/home")
    await page.click("#stop")
    await expect(page.locator("#start")).to_have_text(re.compile(r"^\s*Start"))
    await page.click("#start")
    await page.wait_for_url(re.compile("/lab"))


async def _kernels(member: Member) -> list[str]:
    async with member.http() as http, http.get("api/kernels") as response:
        return [kernel["id"] for kernel in await response.json()]
