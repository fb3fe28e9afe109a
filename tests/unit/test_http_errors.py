"""Which status, code and text an exception becomes."""

import pytest
from tornado.web import HTTPError

from authd import errors
from authd.handlers.errors import MISDIRECTED, Problem, Refusal, problem_of


@pytest.mark.parametrize(("exception", "status", "code"), [
    (errors.InvalidInput("name", "is too long"), 400, "invalid_request"),
    (errors.InvalidInput("name", "is too long", code="too_long"), 400, "too_long"),
    (errors.NotFound("alice"), 404, "not_found"),
    (errors.Conflict(), 409, "conflict"),
    (errors.Denied(), 403, "access_denied"),
    (errors.InvalidCredentials(), 401, "invalid_credentials"),
    (errors.Throttled(17), 429, "throttled"),
    (errors.PermissionMissing(["imap"]), 403, "permission_missing"),
    (errors.UniqueViolation("alias_address"), 400, "data"),
    (errors.Unavailable(), 503, "temporarily_unavailable"),
    (errors.Overloaded(), 503, "overloaded"),
    (errors.DatabaseUnavailable("db.internal is down"), 503, "database_unavailable"),
    (errors.ConfigError(["secret"]), 500, "internal_error"),
    (errors.AuthdError("secret"), 500, "internal_error"),
    (ZeroDivisionError("secret"), 500, "internal_error"),
    (KeyboardInterrupt(), 500, "internal_error"),
    (HTTPError(400, "secret"), 400, "invalid_request"),
    (HTTPError(404), 404, "not_found"),
    (HTTPError(405), 405, "method_not_allowed"),
    (HTTPError(418), 418, "invalid_request"),
    (HTTPError(502), 502, "internal_error"),
    (Refusal(MISDIRECTED, "evil.example"), 421, "misdirected_request"),
])
def test_every_exception_has_one_problem(exception: BaseException, status: int, code: str) -> None:
    problem = problem_of(exception, exception.status_code if isinstance(exception, HTTPError) else 500)
    assert (problem.status, problem.code) == (status, code)
    for secret in ("secret", "alice", "too long", "imap", "alias_address", "db.internal", "evil"):
        assert secret not in problem.text


def test_passing_conditions_say_when_to_come_back() -> None:
    assert problem_of(errors.Throttled(17), 500).retry_after == 17
    assert problem_of(errors.DatabaseUnavailable(retry_after=3), 500).retry_after == 3
    assert problem_of(errors.NotFound(), 500).retry_after is None


def test_a_status_alone_is_a_problem_too() -> None:
    assert problem_of(None, 404) == Problem(404, "not_found", "There is no page at this address.")
