"""Two members' first day: sign in, choose a password, run a cell, see only one's own kernels."""

from __future__ import annotations

import asyncio
import json

import pytest
from browser import Notebook, new_page, picture, sign_in
from playwright.async_api import Browser, Page, expect
from team import Member, TeamServer

pytestmark = pytest.mark.browser


async def test_two_members_sign_in_and_see_only_their_own_kernels(
    team: TeamServer, browser: Browser
) -> None:
    members = [team.member() for _ in range(2)]
    pages = [await new_page(browser) for _ in members]
    strangers: list[str] = []
    for page in pages:
        page.on(
            "request",
            lambda request: (
                None if request.url.startswith(_own(team)) else strangers.append(request.url)
            ),
        )
    pids = await asyncio.gather(
        _first_notebook(pages[0], members[0], "first-day"),
        _first_notebook(pages[1], members[1]),
    )
    assert len(set(pids)) == 2
    for page, member, pid in zip(pages, members, pids, strict=True):
        await _sees_one_kernel(page, member, pid)
        other = members[1 - members.index(member)]
        answer = await page.request.get(f"{team.url}/user/{other.name}/api/kernels")
        assert answer.status in (403, 404)
    await picture(pages[0], "first-day-5-running-kernels")
    await pages[0].goto(f"{team.url}/hub/home")
    await expect(pages[0].locator("#stop")).to_be_visible()
    await picture(pages[0], "first-day-6-home", phone=True)
    assert strangers == []


async def _first_notebook(page: Page, member: Member, pictures: str = "") -> int:
    """From the address of the team server to the first result; return the kernel's pid."""
    await sign_in(page, member.server, member.name, member.one_time_password, pictures)
    notebook = Notebook(page)
    card = page.locator('.jp-LauncherCard[data-category="Notebook"]', has_text="Python 3")
    await expect(card).to_be_visible()
    if pictures:
        await picture(page, f"{pictures}-3-launcher")
    await card.click()
    await notebook.ready()
    await notebook.write(0, "import os; print(os.getpid())")
    pid = await notebook.run_to_end(0)
    # A newcomer is asked nothing, least of all whether to fetch news from elsewhere.
    config = json.loads(await page.locator("#jupyter-config-data").text_content() or "")
    assert "@jupyterlab/apputils-extension:announcements" in config["disabledExtensions"]
    await expect(page.locator(".Toastify__toast, .jp-Dialog")).to_have_count(0)
    if pictures:
        await picture(page, f"{pictures}-4-first-cell")
    return int(pid)


async def _sees_one_kernel(page: Page, member: Member, pid: int) -> None:
    """Check that a member's browser is shown one kernel: the one with this pid."""
    answer = await page.request.get(f"{member.server.url}/user/{member.name}/api/kernels")
    (kernel,) = await answer.json()
    async with member.connect(kernel["id"]) as cells:
        assert (await cells.run("print(os.getpid())")).text == f"{pid}\n"
    await page.locator('.lm-TabBar-tab[data-id="jp-running-sessions"]').click()
    shown = page.locator('#jp-running-sessions .jp-RunningSessions-itemLabel[title*="Path:"]')
    await expect(shown).to_have_count(1)
    await expect(shown).to_have_text(f"Untitled.ipynb ({kernel['id'][:8]})")


def _own(team: TeamServer) -> tuple[str, ...]:
    return (team.url, "data:", "blob:")
