"""Administration: who waits for approval, and who is a member."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from jupyterhub import orm
from sqlalchemy.orm import selectinload
from tornado import web
from tornado.httputil import url_concat

from teamhub.accounts import account_name
from teamhub.hub.pages.administration.page import AdministrationPage
from teamhub.hub.pages.listing import in_utc
from teamhub.hub.pages.signed_in import SignedInPage
from teamhub.model import Kind, Workload
from teamhub.store.accounts import Account

PAGE_LENGTH = 50
"""How many members one page lists."""

SEARCH_LENGTH = 64


@dataclass(frozen=True)
class MemberRow:
    """A member, as the list has them."""

    name: str
    admin: bool
    one_time: bool
    groups: tuple[str, ...]
    servers: int
    kernels: int
    last_active: datetime | None


@dataclass(frozen=True)
class WaitingRow:
    """Somebody who has signed up."""

    name: str
    note: str
    since: datetime | None


class MembersPage(AdministrationPage):
    """Sign-ups that wait, and the list of members."""

    tab: ClassVar[str] = "members"
    actions: ClassVar[dict[str, str]] = {"approve": "approve", "decline": "decline"}

    async def show(self, *where: str, fault: str = "") -> None:
        """Write the page: all who wait, and one page of those members whom the search finds."""
        wanted = self.get_query_argument("q", "").strip().lower()[:SEARCH_LENGTH]
        store = await self.store()
        accounts = await store.accounts.all()
        waiting = [
            WaitingRow(one.name, one.note, in_utc(one.created_at))
            for one in sorted(accounts, key=lambda one: one.created_at)
            if one.waiting
        ]
        users = hub_users(self.db)
        members = [one for one in accounts if not one.waiting]
        found = [one for one in members if _matches(one, users.get(one.name), wanted)]
        pages = max(-(-len(found) // PAGE_LENGTH), 1)
        number = min(max(_number(self.get_query_argument("page", "1")), 1), pages)
        shown = found[(number - 1) * PAGE_LENGTH : number * PAGE_LENGTH]
        await self.page(
            "administration.html",
            waiting=waiting,
            left=sorted(set(users) - {one.name for one in accounts}),
            members=member_rows(shown, users, await store.workloads.living()),
            member_count=len(members),
            found_count=len(found),
            wanted=wanted,
            page_number=number,
            page_count=pages,
            page_url=lambda to: url_concat("", {"q": wanted, "page": str(to)}),
            sign_up=self.teamhub.accounts.sign_up,
            fault=fault,
        )

    async def approve(self) -> None:
        """Let somebody in who has signed up."""
        name = account_name(self.field("name"))
        await (await self.store()).accounts.approve(name)
        self.note_change("has approved the sign-up of %s", name)
        self.go_to("administration", f"{name} can sign in now. Tell them.")

    async def decline(self) -> None:
        """Forget a sign-up."""
        name = account_name(self.field("name"))
        await (await self.store()).accounts.remove(name, only_waiting=True)
        self.note_change("has declined the sign-up of %s", name)
        self.go_to("administration", f"The sign-up of {name} has been declined.")


class OldAdministrationPage(SignedInPage):
    """JupyterHub's own page for administrators: ours is in its place."""

    scopes: ClassVar[tuple[str, ...]] = AdministrationPage.scopes

    async def show(self, *where: str, fault: str = "") -> None:
        """Go on to ours."""
        self.go_to("administration")

    async def post(self, *where: str) -> None:
        """Nothing is done here."""
        raise web.HTTPError(405, "Nothing can be changed here.")


def hub_users(session: Any) -> Mapping[str, Any]:
    """Return the hub's users by name, with their groups, in two queries however many there are."""
    query = session.query(orm.User).options(selectinload(orm.User.groups))
    return {user.name: user for user in query}


def member_rows(
    accounts: Sequence[Account], users: Mapping[str, Any], living: Sequence[Workload]
) -> Sequence[MemberRow]:
    """Return members for a list.

    Args:
        accounts: theirs, in the order of the list.
        users: the hub's, by name; it has none of somebody who never signed in.
        living: what runs.
    """
    counts = Counter((one.owner, one.kind) for one in living)
    return [
        MemberRow(
            name=one.name,
            admin=one.admin,
            one_time=one.one_time,
            groups=group_names(users.get(one.name)),
            servers=counts[one.name, Kind.SERVER],
            kernels=counts[one.name, Kind.KERNEL],
            last_active=in_utc(getattr(users.get(one.name), "last_activity", None)),
        )
        for one in accounts
    ]


def group_names(user: Any) -> tuple[str, ...]:
    """Return the groups of one of the hub's users, none of None."""
    return () if user is None else tuple(sorted(group.name for group in user.groups))


def _matches(account: Account, user: Any, wanted: str) -> bool:
    if not wanted:
        return True
    role = "administrator" if account.admin else "member"
    names = (account.name, account.note.lower(), role, *map(str.lower, group_names(user)))
    return any(wanted in name for name in names)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 1
