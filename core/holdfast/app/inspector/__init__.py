"""A window into the memory, for a browser: pages made here, with a little style and script of our own."""
