"""The administration: who may, what it does, and what it refuses."""

from __future__ import annotations

import asyncio
import re
import tarfile
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest
from hub_pages import PASSWORD, SignedIn
from hub_standins import DEADLINE_SECONDS, DispatcherStandIn, RunningHub
from teamhub import accounts
from teamhub.hub.pages.addresses import pages
from teamhub.hub.pages.administration.members import PAGE_LENGTH, AdministrationPage
from teamhub.model import Desired, Kind
from teamhub.store import Store

pytestmark = pytest.mark.node

STRANGE_NAMES = ["", "../x", "a/b", "a\nb", "säure", "kоt", "a" * 33, "x" * 5000, "<b>x</b>"]  # noqa: RUF001

PASSWORD_FORM = r"(?:[a-z2-9]{4}-){3}[a-z2-9]{4}"


@pytest.fixture
async def administrator(hub: RunningHub, store: Store) -> AsyncIterator[SignedIn]:
    """A browser of a new administrator."""
    async with SignedIn(hub.deployment.public_url()) as browser:
        await browser.first_sign_in(store, f"adm-{uuid.uuid4().hex[:8]}", admin=True)
        yield browser


@pytest.fixture
async def member(hub: RunningHub, store: Store) -> AsyncIterator[SignedIn]:
    """A browser of a new member."""
    async with SignedIn(hub.deployment.public_url()) as browser:
        await browser.first_sign_in(store, f"mem-{uuid.uuid4().hex[:8]}")
        yield browser


def new(stem: str) -> str:
    return f"{stem}-{uuid.uuid4().hex[:8]}"


async def wait_for_a_sign_up(store: Store, name: str, note: str = "") -> None:
    await accounts.sign_up(store, name, PASSWORD, note=note, minimum_length=10, waiting_limit=1000)


def in_path(name: str) -> str:
    return quote(name, safe="")


def all_actions() -> list[tuple[str, str]]:
    """Every page of the administration with every action of it."""
    found = []
    for pattern, handler, *_ in pages():
        if isinstance(handler, type) and issubclass(handler, AdministrationPage):
            found += [("/hub" + pattern, action) for action in ["", *handler.actions]]
    assert len(found) > 15
    return found


async def test_nobody_else_may_do_anything(
    member: SignedIn, administrator: SignedIn, store: Store
) -> None:
    before = await store.accounts.all()
    fields = {
        "name": administrator.name,
        "role": "member",
        "group": "nobodys",
        "home": "delete",
        "confirm": administrator.name,
        "users": "intruder",
        "owner": administrator.name,
        "kernel": "x",
    }
    for pattern, action in all_actions():
        path = pattern.replace("([^/]+)", administrator.name)
        await member.get(path)
        assert member.status == 403, path
        assert "administrators" in member.text
        await member.post(path, **(fields | {"action": action}))
        assert member.status == 403, (path, action)
        # An administrator's browser that somebody else's page has send a form.
        await administrator.post(path, **(fields | {"action": action, "_xsrf": "forged"}))
        assert administrator.status == 403, (path, action)
    assert await store.accounts.all() == before


async def test_jupyterhubs_own_page_leads_to_ours(administrator: SignedIn) -> None:
    await administrator.get("/hub/admin")
    assert (administrator.status, administrator.path) == (200, "/hub/administration")


async def test_sign_up_is_approved_or_declined(
    administrator: SignedIn, store: Store, hub: RunningHub
) -> None:
    wanted, unwanted = new("wanted"), new("unwanted")
    await wait_for_a_sign_up(store, wanted, "from <b>the</b> lab")
    await wait_for_a_sign_up(store, unwanted)
    await administrator.get("/hub/administration")
    assert "from &lt;b&gt;the&lt;/b&gt; lab" in administrator.text
    await administrator.post("/hub/administration", action="approve", name=wanted)
    assert f"{wanted} can sign in now" in administrator.text
    await administrator.post("/hub/administration", action="decline", name=unwanted)
    assert f"The sign-up of {unwanted} has been declined" in administrator.text
    assert await store.accounts.get(unwanted) is None
    # A member is not declined by a page that is out of date, and nobody is approved twice.
    for action in ("approve", "decline"):
        await administrator.post("/hub/administration", action=action, name=wanted)
        assert administrator.status == 404
        assert administrator.alert
    account = await store.accounts.get(wanted)
    assert account is not None
    assert not account.waiting
    assert f"Administrator {administrator.name} has approved the sign-up of {wanted}" in hub.log()


