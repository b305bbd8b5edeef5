"""The notebook server: jupyter_server with our configuration on top and a port that is ours."""

from __future__ import annotations

import asyncio
import signal
from typing import Any, cast

from jupyter_server.serverapp import ServerApp
from tornado.netutil import bind_sockets
from tornado.web import HTTPError
from traitlets import Bool, Dict, Instance
from traitlets.config import Config

from teamhub_notebook.announcement import Announcement
from teamhub_notebook.kernels import RemoteKernels
from teamhub_notebook.kernelspecs import RemoteKernelspecs
from teamhub_notebook.page import without_announcements


class NotebookServer(ServerApp):
    """A server that announces itself, and whose end ends no kernel.

    Upstream looks for a free port, closes it and later listens on that number. Here a socket is
    bound once, before anything writes the port down, and that very socket is served.
    """

    name = "teamhub-notebook"
    assembled = Instance(Config, args=(), help="What `assemble` returned: it has the last word.")
    announcement = Instance(Announcement, allow_none=True)
    needed = Dict(
        {"jupyterlab": True, "jupyter_server_terminals": True},
        help="Extensions that are loaded whatever configuration files say.",
    )
    # That file would hold the token.
    no_browser_open_file = Bool(True)

    def init_server_extensions(self) -> None:
        """Link the extensions, which take their own part of the configuration from ours."""
        self.update_config(self.assembled)
        self.jpserver_extensions = {**self.jpserver_extensions, **self.needed}
        super().init_server_extensions()

    def init_resources(self) -> None:
        """Have the last word: the hub's extension has put in a port, an address and more."""
        self.update_config(self.assembled)
        super().init_resources()

    def init_webapp(self) -> None:
        """Bind the socket first: extensions tell terminals the server's URL."""
        try:
            self._sockets = bind_sockets(self.port, self.ip)
        except OSError as error:
            self.log.critical("Cannot listen on %s port %s: %s", self.ip, self.port, error)
            self.exit(1)
        self.port = self._sockets[0].getsockname()[1]
        super().init_webapp()

    def load_server_extensions(self) -> None:
        """Load the extensions; JupyterHub's then has put its hook in place."""
        super().load_server_extensions()
        settings = self.web_app.settings
        settings["page_config_hook"] = without_announcements(settings.get("page_config_hook"))

    def init_signal(self) -> None:
        """Stop on SIGINT as on SIGTERM: nobody is there to be asked whether they are sure."""
        super().init_signal()
        signal.signal(signal.SIGINT, self._signal_stop)

    def _signal_stop(self, sig: Any, frame: Any) -> None:
        """Stop as upstream does, which says so as if it were a disaster: it is what is asked."""
        self.log.info("received signal %s, stopping", sig)
        self.stop(from_signal=True)

    def server_info(self) -> dict[str, Any]:
        """Return what is written to the runtime directory, without the token."""
        return {**super().server_info(), "token": ""}

    async def cleanup_kernels(self) -> None:
        """Leave the kernels alone: they are the gateway's."""
        self.log.info("Kernels, if any, go on running at the gateway")
        await self._kernels.shutdown_all()

    @property
    def _kernels(self) -> RemoteKernels:
        return cast(RemoteKernels, self.kernel_manager)

    def _find_http_port(self) -> None:
        """Do nothing: the port was found in `init_webapp`."""

    def _bind_http_server_tcp(self) -> bool:
        self.http_server.add_sockets(self._sockets)
        return True

    async def _post_start(self) -> None:
        await super()._post_start()  # type: ignore[no-untyped-call]
        self._adopting = asyncio.create_task(self._adopt())
        if self.announcement is not None:
            self.announcement.make(self.port)

    async def _adopt(self) -> None:
        """Learn of the member's kernels and kernelspecs before anybody asks for them."""
        try:
            await self._kernels.list_kernels()
            specs = cast(RemoteKernelspecs, self.kernel_spec_manager)
            await specs.get_all_specs()  # type: ignore[no-untyped-call]
        except HTTPError as error:
            # Every later request asks again.
            self.log.warning("%s", error)
