"""Memory for people and other programs: a command, a server with a JSON API, and MCP. A leaf: nothing imports it."""
