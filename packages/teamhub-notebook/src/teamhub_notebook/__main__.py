"""Start a member's notebook server under JupyterHub: `python -m teamhub_notebook`."""

from __future__ import annotations

import os
import sys

from teamhub_notebook.announcement import Announcement
from teamhub_notebook.assemble import assemble
from teamhub_notebook.settings import SettingError, Settings, forget


def main() -> int:
    """Serve until told to stop. Returns the exit code; 2 for a variable that is not right."""
    try:
        config = assemble(os.environ)
        announcement = Announcement.of(Settings.read(os.environ))
    except SettingError as error:
        sys.stderr.write(f"teamhub-notebook: {error}\n")
        return 2
    forget(os.environ)

    # jupyterhub reads the environment while it is imported: not before it is clean.
    from jupyter_server.extension.application import ExtensionApp

    from teamhub_notebook.logs import write_json_lines
    from teamhub_notebook.singleuser import SingleUser

    write_json_lines(SingleUser, SingleUser.serverapp_class, ExtensionApp)

    server = SingleUser.initialize_server(
        argv=sys.argv[1:], assembled=config, announcement=announcement
    )
    server.start()
    return 0


if __name__ == "__main__":
    sys.exit(main())
