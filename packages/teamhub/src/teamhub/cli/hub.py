"""What several commands ask of the hub."""

from __future__ import annotations

from collections.abc import Sequence

from teamhub.deployment import Deployment
from teamhub.errors import NotRunningError, TeamhubError
from teamhub.operator import KnownUser, Operator, Token
from teamhub.store import Store
from teamhub.supervisor.lock import holder
from teamhub.supervisor.terminal import Terminal


async def make_known(deployment: Deployment, names: Sequence[str]) -> None:
    """Tell a hub that runs of new accounts. One that does not learns of them at sign-in."""
    if holder(deployment.data_dir) is None:
        return
    try:
        async with Operator(deployment) as operator:
            for name in names:
                await operator.ensure_user(name)
    except NotRunningError:
        pass  # still starting; the hub learns of them at sign-in, or when a token is made
    except TeamhubError as error:
        who = names[0] if len(names) == 1 else "the new users"
        Terminal().say(f"{who} can sign in, but the hub does not know them yet: {error}")


async def require_hub(
    deployment: Deployment, operator: Operator, name: str, what: str
) -> KnownUser | None:
    """Return what the hub knows of somebody, None for nothing, before anything changes.

    Args:
        deployment: the hub's.
        operator: open.
        name: whose.
        what: is to be done that needs a hub: "removing a member".

    Raises:
        NotRunningError: it does not answer.
    """
    try:
        return await operator.user(name)
    except NotRunningError:
        raise NotRunningError(
            f"{what} needs the team server running, for the hub keeps their tokens; "
            f"start it with `teamhub up --data-dir {deployment.data_dir}`"
        ) from None


async def revoke_all(store: Store, operator: Operator, user: str) -> Sequence[Token]:
    """Revoke all tokens of a user and have the gateway refuse them at once; return them."""
    try:
        return await operator.revoke_all(user)
    finally:
        # Also of those that were revoked before something went wrong.
        await store.revocations.add()
