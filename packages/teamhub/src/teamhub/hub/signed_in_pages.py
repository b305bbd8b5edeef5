"""What whoever has signed in finds in the hub: the addresses of those pages."""

from __future__ import annotations

from teamhub.hub.administration import MembersPage, OldAdministrationPage
from teamhub.hub.administration_groups import GroupsPage
from teamhub.hub.administration_member import MemberPage
from teamhub.hub.administration_people import AddMembersPage
from teamhub.hub.administration_running import RunningPage
from teamhub.hub.home import HomePage
from teamhub.hub.servers import ServerApi
from teamhub.hub.tokens import TokenApi, TokensPage
from teamhub.hub.users import UserApi


def signed_in_pages() -> list[tuple[str, type]]:
    """Return addresses below the hub's prefix and their handlers; some replace JupyterHub's."""
    return [
        ("/home", HomePage),
        ("/token", TokensPage),
        ("/admin", OldAdministrationPage),
        ("/administration", MembersPage),
        (r"/administration/members/([^/]+)", MemberPage),
        ("/administration/groups", GroupsPage),
        ("/administration/add", AddMembersPage),
        ("/administration/running", RunningPage),
        (r"/api/users/([^/]+)", UserApi),
        (r"/api/users/([^/]+)/server", ServerApi),
        (r"/api/users/([^/]+)/servers/([^/]*)", ServerApi),
        (r"/api/users/([^/]+)/tokens/([^/]*)", TokenApi),
    ]
