"""Who a message is by, as a name."""

from __future__ import annotations

import re

from ...types import ROLES, Message

NAME_LENGTH = 40  # characters of a speaker's name; anything longer is not a name
_ROLE_NAMES = frozenset({*ROLES, "human", "ai", "developer"})  # as frameworks call roles


def speaker_of(message: Message) -> str | None:
    """The speaker's name on one line; None if there is none or it only repeats a role: whose words they
    are follows from the role, which a name cannot change."""
    if not message.name:
        return None
    name = re.sub(r"[\s:：\[\]<>]+", " ", message.name).strip()[:NAME_LENGTH]
    return None if not name or name.casefold() in _ROLE_NAMES else name
