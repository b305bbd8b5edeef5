"""What JupyterLab's page is told before it starts, beside what upstream tells it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

PageConfig = dict[str, Any]
Hook = Callable[[Any, PageConfig], PageConfig]

ANNOUNCEMENTS = "@jupyterlab/apputils-extension:announcements"
"""Asks every newcomer whether to fetch news, even where there is no address to fetch them from."""


def without_announcements(hook: Hook | None) -> Hook:
    """Return a hook that does what `hook` does (JupyterHub's, in practice), and leaves that out."""

    def changed(handler: Any, page_config: PageConfig) -> PageConfig:
        if hook is not None:
            page_config = hook(handler, page_config)
        disabled = {*page_config.get("disabledExtensions", ()), ANNOUNCEMENTS}
        return {**page_config, "disabledExtensions": sorted(disabled)}

    return changed
