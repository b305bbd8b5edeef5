"""What the proxy answers with where a notebook server or the gateway does not answer."""

from __future__ import annotations

import json
from http import HTTPStatus

from jupyterhub.handlers.base import BaseHandler
from jupyterhub.utils import url_path_join
from tornado import web

from teamhub.hub.pages.problems import Problem

_SERVER = Problem(
    "This notebook server does not answer",
    "It has ended, or is just starting or stopping. Kernels are not part of it: those that run go "
    "on, and are there again when the notebook server is.",
    (
        "Wait a few seconds and reload the page.",
        "Look on your home page whether it runs, and start it there.",
    ),
)
_GATEWAY = Problem(
    "The kernel gateway does not answer",
    "It may be starting again. Kernels that run go on without it, and lose nothing.",
    (
        "Wait a few seconds and try again.",
        "If it goes on, tell an administrator: `teamhub status` says which process is missing.",
    ),
)
_OTHER = Problem(
    "This does not answer",
    "What is behind this address may be starting again, or has ended.",
    ("Wait a few seconds and reload the page.", "Start again from your home page."),
)


class AwayHandler(BaseHandler):  # type: ignore[misc]
    """The proxy asks this for a page, and hands it on with the status code that it asked for.

    It asks without the cookies of whoever waits for it: nobody is signed in here.
    """

    async def get(self, code: str) -> None:
        """Answer with a page, or with JSON where a program has asked."""
        # Anybody can ask: Python makes no number of thousands of digits.
        status = int(code) if len(code) == 3 else 0
        if not HTTPStatus.BAD_REQUEST <= status <= 599:
            raise web.HTTPError(404)
        path = self.get_query_argument("url", "").partition("?")[0]
        if path.startswith(url_path_join(self.base_url, "user/")):
            problem = _SERVER
        elif path.startswith(url_path_join(self.base_url, "services/gateway")):
            problem = _GATEWAY
        else:
            problem = _OTHER
        self.set_status(status)
        self.set_header("Cache-Control", "no-store")
        if "/api/" in path:
            self.set_header("Content-Type", "application/json")
            message = f"{problem.title}: {problem.what} {problem.remedies[0]}"
            self.finish(json.dumps({"message": message, "reason": None}))
            return
        self.finish(
            await self.render_template(
                "404.html" if status == HTTPStatus.NOT_FOUND else "error.html",
                status_code=status,
                problem=problem if status >= HTTPStatus.INTERNAL_SERVER_ERROR else None,
            )
        )
