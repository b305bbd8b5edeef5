"""`completion`: what a shell needs to complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

_VARIABLE = "_TEAMHUB_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script with which SHELL completes commands and options of teamhub.

    To have it in every new shell:

    \b
      bash   teamhub completion bash > ~/.local/share/bash-completion/completions/teamhub
      zsh    teamhub completion zsh > ~/.zfunc/_teamhub
             (with `fpath+=~/.zfunc; autoload -Uz compinit; compinit` in ~/.zshrc)
      fish   teamhub completion fish > ~/.config/fish/completions/teamhub.fish

    \b
    To try it in this bash: eval "$(teamhub completion bash)"
    """
    root = context.find_root().command
    known = get_completion_class(shell)
    assert known is not None
    click.echo(known(root, {}, "teamhub", _VARIABLE).source())
