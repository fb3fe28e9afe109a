#!/usr/bin/env python3
"""A client of authd's `/checkpassword/` and `/getkey/` for software that knows neither OAuth2 nor HTTP: Apache's
mod_authnz_external, and everything that speaks the checkpassword interface (https://cr.yp.to/checkpwd/interface.html).

It is one file that may be installed alone: nothing but the standard library, PyJWT and cryptography, and those are
imported only where they are needed, since this program starts once for every login.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn
from urllib.parse import SplitResult, urlencode, urlsplit

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

AUDIENCE = "net.maurus.authclient"
CLOCK_DIFFERENCE = 10  # seconds that the server's clock may be off
LONGEST_INPUT = 512  # bytes on descriptor 3
LONGEST_LINE = 65536
LONGEST_ANSWER = 1024 * 1024
LOOPBACK = ("localhost", "127.0.0.1", "::1")

OK, NOT_VALID, TROUBLE, OTHER, DJB_TEMPORARY = 0, 1, 2, 3, 111
EXIT_CODES = """exit codes: 0 success; 1 the credentials or the auth domain are not valid;
2 the connection, the server or the key file is at fault (111 with --djb-exit-codes); 3 anything else"""


class Stop(Exception):
    """Ends the program with an exit code and a line on standard error."""

    def __init__(self, exit_code: int, text: str) -> None:
        super().__init__(text)
        self.exit_code = exit_code


class Claims(NamedTuple):
    """What the server says of a name, verified."""

    canonical_username: str
    authenticated: bool
    authorized: bool
    scopes: frozenset[str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one mode and returns the exit code; with a program to start it does not return."""
    options = _parse(arguments)
    try:
        MODES[options.mode](options)
        return OK
    except Stop as stop:
        code = stop.exit_code
        print(f"checkpassword: {stop}", file=sys.stderr)
    except (KeyboardInterrupt, BrokenPipeError):
        code = OTHER
    except Exception as error:  # a traceback would end with 1, which says that the password is wrong
        code = OTHER
        print(f"checkpassword: {type(error).__name__}: {error}", file=sys.stderr)
    return DJB_TEMPORARY if code == TROUBLE and options.djb_exit_codes else code


# Modes


def init(options: argparse.Namespace) -> None:
    """Fetches the auth domain's key into the key file, unless there is one."""
    path = None if options.jwtkey == "-" else Path(options.jwtkey)
    if path is not None and os.path.lexists(path):
        print(f"checkpassword: {path} exists and is left alone", file=sys.stderr)
        return
    text = _fetch_key(options)
    if path is None:
        sys.stdout.write(text)
        sys.stdout.flush()
    else:
        _write_new(path, text)


def check(options: argparse.Namespace) -> None:
    """Changes nothing: does the domain export a key, and does the key file, if there is one, hold it?"""
    exported = load_key(_fetch_key(options))
    if options.jwtkey == "-" or not os.path.lexists(options.jwtkey):
        return
    if _read_key(options.jwtkey).public_numbers() != exported.public_numbers():
        raise Stop(NOT_VALID, f"{options.jwtkey} does not hold the key of this auth domain")


def authext(options: argparse.Namespace) -> None:
    """mod_authnz_external, AuthExternal: name and password are two lines on standard input."""
    username, password = _lines()
    _log_in(options, username, password)


def checkpassword(options: argparse.Namespace) -> None:
    """The checkpassword interface: NAME, NUL, PASSWORD, NUL and more on descriptor 3; then the program is started.

    Dovecot's userdb asks without a password and says so with AUTHORIZED=1; it takes 3 for a name that is unknown.
    """
    username, password = _descriptor_3()
    if os.environ.get("AUTHORIZED") == "1" and not password:
        try:
            claims = _ask(options, username, None)
        except Stop as stop:
            raise Stop(OTHER if stop.exit_code == NOT_VALID else stop.exit_code, str(stop)) from None
    else:
        claims = _log_in(options, username, password)
    if options.program:
        _start(options.program, claims.canonical_username)


