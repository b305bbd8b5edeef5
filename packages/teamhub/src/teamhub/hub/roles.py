"""Who may do what in the hub: roles of JupyterHub, given to people by what their account says.

`admin`, JupyterHub's own all-powerful role, is nobody's: with it go the right to enter everybody's
notebook server and to make tokens in everybody's name. Administrators have a role of ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jupyterhub import roles
from jupyterhub.orm import User
from sqlalchemy.orm import Session

ADMINISTRATOR = "administrator"

GATEWAY = "gateway"
GATEWAY_SCOPE = f"access:services!service={GATEWAY}"
"""What a token must hold to be good for the gateway."""

_ADMINISTRATOR_SCOPES = (
    "admin-ui",
    "admin:users",
    "admin:groups",
    "admin:servers",
    "list:services",
    "read:services",
    "read:hub",
    "read:metrics",
)


def administrator_role(*, access_servers: bool) -> dict[str, Any]:
    """Return the administrators' role for JupyterHub's `load_roles`.

    Args:
        access_servers: whether they may enter members' notebook servers.
    """
    scopes: Sequence[str] = _ADMINISTRATOR_SCOPES
    if access_servers:
        scopes = (*scopes, "access:servers")
    return {
        "name": ADMINISTRATOR,
        "description": "Members, groups and what runs; not members' files or tokens",
        "scopes": list(scopes),
    }


def assign(session: Session, user: User, *, admin: bool) -> None:
    """Give a user the administrators' role, or take it away. A second time: nothing.

    Args:
        session: the hub's own, in which `user` is.
        user: as the hub keeps it.
        admin: what the account says.
    """
    has = any(role.name == ADMINISTRATOR for role in user.roles)
    if admin and not has:
        roles.grant_role(session, entity=user, rolename=ADMINISTRATOR)
    elif has and not admin:
        roles.strip_role(session, entity=user, rolename=ADMINISTRATOR)
