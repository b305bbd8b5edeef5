"""Which notebook has which kernel: kept by the gateway, so that it outlives this server."""

from __future__ import annotations

import asyncio
from typing import Any
from weakref import WeakValueDictionary

from jupyter_core.utils import ensure_async
from jupyter_server.services.sessions.sessionmanager import SessionManager
from tornado.web import HTTPError

from teamhub_notebook.gateway import call
from teamhub_notebook.kernels import RemoteKernels
from teamhub_notebook.kernelspecs import KERNELSPECS

SESSIONS = ("api", "sessions")


class RemoteSessions(SessionManager):
    """The member's sessions at the gateway. Nothing is kept here.

    A notebook that is opened again, in another tab or after this server was stopped, gets the
    session that it had, as long as the kernel lives.
    """

    kernel_manager: RemoteKernels

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Keep nothing but the locks of paths that are being opened right now."""
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        self._opening: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def session_exists(self, path: str) -> bool:
        """Whether the gateway has a session for this path whose kernel lives."""
        return any(model["path"] == path and _lives(model) for model in await self.list_sessions())

    async def create_session(
        self,
        path: str | None = None,
        name: str | None = None,
        type: str | None = None,  # noqa: A002  the name is upstream's
        kernel_name: str | None = None,
        kernel_id: str | None = None,
    ) -> dict[str, Any]:
        """Return a session for a path: the one that there is, or a new one with a new kernel.

        The gateway sees to it that a path gets one kernel however many ask; asking one after
        the other here only spares it the work.

        Raises:
            GatewayError: the gateway refused or cannot be reached.
        """
        kernel: dict[str, Any] = {"path": await self._working_dir(path)}
        if kernel_id:
            kernel["id"] = kernel_id
        else:
            kernel["name"] = kernel_name or await self._default_kernel_name()
        body = {"path": path, "name": name or "", "type": type, "kernel": kernel}
        async with self._opening.setdefault(path or "", asyncio.Lock()):
            return self._learn(await call("POST", *SESSIONS, body=body))

    async def list_sessions(self) -> list[dict[str, Any]]:
        """Return the gateway's models of all the member's sessions."""
        return [self._learn(model) for model in await call("GET", *SESSIONS)]

    async def get_session(self, **kwargs: Any) -> dict[str, Any]:
        """Return the session that has these values, by its `session_id` or any other column.

        Raises:
            HTTPError: 404 where there is none.
            TypeError: no value, or one of something that a session does not have.
        """
        if not kwargs or set(kwargs) - self._columns:
            raise TypeError(f"a session is found by {sorted(self._columns)}, not {list(kwargs)}")
        if "session_id" in kwargs:
            models = [self._learn(await call("GET", *SESSIONS, kwargs.pop("session_id")))]
        else:
            models = await self.list_sessions()
        # A path may be there twice for a moment, its old session with a kernel that has died.
        for model in sorted(models, key=_lives, reverse=True):
            if all(_column(model, name) == value for name, value in kwargs.items()):
                return model
        asked = ", ".join(f"{name}={value!r}" for name, value in kwargs.items())
        raise HTTPError(404, f"There is no session with {asked}")

    async def update_session(self, session_id: str, **kwargs: Any) -> None:
        """Change `path`, `name`, `type` or `kernel_id` of a session at the gateway."""
        changes = {name: value for name, value in kwargs.items() if name != "kernel_id"}
        if "kernel_id" in kwargs:
            changes["kernel"] = {"id": kwargs["kernel_id"]}
        if changes:
            self._learn(await call("PATCH", *SESSIONS, session_id, body=changes))

    async def start_kernel_for_session(  # noqa: PLR0917  the arguments are upstream's
        self,
        session_id: str,
        path: str | None,
        name: str | None,
        type: str | None,  # noqa: A002  the name is upstream's
        kernel_name: str | None,
        kernel_id: str | None = None,
    ) -> str:
        """Give an existing session another kernel and return that kernel's id."""
        kernel = {"id": kernel_id} if kernel_id else {"name": kernel_name}
        kernel["path"] = await self._working_dir(path)
        changed = await call("PATCH", *SESSIONS, session_id, body={"kernel": kernel})
        return str(self._learn(changed)["kernel"]["id"])

    async def delete_session(self, session_id: str) -> None:
        """End a session and its kernel, because its owner asked for it."""
        await call("DELETE", *SESSIONS, session_id)

    def _learn(self, model: dict[str, Any]) -> dict[str, Any]:
        if model.get("kernel"):
            self.kernel_manager.adopt(model["kernel"])
        return model

    async def _working_dir(self, path: str | None) -> str:
        directory = await ensure_async(self.contents_manager.get_kernel_path(path=path or ""))
        return self.kernel_manager.working_dir(directory)

    async def _default_kernel_name(self) -> str:
        specs = await call("GET", *KERNELSPECS)
        return str(specs.get("default") or self.kernel_manager.default_kernel_name)


def _lives(model: dict[str, Any]) -> bool:
    return bool(model.get("kernel")) and model["kernel"].get("execution_state") != "dead"


def _column(model: dict[str, Any], name: str) -> Any:
    if name == "kernel_id":
        return (model.get("kernel") or {}).get("id")
    return model.get(name)
