"""The same home that the handlers' own tests work on."""

from lambda_.conftest import home

__all__ = ["home"]
