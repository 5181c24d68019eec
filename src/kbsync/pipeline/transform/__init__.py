"""One incident to one document: pure, deterministic, fail closed."""
