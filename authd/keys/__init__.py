"""Signing keys: making, sealing, finding and publishing them. Nothing outside this package opens a private key."""
