"""`users` and `tokens`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cli_rig import Answer, Hub
from teamhub import accounts
from teamhub.deployment import Deployment
from teamhub.store import Store
from teamhub.supervisor.lock import UpLock

Command = Callable[..., Answer]


@pytest.fixture
def running(deployment: Deployment) -> Iterator[None]:
    """As if this process were its supervisor."""
    lock = UpLock(deployment)
    lock.take()
    yield
    lock.release()


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


def test_a_token_for_an_account_that_never_signed_in(
    on: Command, deployment: Deployment, hub: Hub
) -> None:
    on("users", "add", "ada")
    made = {"token": "t0k3n", "id": "a1", "scopes": ["x"], "expires_at": "2027-01-01T00:00:00Z"}
    hub.answers["/hub/api/users/ada/tokens"] = (201, made)
    arguments = ("tokens", "create", "--user", "ada", "--note", "laptop", "--expires-in", "30d")
    answer = on(*arguments, "--json")
    assert answer.json["token"] == "t0k3n"
    assert answer.json["expires_at"] == made["expires_at"]
    (_, _, _), (path, body, authorization) = hub.asked
    assert path == "/hub/api/users/ada/tokens"
    assert body == {
        "note": "laptop",
        "scopes": ["access:services!service=gateway"],
        "expires_in": 30 * 86400,
    }
    assert authorization == f"token {deployment.secrets().operator_token}"
    plain = on(*arguments)
    assert plain.out == "t0k3n\n"
    assert "t0k3n" not in plain.err


def test_a_user_whom_the_hub_knows_already_is_no_problem(on: Command, hub: Hub) -> None:
    on("users", "add", "ada")
    hub.answers["/hub/api/users/ada"] = (409, {"message": "User ada already exists"})
    hub.answers["/hub/api/users/ada/tokens"] = (201, {"token": "t", "id": "a1"})
    assert on("tokens", "create", "--user", "ada").out == "t\n"


def test_what_the_hub_refuses_is_told(on: Command, hub: Hub) -> None:
    on("users", "add", "ada")
    hub.answers["/hub/api/users/ada/tokens"] = (400, {"message": "expires_in must not exceed 1"})
    answer = on("tokens", "create", "--user", "ada", "--expires-in", "9000w")
    assert answer.code == 1
    assert answer.err == "teamhub: the hub refused: expires_in must not exceed 1\n"


def test_no_token_for_nobody_and_none_without_a_hub(on: Command, deployment: Deployment) -> None:
    nobody = on("tokens", "create", "--user", "bob")
    assert nobody.code == 1
    assert nobody.err.startswith("teamhub: there is no user called 'bob'; `teamhub users add bob`")
    on("users", "add", "ada")
    away = on("tokens", "create", "--user", "ada", "--json")
    assert (away.code, away.out) == (4, "")
    assert f"no team server answers on {deployment.data_dir}" in away.err
    assert deployment.secrets().operator_token not in away.err
