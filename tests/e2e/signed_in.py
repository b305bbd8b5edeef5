"""A member as the tests of pages know one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from browser import Notebook, put_notebook
from playwright.async_api import Page
from team import Member, TeamServer


@dataclass
class SignedIn:
    """A member whose browser has signed in, and who has a token, too."""

    member: Member
    storage_state: Any

    @property
    def name(self) -> str:
        """The member's name."""
        return self.member.name

    @property
    def server(self) -> TeamServer:
        """Where the member is one."""
        return self.member.server

    @property
    def home(self) -> Path:
        """The member's home directory."""
        return self.server.data_dir / "homes" / self.name

    async def open(self, page: Page, path: str, *cells: str, kernel: str = "python3") -> Notebook:
        """Write a notebook, open it in a page and return it, whatever its kernel does."""
        put_notebook(self.server, self.name, path, *cells, kernel=kernel)
        notebook = Notebook(page)
        await notebook.open(self.server, self.name, path)
        return notebook
