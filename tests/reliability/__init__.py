"""Attacks on what Holdfast promises: nothing lost, nothing leaked."""
