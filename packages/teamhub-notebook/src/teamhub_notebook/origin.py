"""What scripts of other members' notebook servers may do with this one: nothing.

All of them have one origin. A browser's cookie for this server is good for going to its pages and
for what they load; whatever a script asks for takes the token that the page was given.
"""

from __future__ import annotations

from typing import Any

from jupyterhub.services.auth import HubOAuth
from jupyterhub.singleuser.extension import JupyterHubIdentityProvider
from traitlets import default


class Cookies(HubOAuth):  # type: ignore[misc]  # the library ships no types
    """Sign-in with the hub, whose cookie a script cannot use without the page's own `_xsrf`.

    JupyterHub lets `fetch(…, {mode: "no-cors"})` pass as if it were a picture's, and websockets;
    within one origin a script can read what comes of them.
    """

    def _get_token_url(self, handler: Any) -> str:
        if _is_websocket(handler):
            return str(handler.get_argument("token", ""))
        return str(super()._get_token_url(handler))

    def _get_token_cookie(self, handler: Any) -> str | None:
        headers = handler.request.headers
        if _is_websocket(handler):
            return None
        if headers.get("Sec-Fetch-Mode") == "no-cors" and headers.get("Sec-Fetch-Dest") == "empty":
            return None
        token: str | None = super()._get_token_cookie(handler)
        return token


class IdentityProvider(JupyterHubIdentityProvider):  # type: ignore[misc]
    """JupyterHub's, with our rules for cookies, and for websockets a token instead of them."""

    @default("hub_auth")
    def _default_hub_auth(self) -> HubOAuth:
        return Cookies(parent=self)

    def page_config_hook(self, handler: Any, page_config: dict[str, Any]) -> dict[str, Any]:
        """Return what JupyterLab's page is told: to send its token with websockets, too."""
        told: dict[str, Any] = super().page_config_hook(handler, page_config)
        return {**told, "appendToken": "true"}


def _is_websocket(handler: Any) -> bool:
    # Not by Sec-Fetch-Mode, as JupyterHub does it: Chromium does not send it with these.
    return bool(handler.request.headers.get("Upgrade", "").lower() == "websocket")
