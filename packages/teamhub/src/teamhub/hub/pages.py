"""The hub's own pages: which addresses they answer, and what every template knows.

JupyterHub asks its authenticator for pages before it adds its own, so a page here may also take
the place of one of JupyterHub's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from teamhub import __version__
from teamhub.hub import assets
from teamhub.hub.account import AccountHandler
from teamhub.hub.away import AwayHandler
from teamhub.hub.problems import Problem, explain
from teamhub.hub.sign_in import SignInHandler, SignOutHandler
from teamhub.hub.sign_up import SignUpHandler, WaitingHandler
from teamhub.hub.signed_in_pages import signed_in_pages

Page = tuple[str, type] | tuple[str, type, dict[str, Any]]
"""An address below the hub's prefix, its handler, and what that is given."""


def pages() -> list[Page]:
    """Return every page of ours."""
    return [
        ("/login", SignInHandler),
        ("/logout", SignOutHandler),
        ("/signup", SignUpHandler),
        ("/waiting", WaitingHandler),
        ("/account", AccountHandler),
        (r"/error/(\d+)", AwayHandler),
        (assets.PATH, assets.AssetHandler, {"path": str(assets.DIRECTORY)}),
        *signed_in_pages(),
    ]


def template_variables() -> dict[str, Any]:
    """Return what templates can use beside what a page gives them."""
    return {
        "assets": assets.asset_paths(),
        "teamhub_version": __version__,
        "explain": _explain,
    }


def _explain(user: object) -> Callable[..., Problem]:
    """Return `explain`: JupyterHub calls what is callable, with the user, and uses the answer."""
    return explain
