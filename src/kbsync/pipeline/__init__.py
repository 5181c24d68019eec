"""Decisions and the order of effects: knows ports, never a technology."""
