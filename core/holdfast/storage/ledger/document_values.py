"""Documents as the ledger keeps them: namespaces and keys as texts, values as JSON, texts by their vectors."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import Enum
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ...types.documents import Namespace

FILES = "holdfast.files"  # the root of what the memory tool keeps; LangGraph's stores allow no dot in a label

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Vectors:
    """What a batch needs of the embedder. texts, queries: text -> float32[dimensions], L2-normalised."""

    embedder: str
    texts: Mapping[str, Matrix]
    queries: Mapping[str, Matrix]


_UNSAFE = re.compile("[%/\x00\ud800-\udfff]")
_ESCAPED = re.compile(r"%([0-9a-f]+);")


def encode(label: str) -> str:
    """A label without the separator and the characters that databases refuse. `decode` is its inverse."""
    return _UNSAFE.sub(lambda found: f"%{ord(found[0]):x};", label)


def decode(label: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), label)


def encode_namespace(namespace: Namespace) -> str:
    """Every label followed by "/": a prefix of labels is a prefix of the text, and nothing else is."""
    return "".join(f"{encode(label)}/" for label in namespace)


def decode_namespace(text: str) -> Namespace:
    return tuple(decode(label) for label in text.split("/")[:-1])


def plain_value(value: Mapping[str, Any]) -> dict[str, Any]:
    """The value as it comes back: JSON objects, lists, texts, numbers. Raises InputError."""
    plain: dict[str, Any] = json.loads(dump_value(value))
    return plain


def dump_value(value: Mapping[str, Any]) -> str:
    """JSON. Dates, UUIDs, enums, dataclasses and pydantic models are written in their usual form.

    Raises InputError.
    """
    try:
        text = json.dumps(_checked_keys(dict(value)), ensure_ascii=False, allow_nan=False, default=_usual)
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, allow_nan=False, default=_usual)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"the document is not JSON: {error}") from error
    return text


def _checked_keys(value: Any) -> Any:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"key {key!r} is not a string")
            _checked_keys(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _checked_keys(item)
    return value


def _usual(value: Any) -> Any:
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return dict(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if not isinstance(value, type) and callable(dump := getattr(value, "model_dump", None)):  # pydantic's
        return dump(mode="json")
    raise TypeError(f"{type(value).__name__} is not JSON")


def nearest(query: Matrix, seqs: Sequence[int], vectors: Sequence[bytes]) -> list[tuple[int, float]]:
    """(document, cosine of its nearest text), best first; ties by the order of writing."""
    if not seqs:
        return []
    matrix = np.frombuffer(b"".join(vectors), dtype="<f4").reshape(len(seqs), -1)
    best: dict[int, float] = {}
    for seq, score in zip(seqs, (matrix @ query).tolist(), strict=True):
        best[seq] = max(score, best.get(seq, -2.0))
    return sorted(best.items(), key=lambda pair: (-pair[1], pair[0]))
