"""What is kept: the ledger is the truth, the index follows it. Every method of the ledger is one transaction."""