def authextgroup(options: argparse.Namespace) -> None:
    """mod_authnz_external, GroupExternal: is the name of the first line in one of the groups of the second?"""
    username, groups = _lines()
    claims = _ask(options, username, None)
    if not claims.scopes & set(groups.split()):
        raise Stop(NOT_VALID, "not in any of these groups")


MODES: dict[str, Callable[[argparse.Namespace], None]] = {
    "init": init, "check": check, "authext": authext, "checkpassword": checkpassword, "authextgroup": authextgroup}


# The command line and what else is read


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(OTHER, f"checkpassword: {message}\n")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _Parser(prog="checkpassword", description="Asks authd whether a name and a password are right.",
                     epilog=EXIT_CODES, allow_abbrev=False)
    parser.add_argument("-m", "--mode", choices=list(MODES), default="checkpassword", help="default: checkpassword")
    parser.add_argument("-u", "--url", required=True, type=_url, help="the endpoint's URL, or authd's base URL")
    parser.add_argument("--jwtkey", required=True, metavar="FILE",
                        help="the auth domain's public key or certificate in PEM; - with init: standard output")
    parser.add_argument("-f", "--format", choices=["pubkey", "cert"], default="pubkey", help="what init and check ask for")
    parser.add_argument("-s", "--scope", dest="scopes", action="append", default=[], help="a permission needed; repeatable")
    parser.add_argument("--domain", type=_domain, help="the auth domain; default: the URL's host")
    trust = parser.add_mutually_exclusive_group()
    trust.add_argument("--ca-file", metavar="FILE", help="PEM file with the authorities that vouch for the server")
    trust.add_argument("--no-ssl-validate", action="store_true", help="accept any certificate of the server")
    parser.add_argument("--timeout", type=_seconds, default=10.0, help="seconds to wait for the server; default: 10")
    parser.add_argument("--djb-exit-codes", action="store_true", help="end with 111 where the problem is temporary")
    parser.add_argument("program", nargs=argparse.REMAINDER, metavar="prog ...", help="started after success (checkpassword)")
    options = parser.parse_args(arguments)
    if options.program[:1] == ["--"]:
        del options.program[0]
    if options.jwtkey == "-" and options.mode not in ("init", "check"):
        parser.error("--jwtkey - is for init")
    return options


def _url(text: str) -> SplitResult:
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port
    except ValueError:
        raise argparse.ArgumentTypeError("not a URL") from None
    if not host or url.scheme not in ("https", "http") or url.username is not None or port == 0:
        raise argparse.ArgumentTypeError("https://HOST[:PORT][/PATH] is required")
    if url.scheme == "http" and host not in LOOPBACK:
        raise argparse.ArgumentTypeError("http:// would send passwords in the clear")
    return url


def _domain(text: str) -> str:
    return text.lower().removesuffix(".")


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError("a number of seconds above 0")
    return seconds


def _lines() -> tuple[str, str]:
    """Two lines of standard input without their ends."""
    first, second = (sys.stdin.buffer.readline(LONGEST_LINE) for _ in range(2))
    if not second:
        raise Stop(OTHER, "two lines are expected on standard input")
    return _text(first.removesuffix(b"\n")), _text(second.removesuffix(b"\n"))


def _descriptor_3() -> tuple[str, str]:
    try:
        with os.fdopen(3, "rb") as source:
            data = source.read(LONGEST_INPUT + 1)
    except OSError:
        raise Stop(OTHER, "descriptor 3 cannot be read") from None
    if len(data) > LONGEST_INPUT:
        raise Stop(NOT_VALID, f"more than {LONGEST_INPUT} bytes on descriptor 3")
    parts = data.split(b"\0")
    if len(parts) < 3:
        raise Stop(OTHER, "NAME, NUL, PASSWORD, NUL is expected on descriptor 3")
    return _text(parts[0]), _text(parts[1])


