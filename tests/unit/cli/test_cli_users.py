"""`users`."""

from __future__ import annotations

import asyncio
import io
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from cli_rig import Answer, Hub
from teamhub import accounts
from teamhub.deployment import Deployment
from teamhub.store import Store

Command = Callable[..., Answer]


def content(deployment: Deployment) -> list[str]:
    """All that is in the store."""
    with closing(sqlite3.connect(deployment.data_dir / "teamhub.sqlite")) as connection:
        return list(connection.iterdump())


@asynccontextmanager
async def opened(deployment: Deployment) -> AsyncIterator[Store]:
    store = Store.of(deployment)
    await store.open(listen=False)
    try:
        yield store
    finally:
        await store.close()


def password_fits(deployment: Deployment, name: str, password: str) -> Any:
    async def check() -> bool:
        store = Store.of(deployment)
        await store.open(listen=False)
        try:
            return await accounts.check(store, name, password) is not None
        finally:
            await store.close()

    return check()


def test_add_prints_the_one_time_password_alone(
    on: Command, deployment: Deployment, run: Callable[..., Any]
) -> None:
    answer = on("users", "add", "Ada")
    assert answer.code == 0
    password = answer.out.strip()
    assert "\n" not in password
    assert password not in answer.err
    assert run(password_fits(deployment, "ada", password))
    (ada,) = on("users", "list", "--json").json
    assert (ada["name"], ada["admin"], ada["one_time_password"]) == ("ada", False, True)


def test_add_an_administrator_as_json(on: Command) -> None:
    answer = on("users", "add", "root", "--admin", "--json")
    assert answer.err == ""
    assert answer.json["name"] == "root"
    assert answer.json["admin"] is True
    assert on("users", "list", "--json").json[0]["admin"] is True
    assert "administrator" in on("users", "list").out


def test_a_name_that_is_taken_or_cannot_be(on: Command) -> None:
    on("users", "add", "ada")
    again = on("users", "add", "ada")
    assert (again.code, again.out) == (1, "")
    assert again.err == "teamhub: there is a user called 'ada' already\n"
    wrong = on("users", "add", "../ada")
    assert wrong.code == 1
    assert "cannot be a user name" in wrong.err


def test_reset_gives_another_password(
    on: Command, deployment: Deployment, run: Callable[..., Any]
) -> None:
    first = on("users", "add", "ada").out.strip()
    second = on("users", "reset", "ada").out.strip()
    assert run(password_fits(deployment, "ada", second))
    assert not run(password_fits(deployment, "ada", first))
    nobody = on("users", "reset", "bob")
    assert nobody.code == 1
    assert "there is no user called 'bob'" in nobody.err


@pytest.mark.usefixtures("running")
def test_add_tells_a_running_hub(on: Command, deployment: Deployment, hub: Hub) -> None:
    assert on("users", "add", "ada").code == 0
    token = deployment.secrets().operator_token
    assert hub.asked == [("/hub/api/users/ada", None, f"token {token}")]


@pytest.mark.usefixtures("running")
def test_add_succeeds_while_the_hub_is_away_or_in_trouble(on: Command, hub: Hub) -> None:
    hub.answers["/hub/api/users/ada"] = (500, {"message": "Internal Server Error"})
    answer = on("users", "add", "ada")
    assert answer.code == 0
    assert answer.out.strip()
    assert "the hub does not know them yet" in answer.err


def test_add_says_what_it_made_of_a_name(on: Command) -> None:
    answer = on("users", "add", "Carol")
    assert "this one is 'carol'" in answer.err
    assert "this one is" not in on("users", "add", "dave").err
    assert [one["name"] for one in on("users", "list", "--json").json] == ["carol", "dave"]


@pytest.fixture
def waiting(deployment: Deployment) -> None:
    """Two who signed up, and wait."""

    async def sign_up() -> None:
        async with opened(deployment) as store:
            for name, note in (("ada", "third floor"), ("eve", "")):
                await store.accounts.add(
                    name, "hash", one_time=False, admin=False, waiting=True, note=note
                )

    asyncio.run(sign_up())


