"""What the pages of somebody who is signed in have in common.

One page, one address: GET shows it, POST does what its `action` field names and shows it again.
Nobody gets in with a token, whatever it may do: these pages are for people and their browsers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from jupyterhub.handlers.base import BaseHandler
from jupyterhub.utils import get_browser_protocol, url_escape_path
from tornado import web
from tornado.httputil import HTTPServerRequest, url_concat

from teamhub.config import Config
from teamhub.errors import AccountError, NotFoundError, RefusedError, StoreError, TeamhubError
from teamhub.hub.pages.problems import DatabaseAway
from teamhub.hub.process import current
from teamhub.store import Store

_NOTICE = "teamhub-notice"
_NOTICE_DAYS = 1 / (24 * 60)

_STATUS_CODES = (
    (NotFoundError, 404),
    (AccountError, 400),
    (RefusedError, 409),
    (StoreError, 503),
)


class SignedInPage(BaseHandler):  # type: ignore[misc]
    """A page for whoever has signed in.

    A page says what it needs and does in these, and shows itself in `show`.
    """

    scopes: ClassVar[tuple[str, ...]] = ()
    """Which of the hub's scopes it takes, all of them, to see it or to do anything on it."""
    actions: ClassVar[Mapping[str, str]] = {}
    """What a form's `action` field may say, and the method that does it."""

    async def prepare(self) -> None:
        """Let nobody in who may not be here. JupyterHub itself has checked a form's `_xsrf`."""
        await super().prepare()
        if self.current_user is None:
            if self.request.method not in {"GET", "HEAD"}:
                raise web.HTTPError(403, "Sign in first.")
            self.redirect(url_concat(self.settings["login_url"], {"next": self.request.uri or "/"}))
            return
        if not all(self.has_scope(scope) for scope in self.scopes):
            raise web.HTTPError(403, "This page is for administrators.")

    async def get(self, *where: str) -> None:
        """Show the page."""
        try:
            await self.show(*where)
        except TeamhubError as error:
            raise self.as_http_error(error) from None

    async def post(self, *where: str) -> None:
        """Do what the form asks for. What is wrong with it is shown on the page."""
        method = self.actions.get(self.get_body_argument("action", ""))
        if method is None:
            raise web.HTTPError(400, "This form asks for something that the page cannot do.")
        try:
            await getattr(self, method)(*where)
        except TeamhubError as error:
            http_error = self.as_http_error(error)
            self.set_status(http_error.status_code)
            self.log.info("%s: %s refused: %s", self.name, self.request.uri, error)
            try:
                await self.show(*where, fault=sentence(str(error)))
            except TeamhubError:
                raise http_error from None

    async def show(self, *where: str, fault: str = "") -> None:
        """Write the page.

        Args:
            where: what its address names.
            fault: one sentence on why what was asked for has not been done.
        """
        raise NotImplementedError

    # For pages

    @property
    def name(self) -> str:
        """Who is signed in."""
        return str(self.current_user.name)

    @property
    def teamhub(self) -> Config:
        """The settings in force. (`config` is JupyterHub's.)"""
        return current().config

    async def store(self) -> Store:
        """Return the store. Raises StoreError where it cannot be used."""
        return await current().store()

    def field(self, name: str, *, strip: bool = True) -> str:
        """Return what a form says in a field, "" where it says nothing."""
        return str(self.get_body_argument(name, "", strip=strip))

    async def page(self, template: str, **values: Any) -> None:
        """Write a template, with what was to be said after the step before."""
        self.set_header("Cache-Control", "no-store")
        values.setdefault("notice", self._notice())
        self.finish(await self.render_template(template, **values))

    def go_to(self, path: str, notice: str = "") -> None:
        """Answer a form that has been done: look at that page of the hub's (GET), with a notice.

        Args:
            path: without the hub's own, such as "home"; quoted where needed.
            notice: a sentence that is shown there once.
        """
        if notice:
            self.set_signed_cookie(
                _NOTICE,
                json.dumps([self.name, notice]),
                expires_days=_NOTICE_DAYS,
                path=self.hub.base_url,
                httponly=True,
                samesite="Lax",
            )
        self.redirect(self.hub.base_url + path, status=303)

    def as_http_error(self, error: TeamhubError) -> web.HTTPError:
        """Return what is answered where an error has no page to be shown on."""
        status = next((code for kind, code in _STATUS_CODES if isinstance(error, kind)), 500)
        if isinstance(error, StoreError):
            return DatabaseAway(error)
        return web.HTTPError(status, sentence(str(error)))

    def _notice(self) -> str:
        value = self.get_signed_cookie(_NOTICE, max_age_days=_NOTICE_DAYS)
        if value is None:
            return ""
        self.clear_cookie(_NOTICE, path=self.hub.base_url)
        whose, notice = json.loads(value)
        return str(notice) if whose == self.name else ""


def sentence(message: str) -> str:
    """Return one of our errors' messages as a sentence of a page."""
    text = message[:1].upper() + message[1:]
    return text if text.endswith((".", "?", "!")) else f"{text}."


def public_url(request: HTTPServerRequest) -> str:
    """Return the address by which this browser knows us, also behind a server that adds TLS.

    For texts that its owner copies: whoever forges it fools nobody but themselves.
    """
    return f"{get_browser_protocol(request)}://{request.host}"


def in_path(name: str) -> str:
    """Return a name as it stands in an address."""
    return str(url_escape_path(name))
