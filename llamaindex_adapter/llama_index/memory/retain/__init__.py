"""Retain as native parts of LlamaIndex."""
