"""What a supervisor is asked by signals: to end everything or its own processes alone, or to read
its settings again."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from enum import Enum


class Wish(Enum):
    """How a supervisor is to end."""

    EVERYTHING = "everything"
    """With all kernels and notebook servers: Ctrl-C, SIGTERM, a closed terminal."""
    PROCESSES = "processes"
    """Hub, proxy and gateway alone; `teamhub down --keep-kernels` asks for it by SIGUSR1."""


class Requests:
    """The signals of one run. Used as `with`, inside the running loop.

    `asked` is set by the first signal, `hasten` by a Ctrl-C after it; `abandon` is called on one
    more. Only Ctrl-C hastens: `down`, an init system or a closing window may well repeat theirs.
    `reread` is set by SIGUSR2, which `teamhub config apply` sends; whoever heeds it clears it.
    """

    def __init__(self, abandon: Callable[[], None]) -> None:
        self.asked = asyncio.Event()
        self.hasten = asyncio.Event()
        self.reread = asyncio.Event()
        self.wish = Wish.EVERYTHING
        self._abandon = abandon
        self._handled: list[signal.Signals] = []

    def __enter__(self) -> Requests:
        loop = asyncio.get_running_loop()
        for number in (
            *(signal.SIGINT, signal.SIGTERM, signal.SIGHUP),
            *(signal.SIGUSR1, signal.SIGUSR2),
        ):
            # Under nohup a closed terminal is not to end us.
            if number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                continue
            loop.add_signal_handler(number, self._received, number)
            self._handled.append(number)
        return self

    def __exit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        for number in self._handled:
            loop.remove_signal_handler(number)

    def _received(self, number: signal.Signals) -> None:
        if number is signal.SIGUSR2:
            self.reread.set()
        elif not self.asked.is_set():
            self.wish = Wish.PROCESSES if number is signal.SIGUSR1 else Wish.EVERYTHING
            self.asked.set()
        elif number is signal.SIGINT and not self.hasten.is_set():
            self.hasten.set()
        elif number is signal.SIGINT:
            self._abandon()