async def test_role_is_given_and_taken_at_once(
    administrator: SignedIn, member: SignedIn, store: Store, hub: RunningHub
) -> None:
    path = f"/hub/administration/members/{member.name}"
    await administrator.post(path, action="role", role="administrator")
    assert f"{member.name} is an administrator now" in administrator.text
    await member.get("/hub/administration")
    assert member.status == 200
    await administrator.post(path, action="role", role="member")
    await member.get("/hub/administration")
    assert member.status == 403
    await administrator.post(path, action="role", role="king")
    assert (administrator.status, administrator.alert) == (
        400,
        "The role should be administrator or member.",
    )
    assert f"has made {member.name} an administrator" in hub.log()


async def test_last_administrator_stays(
    administrator: SignedIn, member: SignedIn, store: Store
) -> None:
    others = [
        one.name
        for one in await store.accounts.all()
        if one.admin and one.name != administrator.name
    ]
    for name in others:
        await store.accounts.set_admin(name, False)
    path = f"/hub/administration/members/{administrator.name}"
    try:
        await administrator.post(path, action="role", role="member")
        assert administrator.status == 409
        assert "is the only administrator" in administrator.alert
        for home in ("keep", "archive", "delete"):
            await administrator.post(path, action="remove", home=home, confirm=administrator.name)
            assert administrator.status == 409
        account = await store.accounts.get(administrator.name)
        assert account is not None
        assert account.admin
    finally:
        for name in others:
            await store.accounts.set_admin(name, True)


async def test_reset_password_is_shown_once_and_ends_sign_ins(
    administrator: SignedIn, member: SignedIn, hub: RunningHub
) -> None:
    path = f"/hub/administration/members/{member.name}"
    await administrator.post(path, action="reset-password")
    assert administrator.headers["Cache-Control"] == "no-store"
    (given,) = set(re.findall(PASSWORD_FORM, administrator.text))
    assert not await member.is_signed_in()
    await administrator.get(path)
    assert given not in administrator.text
    assert given not in hub.log()
    await member.sign_in(member.name, given)
    assert "Choose a new password" in member.text


async def test_groups_are_made_filled_emptied_and_deleted(
    administrator: SignedIn, member: SignedIn, store: Store
) -> None:
    groups, group = "/hub/administration/groups", new("team")
    page = f"/hub/administration/members/{member.name}"
    newcomer = new("newcomer")
    await accounts.add_user(store, newcomer, admin=False)
    await administrator.post(groups, action="create", group=group)
    assert f"The group {group} is there" in administrator.text
    await administrator.post(groups, action="create", group=group)
    assert administrator.status == 409
    await administrator.post(groups, action="add", group=group, name=member.name)
    assert f"{member.name} is in the group" in administrator.text
    # The hub has never heard of somebody who has not signed in.
    await administrator.post(groups, action="add", group=group, name=newcomer)
    assert administrator.status == 200
    await administrator.get(f"/hub/administration?q={group}")
    assert member.name in administrator.text
    assert newcomer in administrator.text
    assert f">{administrator.name}</a></th>" not in administrator.text
    await administrator.post(page, action="leave-group", group=group)
    assert "is not in the group" in administrator.text
    await administrator.post(page, action="leave-group", group=group)
    assert administrator.status == 409
    await administrator.post(page, action="join-group", group=group)
    assert "is in the group" in administrator.text
    await administrator.post(groups, action="remove", group=group, name=member.name)
    assert "is not in the group" in administrator.text
    await administrator.post(groups, action="delete", group=group)
    assert f"The group {group} has been deleted" in administrator.text
    await administrator.post(groups, action="delete", group=group)
    assert administrator.status == 404


