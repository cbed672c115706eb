"""Fixtures of the attacks."""

from tests._postgres import postgres, postgres_url

__all__ = ["postgres", "postgres_url"]
