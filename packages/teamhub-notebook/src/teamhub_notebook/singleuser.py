"""JupyterHub's single-user extension, started on our server instead of the stock one."""

from __future__ import annotations

from jupyterhub.singleuser.extension import JupyterHubSingleUser
from traitlets.config import Config

from teamhub_notebook.origin import IdentityProvider
from teamhub_notebook.server import NotebookServer


class SingleUser(JupyterHubSingleUser):  # type: ignore[misc]  # the library ships no types
    """Sign-in through the hub and activity reports to it, as `jupyterhub-singleuser` has them."""

    serverapp_class = NotebookServer

    def load_config_file(self) -> None:
        """Load what the hub has said, with our way to tell whose request one is."""
        super().load_config_file()
        config = Config()
        config.ServerApp.identity_provider_class = IdentityProvider
        self.serverapp.update_config(config)