def _text(data: bytes) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise Stop(NOT_VALID, "what is no UTF-8 cannot be right")
    return text


# Asking the server


def _log_in(options: argparse.Namespace, username: str, password: str) -> Claims:
    claims = _ask(options, username, password)
    if not claims.authenticated or not claims.authorized:
        raise Stop(NOT_VALID, "the name or the password is not right")
    return claims


def _ask(options: argparse.Namespace, username: str, password: str | None) -> Claims:
    """What the server says of a name, with its password or (None) without, once it holds every scope asked for."""
    if not username:
        raise Stop(NOT_VALID, "the name is empty")
    key = _read_key(options.jwtkey)
    question = {"username": username, "scopes": options.scopes} | ({} if password is None else {"password": password})
    url = _endpoint(options.url, "checkpassword")
    body = _exchange(options, url, "POST", json.dumps(question).encode("ascii"), "application/jwt")
    claims = verified(body, key, username, options.domain or _domain(url.hostname or ""))
    if not set(options.scopes) <= claims.scopes:
        raise Stop(NOT_VALID, "a permission is missing")
    return claims


def _fetch_key(options: argparse.Namespace) -> str:
    """The auth domain's key as PEM text."""
    url = _endpoint(options.url, "getkey")
    wanted = {"format": options.format} | ({"domain": options.domain} if options.domain else {})
    query = "&".join(filter(None, (url.query, urlencode(wanted))))
    answer = _json(_exchange(options, url._replace(query=query), "GET", None, "application/json"))
    lines = answer.get("cert" if options.format == "cert" else "public_key_pem")
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise Stop(TROUBLE, "the server's answer holds no key")
    text = "".join(f"{line}\n" for line in lines)
    try:
        load_key(text)
    except ValueError:
        raise Stop(TROUBLE, "the server's answer holds no RSA key") from None
    return text


def _endpoint(url: SplitResult, name: str) -> SplitResult:
    """The URL of an endpoint: of the one that was given, of its neighbour, or of what is below a base URL."""
    path = url.path.rstrip("/")
    for known in ("/checkpassword", "/getkey"):
        path = path.removesuffix(known)
    return url._replace(path=f"{path}/{name}/", fragment="")


