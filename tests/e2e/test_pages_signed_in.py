"""Every page of somebody who is signed in: home, tokens, starting a server, administration."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import tarfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest
from accessibility import look_at, tab_to
from browser import Notebook, lab_is_up, new_page
from patience import eventually
from playwright.async_api import Browser, Page, Route, expect
from team import PASSWORD, Member, TeamServer, new_name, serving

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

SETTINGS = f"""
[kernels]
start_timeout_seconds = 20

[servers]
sizes = ["small", "large"]
argv = ["sh", "-c", "test ! -e broken || {{ echo 'the <b>disk</b> is full' >&2; exit 3; }}; \
exec {sys.executable} -m teamhub_notebook"]

[sizes.small]
display_name = "Small"
cpus = 1
memory = "2 GiB"

[sizes.large]
display_name = "Large"
cpus = 2
memory = "4 GiB"

[environments.python3]
display_name = "Python 3"
sizes = ["small"]

[environments.broken]
display_name = "Broken"
argv = ["sh", "-c", "echo 'no <i>licence</i> found' >&2; exit 3"]
sizes = ["small"]
"""


@pytest.fixture(scope="module")
def sized_team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TeamServer]:
    """A team server with sizes, of these tests alone: its administration shows few others."""
    with serving(tmp_path_factory.mktemp("sized") / "data", SETTINGS) as server:
        yield server


async def first_sign_in(page: Page, server: TeamServer, name: str, password: str) -> None:
    """Sign in, replace a one-time password, and be on the home page."""
    await page.goto(f"{server.url}/hub/login?next=%2Fhub%2Fhome")
    await page.fill("input[name=username]", name)
    await page.fill("input[name=password]", password)
    await page.click("#login_submit")
    if password != PASSWORD:
        await page.fill("input[name=new_password]", PASSWORD)
        await page.fill("input[name=new_password_again]", PASSWORD)
        await page.click("#new_password_submit")
    await page.wait_for_url("**/hub/home")


@pytest.fixture
async def alice(sized_team: TeamServer) -> Member:
    """A new member."""
    return await asyncio.to_thread(sized_team.member)


@pytest.fixture
async def page(browser: Browser, alice: Member) -> AsyncIterator[Page]:
    """Alice's browser, at her home page. Nothing in it may go wrong unseen."""
    page = await new_page(browser)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    await first_sign_in(page, alice.server, alice.name, alice.one_time_password)
    yield page
    assert wrong == []


@contextmanager
def held(server: TeamServer) -> Iterator[None]:
    """Nothing is started or stopped for as long as the context lasts: its process stands still."""
    pid = server.pid_of("gateway")
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def standing_still(route: Route) -> None:
    """Answer with the page, without its asking again by itself."""
    response = await route.fetch()
    body = (await response.text()).replace('http-equiv="refresh"', 'data-was="refresh"')
    await route.fulfill(response=response, body=body)


