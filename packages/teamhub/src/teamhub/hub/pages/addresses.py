"""Which addresses the hub's own pages answer, and what every template knows.

JupyterHub asks its authenticator for pages before it adds its own, so a page here may also take
the place of one of JupyterHub's.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from teamhub import __version__
from teamhub.hub.pages import assets
from teamhub.hub.pages.account import AccountHandler
from teamhub.hub.pages.administration.add import AddMembersPage
from teamhub.hub.pages.administration.groups import GroupsPage
from teamhub.hub.pages.administration.member import MemberPage
from teamhub.hub.pages.administration.members import MembersPage, OldAdministrationPage
from teamhub.hub.pages.administration.running import RunningPage
from teamhub.hub.pages.away import AwayHandler
from teamhub.hub.pages.home import HomePage
from teamhub.hub.pages.problems import Problem, explain
from teamhub.hub.pages.sign_in import SignInHandler, SignOutHandler
from teamhub.hub.pages.sign_up import SignUpHandler, WaitingHandler
from teamhub.hub.pages.tokens import TokenApi, TokensPage
from teamhub.hub.servers import ServerApi
from teamhub.hub.token_owner import TokenOwnerApi
from teamhub.hub.users import UserApi

TEMPLATES = Path(__file__).parent / "templates"

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
        ("/home", HomePage),
        ("/token", TokensPage),
        ("/admin", OldAdministrationPage),
        ("/administration", MembersPage),
        (r"/administration/members/([^/]+)", MemberPage),
        ("/administration/groups", GroupsPage),
        ("/administration/add", AddMembersPage),
        ("/administration/running", RunningPage),
        (r"/api/users/([^/]+)", UserApi),
        ("/api/user", TokenOwnerApi),
        (r"/api/users/([^/]+)/server", ServerApi),
        (r"/api/users/([^/]+)/servers/([^/]*)", ServerApi),
        (r"/api/users/([^/]+)/tokens/([^/]*)", TokenApi),
        (r"/error/(\d+)", AwayHandler),
        (assets.PATH, assets.AssetHandler, {"path": str(assets.DIRECTORY)}),
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
