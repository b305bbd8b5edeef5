"""Kernelspecs: an environment times a size is one entry in the launcher."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from teamhub.config import Config, kernelspec_names
from teamhub.gateway import schemas

_RESOURCES = ("kernel.js", "kernel.css")


@dataclass(frozen=True)
class Kernelspec:
    """One thing that can be started."""

    name: str
    environment: str
    size: str


class Kernelspecs:
    """What the settings offer.

    Args:
        config: the settings.
        base_url: the gateway's path, in front of resources.
    """

    def __init__(self, config: Config, base_url: str) -> None:
        self._config = config
        self._base_url = base_url
        self._specs: dict[str, Kernelspec] = {}
        for environment, settings in config.environments.items():
            for name, size in kernelspec_names(environment, settings.sizes or tuple(config.sizes)):
                self._specs[name] = Kernelspec(name, environment, size)

    def get(self, name: str | None) -> Kernelspec | None:
        """Return a kernelspec by name (None: the default one), None where there is none."""
        return self._specs.get(name or self.default)

    @property
    def default(self) -> str:
        """The name that a client gets which names none."""
        wanted = self._config.kernels.default
        return wanted if wanted in self._specs else next(iter(self._specs))

    def models(self) -> schemas.Kernelspecs:
        """Return what `/api/kernelspecs` answers."""
        return {
            "default": self.default,
            "kernelspecs": {name: self.model(spec) for name, spec in self._specs.items()},
        }

    def model(self, spec: Kernelspec) -> schemas.Kernelspec:
        """Return one kernelspec as Jupyter clients know it."""
        environment = self._config.environment(spec.environment)
        size = self._config.size(spec.size)
        title = environment.display_name
        if size.display_name:
            title = f"{title} · {size.display_name}"
        return {
            "name": spec.name,
            "spec": {
                "argv": list(environment.argv),
                "env": {},
                "display_name": title,
                "language": environment.language,
                "interrupt_mode": environment.interrupt_mode,
                "metadata": dict(environment.metadata),
            },
            "resources": {
                (path.stem if path.stem.startswith("logo-") else path.name): (
                    f"{self._base_url}/kernelspecs/{spec.name}/{path.name}"
                )
                for path in self._files(spec)
            },
        }

    def resource(self, name: str, file_name: str) -> Path | None:
        """Return the file of a resource that is on offer, None for anything else."""
        spec = self.get(name) if name else None
        if spec is None:
            return None
        return next((path for path in self._files(spec) if path.name == file_name), None)

    def _files(self, spec: Kernelspec) -> list[Path]:
        directory = self._config.environment(spec.environment).resource_dir
        if directory is None or not Path(directory).is_dir():
            return []
        return sorted(
            path
            for path in Path(directory).iterdir()
            if path.is_file() and (path.name.startswith("logo-") or path.name in _RESOURCES)
        )
