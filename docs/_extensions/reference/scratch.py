"""A deployment that nothing runs on, to ask the code what it would do."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from teamhub.config import Config
from teamhub.deployment import Deployment


@contextmanager
def deployment(**settings: Any) -> Iterator[Deployment]:
    """Give a deployment with these settings, for as long as the context lasts."""
    with tempfile.TemporaryDirectory() as directory:
        made = Deployment(Config.model_validate({"data_dir": directory, **settings}))
        # Not `prepare`: that sets this whole process's umask, and the pages are for all to read.
        made.run_dir.mkdir()
        made.secrets_dir.mkdir()
        yield made
