"""How the server stops: what has begun is answered, what only waits is closed."""

import asyncio

from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from authd.config.settings import HttpSettings
from authd.handlers.server import Server, make_server


class Slow(RequestHandler):
    """Answers when it is told to."""

    def initialize(self, begun: asyncio.Event, answer: asyncio.Event) -> None:
        self.begun, self.answer = begun, answer

    async def post(self) -> None:
        self.begun.set()
        await self.answer.wait()
        self.finish("done")


def serve(begun: asyncio.Event, answer: asyncio.Event) -> tuple[Server, int]:
    application = Application([("/", Slow, {"begun": begun, "answer": answer})], log_function=lambda handler: None)
    server = make_server(application, HttpSettings())
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    return server, sockets[0].getsockname()[1]


async def begin(port: int, body: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n" + body)
    return reader, writer


async def test_a_running_request_is_answered_and_an_idle_connection_closed() -> None:
    begun, answer = asyncio.Event(), asyncio.Event()
    server, port = serve(begun, answer)
    idle, idle_writer = await asyncio.open_connection("127.0.0.1", port)
    running, running_writer = await begin(port, b"{}")
    await begun.wait()
    draining = asyncio.ensure_future(server.drain(10))
    asyncio.get_running_loop().call_later(0.2, answer.set)
    assert (await running.read()).endswith(b"done")
    assert await idle.read() == b""
    await draining
    for writer in (idle_writer, running_writer):
        writer.close()
        await writer.wait_closed()


async def test_a_body_that_is_still_on_its_way_is_waited_for() -> None:
    begun, answer = asyncio.Event(), asyncio.Event()
    answer.set()
    server, port = serve(begun, answer)
    reader, writer = await begin(port, b"{")
    draining = asyncio.ensure_future(server.drain(10))
    asyncio.get_running_loop().call_later(0.2, writer.write, b"}")
    assert (await reader.read()).endswith(b"done")
    await draining
    writer.close()
    await writer.wait_closed()


async def test_patience_ends() -> None:
    begun, answer = asyncio.Event(), asyncio.Event()
    server, port = serve(begun, answer)
    reader, writer = await begin(port, b"{}")
    await begun.wait()
    await server.drain(0.01)
    assert await reader.read() == b""
    answer.set()
    writer.close()
    await writer.wait_closed()