async def test_group_of_any_name_is_shown_escaped_and_deleted(administrator: SignedIn) -> None:
    # The hub's API takes what our page does not.
    name = new('<b>&"group')
    assert await administrator.call("POST", f"groups/{quote(name, safe='')}") == 201
    path = f"groups/{quote(name, safe='')}/users"
    assert await administrator.call("POST", path, users=[administrator.name]) == 200
    for page in ("groups", f"members/{administrator.name}"):
        await administrator.get(f"/hub/administration/{page}")
        assert "&lt;b&gt;&amp;&#34;group" in administrator.text
        assert "<b>&" not in administrator.text
    await administrator.post("/hub/administration/groups", action="delete", group=name)
    assert (administrator.status, "has been deleted" in administrator.text) == (200, True)


async def test_strange_names_are_one_line_and_change_nothing(
    administrator: SignedIn, store: Store
) -> None:
    before = await store.accounts.all()
    for name in STRANGE_NAMES:
        for path, fields in (
            ("/add", {"action": "add", "name": name}),
            ("/add", {"action": "import", "users": f"fine\n{name or '? ?'} x\n"}),
            ("", {"action": "approve", "name": name}),
            ("", {"action": "decline", "name": name}),
            ("/groups", {"action": "create", "group": name + "\u00e9" * 31}),
            ("/groups", {"action": "delete", "group": name}),
            ("/running", {"action": "stop-server", "owner": name, "name": ""}),
            ("/running", {"action": "stop-kernel", "kernel": name}),
            (f"/members/{in_path(name)}", {"action": "remove", "home": "delete", "confirm": name}),
        ):
            if len(path) > 1000 or path == "/members/":
                continue
            await administrator.post(f"/hub/administration{path}", **fields)
            assert administrator.status in {400, 404}, (path, fields)
            assert "<b>x" not in administrator.text
            if not path.startswith("/members/"):
                assert administrator.alert, (path, fields)
                assert "\n" not in administrator.alert
                assert len(administrator.alert) < 300
    assert await store.accounts.all() == before


async def test_member_is_added_with_a_password_that_works_once(
    administrator: SignedIn, store: Store, hub: RunningHub
) -> None:
    name = new("added")
    await administrator.post("/hub/administration/add", action="add", name=f" {name.upper()} ")
    (given,) = set(re.findall(PASSWORD_FORM, administrator.text))
    assert administrator.headers["Cache-Control"] == "no-store"
    account = await accounts.check(store, name, given)
    assert account is not None
    assert account.one_time
    assert not account.admin
    await administrator.post("/hub/administration/add", action="add", name=name)
    assert administrator.status == 400
    assert "already" in administrator.alert
    assert given not in hub.log()


async def test_user_file_adds_all_or_nobody(
    administrator: SignedIn, store: Store, hub: RunningHub
) -> None:
    one, two, three = new("one"), new("two"), new("three")
    form = {"action": "import"}
    path = "/hub/administration/add"
    wrong = {
        f"{one}\n{two} king\n": "Line 2",
        f"{one}\n{one}\n": "there twice",
        f"{one}\n{administrator.name}\n": f"already: {administrator.name}; nobody was added",
        "# nobody\n\n": "names nobody",
        "\n".join(f"{one}-{number}" for number in range(501)): "at most 500",
    }
    for text, said in wrong.items():
        await administrator.post(path, users=text, **form)
        assert administrator.status == 400
        assert said in administrator.alert
        assert await store.accounts.get(one) is None
    await administrator.post(path, users=f"{one} admin # the boss\n\n{two}\n{three} member", **form)
    assert "3 members added" in administrator.text
    given = dict(re.findall(rf"(\S+)\t({PASSWORD_FORM})", administrator.text))
    assert set(given) == {one, two, three}
    for name, password in given.items():
        account = await accounts.check(store, name, password)
        assert account is not None
        assert account.admin == (name == one)
        assert password not in hub.log()
    await store.accounts.remove(one)


