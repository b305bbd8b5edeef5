"""Administration of one member: role, groups, password, what runs of theirs, and their removal."""

from __future__ import annotations

from typing import ClassVar

from jupyterhub import orm

from teamhub.accounts import account_name, reset_password
from teamhub.errors import AccountError, NotFoundError, RefusedError
from teamhub.hub.pages.administration.groups import find_group
from teamhub.hub.pages.administration.members import group_names
from teamhub.hub.pages.administration.page import AdministrationPage
from teamhub.hub.pages.administration.running import running_rows, stop_kernel, stop_server
from teamhub.hub.pages.listing import in_utc
from teamhub.hub.pages.sign_in import end_sign_ins
from teamhub.hub.pages.signed_in import in_path
from teamhub.hub.pages.tokens import is_personal
from teamhub.hub.removals import Removals, is_left
from teamhub.hub.roles import assign
from teamhub.removal import Home
from teamhub.store.accounts import Account

_ROLES = {"administrator": True, "member": False}


class MemberPage(AdministrationPage):
    """One member."""

    tab: ClassVar[str] = "members"
    actions: ClassVar[dict[str, str]] = {
        "role": "set_role",
        "reset-password": "reset_password",
        "join-group": "join_group",
        "leave-group": "leave_group",
        "stop-server": "stop_server",
        "stop-kernel": "stop_kernel",
        "remove": "remove",
    }

    async def show(self, *where: str, fault: str = "") -> None:
        """Write the page. Of somebody who is gone: what became of their removal."""
        name = account_name(where[0])
        store = await self.store()
        account = await store.accounts.get(name)
        removal = Removals.of(self.settings).get(name)
        if account is not None and account.waiting:
            account = None
        elif account is not None and removal is not None and removal.state == "done":
            removal = None  # of somebody who had the name before
        left = account is None and is_left(self.db, self.teamhub, name)
        if account is None and removal is None and not left:
            raise NotFoundError(f"there is no member called {name!r}")
        user = orm.User.find(self.db, name)
        groups = group_names(user)
        others = [
            group.name
            for group in self.db.query(orm.Group).order_by(orm.Group.name)
            if group.name not in groups
        ]
        servers, kernels = running_rows(self.teamhub, await store.workloads.living(owner=name))
        await self.page(
            "administration_member.html",
            member=account,
            member_name=name,
            removal=removal,
            left=left,
            joined=in_utc(account.created_at) if account is not None else None,
            last_active=in_utc(user.last_activity) if user is not None else None,
            groups=groups,
            other_groups=[(name, name) for name in others],
            servers=servers,
            kernels=kernels,
            token_count=_personal_token_count(user),
            home=str(self.teamhub.home_of(name)),
            is_self=name == self.name,
            chosen_home=(self.field("home") if fault else "") or Home.ARCHIVE.value,
            fault=fault,
        )

    async def set_role(self, whom: str) -> None:
        """Make a member an administrator, or an administrator a member."""
        account = await self._member(whom)
        role = self.field("role")
        if role not in _ROLES:
            raise AccountError("the role should be administrator or member")
        admin = _ROLES[role]
        await (await self.store()).accounts.set_admin(account.name, admin)
        user = orm.User.find(self.db, account.name)
        if user is not None:
            assign(self.db, user, admin=admin)
        self.note_change("has made %s %s", account.name, f"an {role}" if admin else f"a {role}")
        words = "an administrator" if admin else "a member"
        if account.name == self.name and not admin:
            self.go_to("home", "You are a member now, no administrator any more.")
            return
        self._back(account.name, f"{account.name} is {words} now.")

    async def reset_password(self, whom: str) -> None:
        """Give a member a one-time password, shown once, and end their sign-ins."""
        account = await self._member(whom)
        password = await reset_password(await self.store(), account.name)
        self.note_change("has reset the password of %s", account.name)
        if account.name != self.name:
            end_sign_ins(self.db, account.name)
        await self.show_passwords(
            f"New one-time password of {account.name}",
            {account.name: password},
            f"administration/members/{in_path(account.name)}",
        )

    async def join_group(self, whom: str) -> None:
        """Put a member into a group."""
        account = await self._member(whom)
        group = find_group(self.db, self.field("group"))
        user = self.user_from_username(account.name)
        if user.orm_user not in group.users:
            group.users.append(user.orm_user)
            self.db.commit()
        self.note_change("has put %s into the group %r", account.name, group.name)
        self._back(account.name, f"{account.name} is in the group {group.name} now.")

    async def leave_group(self, whom: str) -> None:
        """Take a member out of a group."""
        account = await self._member(whom)
        group = find_group(self.db, self.field("group"))
        user = orm.User.find(self.db, account.name)
        if user is None or user not in group.users:
            raise RefusedError(f"{account.name} is not in the group {group.name}")
        group.users.remove(user)
        self.db.commit()
        self.note_change("has taken %s out of the group %r", account.name, group.name)
        self._back(account.name, f"{account.name} is not in the group {group.name} any more.")

    async def stop_server(self, whom: str) -> None:
        """Stop one of a member's notebook servers."""
        account = await self._member(whom)
        name = self.field("name")
        await stop_server(self, await self.store(), account.name, name)
        self.note_change("has stopped %s's notebook server %r", account.name, name)
        self._back(account.name, f"The notebook server of {account.name} is being stopped.")

    async def stop_kernel(self, whom: str) -> None:
        """Stop one of a member's kernels."""
        account = await self._member(whom)
        workload = await stop_kernel(await self.store(), self.field("kernel"), owner=account.name)
        self.note_change("has stopped %s's kernel %s", account.name, workload.id)
        self._back(account.name, f"The kernel of {account.name} is being stopped.")

    async def remove(self, whom: str) -> None:
        """Begin to remove a member; the page shows how it goes on."""
        name = account_name(whom)
        if self.field("confirm") != name:
            raise AccountError(f"type the name {name} to confirm; nothing has been removed")
        try:
            home = Home(self.field("home"))
        except ValueError:
            raise AccountError("choose what is to become of the home") from None
        await Removals.of(self.settings).begin(name, home, self.name)
        self.note_change("removes %s, home: %s", name, home.value)
        self._back(name, f"{name} is being removed.")

    async def _member(self, whom: str) -> Account:
        name = account_name(whom)
        account = await (await self.store()).accounts.get(name)
        if account is None or account.waiting:
            raise NotFoundError(f"there is no member called {name!r}")
        return account

    def _back(self, name: str, notice: str) -> None:
        self.go_to(f"administration/members/{in_path(name)}", notice)


def _personal_token_count(user: orm.User | None) -> int:
    return 0 if user is None else sum(map(is_personal, user.api_tokens))
