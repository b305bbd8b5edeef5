"""A browser without a screen: forms of our pages, filled in and sent as a person would."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

import aiohttp

from teamhub.asking import Asking

_ANSWER_SECONDS = 30


@dataclass
class Form:
    """One form of a page: where it goes, its hidden fields, and the names of all."""

    action: str
    hidden: dict[str, str] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Page:
    """What was answered."""

    url: str
    status: int
    text: str
    location: str

    def form(self, name: str) -> Form | None:
        """Return the form that has a field of that name, None where there is none."""
        parser = _Forms()
        parser.feed(self.text)
        return next((form for form in parser.forms if name in form.names), None)


class Browser(Asking):
    """Keeps cookies, as a browser does. Used as `async with`. Never through a web proxy.

    Every call raises aiohttp.ClientError, OSError or TimeoutError where nobody answers.
    """

    def __init__(self, url: str) -> None:
        # The address may be a number, for which a jar keeps nothing by itself.
        super().__init__(_ANSWER_SECONDS, cookie_jar=aiohttp.CookieJar(unsafe=True))
        self._url = url

    async def get(self, path: str) -> Page:
        """Open a page; a redirection is not followed."""
        return await self._ask("GET", urljoin(self._url, path), None)

    async def send(self, page: Page, form: Form, fields: Mapping[str, str]) -> Page:
        """Send a form with these fields and its hidden ones; a redirection is not followed."""
        return await self._ask("POST", urljoin(page.url, form.action), {**form.hidden, **fields})

    async def _ask(self, method: str, url: str, data: Mapping[str, str] | None) -> Page:
        async with self._session.request(
            method, url, data=data, allow_redirects=False, headers={"Referer": url}
        ) as response:
            text = await response.text(errors="replace")
            location = response.headers.get("Location", "")
            return Page(str(response.url), response.status, text, location)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._open: Form | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._open = Form(named.get("action", ""))
            self.forms.append(self._open)
        elif tag == "input" and self._open is not None and named.get("name"):
            self._open.names.add(named["name"])
            if named.get("type") == "hidden":
                self._open.hidden[named["name"]] = named.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None
