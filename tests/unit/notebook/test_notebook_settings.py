"""The configuration of a notebook server is a pure function of its environment."""

from __future__ import annotations

import pytest
from teamhub_notebook.assemble import assemble
from teamhub_notebook.settings import SettingError, Settings, forget

TOKEN = "top-secret-token"
ENVIRON = {
    "HOME": "/home/alice",
    "TEAMHUB_GATEWAY_URL": "http://127.0.0.1:8123/services/http-gateway/",
    "JUPYTERHUB_API_TOKEN": TOKEN,
    "JUPYTERHUB_SERVICE_URL": "http://127.0.0.1:0/user/alice/",
    "JUPYTERHUB_SERVICE_PREFIX": "/user/alice/",
    "TEAMHUB_WORKLOAD": "d1/w2/3",
}


def test_the_configuration_says_what_the_design_says() -> None:
    before = dict(ENVIRON)
    config = assemble(ENVIRON)
    assert before == ENVIRON
    assert config.ServerApp.root_dir == "/home/alice"
    assert (config.ServerApp.ip, config.ServerApp.port) == ("127.0.0.1", 0)
    assert config.ServerApp.base_url == "/user/alice/"
    assert config.ServerApp.default_url == "/lab"
    assert config.ServerApp.allow_remote_access is True
    assert config.ServerApp.quit_button is False
    assert "token" not in config.ServerApp
    assert config.LabApp.news_url is None
    assert config.LabApp.extension_manager == "readonly"
    assert config.RemoteKernels.cull_idle_timeout == 0


def test_the_gateway_is_reached_with_the_servers_own_token() -> None:
    client = assemble(ENVIRON).GatewayClient
    assert client.url == "http://127.0.0.1:8123/services/http-gateway"
    assert client.ws_url == "ws://127.0.0.1:8123/services/http-gateway"
    assert (client.auth_scheme, client.auth_token) == ("token", TOKEN)
    assert client.request_timeout == 40
    secure = assemble(ENVIRON | {"TEAMHUB_GATEWAY_URL": "https://hub.example/services/gateway"})
    assert secure.GatewayClient.ws_url == "wss://hub.example/services/gateway"


def test_the_token_does_not_show_in_a_printed_configuration() -> None:
    assert TOKEN not in repr(assemble(ENVIRON))
    assert TOKEN not in repr(Settings.read(ENVIRON))


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("", 0),
        ("http://127.0.0.1:0/user/a/", 0),
        ("http://127.0.0.1/user/a/", 0),
        ("http://0.0.0.0:8888/user/a/", 8888),
    ],
)
def test_the_port_is_the_spawners_or_any(url: str, port: int) -> None:
    assert Settings.read(ENVIRON | {"JUPYTERHUB_SERVICE_URL": url}).port == port


def test_what_is_missing_or_wrong_is_named() -> None:
    for name in ("HOME", "TEAMHUB_GATEWAY_URL", "JUPYTERHUB_API_TOKEN"):
        with pytest.raises(SettingError, match=f"{name} is not set"):
            Settings.read({key: value for key, value in ENVIRON.items() if key != name})
    for name, value in {
        "HOME": "alice",
        "TEAMHUB_GATEWAY_URL": "127.0.0.1:8123",
        "JUPYTERHUB_SERVICE_URL": "http://127.0.0.1:many/",
    }.items():
        with pytest.raises(SettingError, match=name) as caught:
            Settings.read(ENVIRON | {name: value})
        assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    ("workload", "id_"), [("d1/w2/3", "w2"), ("", ""), ("w2", ""), ("a/b/c/d", "")]
)
def test_the_workload_id_is_the_middle_part(workload: str, id_: str) -> None:
    assert Settings.read(ENVIRON | {"TEAMHUB_WORKLOAD": workload}).workload_id == id_


def test_terminals_inherit_neither_our_variables_nor_tokens() -> None:
    environ = ENVIRON | {
        "JPY_API_TOKEN": TOKEN,
        "JUPYTER_GATEWAY_AUTH_TOKEN": TOKEN,
        "TEAMHUB_ADDRESS_FILE": "/somewhere",
        "PATH": "/bin",
    }
    forget(environ)
    assert set(environ) == {
        "HOME",
        "PATH",
        "JUPYTERHUB_SERVICE_URL",
        "JUPYTERHUB_SERVICE_PREFIX",
    }
