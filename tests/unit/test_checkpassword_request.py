"""Reading what `/checkpassword/` is asked: everything malformed is InvalidInput, whatever it is."""

import json
from base64 import b64encode
from typing import Any

import pytest
from tornado.escape import parse_qs_bytes
from tornado.httputil import HTTPHeaders

from authd.errors import InvalidInput
from authd.handlers.checkpassword import Question, read_question
from authd.handlers.forms import fields


def ask(body: bytes = b"", **headers: str) -> Question:
    sent = HTTPHeaders({name.replace("_", "-"): value for name, value in headers.items()})
    return read_question(sent, body, lambda: fields(parse_qs_bytes(body, keep_blank_values=True)))


def ask_json(value: Any) -> Question:
    return ask(json.dumps(value).encode(), Content_Type="application/json; charset=utf-8")


def ask_form(body: bytes) -> Question:
    return ask(body, Content_Type="application/x-www-form-urlencoded")


def basic(credentials: bytes) -> str:
    return "Basic " + b64encode(credentials).decode()


def test_the_three_forms_say_the_same() -> None:
    expected = Question("a@example.com", "p:w ü", frozenset({"imap", "smtp"}))
    assert ask_json({"username": "a@example.com", "password": "p:w ü", "scopes": ["imap", "smtp", "imap"]}) == expected
    assert ask_form(b"username=a%40example.com&password=p%3Aw+%C3%BC&scopes=imap,+smtp,") == expected
    assert ask(Authorization=basic("a@example.com:p:w ü".encode()), X_Auth_Scopes="imap,smtp") == expected


def test_without_a_password_and_with_an_empty_one_are_different() -> None:
    assert ask_form(b"username=a").password is None
    assert ask_form(b"username=a&password=").password == ""
    assert ask_json({"username": "a"}).password is None
    assert ask_json({"username": "a", "password": None}).password is None
    assert ask_json({"username": "a", "password": ""}).password == ""
    assert ask(Authorization=basic(b"a:")).password == ""


def test_basic_wins_over_the_body_and_other_schemes_do_not_count() -> None:
    form = "application/x-www-form-urlencoded"
    assert ask(b"username=b", Authorization=basic(b"a:pw"), Content_Type=form).username == "a"
    assert ask(b"username=b", Authorization="Bearer xyz", Content_Type=form).username == "b"
    assert ask(Authorization="basic  " + b64encode(b"a:pw").decode()).username == "a"


@pytest.mark.parametrize("value", [
    None, [], 1, "x", {}, {"username": None}, {"username": ""}, {"username": 5}, {"username": ["a"]}, {"password": "x"},
    {"username": "a", "password": 5}, {"username": "a", "password": ["x"]}, {"username": "a", "password": {}},
    {"username": "a\0b"}, {"username": "a", "password": "x\0"}, {"username": "\ud800"}, {"username": "a", "password": "\udfff"},
    {"username": "a", "scopes": "imap"}, {"username": "a", "scopes": [1]}, {"username": "a", "scopes": {"imap": 1}},
    {"username": "a", "scopes": ["\ud800"]}, {"username": "a", "scopes": ["x\0"]}, {"username": True}])
def test_malformed_json_values(value: Any) -> None:
    with pytest.raises(InvalidInput):
        ask_json(value)


@pytest.mark.parametrize("body", [
    b"", b"{", b"\xff\xfe", b'{"username": "\xff"}', b"[" * 60000, b'{"username": ' + b"9" * 60000 + b"}", b"nul",
    b'{"username": "a"} x', "{}".encode("utf-16")])
def test_malformed_json(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        ask(body, Content_Type="application/json")


@pytest.mark.parametrize("body", [b"", b"password=x", b"username=", b"username=%ff", b"username=a&username=b", b"username=a%00",
                                  b"username=a&password=%00", b"username=a&scopes=%ff", b"\xff\xfe\x00", b"username"])
def test_malformed_forms(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        ask_form(body)


@pytest.mark.parametrize("value", [
    "Basic", "Basic ", "Basic !!!!", "Basic YQ", basic(b"nocolon"), basic(b":pw"), basic(b"\xff:pw"), basic(b"a:\xff"),
    basic(b"a\0:pw"), basic(b"a:p\0w"), "Basic ä", "Basic YTpi YTpi"])
def test_malformed_basic(value: str) -> None:
    with pytest.raises(InvalidInput):
        ask(Authorization=value)


@pytest.mark.parametrize("kind", ["", "text/plain", "multipart/form-data; boundary=x", "application/xml", "application/jsonp"])
def test_bodies_of_other_types(kind: str) -> None:
    with pytest.raises(InvalidInput):
        ask(b'{"username": "a"}', Content_Type=kind)
    with pytest.raises(InvalidInput):
        ask(b"username=a")


def test_a_password_does_not_show() -> None:
    assert "sesame" not in repr(ask_form(b"username=a&password=sesame"))
