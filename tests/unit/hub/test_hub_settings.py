"""What JupyterHub is told. Every name must be one that it knows, with a value that it takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from jupyterhub.app import JupyterHub
from jupyterhub.auth import Authenticator
from jupyterhub.proxy import ConfigurableHTTPProxy
from jupyterhub.spawner import Spawner
from teamhub.config import Config, HubSettings, ProxySettings
from teamhub.deployment import Deployment
from teamhub.hub.assemble import GATEWAY_SCOPE, assemble

CLASSES = {
    "Authenticator": Authenticator,
    "JupyterHub": JupyterHub,
    "ConfigurableHTTPProxy": ConfigurableHTTPProxy,
    "Spawner": Spawner,
}


def deployed(tmp_path: Path, **hub: object) -> Deployment:
    settings = HubSettings.model_validate(hub)
    deployment = Deployment(
        Config(data_dir=tmp_path, hub=settings, proxy=ProxySettings(host="::1", port=8123))
    )
    deployment.prepare()
    return deployment


def test_every_setting_is_one_of_jupyterhubs(tmp_path: Path) -> None:
    for name, traits in assemble(deployed(tmp_path)).items():
        known = CLASSES[name].class_traits(config=True)
        for trait in traits:
            assert trait in known, f"{name}.{trait}"


def test_addresses_secrets_and_files_are_the_deployments(tmp_path: Path) -> None:
    deployment = deployed(tmp_path)
    settings = assemble(deployment)
    hub = settings["JupyterHub"]
    assert hub["bind_url"] == "http://[::1]:8123/"
    assert hub["hub_bind_url"] == f"http://127.0.0.1:{deployment.ports().hub}"
    assert hub["db_url"] == f"sqlite:///{tmp_path / 'hub.sqlite'}"
    assert hub["cookie_secret"].hex() == deployment.secrets().cookie
    assert Path(hub["template_paths"][0], "new_password.html").is_file()
    assert Path(hub["logo_file"]).is_file()
    assert settings["Authenticator"]["auth_refresh_age"] == 60
    assert settings["ConfigurableHTTPProxy"]["auth_token"] == deployment.secrets().proxy_token
    assert assemble(deployment) == settings, "a second call says the same"


def test_servers_and_members_may_use_the_gateway(tmp_path: Path) -> None:
    roles = {
        role["name"]: role for role in assemble(deployed(tmp_path))["JupyterHub"]["load_roles"]
    }
    assert GATEWAY_SCOPE in roles["user"]["scopes"]
    assert GATEWAY_SCOPE in roles["server"]["scopes"]


def test_extra_settings_have_the_last_word_and_add_services(tmp_path: Path) -> None:
    extra = {
        "JupyterHub": {
            "concurrent_spawn_limit": 3,
            "services": [{"name": "culler"}],
            "load_roles": [{"name": "culler", "scopes": ["list:users"]}],
            "template_paths": ["/srv/our-templates"],
            "template_vars": {"announcement": "Down on Friday"},
        },
        "Spawner": {"environment": {"TEAM": "blue"}},
        "Authenticator": {"blocked_users": ["mallory"]},
    }
    settings = assemble(deployed(tmp_path, extra=extra))
    assert settings["JupyterHub"]["concurrent_spawn_limit"] == 3
    names = [service["name"] for service in settings["JupyterHub"]["services"]]
    assert names == ["gateway", "operator", "culler"]
    assert settings["JupyterHub"]["load_roles"][-1]["name"] == "culler"
    assert settings["JupyterHub"]["template_paths"][0] == "/srv/our-templates"
    assert len(settings["JupyterHub"]["template_paths"]) == 2
    assert settings["JupyterHub"]["template_vars"]["announcement"] == "Down on Friday"
    assert "assets" in settings["JupyterHub"]["template_vars"]
    assert settings["Spawner"]["environment"] == {"TEAM": "blue"}
    assert settings["Spawner"]["default_url"] == "/lab"
    assert settings["Authenticator"]["blocked_users"] == ["mallory"]


@pytest.mark.parametrize(("url", "is_sqlite"), [(None, True), ("postgresql://db/hub", False)])
def test_database_options_fit_the_database(
    tmp_path: Path, url: str | None, is_sqlite: bool
) -> None:
    settings = assemble(deployed(tmp_path, database_url=url))
    assert ("db_kwargs" in settings["JupyterHub"]) == is_sqlite
