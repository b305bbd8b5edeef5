"""The hub's API for one user, as far as it is not JupyterHub's."""

from __future__ import annotations

from jupyterhub.apihandlers.users import UserAPIHandler
from tornado import web


class UserApi(UserAPIHandler):  # type: ignore[misc]
    """Names are kept: by name people have accounts, homes and kernels.

    Whoever could give the hub's users other names could be anybody, whom the administrators' role
    does not let them be.
    """

    async def patch(self, user_name: str) -> None:
        """Change a user, but for the name."""
        body = self.get_json_body()
        # Given the one that somebody has, JupyterHub would leave them without any.
        if isinstance(body, dict) and "name" in body:
            raise web.HTTPError(400, "A user's name cannot be changed.")
        await super().patch(user_name)
