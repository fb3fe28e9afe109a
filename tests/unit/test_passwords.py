"""Hashes of every scheme, what never verifies, the bounded queue and the memory of successes."""

import asyncio
import math
import threading
import time
from unittest import mock

import pytest

from authd.config.settings import PasswordSettings
from authd.errors import InvalidInput, Overloaded
from authd.identity import crypt
from authd.identity.crypt import Scheme
from authd.identity.passwords import Hasher

# "Hello world!" under each scheme, at little cost.
KNOWN = [
    "$5$rounds=1000$saltstring$B/.FmDwK8HgmdWXzyMPuPe8z9zxp2FCVzx0q1cUHuu4",
    "$6$rounds=1000$saltstring$",
    "$y$j75$saltsaltsaltsaltsaltsalt$",
    "$2b$04$abcdefghijklmnopqrstuu",
]
MALFORMED = [
    None, "", "*", "!", "!!", "x", "*0", "*1", "$", "$$", "$6", "$6$", "$6$salt", "$6$salt$", "$y$", "$y$j9T$", "$2b$12$",
    "$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/", "ab1pMEFTBeWKk", "$7$CU..../....", "$argon2id$v=19$m=65536", "$6$sält$x", "€",
    "Hello world!",
]


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def settings(threads: int = 2, queue: int = 256, cache_seconds: float = 60.0) -> PasswordSettings:
    return PasswordSettings(threads=threads, queue=queue, cache_seconds=cache_seconds)


def stored(password: str, setting: str) -> str:
    return crypt._crypt(password.encode(), setting)


@pytest.mark.parametrize("setting", KNOWN)
def test_every_scheme_verifies(setting: str) -> None:
    hashed = stored("Hello world!", setting)
    assert hashed.startswith(setting.rpartition("$")[0])
    assert crypt.verify_password("Hello world!", hashed, "yescrypt")
    assert not crypt.verify_password("hello world!", hashed, "yescrypt")
    assert not crypt.verify_password("Hello world!", hashed[:-1], "yescrypt")
    assert not crypt.verify_password("Hello world!", hashed + "x", "yescrypt")


