"""Pages for people over either backend: rendered on the server, no scripts, nothing from another host."""
