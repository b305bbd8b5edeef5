"""What `[hub.extra]` says that JupyterHub would ignore without a word, or stumble over later."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jupyterhub.app import JupyterHub
from traitlets import HasTraits, TraitError
from traitlets.config import Configurable
from traitlets.utils.importstring import import_item

from teamhub.errors import ConfigError
from teamhub.hub.accounts import AccountAuthenticator
from teamhub.hub.spawner import WorkloadSpawner


def check_extra(extra: Mapping[str, Mapping[str, Any]]) -> Sequence[str]:
    """Return a sentence for each class or setting that nothing in the hub would read.

    Args:
        extra: class names to settings, as in the file.

    Raises:
        ConfigError: a value is not of the setting's type; a member's server would fail at it.
    """
    known = _classes(extra)
    told = []
    for name, settings in extra.items():
        if name not in known:
            guess = _did_you_mean(name, known)
            told.append(f"hub.extra.{_key(name)}: the hub has no such class{guess}; it is ignored")
            continue
        traits = known[name].class_traits(config=True)
        for setting, value in settings.items():
            if setting in traits:
                _check(f"hub.extra.{name}.{setting}", traits[setting], value)
            else:
                guess = _did_you_mean(setting, traits)
                told.append(
                    f"hub.extra.{_key(name)}.{_key(setting)}: {name} has no such setting{guess}; "
                    "it is ignored"
                )
    return told


def _classes(extra: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Every class that is configured by its name: those of the hub, ours, and their parents."""
    hub = JupyterHub()
    found: list[Any] = [JupyterHub, WorkloadSpawner, AccountAuthenticator, *hub.classes]
    for setting, value in extra.get("JupyterHub", {}).items():
        # One of their own, by its path. What cannot be imported is JupyterHub's to complain of.
        if setting.endswith("_class") and isinstance(value, str) and "." in value:
            with contextlib.suppress(Exception):
                found.append(import_item(value))
    return {
        parent.__name__: parent
        for each in found
        if isinstance(each, type)
        for parent in each.__mro__
        if issubclass(parent, Configurable) and parent is not Configurable
    }


def _check(where: str, trait: Any, value: object) -> None:
    try:
        trait.validate(HasTraits(), value)
    except TraitError:
        raise ConfigError(f"{where}: should be {trait.info()}, is {value!r}") from None
    except Exception:  # noqa: S110  a trait that needs its own object to say so
        pass


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _key(name: str) -> str:
    return name if name.isprintable() else repr(name)
