"""A connection to an OpenAI-compatible endpoint, and its failures in our words.

The `openai` package loads on the first request. Messages never hold the API key.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit, urlunsplit

from ..errors import InputError, ModelError, ModelRefusedError
from ..io import IO, PerLoop

if TYPE_CHECKING:
    import openai

OPENAI = "https://api.openai.com/v1"


class Endpoint:
    """base_url, api_key: as given, else OPENAI_BASE_URL and OPENAI_API_KEY, as in the openai package.

    Raises InputError if the `openai` package is missing, or there is no key for OpenAI itself.
    """

    def __init__(self, base_url: str | None, api_key: str | None, timeout: float, max_retries: int) -> None:
        require_openai()
        self.url = base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI
        self._key = api_key or os.environ.get("OPENAI_API_KEY") or _no_key(self.url)
        self._timeout = timeout
        self._max_retries = max_retries
        self._sync: openai.OpenAI | None = None
        self._per_loop = PerLoop(self._make_async)

    @property
    def shown(self) -> str:
        """The address without a user name, password or query."""
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, host, parts.path, "", ""))

    async def request(self, io: IO, method: Callable[[Any], Callable[..., Any]], **arguments: Any) -> Any:
        """Call a method of the client, found by `method`; raises what the openai package raises."""

        def call(**given: Any) -> Any:
            return method(self._client())(**given)

        async def acall(**given: Any) -> Any:
            return await method(self._per_loop.get())(**given)

        return await io.call(call, acall, **arguments)

    def _client(self) -> openai.OpenAI:
        if self._sync is None:
            import openai

            self._sync = openai.OpenAI(**self._settings())
        return self._sync

    def _make_async(self) -> openai.AsyncOpenAI:
        import openai

        return openai.AsyncOpenAI(**self._settings())

    def _settings(self) -> dict[str, Any]:
        return {
            "base_url": self.url,
            "api_key": self._key,
            "timeout": self._timeout,
            "max_retries": self._max_retries,
        }

    def close(self) -> None:
        """Close the connections of the sync face."""
        if self._sync is not None:
            self._sync.close()
            self._sync = None

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        await self._per_loop.get().close()

    def failure(self, error: Exception, model: str) -> ModelError:
        """The same failure as a ModelError that names model, endpoint and way out."""
        import openai

        where = f"{model} at {self.shown}"
        said = self._without_key(str(error))
        match error:
            case openai.APITimeoutError():
                return ModelError(
                    f"{where} gave no answer within {self._timeout:g} s. Raise timeout= or use a faster model."
                )
            case openai.APIConnectionError():
                reason = self._without_key(str(error.__cause__ or error))
                return ModelError(
                    f"Cannot reach {where}: {reason}. "
                    "Is the server running, and is base_url= (OPENAI_BASE_URL) right?"
                )
            case openai.AuthenticationError() | openai.PermissionDeniedError():
                # Not in the provider's words: some repeat the key.
                return ModelError(
                    f"{where} refused the API key ({error.status_code}). Check api_key= or OPENAI_API_KEY."
                )
            case openai.RateLimitError():
                return ModelError(
                    f"{where} is over its rate limit or quota, after {self._max_retries} retries: {said}"
                )
            case openai.NotFoundError():
                return ModelError(
                    f"{where} was not found. "
                    f"Check model= (OPENAI_MODEL) and base_url= (OPENAI_BASE_URL): {said}"
                )
            case openai.APIStatusError() if _filtered(error):
                return ModelRefusedError(f"{where} declined: {said}")
            case openai.InternalServerError():
                return ModelError(
                    f"{where} failed ({error.status_code}), after {self._max_retries} retries: {said}"
                )
            case _:
                return ModelError(f"{where} failed: {said}")

    def raise_failure(self, error: Exception, model: str) -> NoReturn:
        """Raise `failure`, with its cause unless the cause would show the key."""
        import openai

        failure = self.failure(error, model)
        if isinstance(error, openai.AuthenticationError) or self._without_key(str(error)) != str(error):
            raise failure from None
        raise failure from error

    def _without_key(self, text: str) -> str:
        # A short key ("none", "local") is a placeholder, and may be a word of the message.
        return text.replace(self._key, "***") if len(self._key) >= 8 else text


def require_openai() -> None:
    """Raise InputError if the `openai` package is not installed."""
    if not openai_installed():
        raise InputError("OpenAI-compatible models need the openai package: pip install 'holdfast[openai]'")


def openai_installed() -> bool:
    try:
        return importlib.util.find_spec("openai") is not None
    except ValueError:  # sys.modules holds a stand-in without a spec, or None
        return False


def _no_key(url: str) -> str:
    if urlsplit(url).hostname == urlsplit(OPENAI).hostname:
        raise InputError("OpenAI needs a key: pass api_key= or set OPENAI_API_KEY")
    return "none"  # local servers want some key but ignore it


def _filtered(error: openai.APIStatusError) -> bool:
    return error.code in {"content_filter", "content_policy_violation"}
