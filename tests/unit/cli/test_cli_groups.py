"""`groups`."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cli_rig import Answer, Hub
from teamhub.deployment import Deployment

Command = Callable[..., Answer]

STAFF = {"name": "staff", "users": ["bob", "ada"]}
EVIL = {"name": "evil \x1b[2J", "users": []}


@pytest.fixture
def two_users(on: Command, hub: Hub) -> None:
    for name in ("ada", "bob", "carol"):
        on("users", "add", name)
    hub.asked.clear()
    hub.knows(groups=(STAFF, EVIL))


@pytest.mark.usefixtures("two_users")
def test_list(on: Command) -> None:
    assert on("groups", "list", "--json").json == [
        {"name": "evil \x1b[2J", "members": []},
        {"name": "staff", "members": ["ada", "bob"]},
    ]
    table = on("groups", "list").out
    assert "ada, bob" in table
    assert "evil \\x1b[2J" in table
    assert "\x1b" not in table


def test_list_of_none(on: Command, hub: Hub) -> None:
    hub.knows()
    assert on("groups", "list", "--json").json == []
    answer = on("groups", "list")
    assert (answer.code, answer.out) == (0, "")
    assert answer.err.startswith("teamhub: there are no groups")


@pytest.mark.usefixtures("two_users")
def test_create_and_delete(on: Command, hub: Hub) -> None:
    answer = on("groups", "create", "Bio")
    assert answer.code == 0
    assert "this one is 'bio'" in answer.err
    assert on("groups", "create", "bio.2", "--json").json == {"name": "bio.2", "members": []}
    there = on("groups", "create", "staff")
    assert there.code == 1
    assert there.err == "teamhub: there is a group called 'staff' already\n"
    assert on("groups", "delete", "staff", "--json").json["members"] == ["ada", "bob"]
    assert [path for path, _, _ in hub.asked] == [
        "/hub/api/groups/bio",
        "/hub/api/groups/bio.2",
        "DELETE /hub/api/groups/staff",
    ]


@pytest.mark.usefixtures("two_users")
def test_add_makes_them_known_first(on: Command, hub: Hub) -> None:
    hub.answers["/hub/api/users/ada"] = (409, {"message": "User ada already exists"})
    assert on("groups", "add", "staff", "Ada", "carol", "ada").code == 0
    assert [(path, body) for path, body, _ in hub.asked] == [
        ("/hub/api/users/ada", None),
        ("/hub/api/users/carol", None),
        ("/hub/api/groups/staff/users", {"users": ["ada", "carol"]}),
    ]


@pytest.mark.usefixtures("two_users")
def test_remove(on: Command, hub: Hub) -> None:
    assert on("groups", "remove", "staff", "bob", "ADA").code == 0
    ((path, body, _),) = hub.asked
    assert (path, body) == ("DELETE /hub/api/groups/staff/users", {"users": ["bob", "ada"]})


@pytest.mark.usefixtures("two_users")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "staff", "carol", "nobody"), "there is no user called 'nobody'"),
        (("add", "nothing", "carol"), "there is no group called 'nothing'"),
        (("remove", "staff", "ada", "carol"), "'carol' is not in the group staff"),
        (("remove", "nothing", "ada"), "there is no group called 'nothing'"),
        (("delete", "STAFF"), "there is no group called 'STAFF'"),
        (("delete", "nothing"), "there is no group called 'nothing'"),
    ],
)
def test_what_there_is_not_changes_nothing(
    on: Command, hub: Hub, arguments: tuple[str, ...], said: str
) -> None:
    answer = on("groups", *arguments)
    assert answer.code == 1
    assert said in answer.err
    assert answer.err.count("\n") == 1
    assert hub.asked == []


def test_without_a_hub(on: Command, deployment: Deployment) -> None:
    on("users", "add", "ada")
    for arguments in (("list",), ("create", "a"), ("delete", "a"), ("add", "a", "ada")):
        answer = on("groups", *arguments)
        assert (answer.code, answer.out) == (4, "")
        assert f"no team server answers on {deployment.data_dir}" in answer.err
        assert answer.err.count("\n") == 1
