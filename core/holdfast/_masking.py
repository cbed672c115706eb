"""What a `Redactor` masks: every text of the user's that is about to be stored or sent to a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .ports import Redactor
from .types import Message


class Masking:
    """Applies a redactor, or nothing where there is none. Keys of mappings are names of fields, and stay."""

    def __init__(self, redactor: Redactor | None) -> None:
        self._redactor = redactor

    def text(self, text: str) -> str:
        return text if self._redactor is None or not text else self._redactor.redact(text)

    def message(self, message: Message) -> Message:
        if self._redactor is None:
            return message
        return replace(message, content=self.text(message.content), data=self.json(message.data))

    def json(self, value: Any) -> Any:
        if self._redactor is None or value is None:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {key: self.json(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.json(item) for item in value]
        return value
