"""What `teamhub up` was started with, noted in `run/origin.json`: where its settings come from.

So the running server can read the same file again, and a command can tell what a changed file
would do to it. An option of `up`, such as --port, goes on winning over the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from teamhub.config import CONFIG_NAME, Config, load
from teamhub.deployment import Deployment, write_private
from teamhub.errors import ConfigError


@dataclass(frozen=True)
class Overridden:
    """A setting that an option of `up` gave another value than the file does.

    Attributes:
        path: the setting.
        option: with its value: `--port 8102`.
        by_file: what a start without that option would use.
        is_set: whether the file sets it; else `by_file` is the default.
    """

    path: str
    option: str
    by_file: Any
    is_set: bool

    def __str__(self) -> str:
        """Return it as a sentence."""
        whose = f"the file's {self.by_file}" if self.is_set else f"the default {self.by_file}"
        return (
            f"{self.path}: the team server was started with {self.option}, which overrides {whose}"
        )


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

    def overridden(self) -> Sequence[Overridden]:
        """Return which settings `up` was given otherwise; none where the file cannot be read."""
        given = {path: value for path, value in self.overrides.items() if path != "data_dir"}
        try:
            alone = load(self.config_file, {"data_dir": self.overrides.get("data_dir")})
        except ConfigError:
            return ()
        found = []
        for path, value in given.items():
            *parents, name = path.split(".")
            table: Any = alone
            is_set = True
            for parent in parents:
                is_set = is_set and parent in table.model_fields_set
                table = getattr(table, parent)
            if (by_file := getattr(table, name)) != value:
                is_set = is_set and name in table.model_fields_set
                found.append(Overridden(path, f"--{name} {value}", by_file, is_set))
        return found

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