async def test_servers_from_the_first_start_to_the_last_stop(page: Page, alice: Member) -> None:
    server, name = alice.server, alice.name
    await expect(page.get_by_text("No kernels are running")).to_be_visible()
    await page.goto(f"{server.url}/hub/spawn")
    await expect(page.get_by_label("Small")).to_be_checked()
    await look_at(page, "spawn")
    await tab_to(page, "input[value=small]")
    await page.keyboard.press("ArrowDown")
    await expect(page.get_by_label("Large")).to_be_checked()
    with held(server):
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/hub/spawn-pending/**")
        await expect(page.locator("#progress-message")).to_contain_text("Queued")
        await look_at(page, "spawn-pending")
        assert "_xsrf" not in page.url
    await page.wait_for_url(re.compile(f"/user/{name}/lab"))
    await lab_is_up(page)

    # A named one beside it: same home, its own address.
    await page.goto(f"{server.url}/hub/home")
    await page.fill("#name_input", "../Thesis")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("cannot be a notebook server's name")
    await look_at(page, "home-with-an-error")
    await page.fill("#name_input", "thesis")
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="Start").click()
    await page.wait_for_url(re.compile(f"/user/{name}/thesis/lab"))
    await lab_is_up(page)
    notebook = Notebook(page)
    await page.locator('.jp-LauncherCard[data-category="Notebook"]', has_text="Python 3").click()
    await notebook.ready()
    await notebook.write(0, "import os; print(os.environ['HOME'])")
    assert (await notebook.run_to_end(0)).strip() == str(server.data_dir / "homes" / name)

    await page.goto(f"{server.url}/hub/home")
    thesis = page.locator("#server-thesis")
    await expect(thesis).to_contain_text("Small: 1 CPU, 2 GiB of memory")
    await expect(page.locator("#server-own")).to_contain_text("Large: 2 CPUs, 4 GiB of memory")
    await expect(page.locator(".thing-name", has_text="Untitled.ipynb")).to_be_visible()
    with held(server):
        # The other page of a server that stops.
        watching = await page.context.new_page()
        await watching.route("**/hub/spawn-pending/**", standing_still)
        stopping = asyncio.create_task(page.click("#server-thesis-stop"))
        await expect(thesis).to_contain_text("Running")

        async def stops() -> bool:
            await watching.goto(f"{server.url}/hub/spawn-pending/{name}/thesis")
            return await watching.get_by_text("is stopping").count() > 0

        await eventually("the page of a server that stops", stops)
        await look_at(watching, "stop-pending")
        await watching.close()
    await stopping
    await expect(thesis).to_contain_text("Stopped")
    await page.click("#server-thesis-delete")
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(page.get_by_text("thesis has been deleted")).to_be_visible()
    await expect(thesis).to_have_count(0)
    # The kernel that was begun there goes on.
    await expect(page.locator(".thing-name", has_text="Untitled.ipynb")).to_be_visible()

    await page.click("#stop")
    await expect(page.locator("#server-own")).to_contain_text("Stopped")
    await page.goto(f"{server.url}/hub/spawn-pending/{name}")
    await expect(page.get_by_role("heading", name="is not running")).to_be_visible()
    await look_at(page, "not-running")


async def test_server_that_does_not_start_says_why_and_is_tried_again(
    page: Page, alice: Member
) -> None:
    server = alice.server
    home = server.data_dir / "homes" / alice.name
    home.mkdir(parents=True, exist_ok=True)
    (home / "broken").touch()
    await page.goto(f"{server.url}/hub/spawn")
    with held(server):
        await page.get_by_role("button", name="Start").click()
        await page.wait_for_url("**/hub/spawn-pending/**")
    await expect(page.get_by_role("alert")).to_contain_text("the <b>disk</b> is full")
    await expect(page.get_by_role("heading")).to_have_text("The notebook server did not start")
    await look_at(page, "spawn-failed-while-watched")
    await page.reload()
    await expect(page.get_by_role("alert")).to_contain_text("could not be started")
    await look_at(page, "spawn-failed")
    await page.get_by_role("link", name="Home", exact=True).last.click()
    await expect(page.locator("#server-own")).to_contain_text("Failed")
    await page.get_by_text("What it wrote last").click()
    await expect(page.locator("#server-own pre")).to_contain_text("the <b>disk</b> is full")
    await look_at(page, "home-with-a-failed-server")
    (home / "broken").unlink()
    await page.click("#start")
    await page.get_by_role("button", name="Start").click()
    await page.wait_for_url(re.compile(f"/user/{alice.name}/lab"))


async def test_kernels_come_and_go_on_the_home_page(
    page: Page, alice: Member, browser: Browser
) -> None:
    async with alice.http() as http:
        session = {
            "path": "work/analysis.ipynb",
            "name": "analysis",
            "type": "notebook",
            "kernel": {"name": "python3"},
        }
        async with http.post("api/sessions", json=session) as response:
            kernel_id = (await response.json())["kernel"]["id"]
    broken_id = await alice.start_kernel(name="broken")
    # Nobody reloads.
    kernel = page.locator(f"#kernel-{kernel_id}")
    await expect(kernel).to_contain_text("work/analysis.ipynb")
    await expect(kernel).to_contain_text("Idle")
    broken = page.locator(f"#kernel-{broken_id}")
    await expect(broken).to_contain_text("The kernel exited with code 3")
    await broken.get_by_text("What it wrote last").click()
    await expect(broken.locator("pre")).to_contain_text("no <i>licence</i> found")
    await look_at(page, "home")
    async with alice.connect(kernel_id) as cells:
        running = await cells.ask("import time; time.sleep(30)")
        assert running
        await expect(kernel).to_contain_text("Running code")
        # A list that was fetched again keeps what was opened.
        await expect(broken.locator("pre")).to_be_visible()

    dialog = page.get_by_role("dialog")
    await tab_to(page, f"#kernel-{kernel_id}-stop")
    await page.keyboard.press("Enter")
    await expect(dialog).to_contain_text("What it has in memory is lost")
    await expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    await look_at(page, "home-asks")
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    assert (await alice.kernel(kernel_id))[0] == 200
    await page.click(f"#kernel-{kernel_id}-stop")
    await dialog.get_by_role("button", name="Stop it").click()
    await expect(page.get_by_text("The kernel is being stopped.")).to_be_visible()
    await expect(kernel).to_have_count(0)
    assert (await alice.kernel(kernel_id))[0] == 404

    # All of it without JavaScript.
    context = await browser.new_context(
        java_script_enabled=False, storage_state=await page.context.storage_state()
    )
    plain = await context.new_page()
    await plain.goto(f"{alice.server.url}/hub/home")
    await plain.click(f"#kernel-{broken_id}-stop")
    await expect(plain.locator(f"#kernel-{broken_id}")).to_have_count(0)
    await expect(page.locator(f"#kernel-{broken_id}")).to_have_count(0)


async def test_token_is_made_used_and_revoked(page: Page, alice: Member) -> None:
    server = alice.server
    await page.goto(f"{server.url}/hub/token")
    await look_at(page, "tokens")
    await page.fill("#note_input", "VS Code on my laptop")
    await page.select_option("#expires_input", "30")
    await page.keyboard.press("Enter")
    token = (await page.locator("#token-text").text_content() or "").strip()
    await expect(page.locator("#token-vscode")).to_have_text(f"{server.gateway_url}/?token={token}")
    await expect(page.locator("#token-lab")).to_contain_text(f"--gateway-url={server.gateway_url}")
    await expect(page.locator("#made-title")).to_be_focused()
    await look_at(page, "token-made")
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.locator("[data-copy=token-text]").click()
    await expect(page.locator("[data-copy=token-text]")).to_contain_text("Copied")
    assert await page.evaluate("navigator.clipboard.readText()") == token
    python = await page.locator("#token-python").text_content() or ""
    ran = await asyncio.create_subprocess_exec(
        sys.executable, "-c", python, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await asyncio.wait_for(ran.communicate(), 90)
    assert b"42" in out

    async def status() -> int:
        headers = {"Authorization": f"token {token}"}
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.get(f"{server.gateway_url}/api/kernels") as response,
        ):
            return response.status

    assert await status() == 200
    await page.goto(f"{server.url}/hub/token")
    assert token not in await page.content()
    row = page.get_by_role("row").filter(has_text="VS Code on my laptop")
    await expect(row).not_to_contain_text("never")
    await row.get_by_role("button", name="Revoke").click()
    await page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    await expect(page.get_by_text("The token has been revoked")).to_be_visible()
    await expect(row).to_have_count(0)

    async def refused() -> bool:
        return await status() in {401, 403}

    # At once, not when the gateway's cache of a minute ends.
    await eventually("the gateway refuses the token", refused, seconds=10)


@pytest.fixture
async def administrator(browser: Browser, sized_team: TeamServer) -> Page:
    """A browser of a new administrator's."""
    name, password = await asyncio.to_thread(sized_team.add_user, new_name("boss"), admin=True)
    page = await new_page(browser)
    await first_sign_in(page, sized_team, name, password)
    return page


async def test_member_is_not_shown_the_administration(page: Page, alice: Member) -> None:
    await expect(page.get_by_role("link", name="Administration")).to_have_count(0)
    answer = await page.goto(f"{alice.server.url}/hub/administration")
    assert answer is not None
    assert answer.status == 403
    await look_at(page, "administration-refused")


async def test_administrator_from_a_sign_up_to_a_removal(
    administrator: Page, alice: Member, page: Page, browser: Browser
) -> None:
    server, boss = alice.server, administrator
    await _sign_up(browser, server, newcomer := new_name("newcomer"))
    await _sign_up(browser, server, stranger := new_name("stranger"))
    await boss.get_by_role("link", name="Administration").click()
    await expect(boss.locator(f"#waiting-{newcomer}")).to_contain_text("from <b>the</b> lab")
    await look_at(boss, "administration")
    await boss.locator(f"#waiting-{newcomer}").get_by_role("button", name="Approve").click()
    await expect(boss.get_by_text(f"{newcomer} can sign in now")).to_be_visible()
    await boss.locator(f"#waiting-{stranger}").get_by_role("button", name="Decline").click()
    await boss.get_by_role("dialog").get_by_role("button", name="Decline").click()
    await expect(boss.locator(f"#waiting-{stranger}")).to_have_count(0)
    theirs = await new_page(browser)
    await first_sign_in(theirs, server, newcomer, PASSWORD)
    await expect(theirs.get_by_role("heading", name="Home")).to_be_visible()

    await _add_members(boss, server)
    await _groups(boss, server, alice.name)

    # One member: password, kernel, removal.
    kernel_id = await alice.start_kernel()
    await boss.goto(f"{server.url}/hub/administration/running")
    await expect(boss.locator(f"#kernel-{kernel_id}")).to_contain_text(alice.name)
    await look_at(boss, "administration-running")
    await boss.locator(f"#kernel-{kernel_id}").get_by_role("link", name=alice.name).click()
    await look_at(boss, "administration-member")
    await boss.locator(f"#kernel-{kernel_id}").get_by_role("button", name="Stop").click()
    await boss.get_by_role("dialog").get_by_role("button", name="Stop it").click()
    await expect(boss.get_by_text("is being stopped")).to_be_visible()

    async def gone() -> bool:
        return (await alice.kernel(kernel_id))[0] == 404

    await eventually("the kernel is gone", gone)
    await boss.get_by_role("button", name="Reset password").click()
    await boss.get_by_role("dialog").get_by_role("button", name="Reset password").click()
    given = (await boss.locator("code.password").text_content() or "").strip()
    await look_at(boss, "administration-password")
    await page.reload()
    await page.wait_for_url("**/hub/login**")
    await page.fill("input[name=username]", alice.name)
    await page.fill("input[name=password]", given)
    await page.click("#login_submit")
    await expect(page.locator("input[name=new_password]")).to_be_visible()
    await _remove(boss, alice)


