"""authd: one daemon that gives a small host its identity."""

__version__ = "0.1.0"
