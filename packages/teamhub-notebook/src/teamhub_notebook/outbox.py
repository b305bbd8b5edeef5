"""What the browser has said and the gateway may not have heard yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator


class Outbox:
    """Messages in order, numbered from 1, kept until the gateway has acknowledged them."""

    def __init__(self) -> None:
        """Start empty."""
        self._messages: deque[tuple[int, str | bytes]] = deque()
        self.last_number = 0
        self.size_bytes = 0

    def __len__(self) -> int:
        """Return how many messages are not acknowledged."""
        return len(self._messages)

    def __iter__(self) -> Iterator[str | bytes]:
        """Iterate over the messages that are not acknowledged, oldest first."""
        return (message for _, message in self._messages)

    def add(self, message: str | bytes) -> int:
        """Keep a message and return its number."""
        self.last_number += 1
        self._messages.append((self.last_number, message))
        self.size_bytes += len(message)
        return self.last_number

    def acknowledge(self, number: int) -> None:
        """Let go of every message up to this number. An older number changes nothing."""
        while self._messages and self._messages[0][0] <= number:
            self.size_bytes -= len(self._messages.popleft()[1])

    def clear(self) -> None:
        """Let go of everything."""
        self.acknowledge(self.last_number)
