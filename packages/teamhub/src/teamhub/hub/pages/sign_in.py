"""Signing in and out, with the step in which a one-time password is replaced.

A right one-time password signs nobody in. It is answered with a form for a new password that
carries a ticket: signed, valid for some minutes, and bound to the password that it replaces, so
that it works once. No cookie is set before the new password is in the store.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from jupyterhub import orm
from jupyterhub.handlers.login import LoginHandler, LogoutHandler
from jupyterhub.utils import new_token
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from tornado import web
from tornado.httputil import url_concat

from teamhub.accounts import change_password, password_rules
from teamhub.errors import AccountError, RefusedError, StoreError
from teamhub.hub.pages.problems import DatabaseAway
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


class NotApprovedYet(web.HTTPError):
    """The password was right, and nobody has approved the account. Elsewhere than here: a 403."""

    def __init__(self, account: Account) -> None:
        super().__init__(403, "This account waits for an administrator to approve it.")
        self.account = account


class SignInHandler(LoginHandler):  # type: ignore[misc]
    """The sign-in page, and the second form behind it."""

    async def post(self) -> None:
        """Sign somebody in, or ask for a new password, or take it."""
        if "ticket" in self.request.body_arguments:
            await self._take_new_password()
            return
        name = self.get_body_argument("username", "")
        password = self.get_body_argument("password", "", strip=False)
        if not name or not password:
            raise web.HTTPError(400, "Enter your user name and your password.")
        try:
            user = await self.login_user({"username": name, "password": password})
        except NewPasswordNeeded as needed:
            await self._ask_new_password(needed.account)
            return
        except NotApprovedYet as early:
            await self._say_waiting(early.account)
            return
        if user is None:
            self.set_status(403)
            self.finish(await self._render("Wrong user name or password.", name[:64]))
            return
        # So that the log says whose request it was.
        self._jupyterhub_user = user
        self.redirect(self.get_next_url(user))

    async def login_user(self, data: Mapping[str, Any] | None = None) -> Any:
        """Sign somebody in with the role that their account has now."""
        try:
            user = await super().login_user(data)
            if user is not None:
                account = await (await current().store()).accounts.get(user.name)
                assign(self.db, user.orm_user, admin=account is not None and account.admin)
        except SQLAlchemyError as error:
            self.db.rollback()
            raise DatabaseAway(error) from None
        except StoreError as error:
            raise DatabaseAway(error) from None
        return user

    def check_xsrf_cookie(self) -> None:
        """Refuse what was not sent from a page of ours, or from one that is too old."""
        try:
            super().check_xsrf_cookie()
        except web.HTTPError:
            raise web.HTTPError(403, "This page was open for too long. Try again.") from None

    def _render(
        self, login_error: str | None = None, username: str | None = None, **more: Any
    ) -> Any:
        return super()._render(
            login_error=login_error,
            username=username,
            sign_up_open=current().config.accounts.sign_up == "approval",
            **more,
        )

    async def _say_waiting(self, account: Account) -> None:
        self.set_status(403)
        self.set_header("Cache-Control", "no-store")
        self.finish(await self.render_template("waiting.html", account=account))

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
            raise DatabaseAway(error) from None
        self.log.info("User %s has chosen a new password", account.name)
        end_sign_ins(self.db, account.name)
        user = await self.login_user({"username": account.name, "password": password})
        if user is None:
            raise web.HTTPError(403, "The new password is stored. Sign in with it.")
        self._jupyterhub_user = user
        self.redirect(self.get_next_url(user))

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


class SignOutHandler(LogoutHandler):  # type: ignore[misc]
    """Signing out, with a page that says so."""

    async def render_logout_page(self) -> None:
        """Say what has ended, and what goes on."""
        self.set_header("Cache-Control", "no-store")
        self.finish(await self.render_template("logout.html"))


def end_sign_ins(session: Session, name: str) -> None:
    """Void the cookies that browsers have so far: a new password may be because of one of them.

    Tokens that somebody made stay good. A second time: whoever signed in meanwhile is signed out.

    Args:
        session: the hub's own.
        name: whose.
    """
    user = orm.User.find(session, name)
    if user is None:
        return
    user.cookie_id = new_token()
    for token in list(user.api_tokens):
        if token.session_id:  # a browser's, for a notebook server; not one that somebody made
            session.delete(token)
    session.commit()


def _fingerprint(account: Account) -> str:
    return hashlib.sha256(account.password_hash.encode()).hexdigest()
