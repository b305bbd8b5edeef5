"""Chromium for every test, and members that have signed in with it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page
from team import Member, TeamServer, artefact_dir, serving

sys.path.insert(0, str(Path(__file__).parent))

from browser import chromium, new_page, sign_in
from signed_in import SignedIn

FAILING = """
[accounts]
sign_up = "closed"

[hub]
administrators_access_servers = true

[kernels]
start_timeout_seconds = 20

[environments.python3]
display_name = "Python 3"

[environments.broken]
display_name = "Broken"
argv = ["/nowhere/python", "-f", "{connection_file}"]

[environments.dies]
display_name = "Dies"
argv = ["sh", "-c", "test -e ./mended && exec {prefix}/bin/python -m ipykernel_launcher -f \
{connection_file}; echo 'no licence found' >&2; exit 3"]

[environments.dies-late]
display_name = "Dies late"
argv = ["sh", "-c", "until test -e ./now; do sleep 0.1; done; echo 'no licence server' >&2; exit 1"]
"""


@pytest.fixture
async def browser(request: pytest.FixtureRequest) -> AsyncIterator[Browser]:
    """A Chromium for one test. What its pages show when the test fails is kept."""
    async with chromium() as browser:
        yield browser
        report = getattr(request.node, "report_call", None)
        if report is not None and report.failed:
            pages = [page for context in browser.contexts for page in context.pages]
            for number, page in enumerate(pages):
                name = f"failed-{request.node.name}-{number}.png"
                await page.screenshot(path=artefact_dir() / name)


def _sign_in(server: TeamServer, count: int) -> list[SignedIn]:
    """Add members and have each sign in for the first time."""
    members = [server.member() for _ in range(count)]

    async def first_visit(browser: Browser, member: Member) -> SignedIn:
        page = await new_page(browser)
        await sign_in(page, server, member.name, member.one_time_password)
        return SignedIn(member, await page.context.storage_state())

    async def first_visits() -> list[SignedIn]:
        async with chromium() as browser:
            return await asyncio.gather(*(first_visit(browser, member) for member in members))

    # In a thread: pytest-asyncio has an event loop of its own in this one.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, first_visits()).result()


@pytest.fixture(scope="module")
def alice_and_bob(team: TeamServer) -> tuple[SignedIn, SignedIn]:
    """Two members of the shared team; each test has notebooks of its own."""
    alice, bob = _sign_in(team, 2)
    return alice, bob


@pytest.fixture(scope="module")
def failing_team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TeamServer]:
    """A team server with kernels that cannot be started, and with settings that are not usual."""
    with serving(tmp_path_factory.mktemp("failing") / "data", FAILING) as server:
        yield server


@pytest.fixture(scope="module")
def carol(failing_team: TeamServer) -> SignedIn:
    """A member of the team with failing kernels."""
    return _sign_in(failing_team, 1)[0]


@pytest.fixture
async def carols_page(browser: Browser, carol: SignedIn) -> Page:
    """A page of Carol's."""
    return await new_page(browser, carol.storage_state)