def _exchange(options: argparse.Namespace, url: SplitResult, method: str, body: bytes | None, kind: str) -> bytes:
    """Sends one request and returns the body of the answer if it is a success of that type. Follows no redirect."""
    import http.client
    import ssl

    headers = {"Accept": f"{kind}, application/json", "Connection": "close", "User-Agent": "checkpassword"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    assert url.hostname is not None
    connection: http.client.HTTPConnection | None = None
    try:
        if url.scheme == "https":
            context = _tls(ssl, options)
            connection = http.client.HTTPSConnection(url.hostname, url.port, timeout=options.timeout, context=context)
        else:
            connection = http.client.HTTPConnection(url.hostname, url.port, timeout=options.timeout)
        connection.request(method, url.path + (f"?{url.query}" if url.query else ""), body, headers)
        response = connection.getresponse()
        answer = response.read(LONGEST_ANSWER + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Stop(TROUBLE, f"{url.hostname}: {str(error) or type(error).__name__}") from None
    finally:
        if connection is not None:
            connection.close()
    received = response.headers.get_content_type()
    if response.status == 200 and received == kind and len(answer) <= LONGEST_ANSWER:
        return answer
    raise _refusal(response.status, answer if received == "application/json" else b"{}")


def _tls(ssl: Any, options: argparse.Namespace) -> Any:
    """Certificates are checked against the system's authorities or --ca-file, unless --no-ssl-validate."""
    if not options.no_ssl_validate:
        return ssl.create_default_context(cafile=options.ca_file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _refusal(status: int, body: bytes) -> Stop:
    """What an answer that is no success means."""
    answer = _json(body)
    error = str(answer.get("error", ""))[:200]
    text = f"the server answered {status}" + (f": {error}" if error.isprintable() and error else "")
    no_domain = "authorization domain" in error or "not JWT enabled" in error
    refused = status in (401, 421) or (status == 403 and "authorized" in answer) or (status in (400, 404) and no_domain)
    return Stop(NOT_VALID if refused else TROUBLE, text)


def _json(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Stop(TROUBLE, "the server's answer is no JSON object")
    return value


# Keys and tokens


def load_key(text: str) -> "RSAPublicKey":
    """The RSA key of a PEM public key or certificate. ValueError if there is none."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    data = text.encode("utf-8")
    if b"-----BEGIN CERTIFICATE-----" in data:
        from cryptography.x509 import load_pem_x509_certificate

        key: object = load_pem_x509_certificate(data).public_key()
    else:
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        key = load_pem_public_key(data)
    if not isinstance(key, RSAPublicKey):
        raise ValueError("no RSA key")
    return key


def verified(token: bytes, key: "RSAPublicKey", username: str, domain: str) -> Claims:
    """The claims of a token that the auth domain of `domain` (it or a parent of it) signed just now about `username`."""
    import jwt

    try:
        claims = jwt.decode(token, key, algorithms=["RS256"], audience=AUDIENCE, leeway=CLOCK_DIFFERENCE,
                            options={"require": ["exp", "aud", "iss", "sub"]})
    except jwt.PyJWTError as error:
        raise Stop(NOT_VALID, f"the server's answer cannot be trusted: {error}") from None
    issuer, scopes = claims["iss"], claims.get("scopes")
    if not isinstance(issuer, str) or not f".{domain}".endswith(f".{issuer}"):
        raise Stop(NOT_VALID, f"the server's answer was made for another auth domain than {domain}")
    if claims["sub"] != username:
        raise Stop(NOT_VALID, "the server's answer is about somebody else")
    if not isinstance(scopes, list) or not all(isinstance(scope, str) for scope in scopes):
        raise Stop(TROUBLE, "the server's answer has no scopes")
    return Claims(str(claims.get("canonical_username", username)), claims.get("authenticated") is True,
                  claims.get("authorized") is True, frozenset(scopes))


def _read_key(path: str) -> "RSAPublicKey":
    try:
        return load_key(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise Stop(TROUBLE, f"{path}: {error.strerror}") from None
    except ValueError:
        raise Stop(TROUBLE, f"{path} holds no RSA public key or certificate in PEM") from None


def _write_new(path: Path, text: str) -> None:
    """Makes a file that everybody may read, whole or not at all; one that has appeared meanwhile is left alone."""
    import tempfile

    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise Stop(OTHER, f"{path.parent}: {error.strerror}") from None
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            os.fchmod(descriptor, 0o644)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        os.link(temporary, path)
    except FileExistsError:
        print(f"checkpassword: {path} exists and is left alone", file=sys.stderr)
    except OSError as error:
        raise Stop(OTHER, f"{path}: {error.strerror}") from None
    finally:
        Path(temporary).unlink()


# Starting the program


def _start(program: Sequence[str], user: str) -> NoReturn:
    """Becomes the program, for `user`. HOME and SHELL are the user's where the system knows that name, else unset.
    Dovecot's AUTHORIZED=1 is answered with 2, and only that: an AUTHORIZED of our own would fail its passdb.
    """
    import pwd

    environment = {name: value for name, value in os.environ.items() if name not in ("HOME", "SHELL")}
    environment["USER"] = user
    if environment.get("AUTHORIZED") == "1":
        environment["AUTHORIZED"] = "2"
    try:
        entry = pwd.getpwnam(user)
        environment |= {"HOME": entry.pw_dir, "SHELL": entry.pw_shell}
    except KeyError:
        pass
    try:
        os.execvpe(program[0], list(program), environment)  # noqa: S606
    except OSError as error:
        raise Stop(OTHER, f"{program[0]}: {error.strerror}") from None


if __name__ == "__main__":
    sys.exit(main())
