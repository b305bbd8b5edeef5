"""The member's kernels, all of them at the gateway. This server owns none and ends none."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

from jupyter_server.gateway.managers import GatewayKernelManager, GatewayMappingKernelManager
from tornado.web import HTTPError
from traitlets import default

from teamhub_notebook.gateway import call, url_of

KERNELS = ("api", "kernels")

RESTART_SECONDS = 130.0
"""A restart is answered when the new process is there; the gateway itself gives up before."""


class RemoteKernel(GatewayKernelManager):
    """One kernel at the gateway: what is known here of it."""

    async def start_kernel(  # type: ignore[override]  # upstream is asynchronous, too
        self, **kwargs: Any
    ) -> None:
        """Ask the gateway for a new kernel, or with `kernel_id` take up one that it has.

        Args:
            kwargs: `kernel_id`, or `kernel_name` and `path` (the working directory relative
                to the home). Nothing else is passed on, least of all an environment: the one
                of this server is none of the kernel's business.

        Raises:
            GatewayError: the gateway refused, does not know the id, or cannot be reached.
        """
        kernel_id = kwargs.get("kernel_id")
        if kernel_id is None:
            wanted = {"name": kwargs.get("kernel_name"), "path": kwargs.get("path")}
            body = {name: value for name, value in wanted.items() if value is not None}
            model = await call("POST", *KERNELS, body=body)
        else:
            model = await call("GET", *KERNELS, kernel_id)
        self.take(model)

    async def refresh_model(self, model: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """Take over a model, the gateway's present one by default; None once it has gone."""
        if model is None:
            try:
                model = await call("GET", *KERNELS, str(self.kernel_id))
            except HTTPError as error:
                if error.status_code != 404:
                    raise
                self.kernel = None
                return None
        self.take(model)
        return model

    def take(self, model: dict[str, Any]) -> None:
        """Remember what the gateway says of this kernel."""
        self.kernel = model
        self.point_at(model["id"])
        self.execution_state = model.get("execution_state", "unknown")
        self.reason = model.get("reason") or ""
        self.last_activity = activity_of(model)

    def point_at(self, kernel_id: str) -> None:
        """Stand for the kernel with this id, without asking whether there is one."""
        self.kernel_id = kernel_id
        self.kernel_url = url_of(*KERNELS, kernel_id)


class RemoteKernels(GatewayMappingKernelManager):
    """All of the member's kernels at the gateway, whoever started them and when.

    What is remembered here is only the last answer of the gateway. Nothing ends with this
    server: stopping it leaves every kernel alone, and a new one finds them again.
    """

    _kernels: dict[str, RemoteKernel]  # type: ignore[assignment]  # narrower than upstream

    def __init__(self, **kwargs: Any) -> None:
        """Know of nothing yet; the first `list_kernels` changes that."""
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]
        # Upstream keeps this on the class, shared by all instances.
        self._kernels = {}

    @default("kernel_manager_class")
    def _default_kernel_manager_class(self) -> str:
        return "teamhub_notebook.kernels.RemoteKernel"

    def get_kernel(self, kernel_id: str) -> RemoteKernel:
        """Return what stands for a kernel, also for one not heard of yet.

        A browser that reconnects to a server that has just been restarted names a kernel
        before anybody asked for the list. The gateway is the one to say 404.
        """
        return self._kernels.get(kernel_id) or self._handle(kernel_id)

    def adopt(self, model: dict[str, Any]) -> None:
        """Remember a kernel that the gateway has told us of. Asks nothing and starts nothing."""
        kernel = self.get_kernel(model["id"])
        kernel.take(model)
        self._kernels[model["id"]] = kernel
        self._kernel_connections[model["id"]] = int(model.get("connections") or 0)
        self.note_activity(kernel.last_activity)
        if kernel.execution_state == "busy":
            # A long silent run keeps its server, too.
            self.note_activity(datetime.now(UTC))

    def forget(self, kernel_id: str) -> None:
        """Know no longer of a kernel that has gone. A second call does nothing."""
        self._kernels.pop(kernel_id, None)
        self._kernel_connections.pop(kernel_id, None)

    def note_activity(self, moment: datetime) -> None:
        """Count this as activity of the server: it is what the hub looks at for idle ones."""
        self.last_kernel_activity = max(self.last_kernel_activity, moment)

    def working_dir(self, path: str | None) -> str:
        """Return the directory of an API path, relative to the root, as far as it exists."""
        directory: str = self.cwd_for_path(path or "")  # type: ignore[no-untyped-call]
        relative = os.path.relpath(directory, self.root_dir)
        return "" if relative == "." else relative

    async def start_kernel(  # type: ignore[override]
        self, *, kernel_id: str | None = None, path: str | None = None, **kwargs: Any
    ) -> str:
        """Ask the gateway for a kernel and return its id at once, while it still starts.

        With a `kernel_id` that kernel is adopted; nothing is started then.
        """
        kernel = self.kernel_manager_factory(parent=self, log=self.log)
        await kernel.start_kernel(
            kernel_id=kernel_id,
            kernel_name=kwargs.get("kernel_name") or self.default_kernel_name,
            path=None if path is None else self.working_dir(path),
        )
        self._kernels[kernel.kernel_id] = kernel
        self.adopt(kernel.kernel)
        return str(kernel.kernel_id)

    async def kernel_model(self, kernel_id: str) -> dict[str, Any]:
        """Return the gateway's present model of a kernel. One it does not know is a 404."""
        try:
            model: dict[str, Any] = await call("GET", *KERNELS, kernel_id)
        except HTTPError as error:
            if error.status_code == 404:
                self.forget(kernel_id)
            raise
        self.adopt(model)
        return model

    async def list_kernels(self, **_kwargs: Any) -> list[dict[str, Any]]:
        """Return the gateway's models of all the member's kernels, and remember them."""
        models: list[dict[str, Any]] = await call("GET", *KERNELS)
        for gone in set(self._kernels) - {model["id"] for model in models}:
            self.forget(gone)
        for model in models:
            self.adopt(model)
        return models

    async def shutdown_kernel(  # type: ignore[override]
        self, kernel_id: str, now: bool = False, restart: bool = False
    ) -> None:
        """End a kernel because its owner asked for it. One that is gone already is no error."""
        try:
            await call("DELETE", *KERNELS, kernel_id)
        except HTTPError as error:
            if error.status_code != 404:
                raise
        self.forget(kernel_id)

    async def restart_kernel(  # type: ignore[override]
        self, kernel_id: str, now: bool = False, **_kwargs: Any
    ) -> None:
        """Have the gateway restart a kernel in its place."""
        await call("POST", *KERNELS, kernel_id, "restart", timeout_seconds=RESTART_SECONDS)

    async def interrupt_kernel(  # type: ignore[override]
        self, kernel_id: str, **_kwargs: Any
    ) -> None:
        """Have the gateway interrupt what a kernel does."""
        await call("POST", *KERNELS, kernel_id, "interrupt")

    async def shutdown_all(self, now: bool = False) -> None:  # type: ignore[override]
        """Forget all kernels and end none: this is called when the *server* ends."""
        self._kernels.clear()

    def _handle(self, kernel_id: str) -> RemoteKernel:
        kernel: RemoteKernel = self.kernel_manager_factory(parent=self, log=self.log)
        kernel.point_at(kernel_id)
        return kernel


def activity_of(model: dict[str, Any]) -> datetime:
    """Return when a kernel was last active, now where its model does not say."""
    try:
        moment = datetime.fromisoformat(model["last_activity"])
    except (KeyError, TypeError, ValueError):
        return datetime.now(UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
