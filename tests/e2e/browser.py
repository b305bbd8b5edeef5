"""Chromium as a member uses it: sign-in pages, and JupyterLab with its notebooks.

Nothing here sleeps: everything waits for what a person would see, or for a message that the page
has received, with a deadline.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, Locator, Page, WebSocket, async_playwright, expect
from team import PASSWORD, TeamServer, artefact_dir

DEADLINE_MS = 60_000
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)

expect.set_options(timeout=DEADLINE_MS)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The system's Chromium, ended afterwards."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("chromium-browser"),
            args=list(_ARGUMENTS),
        )
        try:
            yield browser
        finally:
            await browser.close()


async def new_page(browser: Browser, storage_state: Any = None) -> Page:
    """A page in a context of its own: nothing is shared with another member's."""
    context = await browser.new_context(viewport=DESKTOP, storage_state=storage_state)
    context.set_default_timeout(DEADLINE_MS)
    return await context.new_page()


async def picture(page: Page, name: str, *, phone: bool = False) -> None:
    """Keep a screenshot, and with `phone` a second one as a phone shows the page."""
    path = artefact_dir() / f"{name}.png"
    await page.screenshot(path=path)
    if phone:
        await page.set_viewport_size(PHONE)
        await page.screenshot(path=path.with_stem(f"{name}-phone"))
        width = await page.evaluate("document.documentElement.scrollWidth")
        await page.set_viewport_size(DESKTOP)
        assert width <= PHONE["width"], f"{name} is {width} pixels wide on a phone"


async def sign_in(
    page: Page, server: TeamServer, name: str, one_time_password: str, pictures: str = ""
) -> None:
    """Sign in for the first time, choose a password, and wait for JupyterLab."""
    await page.goto(server.url)
    await page.fill("input[name=username]", name)
    await page.fill("input[name=password]", one_time_password)
    if pictures:
        await picture(page, f"{pictures}-1-sign-in", phone=True)
    await page.click("#login_submit")
    await page.fill("input[name=new_password]", PASSWORD)
    await page.fill("input[name=new_password_again]", PASSWORD)
    if pictures:
        await picture(page, f"{pictures}-2-choose-a-password", phone=True)
    await page.click("#new_password_submit")
    await page.wait_for_url(re.compile(f"/user/{name}/lab"))
    await lab_is_up(page)


async def lab_is_up(page: Page) -> None:
    """Return when JupyterLab can be used."""
    await expect(page.locator("#jp-main-dock-panel")).to_be_visible()
    await expect(page.locator("#jupyterlab-splash")).to_have_count(0)


class Notebook:
    """An open notebook in JupyterLab. Make one before the page opens it, then call `ready`."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._connected = asyncio.Event()
        page.on("websocket", self._watch)

    @property
    def panel(self) -> Locator:
        """What is seen of the notebook."""
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")

    def _watch(self, socket: WebSocket) -> None:
        if "/channels" not in socket.url:
            return
        self._connected.clear()
        socket.on("framereceived", self._received)

    def _received(self, data: str | bytes) -> None:
        raw = data if isinstance(data, bytes) else data.encode()
        if b"kernel_info_reply" in raw:
            self._connected.set()

    async def connected(self) -> None:
        """Return when the kernel's websocket is open and has carried an answer.

        JupyterLab forgets a cell that is run before it has a connection, with any server.
        """
        async with asyncio.timeout(DEADLINE_MS / 1000):
            await self._connected.wait()

    async def ready(self) -> None:
        """Return when a cell may be run and the kernel shows that it is idle."""
        await self.connected()
        await self.shows("idle")

    async def shows(self, state: str) -> None:
        """Return when the indicator beside the kernel's name shows a state."""
        indicator = self.panel.locator(".jp-Notebook-ExecutionIndicator")
        await expect(indicator).to_have_attribute("data-status", state)

    async def open(self, server: TeamServer, name: str, path: str) -> None:
        """Open a notebook that is there, in a fresh page. Its kernel may still be starting."""
        self._connected.clear()
        await self.page.goto(f"{server.url}/user/{name}/lab/tree/{path}?reset")
        await lab_is_up(self.page)
        await expect(self.panel).to_be_visible()

    async def reload(self) -> None:
        """Reload the page, as a browser does, and return when a cell may be run."""
        self._connected.clear()
        await self.page.reload()
        await lab_is_up(self.page)
        await self.ready()

    def cell(self, number: int) -> Locator:
        """A cell, the first being 0."""
        return self.panel.locator(".jp-Notebook .jp-Cell").nth(number)

    def output(self, number: int) -> Locator:
        """What a cell has put out."""
        return self.cell(number).locator(".jp-OutputArea-output")

    async def write(self, number: int, code: str) -> None:
        """Type code into an empty cell."""
        await self.cell(number).locator(".cm-content").click()
        await self.page.keyboard.insert_text(code)

    async def run(self, number: int) -> None:
        """Run a cell with Shift-Enter, without waiting for what comes of it."""
        await self.cell(number).locator(".cm-content").click()
        await self.page.keyboard.press("Shift+Enter")

    async def run_to_end(self, number: int) -> str:
        """Run a cell that has no number yet; return the text of its outputs once it has one."""
        await self.run(number)
        prompt = self.cell(number).locator(".jp-InputPrompt")
        await expect(prompt).to_have_text(re.compile(r"\[\d+\]"))
        return "\n".join(await self.output(number).all_inner_texts())

    async def save(self) -> None:
        """Save as a person does, and wait until it is done."""
        async with self.page.expect_response(
            lambda answer: answer.request.method == "PUT" and "/api/contents/" in answer.url
        ):
            await self.page.keyboard.press("Control+s")

    async def menu(self, *entries: str) -> None:
        """Choose an entry of a menu."""
        await self.page.locator(".lm-MenuBar-itemLabel", has_text=entries[0]).first.click()
        for entry in entries[1:]:
            label = self.page.locator(".lm-Menu-itemLabel").get_by_text(entry, exact=True)
            await label.click()

    async def restart(self) -> None:
        """Restart the kernel by its menu, and confirm."""
        self._connected.clear()
        await self.menu("Kernel", "Restart Kernel…")
        await self.page.locator(".jp-Dialog button", has_text="Restart").click()
        await self.connected()


def put_notebook(
    server: TeamServer, name: str, path: str, *cells: str, kernel: str = "python3"
) -> None:
    """Put a notebook into a member's home, as if they had copied it there."""
    home = server.data_dir / "homes" / name
    file = home / path
    file.write_text(json.dumps(_notebook(cells, kernel)))
    owner = home.stat()
    os.chown(file, owner.st_uid, owner.st_gid)


def _notebook(cells: Sequence[str], kernel: str) -> dict[str, Any]:
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": {"name": kernel, "display_name": kernel}},
        "cells": [
            {
                "id": f"cell-{number}",
                "cell_type": "code",
                "source": source,
                "metadata": {},
                "outputs": [],
                "execution_count": None,
            }
            for number, source in enumerate(cells)
        ],
    }
