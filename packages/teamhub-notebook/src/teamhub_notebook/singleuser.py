"""JupyterHub's single-user extension, started on our server instead of the stock one."""

from __future__ import annotations

from jupyterhub.singleuser.extension import JupyterHubSingleUser

from teamhub_notebook.server import NotebookServer


class SingleUser(JupyterHubSingleUser):  # type: ignore[misc]  # the library ships no types
    """Sign-in through the hub and activity reports to it, as `jupyterhub-singleuser` has them."""

    serverapp_class = NotebookServer
