"""Which HTTP status, code and text an exception becomes: the one table for JSON answers and for pages.

The texts are for whoever reads the answer. They name no account, no address and nothing that was sent; what
happened in detail is in the exception's message, for the log.
"""

from dataclasses import dataclass
from http import HTTPStatus

from tornado.web import HTTPError

from authd import errors


@dataclass(frozen=True)
class Problem:
    """What goes wrong, as the peer sees it. `retry_after` is in whole seconds."""

    status: int
    code: str
    text: str
    retry_after: int | None = None


class Refusal(errors.AuthdError):
    """A request that HTTP itself rules out (wrong host, forged form): carries its problem."""

    def __init__(self, problem: Problem, message: str = "") -> None:
        super().__init__(message or problem.text, code=problem.code)
        self.problem = problem


MISDIRECTED = Problem(HTTPStatus.MISDIRECTED_REQUEST, "misdirected_request", "This host name is not served here.")
FORGED_FORM = Problem(
    HTTPStatus.FORBIDDEN, "invalid_form",
    "This form has expired or did not come from this site. Go back, load the page again and repeat what you did.")
NO_SERVICE_USERS = Problem(
    HTTPStatus.FORBIDDEN, "service_user",
    "You signed in with a service user. It serves a program or a device and cannot open these pages.")

INVALID_INPUT_TEXT = "The request is malformed."

_OF_EXCEPTION: dict[type[errors.AuthdError], tuple[HTTPStatus, str]] = {
    errors.InvalidInput: (HTTPStatus.BAD_REQUEST, INVALID_INPUT_TEXT),
    errors.NotFound: (HTTPStatus.NOT_FOUND, "There is nothing here by that name."),
    errors.Conflict: (HTTPStatus.CONFLICT, "Something that exists already stands in the way."),
    errors.InvalidCredentials: (HTTPStatus.UNAUTHORIZED, "The name or the password is not right."),
    errors.Throttled: (HTTPStatus.TOO_MANY_REQUESTS, "There were too many failed attempts."),
    errors.Denied: (HTTPStatus.FORBIDDEN, "You are not allowed to do this."),
    errors.DataError: (HTTPStatus.BAD_REQUEST, INVALID_INPUT_TEXT),
    errors.Unavailable: (HTTPStatus.SERVICE_UNAVAILABLE, "The service cannot answer at the moment. Please try again soon."),
}

_OF_STATUS: dict[int, tuple[str, str]] = {
    400: ("invalid_request", INVALID_INPUT_TEXT),
    403: ("access_denied", "You are not allowed to do this."),
    404: ("not_found", "There is no page at this address."),
    405: ("method_not_allowed", "This address does not take that kind of request."),
    413: ("request_too_large", "The request is larger than is allowed here."),
}
_UNEXPECTED = ("internal_error", "Something went wrong on our side. It has been logged.")


def problem_of(exception: BaseException | None, status: int) -> Problem:
    """The problem that an exception is, or the bare status where there is none; whatever is not foreseen is a 500."""
    if isinstance(exception, Refusal):
        return exception.problem
    if isinstance(exception, errors.AuthdError):
        for kind in type(exception).__mro__:
            if kind in _OF_EXCEPTION:
                status, text = _OF_EXCEPTION[kind]
                return Problem(status, exception.code, text, getattr(exception, "retry_after", None))
        return _of_status(HTTPStatus.INTERNAL_SERVER_ERROR)
    if exception is not None and not isinstance(exception, HTTPError):
        return _of_status(HTTPStatus.INTERNAL_SERVER_ERROR)
    return _of_status(status)


def _of_status(status: int) -> Problem:
    if status in _OF_STATUS:
        return Problem(status, *_OF_STATUS[status])
    if 400 <= status < 500:
        return Problem(status, *_OF_STATUS[400])
    return Problem(status, *_UNEXPECTED)