async def test_user_file_may_be_uploaded(administrator: SignedIn, store: Store) -> None:
    name = new("uploaded")
    for content, status in (
        (b"\xff\xfe", 400),
        (b"x" * (256 * 1024 + 1), 400),
        (f"\ufeff{name}\r\n".encode(), 200),
    ):
        form = aiohttp.FormData({"_xsrf": administrator.xsrf, "action": "import", "users": ""})
        form.add_field("file", content, filename="users.txt", content_type="text/plain")
        url = f"{administrator.url}/hub/administration/add"
        async with administrator._session.post(url, data=form) as answer:
            await administrator._keep(answer)
        assert administrator.status == status, administrator.text
    assert await store.accounts.get(name) is not None


async def test_two_hundred_members_are_searched_and_paged(
    administrator: SignedIn, store: Store
) -> None:
    stem = new("many")
    for number in range(PAGE_LENGTH + 10):
        await store.accounts.add(f"{stem}-{number:03}", "x", one_time=True, admin=False)
    await administrator.get(f"/hub/administration?q={stem}")
    assert f"{PAGE_LENGTH + 10} of" in administrator.text
    assert f"{stem}-000" in administrator.text
    assert f"{stem}-055" not in administrator.text
    assert "Page 1 of 2" in administrator.text
    next_page = re.search(r'rel="next" href="([^"]+)"', administrator.text)
    assert next_page
    await administrator.get("/hub/administration" + next_page[1].replace("&amp;", "&"))
    assert f"{stem}-055" in administrator.text
    assert f"{stem}-000" not in administrator.text
    for query in ("page=-1", "page=x", "page=999999999999", "q=%3Cscript%3E", "q=" + "y" * 3000):
        await administrator.get(f"/hub/administration?{query}")
        assert administrator.status == 200
        assert "<script>" not in administrator.text.split("</head>")[1].split("<footer")[0]
    for number in range(PAGE_LENGTH + 10):
        await store.accounts.remove(f"{stem}-{number:03}")


async def test_what_runs_is_stopped_and_its_contents_are_not_shown(
    administrator: SignedIn, member: SignedIn, store: Store, dispatcher: DispatcherStandIn
) -> None:
    await member.get("/hub/spawn")
    kernel = await store.workloads.add(Kind.KERNEL, member.name, "python3", environment="python3")
    await store.sessions.add(member.name, "secret-plan.ipynb", "x", "notebook", kernel.id)
    page = f"/hub/administration/members/{member.name}"
    for path in ("/hub/administration/running", page):
        await administrator.get(path)
        assert kernel.id in administrator.text
        assert "Notebook server" in administrator.text
        assert "secret-plan" not in administrator.text
    # On one member's page nobody else's can be stopped.
    other = f"/hub/administration/members/{administrator.name}"
    await administrator.post(other, action="stop-kernel", kernel=kernel.id)
    assert administrator.status == 404
    await administrator.post(page, action="stop-kernel", kernel=kernel.id)
    assert "is being stopped" in administrator.text
    found = await store.workloads.get(kernel.id)
    assert found is not None
    assert found.desired is Desired.STOPPED
    fields = {"action": "stop-server", "owner": member.name, "name": ""}
    await administrator.post("/hub/administration/running", **fields)
    assert "is being stopped" in administrator.text
    assert await store.workloads.server(member.name, "") is None
    await administrator.post("/hub/administration/running", **fields)
    assert administrator.status == 200, "a server that does not run: nothing"


