"""Attacks on what Retain promises: nothing lost, nothing leaked."""
