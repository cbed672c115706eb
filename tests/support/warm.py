"""What processes of the tests need: imported and loaded before they are forked. No thread is left running."""

import psycopg
import qdrant_client
import qdrant_edge

from holdfast.app import commands, serving, sharing
from holdfast.decisions.text.language import likely_language
from holdfast.models.bundled import BundledEmbedder
from holdfast.models.tokens import count_tokens
from tests.support import children

__all__ = ["children", "commands", "psycopg", "qdrant_client", "qdrant_edge", "serving", "sharing"]

TEXT = "I live in Berlin"
likely_language(TEXT)
count_tokens(TEXT)
BundledEmbedder().embed_query(TEXT)
