"""A stateful double of Bedrock's knowledge base APIs on loopback; the rules it holds stand in `rules.py`."""
