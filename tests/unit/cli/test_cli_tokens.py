"""`tokens`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from cli_rig import Answer, Hub
from teamhub.deployment import Deployment
from teamhub.store import Store

Command = Callable[..., Answer]


def token(token_id: str, user: str, note: str = "laptop", **more: Any) -> dict[str, Any]:
    """A token as the hub lists it."""
    return {
        "id": token_id,
        "user": user,
        "note": note,
        "scopes": ["access:services!service=gateway"],
        "created": "2026-01-02T03:04:05.678901Z",
        "last_activity": None,
        "expires_at": "2027-01-02T03:04:05.678901Z",
        "session_id": None,
        "oauth_client": "JupyterHub",
        **more,
    }


@pytest.fixture
def two_users(on: Command, hub: Hub) -> None:
    for name in ("ada", "bob"):
        on("users", "add", name)
    hub.asked.clear()
    hub.knows({"name": "ada"}, {"name": "bob"})
    hub.has_tokens("ada", token("a1", "ada"), token("a2", "ada", "Server at /user/ada/"))
    hub.has_tokens("bob", token("a3", "bob", "evil \x1b[2J\u202e"))


def revocations(deployment: Deployment) -> int:
    async def count() -> int:
        store = Store.of(deployment)
        await store.open(listen=False)
        try:
            return await store.revocations.count()
        finally:
            await store.close()

    return asyncio.run(count())


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


@pytest.mark.usefixtures("two_users")
def test_list(on: Command) -> None:
    everyone = on("tokens", "list", "--json").json
    assert [(one["id"], one["user"], one["kind"]) for one in everyone] == [
        ("a1", "ada", "personal"),
        ("a2", "ada", "server"),
        ("a3", "bob", "personal"),
    ]
    assert everyone[0]["created_at"] == "2026-01-02T03:04:05.678901+00:00"
    assert everyone[0]["last_used_at"] is None
    assert [one["id"] for one in on("tokens", "list", "--user", "BOB", "--json").json] == ["a3"]
    table = on("tokens", "list")
    assert table.out.splitlines()[0].split()[:4] == ["ID", "USER", "KIND", "MADE"]
    assert "evil \\x1b[2J\\u202e" in table.out
    assert "\x1b" not in table.out


@pytest.mark.usefixtures("two_users")
def test_list_of_one_without_tokens_and_of_nobody(on: Command, hub: Hub) -> None:
    hub.has_tokens("ada")
    answer = on("tokens", "list", "--user", "ada")
    assert (answer.code, answer.out, answer.err) == (0, "", "teamhub: ada has no tokens\n")
    on("users", "add", "carol")  # whom the hub does not know yet
    assert on("tokens", "list", "--user", "carol", "--json").json == []
    nobody = on("tokens", "list", "--user", "eve")
    assert nobody.code == 1
    assert "there is no user called 'eve'" in nobody.err


@pytest.mark.usefixtures("two_users")
def test_revoke_tells_the_gateway(on: Command, hub: Hub, deployment: Deployment) -> None:
    answer = on("tokens", "revoke", "A3", "a1", "a3", "--json")
    assert answer.code == 0, answer.err
    assert [one["id"] for one in answer.json] == ["a3", "a1"]
    assert [path for path, _, _ in hub.asked] == [
        "DELETE /hub/api/users/bob/tokens/a3",
        "DELETE /hub/api/users/ada/tokens/a1",
    ]
    assert revocations(deployment) == 1
    words = on("tokens", "revoke", "a3")
    assert words.err == "teamhub: token a3 of bob (evil \\x1b[2J\\u202e) is revoked\n"


@pytest.mark.usefixtures("two_users")
def test_revoke_all_of_one_user(on: Command, hub: Hub, deployment: Deployment) -> None:
    answer = on("tokens", "revoke", "--user", "ada", "--all")
    assert answer.code == 0
    assert "2 tokens of ada revoked" in answer.err
    assert "has to be started again" in answer.err
    assert {path for path, _, _ in hub.asked} == {
        "DELETE /hub/api/users/ada/tokens/a1",
        "DELETE /hub/api/users/ada/tokens/a2",
    }
    assert revocations(deployment) == 1


@pytest.mark.usefixtures("two_users")
@pytest.mark.parametrize(
    "arguments",
    [
        ("a1", "a9"),
        ("a1", ""),
        ("../a1",),
        ("\x1b[31m",),
        ("x" * 10_000,),
        ("--user", "bob", "a1"),
        ("--user", "../ada", "--all"),
        ("--user", "nobody", "--all"),
    ],
    ids=lambda arguments: " ".join(arguments)[:30],
)
def test_revoking_what_there_is_not_changes_nothing(
    on: Command, hub: Hub, deployment: Deployment, arguments: tuple[str, ...]
) -> None:
    answer = on("tokens", "revoke", *arguments)
    assert answer.code == 1
    assert answer.err.count("\n") == 1
    assert len(answer.err) < 400
    assert answer.err.rstrip("\n").isprintable()
    assert hub.asked == []
    assert revocations(deployment) == 0


@pytest.mark.usefixtures("two_users")
def test_the_gateway_is_told_also_of_a_part(on: Command, hub: Hub, deployment: Deployment) -> None:
    hub.answers["DELETE /hub/api/users/bob/tokens/a3"] = (500, {"message": "broken"})
    answer = on("tokens", "revoke", "a1", "a3")
    assert answer.code == 1
    assert "the hub could not do it (500: broken)" in answer.err
    assert revocations(deployment) == 1
