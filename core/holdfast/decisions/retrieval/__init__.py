"""Which memories answer a query, and what an agent sees of them."""
