"""What the tests of the command line speak in."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Answer:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Hub:
    """What a hub was asked to change (path, body, authorization), and what it answers.

    Attributes:
        asked: each POST; of another method, that word stands before the path.
        answers: by path for a POST, by method and path for others: status and JSON. Without one,
            a POST answers 201, a DELETE 204, and a GET 404.
    """

    asked: list[tuple[str, Any, str]] = field(default_factory=list)
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)

    def knows(self, *users: dict[str, Any], groups: tuple[dict[str, Any], ...] = ()) -> None:
        """Have it list these users and groups, in one page each."""
        for path, items in (("users", users), ("groups", groups)):
            page = {"items": list(items), "_pagination": {"next": None}}
            self.answers[f"GET /hub/api/{path}?offset=0&limit=200"] = (200, page)
        for user in users:
            self.answers[f"GET /hub/api/users/{user['name']}"] = (200, user)

    def has_tokens(self, user: str, *tokens: dict[str, Any]) -> None:
        """Have it list these tokens of a user."""
        path = f"GET /hub/api/users/{user}/tokens"
        self.answers[path] = (200, {"api_tokens": list(tokens)})
