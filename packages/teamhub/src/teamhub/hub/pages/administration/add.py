"""Administration: members are added, one by one or from a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from teamhub.accounts import Listed, add_user, read_user_file
from teamhub.errors import AccountError, NotFoundError
from teamhub.hub.pages.administration.page import AdministrationPage
from teamhub.store import Store

FILE_BYTES = 256 * 1024
LONGEST_LIST = 500
"""How many one file may add: hashing their passwords takes a tenth of a second each."""


class AddMembersPage(AdministrationPage):
    """One member by name, or many from a user file. What is wrong adds nobody."""

    tab: ClassVar[str] = "add"
    actions: ClassVar[dict[str, str]] = {"add": "add", "import": "import_file"}

    async def show(self, *where: str, fault: str = "") -> None:
        """Write the page."""
        tried = self.field("action") if fault else ""
        await self.page(
            "administration_add.html",
            new_name=self.field("name")[:80] if tried == "add" else "",
            new_admin=tried == "add" and self.field("role") == "administrator",
            user_file=self.field("users")[:FILE_BYTES] if tried == "import" else "",
            tried=tried,
            fault=fault,
        )

    async def add(self) -> None:
        """Add one member."""
        admin = self.field("role") == "administrator"
        name = self.field("name")
        password = await add_user(await self.store(), name, admin=admin)
        name = name.lower()
        self.note_change("has added %s%s", name, ", an administrator" if admin else "")
        await self.show_passwords(f"{name} has been added", {name: password}, "administration/add")

    async def import_file(self) -> None:
        """Add everybody whom a user file names, or nobody."""
        listed = read_user_file(self._text())
        if not listed:
            raise AccountError("the list names nobody: write one name a line")
        if len(listed) > LONGEST_LIST:
            raise AccountError(
                f"the list names {len(listed)} people; add at most {LONGEST_LIST} at a time"
            )
        given = await _add_all(await self.store(), listed)
        for one in listed:
            self.note_change("has added %s%s", one.name, ", an administrator" if one.admin else "")
        count = len(listed)
        await self.show_passwords(
            f"{count} member{'' if count == 1 else 's'} added", given, "administration/add"
        )

    def _text(self) -> str:
        files = self.request.files.get("file") or []
        body = files[0]["body"] if files else b""
        if len(body) > FILE_BYTES:
            raise AccountError(f"the file has more than {FILE_BYTES // 1024} KiB")
        if not body:
            return self.field("users")
        try:
            # Editors on Windows begin a file with a mark.
            return str(body.decode("utf-8-sig"))
        except UnicodeDecodeError:
            raise AccountError("the file is not text in UTF-8") from None


async def _add_all(store: Store, listed: Sequence[Listed]) -> dict[str, str]:
    """Add them all and return their one-time passwords.

    Raises:
        AccountError: one of the names is taken; nobody has been added.
    """
    there = {account.name for account in await store.accounts.all()}
    taken = [one.name for one in listed if one.name in there]
    if taken:
        some = ", ".join(taken[:5]) + (", …" if len(taken) > 5 else "")
        raise AccountError(f"there are users of these names already: {some}; nobody was added")
    given: dict[str, str] = {}
    try:
        for one in listed:
            given[one.name] = await add_user(store, one.name, admin=one.admin)
    except BaseException:
        # Another administrator was quicker with one of the names, or the database went away.
        for name in given:
            try:
                await store.accounts.remove(name)
            except NotFoundError:
                continue
        raise
    return given
