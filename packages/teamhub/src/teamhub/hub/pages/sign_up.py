"""Asking for an account, and waiting until an administrator has approved it."""

from __future__ import annotations

from collections.abc import Mapping

from jupyterhub.handlers.base import BaseHandler
from jupyterhub.utils import url_path_join

from teamhub.accounts import (
    MAXIMUM_PASSWORD_LENGTH,
    NOTE_LENGTH,
    account_name,
    obey_rules,
    sign_up,
)
from teamhub.errors import AccountError, RefusedError, StoreError
from teamhub.hub.address import address_of, network_of
from teamhub.hub.pages.problems import DatabaseAway, TooManyAttempts
from teamhub.hub.process import current
from teamhub.hub.throttle import Allowance

SIGN_UPS = 20
REFILL_SECONDS = 30.0

_allowance = Allowance(SIGN_UPS, REFILL_SECONDS)


class SignUpHandler(BaseHandler):  # type: ignore[misc]
    """The page on which somebody asks for an account."""

    async def get(self) -> None:
        """Show the form, or say whom to ask."""
        if self.current_user:
            self.redirect(url_path_join(self.hub.base_url, "home"))
            return
        if not _is_open():
            self.set_status(403)
        await self._show({}, {})

    async def post(self) -> None:
        """Take what somebody filled in, or show it again with what is wrong with it."""
        if not _is_open():
            self.set_status(403)
            await self._show({}, {})
            return
        given = {
            "username": self.get_body_argument("username", "")[:200],
            "note": self.get_body_argument("note", ""),
        }
        password = self.get_body_argument("password", "", strip=False)
        again = self.get_body_argument("password_again", "", strip=False)
        errors = _errors(given, password, again)
        if errors:
            self.set_status(400)
            await self._show(given, errors)
            return
        try:
            await self._add(given, password)
        except TooManyAttempts as refused:
            self.set_status(429)
            for key, value in refused.headers.items():
                self.set_header(key, value)
            await self._show(given, {"": str(refused.log_message)})
        except RefusedError as error:
            self.set_status(429)
            await self._show(given, {"": _sentence(error)})
        except AccountError:
            # All else has been checked: somebody has the name already.
            self.set_status(409)
            await self._show(given, {"username": "This name is taken. Choose another."})
        else:
            self.redirect(url_path_join(self.hub.base_url, "waiting"), status=303)

    async def _add(self, given: Mapping[str, str], password: str) -> None:
        address = address_of(self.request)
        wait_seconds = _allowance.attempt(network_of(address))
        if wait_seconds:
            raise TooManyAttempts("sign-ups from where you are", wait_seconds)
        settings = current().config.accounts
        try:
            account = await sign_up(
                await current().store(),
                given["username"],
                password,
                note=given["note"],
                minimum_length=settings.minimum_password_length,
                waiting_limit=settings.waiting_sign_ups,
            )
        except StoreError as error:
            _allowance.withdraw(network_of(address))
            raise DatabaseAway(error) from None
        self.log.info("%s has asked for an account, from %s", account.name, address)

    async def _show(self, given: Mapping[str, str], errors: Mapping[str, str]) -> None:
        self.set_header("Cache-Control", "no-store")
        self.finish(
            await self.render_template(
                "sign_up.html",
                open=_is_open(),
                given=given,
                errors=errors,
                minimum_length=current().config.accounts.minimum_password_length,
                maximum_length=MAXIMUM_PASSWORD_LENGTH,
                note_length=NOTE_LENGTH,
            )
        )


class WaitingHandler(BaseHandler):  # type: ignore[misc]
    """Where somebody comes who has asked for an account; it says nothing of anybody."""

    async def get(self) -> None:
        """Say what happens now."""
        self.finish(await self.render_template("waiting.html", account=None))


def _is_open() -> bool:
    return current().config.accounts.sign_up == "approval"


def _errors(given: Mapping[str, str], password: str, again: str) -> dict[str, str]:
    """Return what is wrong, by field."""
    faults = {
        "username": _name_fault(given["username"]),
        "note": _note_fault(given["note"]),
        "password": _password_fault(given["username"], password),
    }
    if not faults["password"] and password != again:
        faults["password_again"] = "The two passwords are not the same."  # noqa: S105
    return {field: fault for field, fault in faults.items() if fault}


def _name_fault(name: str) -> str:
    if not name:
        return "Choose a user name."
    try:
        account_name(name)
    except AccountError as error:
        return _sentence(error)
    return ""


def _note_fault(note: str) -> str:
    if len(note) > NOTE_LENGTH or not note.isprintable():
        return f"Write one line of at most {NOTE_LENGTH} characters."
    return ""


def _password_fault(name: str, password: str) -> str:
    if not password:
        return "Choose a password."
    minimum_length = current().config.accounts.minimum_password_length
    try:
        obey_rules(name.strip().lower(), password, minimum_length)
    except AccountError as error:
        return _sentence(error)
    return ""


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