@pytest.mark.usefixtures("waiting")
def test_who_waits_is_listed_approved_and_declined(on: Command) -> None:
    on("users", "add", "root", "--admin")
    listed = on("users", "list", "--waiting", "--json").json
    assert [(one["name"], one["state"], one["note"]) for one in listed] == [
        ("ada", "waiting", "third floor"),
        ("eve", "waiting", ""),
    ]
    assert "third floor" in on("users", "list", "--waiting").out
    assert "root" not in on("users", "list", "--waiting").out
    approved = on("users", "approve", "Ada")
    assert (approved.code, approved.out) == (0, "")
    assert approved.err.startswith("teamhub: ada can sign in now")
    declined = on("users", "decline", "eve", "--json")
    assert declined.json == {"name": "eve", "state": "declined"}
    states = {one["name"]: one["state"] for one in on("users", "list", "--json").json}
    assert states == {"ada": "active", "root": "active"}
    empty = on("users", "list", "--waiting")
    assert (empty.code, empty.out, empty.err) == (0, "", "teamhub: nobody waits for approval\n")
    assert on("users", "list", "--waiting", "--json").json == []


@pytest.mark.usefixtures("waiting")
@pytest.mark.parametrize("names", [("ada", "nobody"), ("ada", "../eve"), ("ada", "")])
def test_approve_all_or_none(on: Command, names: tuple[str, ...]) -> None:
    answer = on("users", "approve", *names)
    assert answer.code == 1
    assert answer.err.count("\n") == 1
    assert len(on("users", "list", "--waiting", "--json").json) == 2


def test_decline_is_for_those_who_wait(on: Command) -> None:
    on("users", "add", "root", "--admin")
    on("users", "add", "ada")
    for name in ("root", "ada", "nobody"):
        answer = on("users", "decline", name)
        assert answer.code == 1
        assert answer.err == f"teamhub: nobody called '{name}' waits for approval\n"
    assert len(on("users", "list", "--json").json) == 2


def test_role(on: Command) -> None:
    on("users", "add", "root", "--admin")
    on("users", "add", "ada")
    assert on("users", "role", "ADA", "administrator", "--json").json == {
        "name": "ada",
        "role": "administrator",
    }
    assert on("users", "role", "ada", "admin").err == "teamhub: ada is an administrator now\n"
    assert on("users", "role", "ada", "admin", "--json").json["role"] == "administrator"
    assert on("users", "role", "root", "member").err == "teamhub: root is a member now\n"
    last = on("users", "role", "ada", "member")
    assert last.code == 1
    assert last.err.startswith("teamhub: ada is the only administrator")
    roles = {one["name"]: one["role"] for one in on("users", "list", "--json").json}
    assert roles == {"ada": "administrator", "root": "member"}
    assert on("users", "role", "nobody", "member").code == 1
    wrong = on("users", "role", "ada", "boss")
    assert wrong.code == 2
    assert wrong.err.count("\n") == 1


@pytest.mark.usefixtures("running")
def test_the_hub_adds_groups_and_when_they_were_active(on: Command, hub: Hub) -> None:
    on("users", "add", "ada")
    hub.knows({"name": "ada", "groups": ["b", "a"], "last_activity": "2026-01-02T03:04:05Z"})
    (ada,) = on("users", "list", "--json").json
    assert ada["groups"] == ["a", "b"]
    assert ada["last_active_at"] == "2026-01-02T03:04:05+00:00"
    assert "a, b" in on("users", "list").out
    # A hub in trouble is no reason to list nobody.
    hub.answers.clear()
    (ada,) = on("users", "list", "--json").json
    assert ada["groups"] is None


def test_reset_that_revokes_needs_a_hub_before_it_changes_anything(
    on: Command, deployment: Deployment, run: Callable[..., Any]
) -> None:
    password = on("users", "add", "ada").out.strip()
    answer = on("users", "reset", "ada", "--revoke-tokens")
    assert (answer.code, answer.out) == (4, "")
    assert answer.err.startswith("teamhub: revoking tokens needs the team server running")
    assert answer.err.count("\n") == 1
    assert run(password_fits(deployment, "ada", password))


