"""What all pages of the administration share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from teamhub.hub.pages.signed_in import SignedInPage, public_url
from teamhub.hub.removals import Removals


class AdministrationPage(SignedInPage):
    """What all pages of the administration share: who gets in, and their common surroundings."""

    scopes: ClassVar[tuple[str, ...]] = ("admin-ui", "admin:users", "admin:groups", "admin:servers")
    tab: ClassVar[str] = ""

    async def page(self, template: str, **values: Any) -> None:
        """Write a template of the administration."""
        await super().page(
            template, tab=self.tab, removals=Removals.of(self.settings).all(), **values
        )

    def note_change(self, what: str, *words: object) -> None:
        """Leave one line in the hub's log: who has changed what of whom."""
        self.log.info("Administrator %s " + what, self.name, *words)

    async def show_passwords(self, title: str, given: Mapping[str, str], back: str) -> None:
        """Show one-time passwords, which nobody can see again.

        Args:
            title: what has been done.
            given: names to passwords.
            back: the page to go on with, without the hub's own path.
        """
        await self.page(
            "administration_passwords.html",
            title=title,
            given=given,
            back=self.hub.base_url + back,
            sign_in_url=f"{public_url(self.request)}{self.base_url}",
        )
