"""Conversations as data: what a client says, and what a server of ours says to that, for every way the bytes may arrive.

C: and S: begin a line of the client's and the server's. What the sink of support.py answers is passed on.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Conversation:
    """`delivered`: the content of each message that goes downstream, without what is put before it."""

    name: str
    client: bytes
    server: list[str]
    delivered: list[bytes]

    def __str__(self) -> str:
        return self.name


def conversation(name: str, script: str, *delivered: bytes) -> Conversation:
    """Reads a script. Escapes of Python are understood in the client's lines, which otherwise end with CR LF."""
    client, server = [], []
    for line in script.strip().splitlines():
        speaker, text = line.strip()[:2], line.strip()[3:]
        if speaker == "S:":
            server.append(text)
        elif speaker == "C:":
            client.append(text.encode().decode("unicode_escape").encode("latin-1") + b"\r\n")
    return Conversation(name, b"".join(client), server, list(delivered))


START = """
    S: 220 mx.example.com ESMTP authd
    C: EHLO client.example.com
    S: 250-mx.example.com
    S: 250-PIPELINING
    S: 250-8BITMIME
    S: 250-SIZE 65536
    S: 250 ENHANCEDSTATUSCODES
"""
QUIT = """
    C: QUIT
    S: 221 2.0.0 Bye
"""
TAKEN = """
    C: MAIL FROM:<ann@example.com>
    S: 250 2.1.0 sender taken
    C: RCPT TO:<bob@example.net>
    S: 250 2.1.5 recipient taken
    C: DATA
    S: 354 End with a line that holds nothing but a dot
"""
DELIVERED = "    S: 250 2.0.0 delivered\n"
MALFORMED = "    S: 550 5.6.0 The message holds a bare CR, a bare LF or a NUL\n"


