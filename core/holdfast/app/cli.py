"""The command `holdfast`: an entry point that says which extra is missing, if one is."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command. Exit codes: see `commands`."""
    try:
        from .commands import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("typer", "rich"):
            raise
        sys.exit(f'holdfast: the command needs {error.name}: pip install "holdfast[cli]"')
    sys.exit(run())
