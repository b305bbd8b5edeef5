"""Administration of groups: the hub's own."""

from __future__ import annotations

from typing import Any, ClassVar

from jupyterhub import orm
from sqlalchemy.orm import selectinload

from teamhub.accounts import account_name, group_name
from teamhub.errors import NotFoundError, RefusedError
from teamhub.hub.pages.administration.page import AdministrationPage


class GroupsPage(AdministrationPage):
    """All groups, with their members."""

    tab: ClassVar[str] = "groups"
    actions: ClassVar[dict[str, str]] = {
        "create": "create",
        "delete": "delete_group",
        "add": "add",
        "remove": "remove",
    }

    async def show(self, *where: str, fault: str = "") -> None:
        """Write the page."""
        query = self.db.query(orm.Group).options(selectinload(orm.Group.users))
        accounts = await (await self.store()).accounts.all()
        await self.page(
            "administration_groups.html",
            groups=[
                (group.name, sorted(user.name for user in group.users))
                for group in query.order_by(orm.Group.name)
            ],
            people=[one.name for one in accounts if not one.waiting],
            new_group=self.field("group")[:80]
            if fault and self.field("action") == "create"
            else "",
            fault=fault,
        )

    async def create(self) -> None:
        """Make a group."""
        name = group_name(self.field("group"))
        if orm.Group.find(self.db, name) is not None:
            raise RefusedError(f"there is a group called {name!r} already")
        self.db.add(orm.Group(name=name))
        self.db.commit()
        self.note_change("has made the group %r", name)
        self.go_to("administration/groups", f"The group {name} is there.")

    async def delete_group(self) -> None:
        """Delete a group; its members stay members."""
        group = find_group(self.db, self.field("group"))
        name = group.name
        self.db.delete(group)
        self.db.commit()
        self.note_change("has deleted the group %r", name)
        self.go_to("administration/groups", f"The group {name} has been deleted.")

    async def add(self) -> None:
        """Put a member into a group."""
        group = find_group(self.db, self.field("group"))
        name = account_name(self.field("name"))
        account = await (await self.store()).accounts.get(name)
        if account is None or account.waiting:
            raise NotFoundError(f"there is no member called {name!r}")
        user = self.user_from_username(name)
        if user.orm_user not in group.users:
            group.users.append(user.orm_user)
            self.db.commit()
        self.note_change("has put %s into the group %r", name, group.name)
        self.go_to("administration/groups", f"{name} is in the group {group.name} now.")

    async def remove(self) -> None:
        """Take somebody out of a group."""
        group = find_group(self.db, self.field("group"))
        name = account_name(self.field("name"))
        user = orm.User.find(self.db, name)
        if user is None or user not in group.users:
            raise RefusedError(f"{name} is not in the group {group.name}")
        group.users.remove(user)
        self.db.commit()
        self.note_change("has taken %s out of the group %r", name, group.name)
        self.go_to("administration/groups", f"{name} is not in the group {group.name} any more.")


def find_group(session: Any, name: str) -> Any:
    """Return one of the hub's groups, whatever its name is. Raises NotFoundError."""
    group = orm.Group.find(session, name)
    if group is None:
        raise NotFoundError(f"there is no group called {name[:64]!r}")
    return group