CONVERSATIONS = [
    conversation("a message", START + TAKEN + r"""
        C: From: a@example.com
        C:
        C: Hello.
        C: .
    """ + DELIVERED + QUIT, b"From: a@example.com\r\n\r\nHello.\r\n"),
    conversation("two messages", START + (TAKEN + r"""
        C: S: x
        C: .
    """ + DELIVERED) * 2 + QUIT, b"S: x\r\n", b"S: x\r\n"),
    conversation("an empty message", START + TAKEN + "\n C: .\n" + DELIVERED + QUIT, b""),
    conversation("dots", START + TAKEN + r"""
        C: ..
        C: ..a
        C: .b
        C: ...
        C:  .
        C: a.
        C: .
    """ + DELIVERED + QUIT, b".\r\n.a\r\nb\r\n..\r\n .\r\na.\r\n"),
    conversation("eight bits", START + TAKEN + r"""
        C: \xe4\xff\x80
        C: .
    """ + DELIVERED + QUIT, b"\xe4\xff\x80\r\n"),
    conversation("HELO", r"""
        S: 220 mx.example.com ESMTP authd
        C: helo client
        S: 250 mx.example.com
    """ + TAKEN + "\n C: .\n" + DELIVERED + QUIT, b""),
    conversation("LMTP answers for each recipient", r"""
        S: 220 mx.example.com ESMTP authd
        C: LHLO client
        S: 250-mx.example.com
        S: 250-PIPELINING
        S: 250-8BITMIME
        S: 250-SIZE 65536
        S: 250 ENHANCEDSTATUSCODES
        C: MAIL FROM:<ann@example.com>
        S: 250 2.1.0 sender taken
        C: RCPT TO:<bob@example.net>
        S: 250 2.1.5 recipient taken
        C: RCPT TO:<ben@example.net>
        S: 250 2.1.5 recipient taken
        C: DATA
        S: 354 End with a line that holds nothing but a dot
        C: .
    """ + DELIVERED * 2 + QUIT, b""),
    conversation("addresses are read and written anew", START + r"""
        C: mail from: <@relay.example,@other.example:"ann"@Example.COM>  SIZE=10 body=8bitmime
        S: 250 2.1.0 sender taken
        C: RCPT TO:<"b o\\"b"@[192.0.2.1]>
        S: 250 2.1.5 recipient taken
        C: rcpt to:<PostMaster>
        S: 250 2.1.5 recipient taken
        C: DATA
        S: 354 End with a line that holds nothing but a dot
        C: .
    """ + DELIVERED + QUIT, b""),
    conversation("malformed addresses", START + r"""
        C: MAIL FROM:ann@example.com
        S: 501 5.1.7 Malformed sender address
        C: MAIL FROM:<ann@>
        S: 501 5.1.7 Malformed sender address
        C: MAIL FROM:<ann@[300.0.0.1]>
        S: 501 5.1.7 Malformed sender address
        C: MAIL FROM:<ann@example.com
        S: 501 5.1.7 Malformed sender address
        C: MAIL FROM:<a\x0dRCPT TO:<b@example.com>
        S: 501 5.5.4 Malformed argument
        C: MAIL FROM:<a\x00@example.com>
        S: 501 5.5.4 Malformed argument
        C: MAIL FROM:<\xe4@example.com>
        S: 501 5.5.4 Malformed argument
        C: MAIL FROM:<>
        S: 250 2.1.0 sender taken
        C: RCPT TO:<>
        S: 501 5.1.3 Malformed recipient address
        C: RCPT TO:<bob>
        S: 501 5.1.3 Malformed recipient address
    """ + QUIT),
    conversation("parameters", START + r"""
        C: MAIL FROM:<ann@example.com> SIZE=x
        S: 501 5.5.4 Malformed argument
        C: MAIL FROM:<ann@example.com> SIZE=1 SIZE=1
        S: 501 5.5.4 Malformed argument
        C: MAIL FROM:<ann@example.com> BODY=BINARYMIME
        S: 501 5.5.4 Malformed argument
        C: MAIL FROM:<ann@example.com> SMTPUTF8
        S: 555 5.5.4 Unknown parameter
        C: MAIL FROM:<ann@example.com> RET=FULL
        S: 555 5.5.4 Unknown parameter
        C: MAIL FROM:<ann@example.com> SIZE=65537
        S: 552 5.3.4 Message too big
        C: RCPT TO:<bob@example.net>
        S: 503 5.5.1 Bad sequence of commands
        C: MAIL FROM:<ann@example.com> SIZE=65536
        S: 250 2.1.0 sender taken
        C: RCPT TO:<bob@example.net> NOTIFY=NEVER
        S: 555 5.5.4 Unknown parameter
    """ + QUIT),
    conversation("sequence", r"""
        S: 220 mx.example.com ESMTP authd
        C: MAIL FROM:<ann@example.com>
        S: 503 5.5.1 Bad sequence of commands
        C: EHLO
        S: 501 5.5.4 Malformed argument
        C: RSET
        S: 250 2.0.0 Ok
        C: RCPT TO:<bob@example.net>
        S: 503 5.5.1 Bad sequence of commands
        C: HELO client
        S: 250 mx.example.com
        C: RCPT TO:<bob@example.net>
        S: 503 5.5.1 Bad sequence of commands
        C: DATA
        S: 503 5.5.1 Bad sequence of commands
        C: MAIL FROM:<ann@example.com>
        S: 250 2.1.0 sender taken
        C: MAIL FROM:<ann@example.com>
        S: 503 5.5.1 Bad sequence of commands
        C: DATA
        S: 554 5.5.1 No valid recipients
        C: RCPT TO:<bob@example.net>
        S: 250 2.1.5 recipient taken
        C: RSET
        S: 250 2.0.0 Ok
        C: DATA
        S: 503 5.5.1 Bad sequence of commands
        C: MAIL FROM:<ann@example.com>
        S: 250 2.1.0 sender taken
        C: HELO client
        S: 250 mx.example.com
        C: RCPT TO:<bob@example.net>
        S: 503 5.5.1 Bad sequence of commands
    """ + QUIT),
    conversation("other commands", START + r"""
        C: NOOP
        S: 250 2.0.0 Ok
        C: NOOP whatever
        S: 250 2.0.0 Ok
        C: VRFY bob
        S: 252 2.1.5 Send some mail, and see
        C: HELP
        S: 214 2.0.0 EHLO HELO LHLO MAIL RCPT DATA RSET NOOP VRFY HELP QUIT (RFC 5321)
        C: EXPN staff
        S: 500 5.5.2 Unknown command
        C: BDAT 5 LAST
        S: 500 5.5.2 Unknown command
        C: STARTTLS
        S: 500 5.5.2 Unknown command
        C: AUTH PLAIN AAAA
        S: 500 5.5.2 Unknown command
        C: RSET now
        S: 501 5.5.4 Malformed argument
        C:
        S: 500 5.5.2 Unknown command
        C: NOOP\nNOOP
        S: 500 5.5.2 A command ends with CR and LF
        S: 250 2.0.0 Ok
    """ + QUIT + "C: MAIL FROM:<late@example.com>"),
    conversation("a line that is too long", START + "C: NOOP " + "x" * 3000 + """
        S: 500 5.5.6 Line too long
        C: NOOP
        S: 250 2.0.0 Ok
    """ + QUIT),
    conversation("too many bad commands", START + """
        C: NONSENSE
        S: 500 5.5.2 Unknown command
    """ * 19 + """
        C: NONSENSE
        S: 421 4.7.0 Too many bad commands
        C: NOOP
    """),
    conversation("too many recipients", START + """
        C: MAIL FROM:<ann@example.com>
        S: 250 2.1.0 sender taken
    """ + """
        C: RCPT TO:<bob@example.net>
        S: 250 2.1.5 recipient taken
    """ * 5 + """
        C: RCPT TO:<bob@example.net>
        S: 452 4.5.3 Too many recipients
        C: DATA
        S: 354 End with a line that holds nothing but a dot
        C: .
    """ + DELIVERED + QUIT, b""),
    conversation("too big", START + TAKEN + "C: " + "x" * 65535 + """
        C: .
        S: 552 5.3.4 Message too big
    """ + TAKEN + "\n C: .\n" + DELIVERED + QUIT, b""),
    conversation("as big as may be", START + TAKEN + "C: " + "x" * 65534 + "\n C: .\n" + DELIVERED + QUIT,
                 b"x" * 65534 + b"\r\n"),
] + [
    conversation(f"smuggling by {form!r}", START + TAKEN + f"""
        C: From: a@example.com
        C:
        C: text{form}MAIL FROM:<eve@example.org>
        C: RCPT TO:<bob@example.net>
        C: DATA
        C: smuggled
        C: .
    """ + MALFORMED + TAKEN + "\n C: .\n" + DELIVERED + QUIT, b"")
    for form in (r"\n.\n", r"\r\n.\n", r"\n.\r\n", r"\r.\r", r"\r.\r\n", r"\r\n.\r", r"\r\n\x00.\r\n", r"\n.\r", r"\r\r\n.\n")
]
