"""TLS contexts from PEM files. Every call makes a new one, since one in use would lose its key to files that do not fit
together. ConfigError names files that cannot be used. What is done with a context stands elsewhere.
"""

import ssl
from pathlib import Path

from authd.errors import ConfigError


def server_context(certificate: Path, key: Path | None) -> ssl.SSLContext:
    """For a listener: TLS 1.2 or newer, and no certificates of clients."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, _no_passphrase)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError([f"{certificate}: cannot be used with the key {key}: {error.strerror or error}"]) from error
    return context


def _no_passphrase() -> str:
    """Instead of OpenSSL, which would ask at the terminal and wait."""
    raise OSError("the key is encrypted, and nobody gives authd a passphrase")


def verifying_context(ca: Path | None) -> ssl.SSLContext:
    """For a client: the server's certificate must be for its name, and from `ca` (None: from the system's authorities)."""
    try:
        context = ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise ConfigError([f"{ca}: holds no certificates that could be used: {error.strerror or error}"]) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def unverified_context() -> ssl.SSLContext:
    """For a client that takes encryption where it can get it, whoever is at the other end (RFC 7435)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
