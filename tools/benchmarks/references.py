"""The bare limits: what the same machine does without authd. Each is a process: `hello PORT`, `rsa N`, `yescrypt N`."""

import asyncio
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from authd.identity import crypt

_NICENESS = 10  # hashing stands back behind the loop, as it does in authd


class Hello(RequestHandler):
    """The least that Tornado can answer."""

    def get(self) -> None:
        self.write({"status": "ok"})


class Bytes(RequestHandler):
    """So many bytes."""

    def initialize(self, bodies: dict[str, bytes]) -> None:
        self._bodies = bodies

    def get(self, size: str) -> None:
        self.finish(self._bodies.setdefault(size, b"x" * int(size)))

    def compute_etag(self) -> None:
        return None


class Hash(RequestHandler):
    """One password hash in a thread, and nothing else of a login."""

    def initialize(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool

    async def post(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._pool, _hash)


async def hello(port: int) -> None:
    """Hello world of Tornado on every path but `/bytes/N` and `/hash`."""
    routes: list[Any] = [(r"/bytes/(\d+)", Bytes, {"bodies": {}}), (r"/hash", Hash, {"pool": _hashing_pool()}), (r".*", Hello)]
    HTTPServer(Application(routes, log_function=lambda handler: None)).listen(port, "127.0.0.1")
    await asyncio.Event().wait()


def rsa(count: int) -> float:
    """RSA-2048 signatures (PKCS #1, SHA-256) a second, on one core."""
    from cryptography.hazmat.primitives.asymmetric import padding
    from cryptography.hazmat.primitives.asymmetric import rsa as keys
    from cryptography.hazmat.primitives.hashes import SHA256

    key = keys.generate_private_key(65537, 2048)
    begin = time.perf_counter()
    for _ in range(count):
        key.sign(b"authd", padding.PKCS1v15(), SHA256())
    return count / (time.perf_counter() - begin)


def yescrypt(count: int) -> float:
    """yescrypt hashes a second, on two threads."""
    with _hashing_pool() as pool:
        begin = time.perf_counter()
        for _ in pool.map(lambda _: _hash(), range(count)):
            pass
        return count / (time.perf_counter() - begin)


def _hash() -> None:
    crypt.hash_password("benchmark", "yescrypt")


def _hashing_pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(
        2, initializer=lambda: os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS))


if __name__ == "__main__":
    kind, number = sys.argv[1], int(sys.argv[2])
    if kind == "hello":
        asyncio.run(hello(number))
    else:
        print({"rsa": rsa, "yescrypt": yescrypt}[kind](number))
