"""What `teamhub up` was started with, noted in `run/origin.json`: where its settings come from.

So the running server can read the same file again, and a command can tell what a changed file
would do to it. An option of `up`, such as --port, goes on winning over the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from teamhub.config import CONFIG_NAME, Config, load
from teamhub.deployment import Deployment, write_private


class Origin(BaseModel):
    """Where a deployment's settings come from.

    Attributes:
        config_file: the absolute path given with --config; None: teamhub.toml in the data
            directory, where there is one.
        overrides: by dotted path, what options of `up` said; `data_dir` as an absolute path.
    """

    model_config = ConfigDict(frozen=True)

    config_file: Path | None = None
    overrides: Mapping[str, Any] = {}

    def load(self) -> Config:
        """Return the settings as they would be read now. Raises ConfigError as `load` does."""
        return load(self.config_file, self.overrides)

    def file_of(self, data_dir: Path) -> Path:
        """Return the file that is read, or would be if it were there."""
        return self.config_file or data_dir / CONFIG_NAME

    @classmethod
    def of(cls, deployment: Deployment) -> Origin | None:
        """Return what was noted for a deployment, None where nothing is that can be read."""
        try:
            return cls.model_validate_json(_file(deployment).read_bytes())
        except (OSError, ValidationError):
            return None

    def note(self, deployment: Deployment) -> None:
        """Note it for a deployment. Raises OSError."""
        write_private(_file(deployment), self.model_dump_json())


def _file(deployment: Deployment) -> Path:
    return deployment.run_dir / "origin.json"
