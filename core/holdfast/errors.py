"""Every error that Holdfast raises, split by what the caller can do about it.

    HoldfastError
    ├── InputError            the call was wrong; nothing was changed               (also a ValueError)
    │   └── FilterError       a filter names an unknown operator or a bad value
    ├── NotFoundError         there is no memory, change or job with that id        (also a KeyError)
    ├── UndoError             later changes depend on what was to be undone
    ├── ModelError            the language model, embedder or reranker failed
    │   ├── ModelReplyError   it answered, but with nothing that can be read
    │   ├── ModelRefusedError it declined to answer
    │   └── EmbeddingError    vectors of a wrong shape, or with NaN
    └── StorageError          ledger or index failed; committed work is safe
        ├── StoreLockedError  another process (or a parent process) holds the store
        ├── StoreVersionError the store was written by a newer Holdfast
        ├── EmbedderMismatchError  the store's vectors come from another embedder
        └── ClosedError       the `Memory` was closed

Messages that were journaled before an error stay journaled, and the error's `add_id` says so: `Memory.resume()`
finishes the work.
"""

from __future__ import annotations


class HoldfastError(Exception):
    """The base of all errors of this package.

    add_id: the `add` whose messages are journaled in spite of the error. `Memory.resume()` finishes it, and so does
        adding the same messages again. None if nothing was journaled.
    """

    add_id: str | None = None

    def __str__(self) -> str:
        text = super().__str__()
        if self.add_id is None:
            return text
        return f"{text} (the messages are journaled as add {self.add_id!r}: resume() finishes it)"


class InputError(HoldfastError, ValueError):
    """The call was wrong. Nothing was changed."""


def whose_memory(
    owner: str = "", ways: str = "pass at least one of user_id=, agent_id=, run_id="
) -> InputError:
    """The error of a call that does not say whose memory it is.

    owner: who asks, if it is not obvious.
    ways: how to say whose it is.
    """
    return InputError(f"{owner}: whose memory? {ways}" if owner else f"whose memory? {ways}")


class FilterError(InputError):
    """A filter names an unknown operator, a scope key, or a value that cannot be compared."""


class NotFoundError(HoldfastError, KeyError):
    """There is no memory, change or job with that id."""

    def __str__(self) -> str:  # KeyError would show the repr of the message
        return str(self.args[0]) if self.args else ""


class UndoError(HoldfastError):
    """Later changes depend on the change that was to be undone; the message names them."""


class ModelError(HoldfastError):
    """A language model, embedder or reranker failed: the network, a time-out, a provider that refuses."""


class ModelReplyError(ModelError):
    """The model answered twice, and neither answer can be read.

    reply: the second answer, as it came.
    """

    def __init__(self, message: str, *, reply: str = "") -> None:
        super().__init__(message)
        self.reply = reply


class ModelRefusedError(ModelError):
    """The model declined to answer (a refusal or a content filter)."""


class EmbeddingError(ModelError):
    """An embedder returned vectors of the wrong shape, or with values that are not finite."""


class StorageError(HoldfastError):
    """The ledger or the index failed. What was committed is safe; what was not is not reported."""


class StoreLockedError(StorageError):
    """Another process holds the embedded store, or this process is a fork of the one that does."""


class StoreVersionError(StorageError):
    """The store was written by a newer version of Holdfast. It is left as it was."""


class EmbedderMismatchError(StorageError):
    """The store's vectors come from another embedder; `memory.index.rebuild` changes that."""


class ClosedError(StorageError):
    """The `Memory` was closed."""
