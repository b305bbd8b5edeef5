"""Every page before one is signed in, one's own account, and the pages of errors."""

from __future__ import annotations

import re

import pytest
from accessibility import look_at, tab_to, type_into
from browser import lab_is_up, new_page, sign_in
from playwright.async_api import Browser, Page, Route, expect
from signed_in import SignedIn
from team import PASSWORD, TeamServer, new_name
from teamhub.deployment import Deployment
from teamhub.store import Store

pytestmark = pytest.mark.browser

NEW_PASSWORD = "another correct horse battery"


async def approve(server: TeamServer, name: str) -> None:
    """Do as an administrator who lets somebody in."""
    store = Store.of(Deployment.running(server.data_dir))
    await store.open()
    try:
        await store.accounts.approve(name)
    finally:
        await store.close()


async def fill_in(page: Page, path: str, submit: str, **fields: str) -> None:
    """Open a page, fill in its form and send it."""
    await page.goto(path)
    for name, value in fields.items():
        await page.fill(f"input[name={name}]", value)
    await page.click(submit)


async def test_from_asking_for_an_account_to_being_signed_in_by_keyboard_alone(
    team: TeamServer, browser: Browser
) -> None:
    name = new_name("keys")
    page = await new_page(browser)
    await page.goto(team.url)
    await page.wait_for_url(re.compile("/hub/login"))
    # Nothing frightens on a connection that cannot leave this machine.
    await expect(page.locator("[data-insecure]")).to_be_hidden()
    await look_at(page, "sign-in")
    await tab_to(page, "#signup")
    await page.keyboard.press("Enter")
    await page.wait_for_url(re.compile("/hub/signup"))
    await look_at(page, "sign-up")
    # One is in the first field already.
    await expect(page.locator("input[name=username]")).to_be_focused()
    await page.keyboard.type(f"{name}!")
    await type_into(page, "input[name=note]", "Kay, who has no mouse")
    await type_into(page, "input[name=password]", PASSWORD)
    await type_into(page, "input[name=password_again]", "something else")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("Nothing was sent yet")
    await look_at(page, "sign-up-with-errors")
    # The first wrong field has the focus, says what is wrong, and keeps what was typed.
    wrong = page.locator("input[name=username]")
    await expect(wrong).to_be_focused()
    await expect(wrong).to_have_accessible_description(re.compile("cannot be a user name"))
    await expect(wrong).to_have_value(f"{name}!")
    await expect(page.locator("input[name=note]")).to_have_value("Kay, who has no mouse")
    await page.keyboard.press("End")
    await page.keyboard.press("Backspace")
    await type_into(page, "input[name=password]", PASSWORD)
    await type_into(page, "input[name=password_again]", PASSWORD)
    await tab_to(page, "#signup_submit")
    await page.keyboard.press("Enter")
    await page.wait_for_url(re.compile("/hub/waiting"))
    await look_at(page, "waiting-for-approval")

    await tab_to(page, "main a")
    await page.keyboard.press("Enter")
    await page.wait_for_url(re.compile("/hub/login"))
    await type_into(page, "input[name=username]", name)
    await type_into(page, "input[name=password]", PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text(f"Not yet, {name}")
    await look_at(page, "not-yet-approved")

    await approve(team, name)
    await page.goto(f"{team.url}/hub/login?next=/hub/account")
    await type_into(page, "input[name=username]", name)
    await type_into(page, "input[name=password]", PASSWORD)
    await page.keyboard.press("Enter")
    await page.wait_for_url(re.compile("/hub/account"))
    await expect(page.get_by_role("heading", level=1)).to_have_text("Account")


async def test_ones_own_account_by_keyboard_alone(team: TeamServer, browser: Browser) -> None:
    member = team.member()
    page = await new_page(browser)
    await sign_in(page, team, member.name, member.one_time_password)
    await page.goto(f"{team.url}/hub/account")
    await look_at(page, "account")
    await type_into(page, "input[name=current_password]", PASSWORD)
    await type_into(page, "input[name=new_password]", NEW_PASSWORD)
    await type_into(page, "input[name=new_password_again]", "something else")
    await page.keyboard.press("Enter")
    await expect(page.locator("input[name=new_password_again]")).to_be_focused()
    await look_at(page, "account-with-errors")
    await page.goto(f"{team.url}/hub/account")
    await type_into(page, "input[name=current_password]", PASSWORD)
    await type_into(page, "input[name=new_password]", NEW_PASSWORD)
    await type_into(page, "input[name=new_password_again]", NEW_PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_contain_text("has been changed")
    await look_at(page, "account-with-a-new-password")
    await tab_to(page, "#logout")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("You have signed out")
    await look_at(page, "signed-out")


async def test_signing_in_goes_wrong(team: TeamServer, browser: Browser) -> None:
    name, one_time_password = team.add_user()
    page = await new_page(browser)
    await fill_in(page, f"{team.url}/hub/login", "#login_submit", username=name, password="wrong")
    await expect(page.get_by_role("alert")).to_have_text("Wrong user name or password.")
    await expect(page.locator("input[name=username]")).to_have_value(name)
    await expect(page.locator("input[name=password]")).to_be_focused()
    await look_at(page, "sign-in-with-a-wrong-password")
    for _ in range(20):
        await fill_in(
            page, f"{team.url}/hub/login", "#login_submit", username=name, password="wrong"
        )
        if "Too many" in await page.get_by_role("alert").inner_text():
            break
    await expect(page.get_by_role("alert")).to_have_text(
        re.compile(r"Too many failed attempts\. Try again in \d+ seconds?\.")
    )
    await look_at(page, "sign-in-too-often")
    # Somebody else on this machine is not held up by it.
    other, one_time_password = team.add_user()
    await fill_in(
        page,
        f"{team.url}/hub/login",
        "#login_submit",
        username=other,
        password=one_time_password,
    )
    await expect(page.get_by_role("heading", level=1)).to_have_text("Choose a new password")
    await look_at(page, "new-password")
    await page.fill("input[name=new_password]", "short")
    await page.fill("input[name=new_password_again]", "short")
    await page.click("#new_password_submit")
    await expect(page.get_by_role("alert")).to_contain_text("at least 10 characters")
    await look_at(page, "new-password-with-an-error")


async def test_pages_of_errors(team: TeamServer, browser: Browser) -> None:
    page = await new_page(browser)
    for path, name, title in (
        ("/hub/no-such-page", "nothing-here", "There is nothing here"),
        ("/hub/error/503?url=/user/a/lab", "server-away", "This notebook server does not answer"),
        ("/hub/error/503?url=/services/gateway/", "gateway-away", "The kernel gateway does not"),
    ):
        await page.goto(f"{team.url}{path}")
        await expect(page.get_by_role("heading", level=1)).to_contain_text(title)
        await look_at(page, name)
    # The first thing that the Tab key reaches leads past the navigation.
    await page.keyboard.press("Tab")
    await expect(page.locator(".skip-link")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#main")).to_be_focused()

    member = team.member()
    await sign_in(page, team, member.name, member.one_time_password)
    for path, name, title in (
        ("/hub/admin", "not-allowed", "You may not do this"),
        ("/hub/no-such-page", "nothing-here-signed-in", "There is nothing here"),
    ):
        await page.goto(f"{team.url}{path}")
        await expect(page.get_by_role("heading", level=1)).to_contain_text(title)
        await look_at(page, name)


async def test_theme_can_be_chosen_and_is_said(team: TeamServer, browser: Browser) -> None:
    page = await new_page(browser)
    await page.goto(f"{team.url}/hub/waiting")
    toggle = page.get_by_role("button", name="Dark mode", exact=True)
    await expect(toggle).to_have_attribute("aria-pressed", "false")
    await tab_to(page, "#dark-theme-toggle")
    await page.keyboard.press("Enter")
    await expect(toggle).to_have_attribute("aria-pressed", "true")
    await page.reload()
    await expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    await expect(toggle).to_have_attribute("aria-pressed", "true")


async def test_connection_that_can_be_listened_to_is_warned_of(
    team: TeamServer, browser: Browser
) -> None:
    page = await new_page(browser)

    async def as_if_elsewhere(route: Route) -> None:
        here = route.request.url.replace("team.example", "127.0.0.1")
        await route.fulfill(response=await route.fetch(url=here))

    await page.route("http://team.example:*/**", as_if_elsewhere)
    await page.goto(f"http://team.example:{team.port}/hub/login")
    await expect(page.locator("[data-insecure]")).to_be_visible()
    await look_at(page, "sign-in-not-encrypted")


async def test_all_of_it_works_without_javascript(team: TeamServer, browser: Browser) -> None:
    name = new_name("plain")
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await fill_in(
        page,
        f"{team.url}/hub/signup",
        "#signup_submit",
        username=name,
        password=PASSWORD,
        password_again=PASSWORD,
    )
    await expect(page.get_by_role("heading", level=1)).to_contain_text("with the administrators")
    await approve(team, name)
    await fill_in(
        page,
        f"{team.url}/hub/login?next=/hub/account",
        "#login_submit",
        username=name,
        password=PASSWORD,
    )
    await fill_in(
        page,
        f"{team.url}/hub/account",
        "#account_submit",
        current_password=PASSWORD,
        new_password=NEW_PASSWORD,
        new_password_again=NEW_PASSWORD,
    )
    await expect(page.get_by_role("status")).to_contain_text("has been changed")


async def test_closed_sign_up_and_entering_a_members_server(
    failing_team: TeamServer, carol: SignedIn, browser: Browser
) -> None:
    page = await new_page(browser)
    await page.goto(f"{failing_team.url}/hub/login")
    await expect(page.locator("#signup")).to_have_count(0)
    await page.goto(f"{failing_team.url}/hub/signup")
    await expect(page.get_by_role("heading", level=1)).to_contain_text("given out by")
    await look_at(page, "sign-up-closed")

    name, one_time_password = failing_team.add_user(admin=True)
    await fill_in(
        page,
        f"{failing_team.url}/user/{carol.name}/lab",
        "#login_submit",
        username=name,
        password=one_time_password,
    )
    await page.fill("input[name=new_password]", PASSWORD)
    await page.fill("input[name=new_password_again]", PASSWORD)
    await page.click("#new_password_submit")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Allow access?")
    await look_at(page, "allow-access")
    await page.get_by_role("button", name="Allow", exact=True).click()
    await page.wait_for_url(re.compile(f"/user/{carol.name}/lab"))
    await lab_is_up(page)
