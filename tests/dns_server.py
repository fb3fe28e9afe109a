"""A DNS server on loopback, UDP and TCP on one port, that knows TXT and CNAME records and misbehaves to order."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

SILENT = b"silent"        # no answer at all
GARBAGE = b"garbage"      # bytes that are no DNS message
SMALLEST_UDP = 512        # octets that fit in an answer (RFC 1035 section 4.2.1)


@dataclass
class DnsServer:
    """`txt` holds records by name, each one a text or the strings of one; `cname` the alias of a name; `fault` what a name gets
    instead: SILENT, GARBAGE or a response code. `asked` are the names and transports that were asked for.
    """

    txt: dict[str, Sequence[str | bytes | Sequence[bytes]]] = field(default_factory=dict)
    cname: dict[str, str] = field(default_factory=dict)
    fault: dict[str, bytes | dns.rcode.Rcode] = field(default_factory=dict)
    follows: bool = True
    asked: list[tuple[str, str]] = field(default_factory=list)
    port: int = 0

    @property
    def address(self) -> str:
        """As --resolver takes it."""
        return f"127.0.0.1:{self.port}"

    def answer(self, wire: bytes, transport: str) -> bytes | None:
        """The reply to a query."""
        query = dns.message.from_wire(wire)
        name = query.question[0].name.to_text(omit_final_dot=True).lower()
        self.asked.append((name, transport))
        fault = self.fault.get(name)
        if fault is SILENT:
            return None
        if fault is GARBAGE:
            return wire[:2] + b"\xff" * 40
        reply = dns.message.make_response(query, recursion_available=True)
        if isinstance(fault, dns.rcode.Rcode):
            reply.set_rcode(fault)
            return reply.to_wire()
        while name in self.cname:
            reply.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", "CNAME", f"{self.cname[name]}."))
            name = self.cname[name]
            if not self.follows:
                return reply.to_wire()
        if name not in self.txt:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        elif self.txt[name]:
            reply.answer.append(dns.rrset.from_text_list(
                f"{name}.", 60, dns.rdataclass.IN, dns.rdatatype.TXT, [_presentation(record) for record in self.txt[name]]))
        whole = reply.to_wire()
        if transport == "udp" and len(whole) > SMALLEST_UDP:
            reply.answer.clear()
            reply.flags |= dns.flags.TC
            return reply.to_wire()
        return whole


def _presentation(record: str | bytes | Sequence[bytes]) -> str:
    data = record.encode() if isinstance(record, str) else record
    strings = [data[at:at + 255] for at in range(0, len(data), 255)] or [b""] if isinstance(data, bytes) else data
    return " ".join('"' + "".join(f"\\{octet:03d}" for octet in string) + '"' for string in strings)


@contextmanager
def running_dns(server: DnsServer) -> Iterator[DnsServer]:
    """The server on a port of its own, in two threads."""
    udp, tcp = _sockets()
    server.port = udp.getsockname()[1]
    threads = [threading.Thread(target=serve, args=(server, listener), daemon=True)
               for serve, listener in ((_serve_udp, udp), (_serve_tcp, tcp))]
    for thread in threads:
        thread.start()
    try:
        yield server
    finally:
        for listener in (udp, tcp):
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for thread in threads:
            thread.join(10)


def _sockets() -> tuple[socket.socket, socket.socket]:
    while True:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            tcp.bind(udp.getsockname())
        except OSError:
            udp.close()
            tcp.close()
            continue
        tcp.listen()
        return udp, tcp


def _serve_udp(server: DnsServer, udp: socket.socket) -> None:
    with suppress(OSError):
        while True:
            wire, client = udp.recvfrom(4096)
            if not wire:
                return
            reply = server.answer(wire, "udp")
            if reply is not None:
                udp.sendto(reply, client)


def _serve_tcp(server: DnsServer, tcp: socket.socket) -> None:
    with suppress(OSError):
        while True:
            connection, _ = tcp.accept()
            with connection, suppress(OSError):
                connection.settimeout(10)
                size = int.from_bytes(connection.recv(2, socket.MSG_WAITALL), "big")
                reply = server.answer(connection.recv(size, socket.MSG_WAITALL), "tcp")
                if reply is not None:
                    connection.sendall(len(reply).to_bytes(2, "big") + reply)
