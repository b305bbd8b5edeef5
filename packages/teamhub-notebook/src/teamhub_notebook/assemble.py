"""The configuration of a notebook server, from its settings: a pure function."""

from __future__ import annotations

from collections.abc import Mapping

from traitlets.config import Config

from teamhub_notebook.settings import Settings

UNLIMITED_BYTES = 2**62
"""For limits whose only effect would be that a large message is lost."""

HEADERS = {"Cross-Origin-Opener-Policy": "noopener-allow-popups"}
"""Of every answer: a page that opens one of ours in another window gets no hold of that window.
It may be another member's, whose notebook server has the same origin."""


def assemble(environ: Mapping[str, str]) -> Config:
    """Return the traits of a notebook server, as an environment asks for them.

    What is said here wins over configuration files, the command line and the hub's extension.

    Raises:
        SettingError: a variable is missing or is not what it should be.
    """
    settings = Settings.read(environ)
    config = Config()
    _serve(config, settings)
    _reach_gateway(config, settings)
    _quieten_lab(config)
    return config


def _serve(config: Config, settings: Settings) -> None:
    server = config.ServerApp
    server.ip = settings.host
    server.port = settings.port
    server.port_retries = 0
    server.base_url = settings.base_url
    server.default_url = settings.default_url
    server.root_dir = settings.home
    # Who may ask, and under which host name, is for the hub and the proxy to say.
    server.allow_remote_access = True
    # As whom this runs was decided by who started it.
    server.allow_root = True
    server.open_browser = False
    server.quit_button = False
    server.terminals_enabled = True
    # Closing idle servers is the hub's business, closing idle kernels the gateway's.
    server.shutdown_no_activity_timeout = 0
    server.tornado_settings = {
        "websocket_max_message_size": UNLIMITED_BYTES,
        "headers": dict(HEADERS),
    }
    server.max_buffer_size = UNLIMITED_BYTES
    config.HubAuth.api_token = settings.token


def _reach_gateway(config: Config, settings: Settings) -> None:
    server = config.ServerApp
    server.kernel_manager_class = "teamhub_notebook.kernels.RemoteKernels"
    server.kernel_spec_manager_class = "teamhub_notebook.kernelspecs.RemoteKernelspecs"
    server.session_manager_class = "teamhub_notebook.sessions.RemoteSessions"
    server.kernel_websocket_connection_class = "teamhub_notebook.channels.Channels"
    server.extra_services = ["teamhub_notebook.handlers"]
    config.RemoteKernels.cull_idle_timeout = 0
    client = config.GatewayClient
    client.url = settings.gateway_url
    # The default replaces every "http" in the URL, wherever it stands.
    client.ws_url = "ws" + settings.gateway_url.removeprefix("http")
    client.auth_scheme = "token"
    client.auth_token = settings.token
    client.connect_timeout = 10.0
    client.request_timeout = 40.0
    # Otherwise the request timeout is raised by it.
    client.launch_timeout_pad = 0.0
    client.allowed_envs = ""


def _quieten_lab(config: Config) -> None:
    lab = config.LabApp
    lab.news_url = None
    lab.check_for_updates_class = "jupyterlab.handlers.announcements.NeverCheckForUpdate"
    # What is installed beside the server runs in the member's browser session.
    lab.extension_manager = "readonly"
