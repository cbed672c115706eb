"""How long a text is for a language model: by tiktoken if it and its vocabulary are on disk, else an estimate.

Counting never downloads anything by itself. tiktoken would fetch its vocabulary on first use; here that
happens only for a user who names an encoding.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..lengths import estimate_tokens

if TYPE_CHECKING:
    import tiktoken

_log = logging.getLogger("holdfast")

DEFAULT_ENCODING = "o200k_base"
# The file name (tiktoken: SHA-1 of the address) and the SHA-256 of the default vocabulary. tiktoken deletes a
# file with another hash and downloads it again, so the hash is checked before tiktoken is used.
_FILE = "fb374d419588a4632f3f557e76b4b70aebbca790"
_SHA256 = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
_VARIABLE = "TIKTOKEN_CACHE_DIR"
_SLICE = 100_000  # characters: one piece of text per call keeps the memory of an encoding bounded

_guard = threading.RLock()  # guards the environment variable and the cache of counters
_counters: dict[str | None, TokenCounter] = {}


def count_tokens(text: str, encoding: str | None = None) -> int:
    """The number of tokens of `text`.

    encoding: a tiktoken encoding ("o200k_base", "cl100k_base", ...), downloaded by tiktoken if need be; by
        default o200k_base if its vocabulary is on this machine, else an estimate.

    Raises InputError if a named encoding is unknown or cannot be loaded, or tiktoken is not installed.
    """
    counter = _counters.get(encoding)
    if counter is None:
        with _guard:
            counter = _counters.setdefault(encoding, TokenCounter(encoding))
    return counter(text)


class TokenCounter:
    """Counts tokens, `counter(text) -> int`, and loads what it needs at the first call.

    exact: whether a vocabulary is used; None before the first call.
    """

    def __init__(self, encoding: str | None = None) -> None:
        self.encoding = encoding
        self.exact: bool | None = None
        self._vocabulary: tiktoken.Encoding | None = None

    def __call__(self, text: str) -> int:
        if not text:
            return 0
        if self.exact is None:
            self._load()
        if self._vocabulary is None:
            return estimate_tokens(text)
        encode = self._vocabulary.encode
        slices = range(0, len(text), _SLICE)
        return sum(len(encode(text[at : at + _SLICE], disallowed_special=())) for at in slices)

    def _load(self) -> None:
        with _guard:
            if self.exact is not None:
                return
            self._vocabulary = _named(self.encoding) if self.encoding else _at_hand()
            self.exact = self._vocabulary is not None
            if not self.exact:
                _log.warning(
                    "tokens are estimated: tiktoken or the vocabulary of %s is not on this machine "
                    "(name an encoding to have tiktoken download it)",
                    DEFAULT_ENCODING,
                )


def _named(encoding: str) -> tiktoken.Encoding:
    if find_spec("tiktoken") is None:
        raise InputError(f"the token encoding {encoding!r} needs the package tiktoken: pip install tiktoken")
    import tiktoken

    try:
        if encoding == DEFAULT_ENCODING and (folder := _folder()) is not None:
            with _cache_dir(folder):
                return tiktoken.get_encoding(encoding)
        return tiktoken.get_encoding(encoding)
    except (
        ValueError,
        OSError,
    ) as error:  # unknown name; no network or no disk (requests' errors are OSErrors)
        raise InputError(f"the token encoding {encoding!r} cannot be loaded: {error}") from error


def _at_hand() -> tiktoken.Encoding | None:
    folder = _folder()
    if folder is None or find_spec("tiktoken") is None:
        return None
    import tiktoken

    with _cache_dir(folder):
        return tiktoken.get_encoding(DEFAULT_ENCODING)


def _folder() -> Path | None:
    """The folder that holds the default vocabulary, undamaged."""
    for folder in _folders():
        try:
            content = (folder / _FILE).read_bytes()
        except OSError:
            continue
        if hashlib.sha256(content).hexdigest() == _SHA256:
            return folder
    return None


def _folders() -> Iterator[Path]:
    """Where tiktoken itself would look, then the copy that llama-index-core ships, without importing it."""
    for variable in (_VARIABLE, "DATA_GYM_CACHE_DIR"):
        if os.environ.get(variable):
            yield Path(os.environ[variable])
    yield Path(tempfile.gettempdir()) / "data-gym-cache"
    spec = find_spec("llama_index")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        yield Path(location) / "core" / "_static" / "tiktoken_cache"


@contextmanager
def _cache_dir(folder: Path) -> Iterator[None]:
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = before
