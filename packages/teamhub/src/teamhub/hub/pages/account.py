"""The page of one's own account: who one is here, and a new password."""

from __future__ import annotations

from collections.abc import Mapping

from jupyterhub.handlers.base import BaseHandler
from jupyterhub.utils import url_path_join
from tornado import web
from tornado.httputil import url_concat

from teamhub.accounts import MAXIMUM_PASSWORD_LENGTH, change_password, password_rules
from teamhub.errors import AccountError, RefusedError, StoreError
from teamhub.hub.pages.problems import DatabaseAway, TooManyAttempts
from teamhub.hub.pages.sign_in import end_sign_ins
from teamhub.hub.process import current
from teamhub.store.accounts import Account


class AccountHandler(BaseHandler):  # type: ignore[misc]
    """One's own account, and nobody else's."""

    @web.authenticated
    async def get(self) -> None:
        """Show it."""
        await self._show(await self._account(), {})

    @web.authenticated
    async def post(self) -> None:
        """Change the password. Every other browser is signed out, this one is not."""
        account = await self._account()
        present = self.get_body_argument("current_password", "", strip=False)
        new = self.get_body_argument("new_password", "", strip=False)
        errors = await self._change(
            account, present, new, self.get_body_argument("new_password_again", "", strip=False)
        )
        if errors:
            await self._show(account, errors)
            return
        self.log.info("User %s has changed their password", account.name)
        user = self.current_user
        end_sign_ins(self.db, account.name)
        # This browser has a void cookie now; here is its new one.
        self.set_hub_cookie(user)
        page = url_path_join(self.hub.base_url, "account")
        self.redirect(url_concat(page, {"changed": "1"}), status=303)

    async def _change(
        self, account: Account, present: str, new: str, again: str
    ) -> Mapping[str, str]:
        """Change the password; return what is wrong, by field, and set the status for it."""
        self.set_status(400)
        if not present:
            return {"current_password": "Enter the password that you have now."}
        try:
            known = await self.authenticator.check_password(self.request, account.name, present)
        except TooManyAttempts as refused:
            self.set_status(429)
            for key, value in refused.headers.items():
                self.set_header(key, value)
            return {"current_password": str(refused.log_message)}
        if known is None:
            return {"current_password": "This is not the password that you have now."}
        if not new:
            return {"new_password": "Choose a new password."}
        if new != again:
            return {"new_password_again": "The two new passwords are not the same."}
        try:
            await change_password(
                await current().store(),
                known,
                new,
                minimum_length=current().config.accounts.minimum_password_length,
            )
        except (AccountError, RefusedError) as error:
            message = str(error)
            return {"new_password": f"{message[:1].upper()}{message[1:]}."}
        except StoreError as error:
            raise DatabaseAway(error) from None
        self.set_status(200)
        return {}

    async def _account(self) -> Account:
        try:
            account = await (await current().store()).accounts.get(self.current_user.name)
        except StoreError as error:
            raise DatabaseAway(error) from None
        if account is None:
            raise web.HTTPError(404)
        return account

    async def _show(self, account: Account, errors: Mapping[str, str]) -> None:
        self.set_header("Cache-Control", "no-store")
        self.finish(
            await self.render_template(
                "account.html",
                account=account,
                groups=sorted(group.name for group in self.current_user.orm_user.groups),
                errors=errors,
                changed=bool(self.get_query_argument("changed", "")) and not errors,
                rules=password_rules(current().config.accounts.minimum_password_length),
                maximum_length=MAXIMUM_PASSWORD_LENGTH,
            )
        )