async def _sign_up(browser: Browser, server: TeamServer, name: str) -> None:
    """Ask for an account."""
    page = await new_page(browser)
    await page.goto(f"{server.url}/hub/signup")
    await page.fill("input[name=username]", name)
    await page.fill("input[name=note]", "from <b>the</b> lab")
    await page.fill("input[name=password]", PASSWORD)
    await page.fill("input[name=password_again]", PASSWORD)
    await page.locator("main button[type=submit], main input[type=submit]").last.click()
    await page.wait_for_url(re.compile("/hub/waiting|/hub/signup"))
    await page.context.close()


async def _add_members(boss: Page, server: TeamServer) -> None:
    await boss.goto(f"{server.url}/hub/administration/add")
    one, two = new_name("listed"), new_name("listed")
    await boss.fill("#users_input", f"{one}\n{two} king\n")
    await boss.get_by_role("button", name="Add them all").click()
    await expect(boss.get_by_role("alert")).to_contain_text("Line 2")
    await expect(boss.locator("#users_input")).to_have_value(f"{one}\n{two} king")
    await look_at(boss, "administration-add")
    await boss.fill("#users_input", f"{one}  # the first\n{two} admin\n")
    await boss.get_by_role("button", name="Add them all").click()
    await expect(boss.get_by_role("heading", name="2 members added")).to_be_focused()
    await look_at(boss, "administration-added")
    await boss.get_by_role("link", name="Done").click()
    await boss.get_by_role("link", name="Members", exact=True).click()
    await boss.fill("#search_input", two)
    await boss.keyboard.press("Enter")
    rows = boss.locator("#members tbody tr")
    await expect(rows).to_have_count(1)
    await expect(rows).to_contain_text("Administrator")