@pytest.mark.usefixtures("running")
def test_reset_revokes_every_token(on: Command, hub: Hub, deployment: Deployment) -> None:
    on("users", "add", "ada")
    hub.asked.clear()
    hub.knows({"name": "ada"})
    listed = {"id": "a7", "user": "ada", "created": "2026-01-01T00:00:00Z"}
    hub.has_tokens("ada", listed)
    answer = on("users", "reset", "ada", "--revoke-tokens", "--json")
    assert answer.code == 0, answer.err
    assert answer.json["tokens_revoked"] == 1
    assert {path for path, _, _ in hub.asked} == {"DELETE /hub/api/users/ada/tokens/a7"}

    async def count() -> int:
        async with opened(deployment) as store:
            return await store.revocations.count()

    assert asyncio.run(count()) == 1


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Pipes something in."""

    def pipe(data: bytes) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))

    return pipe


def test_import_a_file(
    on: Command, deployment: Deployment, tmp_path: Path, run: Callable[..., Any]
) -> None:
    on("users", "add", "bob")
    path = tmp_path / "team.txt"
    path.write_bytes(b"\xef\xbb\xbfAda admin\r\n# others\nbob admin\ncarol\n")
    answer = on("users", "import", str(path))
    assert answer.code == 0, answer.err
    assert "bob has an account already, which is left as it is" in answer.err
    rows = [line.split() for line in answer.out.splitlines()]
    assert rows[0] == ["NAME", "ROLE", "ONE-TIME", "PASSWORD"]
    assert [row[:2] for row in rows[1:]] == [["ada", "administrator"], ["carol", "member"]]
    assert run(password_fits(deployment, "carol", rows[2][2]))
    listed = {one["name"]: one["role"] for one in on("users", "list", "--json").json}
    assert listed == {"ada": "administrator", "bob": "member", "carol": "member"}
    again = on("users", "import", str(path))
    assert (again.code, again.out) == (0, "")
    assert "nobody was added" in again.err


def test_import_what_is_piped_in(on: Command, given: Callable[[bytes], None]) -> None:
    given(b"ada\n")
    answer = on("users", "import", "-", "--json").json
    (ada,) = answer["added"]
    assert (ada["name"], ada["role"]) == ("ada", "member")
    assert ada["one_time_password"]
    assert answer["already_there"] == []
    given(b"ada\n")
    assert on("users", "import", "-", "--json").json == {"added": [], "already_there": ["ada"]}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"ada\nbob boss\n", "line 2: 'bob boss' should be"),
        (b"ada\n../bob\n", "line 2: '../bob' cannot be a user name"),
        (b"ada\nADA\n", "line 2: 'ada' is there twice"),
        (b"ada\n\xff\xfe\n", "line 2: is not UTF-8 text"),
        (b"ada\nb\x1b[31mob\n", "line 2: "),
        ("ada\n\u0430da\n".encode(), "line 2: "),
        (b"ada\n" + b"x" * 2**20, "is larger than 1 MiB"),
    ],
)
def test_import_adds_nobody_where_a_line_is_wrong(
    on: Command, tmp_path: Path, data: bytes, said: str
) -> None:
    path = tmp_path / "team.txt"
    path.write_bytes(data)
    answer = on("users", "import", str(path))
    assert (answer.code, answer.out) == (1, "")
    assert said in answer.err
    assert str(path) in answer.err
    assert answer.err.count("\n") == 1
    assert answer.err.rstrip("\n").isprintable()
    assert on("users", "list", "--json").json == []


@pytest.mark.parametrize("name", ["none.txt", ".", "a\x00b"])
def test_import_a_file_that_is_none(on: Command, tmp_path: Path, name: str) -> None:
    answer = on("users", "import", f"{tmp_path}/{name}")
    assert answer.code in {1, 2}
    assert answer.err.count("\n") == 1
    assert "unexpected" not in answer.err


def test_remove_asks_for_yes_where_nobody_can_be_asked(on: Command) -> None:
    on("users", "add", "ada")
    answer = on("users", "remove", "ada")
    assert answer.code == 2
    assert "--yes is needed" in answer.err
    assert answer.err.count("\n") == 1
    assert len(on("users", "list", "--json").json) == 1


def test_remove_needs_the_server_before_it_changes_anything(
    on: Command, deployment: Deployment
) -> None:
    on("users", "add", "ada")
    answer = on("users", "remove", "ada", "--yes")
    assert (answer.code, answer.out) == (4, "")
    assert answer.err == (
        "teamhub: removing a member needs the team server running, for the hub keeps their "
        f"tokens; start it with `teamhub up --data-dir {deployment.data_dir}`\n"
    )
    assert len(on("users", "list", "--json").json) == 1


@pytest.mark.usefixtures("running")
def test_remove_and_what_becomes_of_the_home(on: Command, hub: Hub, deployment: Deployment) -> None:
    home = deployment.config.home_of("ada")
    for how in ("keep", "archive"):
        on("users", "add", "ada")
        hub.knows({"name": "ada"})
        hub.asked.clear()
        home.mkdir(exist_ok=True)
        answer = on("users", "remove", "ADA", "--yes", "--home", how, "--json")
        assert answer.code == 0, answer.err
        assert (answer.json["name"], answer.json["home"]) == ("ada", how)
        assert [path for path, _, _ in hub.asked] == ["DELETE /hub/api/users/ada"]
        assert home.exists() is (how == "keep")
    assert Path(answer.json["archive"]).exists()
    for how in ("archive", "delete"):
        on("users", "add", "ada")
        answer = on("users", "remove", "ada", "--yes", "--home", how)
        assert answer.code == 0
        assert answer.err.endswith("teamhub: ada is removed; there was no home of theirs\n")
    assert on("users", "list", "--json").json == []


@pytest.mark.usefixtures("running")
def test_remove_refuses_before_it_asks(on: Command, hub: Hub, deployment: Deployment) -> None:
    on("users", "add", "root", "--admin")
    hub.asked.clear()
    for name, said in (
        ("root", "root is the only administrator"),
        ("nobody", "there is no user called 'nobody'"),
        ("..", "'..' cannot be a user name"),
    ):
        answer = on("users", "remove", name, "--yes", "--home", "delete")
        assert answer.code == 1
        assert said in answer.err
        assert answer.err.count("\n") == 1
    assert hub.asked == []
    assert deployment.data_dir.exists()
    assert len(on("users", "list", "--json").json) == 1


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(("said", "code"), [("n\n", 1), ("\n", 1), ("", 130)])
def test_remove_asks_on_a_terminal(
    on: Command, hub: Hub, monkeypatch: pytest.MonkeyPatch, said: str, code: int
) -> None:
    on("users", "add", "ada")
    hub.knows({"name": "ada"})
    hub.has_tokens("ada", {"id": "a7", "created": "2026-01-01T00:00:00Z"})
    hub.asked.clear()
    typed = io.StringIO(said)
    monkeypatch.setattr(typed, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", typed)
    answer = on("users", "remove", "ada", "--home", "delete")
    assert answer.code == code
    assert answer.err.endswith("teamhub: nothing was removed\n") is (code == 1)
    assert "Remove ada? 1 token of theirs will end" in answer.err
    assert hub.asked == []
    assert len(on("users", "list", "--json").json) == 1


NAMES = {
    "path": "../ada",
    "control": "ad\x1b[31ma",
    "null": "ad\x07a",
    "other script": "\u0430da",
    "empty": "",
    "blank": "  ",
    "dot": "..",
    "long": "a" * 100_000,
    "right to left": "ada\u202e",
    "surrogate": "ada\udcff",
}


@pytest.mark.usefixtures("running", "hub")
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize(
    "arguments",
    [
        ("users", "add", "{}"),
        ("users", "approve", "{}"),
        ("users", "decline", "{}"),
        ("users", "reset", "{}"),
        ("users", "role", "{}", "administrator"),
        ("users", "remove", "{}", "--yes", "--home", "delete"),
        ("groups", "create", "{}"),
        ("groups", "delete", "{}"),
        ("groups", "add", "staff", "{}"),
        ("groups", "add", "{}", "ada"),
        ("groups", "remove", "staff", "{}"),
        ("tokens", "create", "--user", "{}"),
        ("tokens", "revoke", "{}"),
        ("tokens", "revoke", "--all", "--user", "{}"),
        ("kernels", "show", "{}"),
        ("kernels", "logs", "{}"),
        ("kernels", "stop", "{}"),
        ("kernels", "stop", "--all", "--user", "{}"),
        ("servers", "show", "{}"),
        ("servers", "show", "ada/{}"),
        ("servers", "start", "{}"),
        ("servers", "start", "ada/x{}"),
        ("servers", "stop", "{}"),
    ],
    ids=" ".join,
)
def test_a_name_that_cannot_be_is_one_line_and_changes_nothing(
    on: Command, hub: Hub, deployment: Deployment, arguments: tuple[str, ...], name: str
) -> None:
    hub.knows({"name": "ada"}, groups=({"name": "staff", "users": ["ada"]},))
    hub.has_tokens("ada")
    before = content(deployment)
    answer = on(*(argument.format(name) for argument in arguments))
    assert answer.code in {1, 2}, (answer.code, answer.err)
    assert answer.out == ""
    assert answer.err.count("\n") == 1, answer.err
    assert answer.err.rstrip("\n").isprintable()
    assert "unexpected" not in answer.err
    assert len(answer.err) < 500
    assert hub.asked == []
    assert content(deployment) == before


def test_a_name_that_can_be_changes_something(on: Command, deployment: Deployment) -> None:
    """So that the test before this one can fail."""
    before = content(deployment)
    on("users", "add", "ada")
    assert content(deployment) != before
