"""Which memories answer a query, and what an agent gets to see of them."""
