"""What scripts of other members' notebook servers may do with the hub: nothing.

All notebook servers have the hub's own origin, and a member's server can answer whatever its
member likes. So a script that runs in a browser because somebody has opened `/user/NAME/…` can
send requests with that browser's cookies and read the answers, forms with their `_xsrf` included.
What it cannot do is lie about how a request came about, which browsers say in `Sec-Fetch-*`.
"""

from __future__ import annotations

import hmac
from functools import wraps
from typing import Any

from jupyterhub.handlers.base import BaseHandler
from tornado import web
from tornado.httputil import HTTPServerRequest

HEADERS = {"Cross-Origin-Opener-Policy": "noopener-allow-popups"}
"""Of every answer: whoever opens a page of ours in another window gets no hold of that window."""


def protect() -> None:
    """Have every handler of the hub's take a cookie for nothing where a script has sent it.

    A script of ours says so with the `_xsrf` of its page. Browsers say nothing without HTTPS,
    but to this machine: then all is as JupyterHub has it. A second call does nothing.
    """
    original = BaseHandler.get_current_user
    if getattr(original, "protected", False):
        return

    @wraps(original)
    async def get_current_user(handler: Any) -> Any:
        if hasattr(handler, "_jupyterhub_user"):
            return handler._jupyterhub_user
        user = await original(handler)
        if user is None or getattr(handler, "_token_authenticated", False):
            return user
        if is_page_view(handler.request) or _has_xsrf(handler):
            return user
        handler._jupyterhub_user = None
        return None

    get_current_user.protected = True  # type: ignore[attr-defined]
    BaseHandler.get_current_user = get_current_user


def is_page_view(request: HTTPServerRequest) -> bool:
    """Return whether a person goes to a page with a request, as far as the browser says it."""
    headers = request.headers
    mode = headers.get("Sec-Fetch-Mode", "navigate")
    return bool(mode == "navigate" and headers.get("Sec-Fetch-Dest", "document") == "document")


def _has_xsrf(handler: Any) -> bool:
    """Return whether a request has the `_xsrf` that our pages have for this user."""
    try:
        given = handler.get_query_argument("_xsrf", None)
    except web.HTTPError:
        return False
    given = given or handler.request.headers.get("X-XSRFToken", "")
    right: bytes = handler.xsrf_token
    # Made for somebody who has signed in; a page that is shown now may be for nobody.
    del handler._xsrf_token
    return hmac.compare_digest(given.encode("utf-8", "replace"), right)
