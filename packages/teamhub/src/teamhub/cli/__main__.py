"""`python -m teamhub.cli` is `teamhub`."""

from teamhub.cli.main import main

main()
