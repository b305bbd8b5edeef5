"""A browser that signs in for the first time, and posts forms by their address."""

from __future__ import annotations

import re

from hub_standins import Browser
from teamhub import accounts
from teamhub.store import Store

PASSWORD = "a password of mine"


class SignedIn(Browser):
    """A browser of somebody who has an account."""

    xsrf = ""
    name = ""

    async def first_sign_in(self, store: Store, name: str, *, admin: bool = False) -> None:
        """Add an account and sign in with it."""
        self.name = name
        given = await accounts.add_user(store, name, admin=admin)
        await self.sign_in(name, given)
        await self.submit(new_password=PASSWORD, new_password_again=PASSWORD)
        assert self.path == "/hub/home", self.text
        self.xsrf = self.hidden("_xsrf")

    async def post(self, path: str, **fields: str) -> None:
        """Send a form as a page would, with the token of this browser's pages."""
        fields = {"_xsrf": self.xsrf} | fields
        async with self._session.post(self.url + path, data=fields) as answer:
            await self._keep(answer)

    async def call(self, method: str, path: str, **body: object) -> int:
        """Call the hub's API as a page's JavaScript would; return the status."""
        headers = {"X-XSRFToken": self.xsrf, "Referer": f"{self.url}/hub/home"}
        url = f"{self.url}/hub/api/{path}"
        async with self._session.request(method, url, json=body, headers=headers) as answer:
            await self._keep(answer)
        return self.status

    @property
    def alert(self) -> str:
        """What a page says is wrong, as text; "" where nothing is."""
        found = re.search(r'role="alert">(.*?)</div>', self.text, re.S)
        return re.sub(r"<[^>]*>", "", found[1]).strip() if found else ""
