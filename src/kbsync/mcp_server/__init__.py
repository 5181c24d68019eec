"""What agents may ask: the Model Context Protocol over either backend, read only."""