async def _groups(boss: Page, server: TeamServer, member: str) -> None:
    group = new_name("group")
    await boss.goto(f"{server.url}/hub/administration/groups")
    await expect(boss.get_by_text("There are no groups")).to_be_visible()
    await boss.fill("#group_input", group)
    await boss.keyboard.press("Enter")
    panel = boss.locator("section", has=boss.get_by_role("heading", name=group))
    await panel.locator("input[name=name]").fill(member)
    await boss.keyboard.press("Enter")
    await expect(panel.get_by_role("link", name=member)).to_be_visible()
    await look_at(boss, "administration-groups")


async def _remove(boss: Page, alice: Member) -> None:
    server = alice.server
    home = server.data_dir / "homes" / alice.name
    (home / "thesis.txt").write_text("forty-two")
    kernel_id = await alice.start_kernel()
    await boss.goto(f"{server.url}/hub/administration/members/{alice.name}")
    await boss.get_by_text(f"Remove {alice.name}").first.click()
    await boss.fill("#confirm_input", "somebody else")
    await boss.click("#remove")
    await expect(boss.get_by_role("alert")).to_contain_text("nothing has been removed")
    await look_at(boss, "administration-remove")
    await boss.fill("#confirm_input", alice.name)
    await boss.click("#remove")
    removal = boss.locator("#removal")
    await expect(removal).to_contain_text("Done")
    await look_at(boss, "administration-removed")
    said = re.search(r"The home is in (\S+\.tar\.gz)", await removal.inner_text())
    assert said
    with tarfile.open(said[1]) as archive:
        member = archive.extractfile(f"{alice.name}/thesis.txt")
        assert member is not None
        assert member.read() == b"forty-two"
    assert not home.exists()
    assert Path(said[1]).parent == server.data_dir / "archive"

    async def refused() -> bool:
        return (await alice.kernel(kernel_id))[0] in {401, 403}

    await eventually("the gateway refuses the token", refused, seconds=10)
    assert server.cli("kernels", "list", "--user", alice.name) == []
    await boss.goto(f"{server.url}/hub/administration?q={alice.name}")
    await expect(boss.get_by_text("Nobody matches")).to_be_visible()
