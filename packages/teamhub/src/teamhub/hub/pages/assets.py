"""What browsers fetch beside a page: one stylesheet, a little JavaScript, the logo.

An address has a hash of the content in it, so that a browser may keep what it has for good and
asks again after an upgrade.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from tornado import web
from tornado.web import StaticFileHandler

DIRECTORY = Path(__file__).parent / "static"
LOGO = DIRECTORY / "logo.svg"
PATH = r"/assets/(.*)"
"""Below the hub's own prefix."""

_CACHE_SECONDS = 365 * 24 * 3600


class AssetHandler(StaticFileHandler):
    """The files of `DIRECTORY`. Give it that as `path`."""

    @classmethod
    def get_absolute_path(cls, root: str, path: str) -> str:
        """Return where a file would be. What cannot be a file's name is a file that is not there.

        Raises:
            web.HTTPError: 404.
        """
        if "\0" in path:
            raise web.HTTPError(404)
        return str(super().get_absolute_path(root, path))

    def get_cache_time(self, path: str, modified: object, mime_type: str) -> int:
        """Return for how many seconds a browser may keep it: for long if the address says which."""
        return _CACHE_SECONDS if self.get_argument("v", "") else 0

    def set_extra_headers(self, path: str) -> None:
        """Let browsers take a file for nothing but what it says to be."""
        self.set_header("X-Content-Type-Options", "nosniff")


def asset_paths() -> Mapping[str, str]:
    """Return for each file its address below the hub's prefix, which ends in a slash."""
    return {
        file.name: f"assets/{file.name}?v={hashlib.sha256(file.read_bytes()).hexdigest()[:16]}"
        for file in sorted(DIRECTORY.iterdir())
        if file.is_file()
    }
