"""Sign-in with the accounts of the store: exactly those who have one get in.

Why not an authenticator from elsewhere: docs/decisions/0004.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from jupyterhub.auth import Authenticator
from tornado.httputil import HTTPServerRequest
from traitlets import default

from teamhub.accounts import NAME_PATTERN, check
from teamhub.errors import StoreError
from teamhub.hub.address import address_of, network_of
from teamhub.hub.pages.addresses import Page, pages
from teamhub.hub.pages.problems import DatabaseAway, TooManyAttempts
from teamhub.hub.pages.sign_in import NewPasswordNeeded, NotApprovedYet
from teamhub.hub.process import current
from teamhub.hub.roles import assign
from teamhub.hub.throttle import SignInThrottle
from teamhub.store.accounts import Account


class AccountAuthenticator(Authenticator):  # type: ignore[misc]
    """JupyterHub's side of teamhub's accounts."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.throttle = SignInThrottle()

    @default("any_allow_config")
    def _any_allow_config(self) -> bool:
        """Having an account is the allow list."""
        return True

    def get_handlers(self, app: object) -> list[Page]:
        """Return all pages of ours; JupyterHub puts its own behind them."""
        return pages()

    def validate_username(self, username: str) -> bool:
        """Return whether it can be an account's name."""
        return bool(super().validate_username(username)) and bool(
            re.fullmatch(NAME_PATTERN, username)
        )

    async def check_allowed(
        self, username: str, authentication: Mapping[str, Any] | None = None
    ) -> bool:
        """Return whether there is an account."""
        account = await (await current().store()).accounts.get(username)
        return account is not None and not account.waiting

    async def authenticate(self, handler: Any, data: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return who it is, None for a wrong name or password.

        `data` is a form's, or the JSON that the hub's API was given in place of a token.

        Raises:
            NotApprovedYet: the password was right, and nobody has approved the account.
            NewPasswordNeeded: the password was right, and has to be replaced first.
            TooManyAttempts: the next attempt has to wait.
            DatabaseAway: a 503.
        """
        name, password = (data or {}).get("username"), (data or {}).get("password")
        if not isinstance(name, str) or not isinstance(password, str):
            return None
        account = await self.check_password(handler.request, name, password)
        if account is None:
            return None
        # Only after the password: whoever does not know it learns nothing of an account.
        if account.waiting:
            raise NotApprovedYet(account)
        if account.one_time:
            raise NewPasswordNeeded(account)
        return _model(account)

    async def check_password(
        self, request: HTTPServerRequest, name: str, password: str
    ) -> Account | None:
        """Return the account whose password this is, None for a wrong name or password.

        Args:
            request: what asks, for its address.

        Raises:
            TooManyAttempts: the next attempt has to wait.
            DatabaseAway: a 503.
        """
        address = address_of(request)
        attempt = (name.strip().lower()[:64], network_of(address))
        wait_seconds = self.throttle.attempt(*attempt)
        if wait_seconds:
            raise TooManyAttempts("failed attempts", wait_seconds)
        try:
            store = await current().store()
            account = await check(store, name, password)
            known = await store.accounts.get(attempt[0]) if account is None else account
        except StoreError as error:
            self.throttle.withdraw(*attempt)
            raise DatabaseAway(error) from None
        if account is None:
            # Not the name as it was typed: it may be a password.
            what = f"a wrong password for {known.name}" if known else "there is no such account"
            self.log.warning("Sign-in refused, from %s: %s", address, what)
            return None
        self.throttle.succeeded(*attempt)
        return account

    async def refresh_user(self, user: Any, handler: Any = None) -> bool | dict[str, Any]:
        """Return what is true of a signed-in user now; False: they have to sign in again.

        They have to when the account is gone, or its password has been reset.
        """
        try:
            account = await (await current().store()).accounts.get(user.name)
        except StoreError as error:
            self.log.warning("%s stays signed in: %s", user.name, error)
            return True
        if account is None or account.one_time or account.waiting:
            return False
        if handler is not None:
            assign(handler.db, user.orm_user, admin=account.admin)
        return _model(account)


def _model(account: Account) -> dict[str, Any]:
    # Nobody has JupyterHub's own `admin`: see roles.
    return {"name": account.name, "admin": False}
