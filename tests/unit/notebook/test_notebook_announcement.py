"""The announcement is whole or not there, and wakes whoever waits."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from teamhub_notebook.announcement import Announcement


def test_it_is_written_and_the_waiting_are_woken(tmp_path: Path) -> None:
    file = tmp_path / "address.json"
    wake = str(tmp_path / "wake")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as waiting:
        waiting.bind(wake)
        waiting.settimeout(10)
        Announcement(file, wake, "w2").make(4711)
        assert waiting.recv(100) == b"w2"
    assert json.loads(file.read_text()) == {"port": 4711, "ready": True}
    assert list(tmp_path.glob("*.draft")) == []


def test_nobody_needs_to_wait(tmp_path: Path) -> None:
    file = tmp_path / "address.json"
    announcement = Announcement(file, str(tmp_path / "nobody"), "")
    announcement.make(1)
    announcement.make(2)
    assert json.loads(file.read_text())["port"] == 2
    Announcement(None, None, "").make(3)
