"""Extraction: what is worth remembering of a conversation. Pure: windows and questions, replies and facts."""

from .facts import Fact, Told, facts, question
from .statements import statements
from .windows import CONTEXT_MESSAGES, WINDOW_TOKENS, Window, parts, windows

__all__ = [
    "CONTEXT_MESSAGES",
    "WINDOW_TOKENS",
    "Fact",
    "Told",
    "Window",
    "facts",
    "parts",
    "question",
    "statements",
    "windows",
]
