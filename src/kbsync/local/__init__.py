"""The embedded backend: SQLite, a folder, and a knowledge base in the same process."""
