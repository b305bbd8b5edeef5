"""A member's notebook server: JupyterLab, files and terminals, with every kernel at the gateway."""

from __future__ import annotations

from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """Tell jupyter_server where the hub's single-user extension is, in our form of it."""
    from teamhub_notebook.singleuser import SingleUser

    return [{"module": "teamhub_notebook", "app": SingleUser}]