@pytest.mark.parametrize(("password", "hashed"), [
    ("Hello world!", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"),
    ("Hello world!", "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"),
])
def test_hashes_that_openssl_made(password: str, hashed: str) -> None:
    assert crypt.verify_password(password, hashed, "yescrypt")


@pytest.mark.parametrize("hashed", MALFORMED)
def test_what_is_no_hash_never_verifies_but_costs_one(hashed: str | None) -> None:
    with mock.patch.object(crypt, "_crypt", wraps=crypt._crypt) as computed:
        assert not crypt.verify_password("Hello world!", hashed, "yescrypt")
    assert any(call.args[1].startswith(("$y$j9T$", "$6$")) for call in computed.call_args_list)


@pytest.mark.parametrize("scheme", ["yescrypt", "sha512crypt"])
def test_new_hashes_verify_and_are_not_weak(scheme: Scheme) -> None:
    first, second = crypt.hash_password("pässword →", scheme), crypt.hash_password("pässword →", scheme)
    assert first != second
    assert crypt.verify_password("pässword →", first, scheme)
    assert not crypt.needs_rehash(first, scheme)


def test_the_default_is_memory_hard_and_the_other_has_200000_rounds() -> None:
    assert crypt.hash_password("x", "yescrypt").startswith("$y$j9T$")
    assert crypt.hash_password("x", "sha512crypt").startswith("$6$rounds=200000$")


def test_without_yescrypt_the_scheme_falls_back() -> None:
    with mock.patch.object(crypt, "supported", return_value=frozenset({"$5$", "$6$"})):
        assert crypt.scheme_here("yescrypt") == "sha512crypt"
        assert not crypt.is_verifiable("$y$j9T$salt$x")
    assert crypt.scheme_here("yescrypt") == "yescrypt"


def test_generated_secrets_have_128_bits_and_a_cheap_hash() -> None:
    secret, hashed = crypt.generated_secret()
    assert len(secret) * 6 >= 128
    assert hashed.startswith("$6$rounds=1000$")
    assert crypt.verify_password(secret, hashed, "yescrypt")
    assert crypt.generated_secret()[0] != secret


@pytest.mark.parametrize(("hashed", "yescrypt", "sha512crypt"), [
    ("$5$salt$x", True, True),
    ("$5$rounds=1070000$salt$x", True, True),
    ("$6$salt$x", True, True),
    ("$6$rounds=199999$salt$x", True, True),
    ("$6$rounds=200000$salt$x", True, False),
    ("$6$rounds=656000$salt$x", True, False),
    ("$2b$12$salt", True, False),
    ("$y$j75$salt$x", True, False),
    ("$y$j8T$salt$x", True, False),
    ("$y$j9T$salt$x", False, False),
    ("$y$jAT$salt$x", False, False),
    ("$y$unknown$salt$x", False, False),
    ("*", False, False),
    ("", False, False),
])
def test_only_what_is_weaker_is_hashed_again(hashed: str, yescrypt: bool, sha512crypt: bool) -> None:
    assert crypt.needs_rehash(hashed, "yescrypt") is yescrypt
    assert crypt.needs_rehash(hashed, "sha512crypt") is sha512crypt


@pytest.mark.parametrize("password", ["x" * 1025, "ä" * 513, "a\x00b", "\x00", "\udc80"])
async def test_passwords_that_nobody_has_are_refused_before_hashing(password: str) -> None:
    hasher = Hasher(settings())
    with mock.patch.object(crypt, "_crypt", side_effect=AssertionError):
        with pytest.raises(InvalidInput):
            await hasher.verify(password, "$6$rounds=1000$a$b")
        with pytest.raises(InvalidInput):
            await hasher.hash(password)
    hasher.close()


async def test_the_longest_password_is_hashed_as_a_whole() -> None:
    hasher = Hasher(settings())
    hashed = await hasher.hash("x" * 511)
    assert await hasher.verify("x" * 511, hashed)
    assert not await hasher.verify("x" * 510 + "y", hashed)
    hasher.close()


async def test_what_libcrypt_cannot_hash_is_refused_as_new_and_never_verifies() -> None:
    hasher = Hasher(settings())
    hashed = await hasher.hash("x" * 511)
    with pytest.raises(InvalidInput) as caught:
        await hasher.hash("x" * 512)
    assert caught.value.code == "too_long"
    assert not await hasher.verify("x" * 1024, hashed)
    assert not await hasher.verify("x" * 1024, "*0")
    hasher.close()


async def test_a_full_queue_says_when_to_come_back() -> None:
    hasher = Hasher(settings(threads=1, queue=2))
    gate = threading.Event()
    with mock.patch.object(crypt, "verify_password", side_effect=lambda *_: gate.wait(10)):
        waiting = [asyncio.create_task(hasher.verify("x", f"$6${n}$x")) for n in range(3)]
        await asyncio.sleep(0)
        assert hasher.pending == 3
        with pytest.raises(Overloaded) as caught:
            await hasher.verify("x", None)
        with pytest.raises(Overloaded):
            await hasher.hash("x")
        assert caught.value.retry_after >= 1
        gate.set()
        assert await asyncio.gather(*waiting) == [True, True, True]
    assert hasher.pending == 0
    hasher.close()


async def test_successes_are_remembered_for_a_while_and_failures_never() -> None:
    clock = Clock()
    hasher = Hasher(settings(), clock=clock)
    hashed = stored("secret", KNOWN[1])
    assert not hasher.remembers("secret", hashed)
    assert not await hasher.verify("wrong", hashed)
    assert await hasher.verify("secret", hashed)
    assert hasher.remembers("secret", hashed)
    assert not hasher.remembers("wrong", hashed)
    assert not hasher.remembers("secret", hashed + "x")
    assert not hasher.remembers("secret", None)
    with mock.patch.object(crypt, "verify_password", side_effect=AssertionError):
        assert await hasher.verify("secret", hashed)
    clock.seconds += 60
    assert not hasher.remembers("secret", hashed)
    hasher.close()


async def test_the_memory_can_be_turned_off() -> None:
    hasher = Hasher(settings(cache_seconds=0.0))
    hashed = stored("secret", KNOWN[1])
    assert await hasher.verify("secret", hashed)
    assert not hasher.remembers("secret", hashed)
    hasher.close()


async def test_the_memory_is_bounded_and_forgets_the_oldest() -> None:
    hasher = Hasher(settings(), clock=Clock())
    with (mock.patch.object(crypt, "verify_password", return_value=True),
          mock.patch("authd.identity.passwords._REMEMBERED", 3)):
        for number in range(5):
            assert await hasher.verify("x", f"$6$rounds=1000${number}$")
    assert [hasher.remembers("x", f"$6$rounds=1000${number}$") for number in range(5)] == [False, False, True, True, True]
    hasher.close()


async def test_what_the_memory_holds_is_not_the_password() -> None:
    hasher = Hasher(settings())
    await hasher.verify("topsecret", stored("topsecret", KNOWN[1]))
    assert "topsecret" not in repr(vars(hasher._memory))
    hasher.close()


async def test_length_and_content_cannot_be_confused_in_the_memory() -> None:
    hasher = Hasher(settings())
    with mock.patch.object(crypt, "verify_password", return_value=True):
        await hasher.verify("bc", "$6$a")
    assert not hasher.remembers("c", "$6$ab")
    hasher.close()


async def test_the_loop_runs_while_hashes_are_computed() -> None:
    """A hash that held the interpreter lock would stop the loop for its whole 20 ms at every attempt; a busy machine not."""
    hasher = Hasher(settings())

    async def longest_pause() -> float:
        hashing = [asyncio.create_task(hasher.hash("x")) for _ in range(8)]
        longest, before = 0.0, time.perf_counter()
        while not all(task.done() for task in hashing):
            await asyncio.sleep(0)
            longest, before = max(longest, time.perf_counter() - before), time.perf_counter()
        assert all(task.result().startswith("$") for task in hashing)
        return longest

    assert any([await longest_pause() < 0.015 for _ in range(10)])
    hasher.close()



async def test_the_slowest_setting_sets_the_time() -> None:
    hasher = Hasher(settings())
    cheap, dear = await hasher.slowest(["$6$rounds=1000$"]), await hasher.slowest(["$2b$10$", "$5$", "$y$j9T$"])
    assert 0 < cheap < math.inf and dear > 0
    hasher.close()
