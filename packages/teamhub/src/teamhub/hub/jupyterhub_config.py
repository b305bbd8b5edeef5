"""What `jupyterhub -f` reads. The data directory comes in TEAMHUB_DATA_DIR."""

import os
from pathlib import Path

from teamhub.deployment import Deployment
from teamhub.hub.assemble import assemble
from teamhub.hub.origin import protect
from teamhub.hub.process import begin
from teamhub.hub.requests import bound

c = get_config()  # type: ignore[name-defined]  # noqa: F821  given by traitlets

deployment = Deployment.running(Path(os.environ["TEAMHUB_DATA_DIR"]))
begin(deployment)
protect()
bound()
for name, traits in assemble(deployment).items():
    c[name].update(traits)
