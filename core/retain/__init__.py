"""Long-term memory for agents: extract, merge, recall."""
