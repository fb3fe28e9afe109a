"""Asks one of OpenSMTPD's table programs directly, in the protocol that smtpd uses with it (imsg over a socket).

For credentials there is no other way: AUTH needs TLS, which OpenSMTPD as Debian 12 has it cannot serve.
"""

import os
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path

_HEADER = struct.Struct("=IHHII")  # type, length, flags, peer, process
_API_VERSION = 2


class _Type(IntEnum):
    OK = 0
    OPEN = 2
    CLOSE = 3
    LOOKUP = 6


class Service(IntEnum):
    """What a table is asked for."""

    ALIAS = 0x01
    DOMAIN = 0x02
    CREDENTIALS = 0x04
    MAILADDR = 0x40


class Table:
    """A running table program."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def open(self) -> None:
        """What smtpd says first."""
        self._send(_Type.OPEN, struct.pack("=I2048s", _API_VERSION, b"table"))
        assert self._receive()[0] == _Type.OK

    def lookup(self, service: Service, key: str) -> str | None:
        """The value of a key, or None; what smtpd takes for a passing error fails."""
        self._send(_Type.LOOKUP, struct.pack("=I", service) + struct.pack("@N", 0) + key.encode() + b"\0")
        kind, payload = self._receive()
        (found,) = struct.unpack_from("=i", payload)
        assert kind == _Type.OK and found >= 0, f"lookup of {key!r} failed"
        return payload[4:].rstrip(b"\0").decode() if found else None

    def _send(self, kind: _Type, payload: bytes) -> None:
        self._connection.sendall(_HEADER.pack(kind, _HEADER.size + len(payload), 0, 0, os.getpid()) + payload)

    def _receive(self) -> tuple[int, bytes]:
        header = self._exactly(_HEADER.size)
        kind, length, _, _, _ = _HEADER.unpack(header)
        return kind, self._exactly(length - _HEADER.size)

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self._connection.recv(size - len(data))
            assert piece, "the table program ended"
            data += piece
        return data


@contextmanager
def table_process(program: Path, configuration: Path) -> Iterator[Table]:
    """The program with its configuration file, for the block."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(20)
        process = subprocess.Popen([program, configuration], stdin=theirs.fileno(), stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        theirs.close()
        try:
            table = Table(ours)
            table.open()
            yield table
        finally:
            process.terminate()
            process.wait(10)
