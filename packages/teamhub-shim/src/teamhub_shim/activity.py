"""Whether the kernel is busy, told from its status messages."""

from __future__ import annotations

import json
from collections.abc import Sequence

_BOUND = 1000


class Activity:
    """Follows what is busy request by request.

    A debugger's question on control is soon idle again while a cell on shell goes on: so the
    last status alone would say too little.
    """

    def __init__(self) -> None:
        self._busy: set[str] = set()

    @property
    def execution_state(self) -> str:
        """Either "busy" or "idle"."""
        return "busy" if self._busy else "idle"

    def note(self, parts: Sequence[bytes]) -> bool:
        """Take a message from iopub; True where it was one that says busy or idle."""
        if b'"status"' not in parts[0]:
            return False
        try:
            status = json.loads(parts[3])["execution_state"]
            parent = json.loads(parts[1]).get("msg_id", "")
        except (ValueError, KeyError, TypeError, AttributeError):
            return False
        if status == "busy":
            if len(self._busy) >= _BOUND:
                self._busy.clear()  # some kernel that never says idle: do not grow for ever
            self._busy.add(parent)
        elif status == "idle":
            if parent:
                self._busy.discard(parent)
            else:
                self._busy.clear()
        else:
            return False
        return True
