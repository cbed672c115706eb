"""Where stores lie that are given no other place."""

from __future__ import annotations

import os
from pathlib import Path

IN_MEMORY = ":memory:"


def default_folder() -> Path:
    """`HOLDFAST_HOME`, else the platform's folder for user data."""
    import platformdirs

    home = os.environ.get("HOLDFAST_HOME")
    return Path(home or platformdirs.user_data_path("holdfast", appauthor=False)).expanduser().resolve()
