"""Jupyter's wire format between shim and kernel: signatures, and messages of the shim's own."""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

DELIMITER = b"<IDS|MSG>"
SIGNED_PARTS = 4
"""Header, parent header, metadata and content are signed; buffers are not."""

_JOIN_BYTES = 64 * 1024


class Signer:
    """Signs what goes to a kernel and checks what comes from it (hmac-sha256)."""

    scheme = "hmac-sha256"

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._empty = hmac.new(key, digestmod="sha256")

    def signature(self, parts: Sequence[bytes]) -> bytes:
        """Return the hexadecimal signature of the first four parts."""
        signed = parts[:SIGNED_PARTS]
        if sum(map(len, signed)) < _JOIN_BYTES:
            # One call into OpenSSL is the fastest for the small messages that most are.
            return hmac.digest(self._key, b"".join(signed), "sha256").hex().encode()
        digest = self._empty.copy()
        for part in signed:
            digest.update(part)
        return digest.hexdigest().encode()

    def seal(self, parts: Sequence[bytes]) -> list[bytes]:
        """Return the frames to send to a kernel for a message of at least four parts."""
        return [DELIMITER, self.signature(parts), *parts]

    def open(self, frames: Sequence[bytes]) -> list[bytes] | None:
        """Return header, parent, metadata, content and buffers of a kernel's frames.

        None where the signature is wrong or the frames are no message at all. Routing frames
        before the delimiter (an iopub topic) are left out.
        """
        try:
            start = frames.index(DELIMITER) + 1
        except ValueError:
            return None
        parts = list(frames[start + 1 :])
        if len(parts) < SIGNED_PARTS:
            return None
        if not hmac.compare_digest(frames[start], self.signature(parts)):
            return None
        return parts


class Author:
    """Writes messages in the shim's own name, so that answers to them can be told apart."""

    def __init__(self) -> None:
        self.session = secrets.token_hex(16)
        self.mark = self.session.encode()
        self._count = 0

    def write(self, msg_type: str, content: Mapping[str, Any]) -> list[bytes]:
        """Return the four parts of a new message without a parent."""
        self._count += 1
        header = {
            "msg_id": f"{self.session}_{self._count}",
            "msg_type": msg_type,
            "session": self.session,
            "username": "teamhub",
            "date": datetime.now(UTC).isoformat(),
            "version": "5.3",
        }
        return [json.dumps(header).encode(), b"{}", b"{}", json.dumps(content).encode()]

    def asked(self, parts: Sequence[bytes]) -> bool:
        """True where a kernel's message answers a message of the shim's own."""
        return self.mark in parts[1]
