"""The sign-in page's server side, with the step in which a one-time password is replaced.

A right one-time password signs nobody in. It is answered with a form for a new password that
carries a ticket: signed, valid for some minutes, and bound to the password that it replaces, so
that it works once. No cookie is set before the new password is in the store.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from jupyterhub import orm
from jupyterhub.handlers.login import LoginHandler
from jupyterhub.utils import new_token
from tornado import web
from tornado.httputil import url_concat

from teamhub.accounts import change_password, password_rules
from teamhub.errors import AccountError, RefusedError, StoreError
from teamhub.hub.process import current
from teamhub.hub.roles import assign
from teamhub.store.accounts import Account

TICKET_MINUTES = 10
_TICKET = "teamhub-new-password"


class NewPasswordNeeded(web.HTTPError):
    """The password was right and is a one-time password. Anywhere but on the form: a 403."""

    def __init__(self, account: Account) -> None:
        super().__init__(403, "This password works once: open the sign-in page to replace it.")
        self.account = account


class TooManyFailures(web.HTTPError):
    """Somebody has guessed too often and has to wait. JupyterHub sends `headers` along."""

    def __init__(self, wait_seconds: float) -> None:
        seconds = math.ceil(wait_seconds)
        super().__init__(429, f"Too many failed sign-ins. Try again in {seconds} s.")
        self.headers = {"Retry-After": str(seconds)}


class SignInHandler(LoginHandler):  # type: ignore[misc]
    """JupyterHub's own sign-in page, and the second form behind it."""

    async def post(self) -> None:
        """Sign somebody in, or ask for a new password, or take it."""
        if "ticket" in self.request.body_arguments:
            await self._take_new_password()
            return
        if not self.get_body_argument("username", "") or not self.get_body_argument(
            "password", "", strip=False
        ):
            raise web.HTTPError(400, "Enter your user name and your password.")
        try:
            await super().post()
        except NewPasswordNeeded as needed:
            await self._ask_new_password(needed.account)

    async def login_user(self, data: Mapping[str, Any] | None = None) -> Any:
        """Sign somebody in with the role that their account has now."""
        user = await super().login_user(data)
        if user is not None:
            account = await (await current().store()).accounts.get(user.name)
            assign(self.db, user.orm_user, admin=account is not None and account.admin)
        return user

    async def _ask_new_password(self, account: Account, fault: str = "") -> None:
        if fault:
            self.set_status(400)
        self.set_header("Cache-Control", "no-store")
        minimum_length = current().config.accounts.minimum_password_length
        page = await self.render_template(
            "new_password.html",
            username=account.name,
            fault=fault,
            minimum_length=minimum_length,
            rules=password_rules(minimum_length),
            ticket=self._ticket_for(account),
            form_url=url_concat(
                self.authenticator.login_url(self.hub.base_url),
                {"next": self.get_argument("next", "")},
            ),
        )
        self.finish(page)

    async def _take_new_password(self) -> None:
        password = self.get_body_argument("new_password", "", strip=False)
        again = self.get_body_argument("new_password_again", "", strip=False)
        try:
            account = await self._account_of_ticket()
            if password != again:
                await self._ask_new_password(account, "The two passwords are not the same.")
                return
            await change_password(
                await current().store(),
                account,
                password,
                minimum_length=current().config.accounts.minimum_password_length,
            )
        except AccountError as error:
            message = str(error)
            await self._ask_new_password(account, f"{message[:1].upper()}{message[1:]}.")
            return
        except RefusedError as error:
            raise web.HTTPError(403, str(error)) from None
        except StoreError as error:
            self.log.error("A new password could not be stored: %s", error)
            raise web.HTTPError(503, "The database is not there. Try again soon.") from None
        self.log.info("User %s has chosen a new password", account.name)
        self._end_sign_ins(account.name)
        user = await self.login_user({"username": account.name, "password": password})
        if user is None:
            raise web.HTTPError(403, "The new password is stored. Sign in with it.")
        self._jupyterhub_user = user
        self.redirect(self.get_next_url(user))

    def _end_sign_ins(self, name: str) -> None:
        """Void the cookies that browsers have so far: a reset may be because of one of them."""
        user = orm.User.find(self.db, name)
        if user is None:
            return
        user.cookie_id = new_token()
        for token in list(user.api_tokens):
            if token.session_id:  # a browser's, for a notebook server; not one that somebody made
                self.db.delete(token)
        self.db.commit()

    def _ticket_for(self, account: Account) -> str:
        bound = json.dumps([account.name, _fingerprint(account)])
        ticket: bytes = self.create_signed_value(_TICKET, bound)
        return ticket.decode()

    async def _account_of_ticket(self) -> Account:
        value = self.get_signed_cookie(
            _TICKET, self.get_body_argument("ticket"), max_age_days=TICKET_MINUTES / (24 * 60)
        )
        if value is not None:
            name, fingerprint = json.loads(value)
            account = await (await current().store()).accounts.get(name)
            if account is not None and _fingerprint(account) == fingerprint:
                return account
        raise web.HTTPError(403, "This page has expired. Sign in again.")


def _fingerprint(account: Account) -> str:
    return hashlib.sha256(account.password_hash.encode()).hexdigest()