async def test_member_is_removed_with_the_home_archived(
    administrator: SignedIn,
    member: SignedIn,
    dispatcher: DispatcherStandIn,
    hub: RunningHub,
    http_session: aiohttp.ClientSession,
) -> None:
    name, config, store = member.name, hub.deployment.config, dispatcher.store
    await member.get("/hub/spawn")
    await member.post("/hub/token", action="create", note="", expires="30")
    token = member.text.split('id="token-text"')[1].split(">")[1].split("<")[0]
    kernel = await store.workloads.add(Kind.KERNEL, name, "python3", environment="python3")
    home = config.home_of(name)
    home.mkdir(parents=True, exist_ok=True)
    (home / "thesis.txt").write_text("forty-two")

    path = f"/hub/administration/members/{name}"
    for fields in (
        {"home": "archive", "confirm": ""},
        {"home": "archive", "confirm": name.upper()},
        {"home": "burn", "confirm": name},
        {"confirm": name},
    ):
        await administrator.post(path, action="remove", **fields)
        assert administrator.status == 400
        assert administrator.alert
    await administrator.post(path, action="remove", home="keep", confirm="x")
    assert 'value="keep" checked' in administrator.text, "what was chosen is not forgotten"
    assert await store.accounts.get(name) is not None
    await administrator.post(
        f"/hub/administration/members/{administrator.name}",
        action="remove",
        home="keep",
        confirm=administrator.name,
    )
    assert administrator.status == 409
    assert "yourself" in administrator.alert

    revoked = await store.revocations.count()
    await administrator.post(path, action="remove", home="archive", confirm=name)
    assert administrator.status == 200
    async with asyncio.timeout(DEADLINE_SECONDS):
        while "Under way" in administrator.text:
            await administrator.get(path)
    assert "Done" in administrator.text
    archive = re.search(r"The home is in (\S+\.tar\.gz)\.", administrator.text)
    assert archive
    with tarfile.open(archive[1]) as archived:
        found = archived.extractfile(f"{name}/thesis.txt")
        assert found is not None
        assert found.read() == b"forty-two"
    assert not home.exists()
    assert Path(archive[1]).stat().st_mode & 0o777 == 0o600
    assert await store.accounts.get(name) is None
    assert not await member.is_signed_in()
    ended = await store.workloads.get(kernel.id)
    assert ended is not None
    assert ended.status.ended
    assert await store.workloads.living(owner=name) == []
    assert await store.revocations.count() > revoked
    headers = {"Authorization": f"token {token}"}
    async with http_session.get(f"{hub.deployment.hub_api_url()}/user", headers=headers) as answer:
        assert answer.status == 403
    assert f"{administrator.name} has removed {name}" in hub.log()
    await administrator.get(path.replace(name, new("never-there")))
    assert administrator.status == 404


async def test_what_a_removal_that_did_not_end_has_left_is_found_and_removed(
    administrator: SignedIn, member: SignedIn, store: Store, hub: RunningHub
) -> None:
    name, home = member.name, hub.deployment.config.home_of(member.name)
    home.mkdir(parents=True)
    # As a hub leaves it that was killed after the first step.
    await store.accounts.remove(name)
    path = f"/hub/administration/members/{name}"
    await administrator.get("/hub/administration")
    assert f'href="{path}"' in administrator.text
    await administrator.get(path)
    assert "something of one is left" in administrator.text
    await administrator.post(path, action="role", role="administrator")
    assert administrator.status == 404
    for action in ("delete", "keep"):
        await administrator.post(path, action="remove", home=action, confirm=name)
        if action == "keep":
            assert administrator.status == 404, "nothing is left"
            break
        async with asyncio.timeout(DEADLINE_SECONDS):
            while "Under way" in administrator.text:
                await administrator.get(path)
        assert "Removed, and the home deleted." in administrator.text
    assert not home.exists()
    await administrator.get("/hub/administration")
    assert f'href="{path}"' not in administrator.text
