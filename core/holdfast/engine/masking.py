"""What a `Redactor` masks: every text of the user's that is about to be stored or sent to a model.

Ids that say whose something is (`user_id`, `agent_id`, `run_id`, a document's namespace and key, a message's `id`)
stay as they are: masking could take two users for one. What is looked up by its exact text and may contain anything,
a session's id or a metadata key, gets a pseudonym: the masked text and a digest, so that different ones stay
different.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

from ..errors import FilterError
from ..ports import Redactor
from ..types import Message

DIGEST = 16  # hexadecimal digits: two of a million names collide once in ten million such stores


class Masking:
    """Applies a redactor, if there is one."""

    def __init__(self, redactor: Redactor | None) -> None:
        self._redactor = redactor

    def __bool__(self) -> bool:
        return self._redactor is not None

    def text(self, text: str) -> str:
        return text if self._redactor is None or not text else self._redactor.redact(text)

    def name(self, name: str) -> str:
        """A text that identifies something: itself, or its pseudonym if something in it is masked."""
        masked = self.text(name)
        return name if masked == name else f"{masked}#{sha256(name.encode()).hexdigest()[:DIGEST]}"

    def message(self, message: Message) -> Message:
        if self._redactor is None:
            return message
        name = None if message.name is None else self.text(message.name)
        return replace(message, content=self.text(message.content), name=name, data=self.json(message.data))

    def json(self, value: Any) -> Any:
        if self._redactor is None or value is None:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.name(key): self.json(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.json(item) for item in value]
        return value

    def filters(self, filters: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """The filter with its keys as they are stored. Raises FilterError if it compares with what is masked."""
        masked: Mapping[str, Any] | None = self._compared(filters, "filters")
        return masked

    def _compared(self, value: Any, where: str) -> Any:
        if self._redactor is None:
            return value
        if isinstance(value, str) and (masked := self.text(value)) != value:
            raise FilterError(
                f"{where} compares with a text that is masked before it is stored, {masked!r}: nothing can be found "
                "by it. Filter by something that the redactor leaves as it is"
            )
        if isinstance(value, Mapping):
            return {
                self.name(key) if isinstance(key, str) else key: self._compared(item, f"{where}[...]")
                for key, item in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self._compared(item, where) for item in value]
        return value
