"""What the member may start: the gateway's kernelspecs, with their logos."""

from __future__ import annotations

from typing import Any

from jupyter_server.gateway.managers import GatewayKernelSpecManager
from tornado.web import HTTPError

from teamhub_notebook.gateway import call, fetch

KERNELSPECS = ("api", "kernelspecs")


class RemoteKernelspecs(GatewayKernelSpecManager):
    """The gateway's kernelspecs, whose resources are fetched through this server.

    The browser has no token for the gateway, so the paths of resources become this server's.
    """

    async def list_kernel_specs(self) -> dict[str, Any]:
        """Return `{"default": …, "kernelspecs": …}` as the gateway has it now.

        Raises:
            GatewayError: the gateway refused or cannot be reached.
        """
        answer: dict[str, Any] = await call("GET", *KERNELSPECS)
        # Where the gateway names no default, ours stays: null is no name.
        if not answer.get("default") and self.parent is not None:
            answer["default"] = self.parent.kernel_manager.default_kernel_name
        self._pass_resources_on(answer["kernelspecs"])
        return answer

    async def get_kernel_spec(  # type: ignore[override]  # upstream is asynchronous, too
        self, kernel_name: str, **_kwargs: Any
    ) -> dict[str, Any]:
        """Return the gateway's kernelspec of that name.

        Raises:
            KeyError: there is none for this member.
            GatewayError: the gateway refused or cannot be reached.
        """
        try:
            spec: dict[str, Any] = await call("GET", *KERNELSPECS, kernel_name)
        except HTTPError as error:
            if error.status_code == 404:
                raise KeyError(kernel_name) from None
            raise
        self._pass_resources_on({kernel_name: spec})
        return spec

    async def get_kernel_spec_resource(self, kernel_name: str, path: str) -> bytes:
        """Return a file of a kernelspec, such as its logo. What is not there is a 404."""
        segments = path.split("/")
        if ".." in segments or "." in segments:
            raise HTTPError(404)
        response = await fetch("GET", "kernelspecs", kernel_name, *segments)
        return bytes(response.body or b"")

    def _pass_resources_on(self, specs: dict[str, Any]) -> None:
        for spec in specs.values():
            spec.setdefault("resources", {})
        self._replace_path_kernelspec_resources(  # type: ignore[no-untyped-call]
            {"kernelspecs": specs}
        )
