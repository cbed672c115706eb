"""Retain as native parts of LangChain and LangGraph."""
