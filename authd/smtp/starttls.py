"""From plain text to TLS on a connection of either side (RFC 3207), and the contexts for it.

When that may happen is decided in session.py and relay_session.py; what a context holds, in authd/tls.py.
"""

import asyncio
import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from authd.config.settings import SmtpSettings
from authd.config.values import TlsPolicy
from authd.tls import server_context, unverified_context, verifying_context


@dataclass(frozen=True, slots=True)
class MailTls:
    """The context of our listeners, if they have a certificate, and those towards downstreams that are not "off"."""

    server: ssl.SSLContext | None = None
    clients: Mapping[TlsPolicy, ssl.SSLContext] = field(default_factory=dict)

    @classmethod
    def load(cls, settings: SmtpSettings, policies: Collection[TlsPolicy]) -> "MailTls":
        """With the files as they are now. ConfigError where they cannot be used."""
        server = server_context(settings.tls_certificate, settings.tls_key) if settings.tls_certificate is not None else None
        clients: dict[TlsPolicy, ssl.SSLContext] = {}
        if "opportunistic" in policies:
            clients["opportunistic"] = unverified_context()
        if "required" in policies:
            clients["required"] = verifying_context(settings.downstream_ca)
        return cls(server, clients)


NO_TLS = MailTls()


class HandshakeFailed(Exception):
    """TLS was agreed to and did not come about. The connection is closed; asyncio may not tell its protocol so."""


async def begin(transport: asyncio.Transport, protocol: asyncio.Protocol, context: ssl.SSLContext, seconds: float, *,
                server_hostname: str | None = None) -> asyncio.Transport:
    """Makes TLS of a connection, as the client of `server_hostname` or, without it, as the server, in so many seconds.

    Returns the transport to use from here on. From the call on, `protocol` gets only what came through TLS. Raises
    HandshakeFailed.
    """
    try:
        secured: asyncio.Transport | None = await asyncio.get_running_loop().start_tls(
            transport, protocol, context, server_side=server_hostname is None, server_hostname=server_hostname,
            ssl_handshake_timeout=seconds)
    except OSError as error:
        transport.abort()
        raise HandshakeFailed(str(error) or type(error).__name__) from error
    except BaseException:
        transport.abort()
        raise
    if secured is None:  # lost as soon as it stood
        raise HandshakeFailed("the connection was closed")
    return secured
