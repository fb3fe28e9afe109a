"""DKIM signatures (RFC 6376, RFC 8463): relaxed canonicalisation in linear time, and the fields that carry signatures.

Pure: keys come in as objects, the time as a number. Whether a message is signed, and by whom, is in signing_policy.py.
Content must have CR LF line ends only; a session refuses anything else.
"""

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from authd.keys.facts import DkimKey, DkimKeys
from authd.smtp.message import Field

# Signed whether present or not, once more than they are there: nobody can add one (RFC 6376 section 8.15).
_ALWAYS = (b"from", b"to", b"cc", b"subject", b"reply-to")
# The same, where present.
_WHERE_PRESENT = (b"date", b"message-id", b"mime-version", b"content-type", b"content-transfer-encoding",
                  b"in-reply-to", b"references", b"sender")
_WSP = re.compile(rb"[ \t\r\n]+")
_LINE_ENDS = b"\r\n" * 4096
_LINE = 72


def canonical_body(content: Iterable[bytes]) -> Iterator[bytes]:
    """The relaxed form of a body that comes in pieces, and ends with CR LF where it is not empty (RFC 6376 section 3.4.4)."""
    waiting = b""    # white space or half a line end that the next piece decides about
    line_ends = 0    # they count only if something follows
    is_empty = True
    for piece in content:
        data = waiting + piece
        if b"\t" in data:
            data = data.replace(b"\t", b" ")
        while b"  " in data:  # each round halves every run
            data = data.replace(b"  ", b" ")
        data = data.replace(b" \r\n", b"\r\n")
        text = data.rstrip(b" \r\n")
        if text:
            is_empty = False
            yield from _repeated_line_ends(line_ends)
            yield text
            line_ends = 0
        rest = data[len(text):]
        ends = rest.count(b"\r\n")
        line_ends += ends
        waiting = rest[2 * ends:]
    if not is_empty:
        yield b"\r\n"


def _repeated_line_ends(number: int) -> Iterator[bytes]:
    while number > 0:
        yield _LINE_ENDS[:2 * number]
        number -= 4096


def body_hash(content: Iterable[bytes]) -> bytes:
    """SHA-256 of the relaxed body: the value of bh= before base64."""
    digest = hashlib.sha256()
    for piece in canonical_body(content):
        digest.update(piece)
    return digest.digest()


def canonical_field(raw: bytes) -> bytes:
    """The relaxed form of a field (RFC 6376 section 3.4.2), without CR LF."""
    name, _, value = raw.partition(b":")
    return name.strip(b" \t").lower() + b":" + _WSP.sub(b" ", value).strip(b" ")


def signed_names(header: Sequence[Field]) -> list[bytes]:
    """The h= list: each name as often as it is there, and once more."""
    present = Counter(field.name for field in header)
    names = [*_ALWAYS, *(name for name in _WHERE_PRESENT if name in present),
             *sorted(name for name in present if name.startswith(b"list-"))]
    return [name for name in names for _ in range(present[name] + 1)]


def canonical_header(header: Sequence[Field], names: Sequence[bytes]) -> bytes:
    """The relaxed fields that `names` selects, each name from the bottom up (RFC 6376 section 5.4.2)."""
    left: dict[bytes, list[Field]] = {name: [] for name in names}
    for field in header:
        if field.name in left:
            left[field.name].append(field)
    return b"".join(canonical_field(left[name].pop().raw) + b"\r\n" for name in names if left[name])


def signatures(header: Sequence[Field], digest: bytes, keys: DkimKeys, *, now: int, lifetime: int | None = None) -> bytes:
    """A DKIM-Signature field for each key, in the keys' order, each with CR LF.

    `digest` is `body_hash` of the body, `now` (t=) in seconds since 1970, `lifetime` the seconds until x=.
    """
    names = signed_names(header)
    signed = canonical_header(header, names)
    return b"".join(_signature(signed, names, digest, keys.domain, key, now, lifetime) for key in keys.keys)


def _signature(signed: bytes, names: Sequence[bytes], digest: bytes, domain: str, key: DkimKey,
               now: int, lifetime: int | None) -> bytes:
    expiry = b"" if lifetime is None else b" x=%d;" % (now + lifetime)
    unsigned = b"\r\n\t".join([
        b"DKIM-Signature: v=1; a=%b; c=relaxed/relaxed;" % key.algorithm.encode(),
        b"d=%b; s=%b; t=%d;%b" % (domain.encode(), key.selector.encode(), now, expiry),
        *_folded(b"h=" + b":".join(names) + b";"),
        b"bh=" + base64.b64encode(digest) + b";",
        b"b="])
    signature = _sign(key, signed + canonical_field(unsigned))
    value = base64.b64encode(signature)
    return unsigned + b"\r\n\t ".join(value[at:at + _LINE] for at in range(0, len(value), _LINE)) + b"\r\n"


def _folded(names: bytes) -> Iterator[bytes]:
    """The h= tag in lines, broken after a colon."""
    while len(names) > _LINE:
        end = names.rfind(b":", 0, _LINE) + 1
        if end == 0:
            end = names.find(b":") + 1 or len(names)
        yield names[:end]
        names = names[end:]
    if names:
        yield names


def _sign(key: DkimKey, data: bytes) -> bytes:
    if isinstance(key.private_key, Ed25519PrivateKey):
        return key.private_key.sign(hashlib.sha256(data).digest())  # RFC 8463 section 3
    return key.private_key.sign(data, PKCS1v15(), SHA256())
