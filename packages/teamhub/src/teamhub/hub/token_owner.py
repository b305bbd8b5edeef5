"""Whose token it is, as the hub's API tells: that it cannot say is no answer about the token.

JupyterHub notes when a token was used last before it answers. Where it cannot (a full disk), or
cannot read its database, its own handler goes on as if nobody had asked, and answers 403.
"""

from __future__ import annotations

from typing import Any

from jupyterhub.apihandlers.users import SelfAPIHandler
from sqlalchemy.exc import SQLAlchemyError
from tornado import web


class TokenOwnerApi(SelfAPIHandler):  # type: ignore[misc]
    """The hub's `/api/user`, which answers 503 where it could not find out who is asking."""

    _unknown = False

    async def get_current_user(self) -> Any:
        """Return who is asking, None for nobody, and where it cannot be found out."""
        try:
            return await super().get_current_user()
        except SQLAlchemyError as error:
            cause = str(getattr(error, "orig", None) or error).splitlines()[0]
            self.log.error("whose token it is cannot be told: the hub's database: %s", cause)
            self.db.rollback()
            self._jupyterhub_user = None
            self._unknown = True
            return None
        except Exception:
            self._unknown = True
            raise  # JupyterHub logs it, and goes on without anybody

    async def get(self) -> None:
        """Answer with the model of who is asking.

        Raises:
            web.HTTPError: 503, it cannot be found out now; 403, the token is nobody's.
        """
        if self._unknown:
            raise web.HTTPError(503, "the hub cannot tell now whose token this is; try again")
        await super().get()
