"""What every handler shares: who asks, under which host, in which session; answers, errors and security headers.

Nothing of a single page or protocol belongs here. `Services` lists what handlers work with.

* `api = True`: answers and errors are JSON; there is no session and no form token.
* `any_host = True`: served under every Host header (health, metrics).
* `own_form_check = True`: POST requests are not checked by `prepare`; the handler calls `check_form` where it must.
"""

import functools
import json
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import quote, urlsplit

from tornado.web import HTTPError, RequestHandler

from authd import log
from authd.errors import AuthdError, NotFound, Unavailable
from authd.handlers import csrf, errors, forms, proxy
from authd.handlers.errors import Problem, Refusal
from authd.handlers.services import ComponentState, RequestingApplication, Services
from authd.identity.facts import NewSession, Session

__all__ = ["ComponentState", "Handler", "NotFoundHandler", "Problem", "Refusal", "RequestingApplication", "Services",
           "signed_in"]

SIGN_IN_PATH = "/action/login/"
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_HSTS = "max-age=31536000"
_POLICY_SOURCE = re.compile(r"[A-Za-z0-9+.:/\[\]_-]+")  # nothing that could begin another directive

logger = logging.getLogger("authd.http")


class Handler(RequestHandler):
    """The base of all handlers."""

    api = False
    any_host = False
    own_form_check = False

    current_session: Session | None = None
    form_redirect_origin: str | None = None

    # Who asks

    @property
    def services(self) -> Services:
        services: Services = self.settings["services"]
        return services

    @cached_property
    def request_id(self) -> str:
        """Names this request in answers and log lines; never taken from outside."""
        return secrets.token_hex(6)

    @cached_property
    def client(self) -> proxy.Client:
        """The client, seen through trusted proxies."""
        request = self.request
        return proxy.client(
            request.remote_ip or "", request.protocol, request.host, request.headers, self.services.config.http.trusted_proxies)

    @property
    def client_address(self) -> str:
        return self.client.address

    @property
    def is_https(self) -> bool:
        return self.client.is_https

    @property
    def auth_host(self) -> str:
        """The host name the client used (accepted; lower case, without port)."""
        return proxy.split_host(self.client.host)[0]

    @property
    def public_url(self) -> str:
        """The configured base URL, without a trailing slash."""
        return self.services.config.http.public_url

    # Life of a request

    def initialize(self) -> None:
        log.request_id.set(self.request_id)

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        self.set_header("X-Request-Id", self.request_id)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("X-Frame-Options", "DENY")
        self.set_header("Referrer-Policy", "same-origin")
        self.set_header("Cache-Control", "no-store")
        self.set_header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
        if self.public_url.startswith("https:"):
            self.set_header("Strict-Transport-Security", _HSTS)

    def compute_etag(self) -> str | None:
        return None

    async def prepare(self) -> None:
        await self._check_host()
        if self.request.method not in self.allowed_methods():
            raise HTTPError(405)
        if len(self.request.body) > self.services.config.http.max_body:
            raise HTTPError(413)
        if self.api:
            return
        if self.request.method not in _SAFE_METHODS and not self.own_form_check:
            self.check_form()
        if token := self.read_cookie("session"):
            self.current_session = await self.services.sessions.find(token)

    async def _check_host(self) -> None:
        if self.any_host:
            return
        public_name, _ = proxy.split_host(urlsplit(self.public_url).netloc)
        if self.auth_host in proxy.public_names(public_name):
            return
        try:
            await self.services.keys.jwt_key_for(self.client.host)
        except NotFound as error:
            raise Refusal(errors.MISDIRECTED, str(error)) from None

    async def head(self, *args: str, **kwargs: str) -> None:
        answer = self.get(*args, **kwargs)
        if answer is not None:
            await answer

    @classmethod
    @functools.cache
    def allowed_methods(cls) -> Sequence[str]:
        """What the header Allow says."""
        allowed = [method for method in cls.SUPPORTED_METHODS
                   if getattr(cls, method.lower()) is not getattr(RequestHandler, method.lower())]
        return [method for method in allowed if method != "HEAD" or "GET" in allowed]

    # Input

    @cached_property
    def form(self) -> dict[str, str]:
        """The fields of the request's form body. InvalidInput for what is no UTF-8 or given twice."""
        return forms.fields(self.request.body_arguments)

    @cached_property
    def query(self) -> dict[str, str]:
        """The fields of the query string; errors as `form`."""
        return forms.fields(self.request.query_arguments)

    # Cookies and forms

    def cookie_name(self, name: str) -> str:
        """`__Host-` binds the cookie to this host and to https, which a plain public URL on loopback does not have."""
        return f"__Host-authd_{name}" if self.public_url.startswith("https:") else f"authd_{name}"

    def read_cookie(self, name: str) -> str:
        """The value of one of our cookies, or ""."""
        return self.get_cookie(self.cookie_name(name)) or ""

    def write_cookie(self, name: str, value: str, max_age: int | None = None) -> None:
        """Sets one of our cookies, for `max_age` seconds or until the browser ends."""
        self.set_cookie(self.cookie_name(name), value, max_age=max_age, **self._cookie_attributes)

    def drop_cookie(self, name: str) -> None:
        """Makes the browser forget one of our cookies."""
        self.clear_cookie(self.cookie_name(name), **self._cookie_attributes)

    @property
    def _cookie_attributes(self) -> dict[str, Any]:
        return {"path": "/", "httponly": True, "samesite": "Lax", "secure": self.public_url.startswith("https:")}

    def form_token(self) -> str:
        """The hidden field of a form; sets the cookie it is bound to where nobody is signed in."""
        binding = self.read_cookie("session") if self.current_session else self._form_cookie
        return csrf.issue(self.services.form_secret, binding, secrets.token_urlsafe(12))

    @cached_property
    def _form_cookie(self) -> str:
        value = self.read_cookie("form")
        if not value:
            value = secrets.token_urlsafe(24)
            self.write_cookie("form", value)
        return value

    def check_form(self) -> None:
        """Refuses a form that we did not show to this browser."""
        own_origins = (self.public_url, f"{'https' if self.is_https else 'http'}://{self.client.host}".lower())
        headers, token = self.request.headers, self.form.get(csrf.FIELD, "")
        bindings = (self.read_cookie("session"), self.read_cookie("form"))
        if not csrf.comes_from_us(headers.get("Origin"), headers.get("Sec-Fetch-Site"), own_origins):
            raise Refusal(errors.FORGED_FORM, "a form came from another origin")
        if not any(csrf.matches(self.services.form_secret, binding, token) for binding in bindings):
            raise Refusal(errors.FORGED_FORM, "a form came without its token")

    async def begin_session(self, new: NewSession, *, persistent: bool) -> None:
        """Hands a new session to the browser in place of the one it had, which ends."""
        if self.current_session is not None:
            await self.services.sessions.end(self.current_session)
        self.current_session = new.session
        seconds = int((new.session.expires_at - self.services.now()).total_seconds())
        self.write_cookie("session", new.token, max_age=seconds if persistent else None)
        self.drop_cookie("form")

    async def end_session(self) -> None:
        """Ends the browser's session, if there is one."""
        if self.current_session is not None:
            await self.services.sessions.end(self.current_session)
            self.current_session = None
        self.drop_cookie("session")

    # Answers

    def write_json(self, status: int, value: object) -> None:
        """Finishes with a JSON body."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(value, separators=(",", ":")))

    def see_other(self, location: str) -> None:
        """Finishes with a redirect that is fetched with GET (RFC 9110 section 15.4.4)."""
        self.redirect(location, status=303)

    def render_page(self, name: str, status: int = 200, **context: Any) -> None:
        """Finishes with a page for people. `form_redirect_origin` may be set before, to a checked origin."""
        self.set_status(status)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Content-Security-Policy", self._page_policy())
        self.set_header("X-Robots-Tag", "noindex, nofollow")
        self.finish(self.services.templates.render(
            name, form_token=self.form_token, session=self.current_session, request_id=self.request_id, **context))

    def _page_policy(self) -> str:
        """Nothing but our own styles and images. Chromium applies form-action to the redirect after a POST, too."""
        origin = self.form_redirect_origin
        form_action = f"'self' {origin}" if origin and _POLICY_SOURCE.fullmatch(origin) else "'self'"
        return (f"default-src 'none'; style-src 'self'; img-src 'self'; form-action {form_action}; "
                "base-uri 'none'; frame-ancestors 'none'")

    # Errors

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        exception = kwargs["exc_info"][1] if "exc_info" in kwargs else None
        self._problem = errors.problem_of(exception, status_code)
        super().send_error(self._problem.status, **kwargs)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        problem = self._problem
        if problem.status == 405:
            self.set_header("Allow", ", ".join(self.allowed_methods()))
        if problem.retry_after is not None:
            self.set_header("Retry-After", str(problem.retry_after))
        self.write_problem(problem)

    def write_problem(self, problem: Problem) -> None:
        """The answer to a request that failed. Handlers with an error shape of their own override this."""
        if self.api:
            self.write_json(problem.status, {
                "error": problem.code, "error_description": problem.text, "request_id": self.request_id})
        else:
            self.render_page("error.html", problem.status, problem=problem)

    def log_exception(
        self, typ: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None,
    ) -> None:
        if isinstance(value, Unavailable):
            logger.warning("%s %s: %s", self.request.method, self.log_path, value)
        elif isinstance(value, (AuthdError, HTTPError)):
            logger.info("%s %s: %s", self.request.method, self.log_path, value)
        elif typ is not None:
            logger.error("%s %s", self.request.method, self.log_path, exc_info=(typ, value or typ(), tb))

    @property
    def log_path(self) -> str:
        """The path as it may stand in a log line: bounded, without the query (which may hold secrets)."""
        return self.request.path[:200]


class NotFoundHandler(Handler):
    """Answers for every address that is not in the URL table: a page for browsers, JSON for programs."""

    own_form_check = True

    def initialize(self) -> None:
        super().initialize()
        self.api = "text/html" not in self.request.headers.get("Accept", "")

    async def prepare(self) -> None:
        await self._check_host()
        raise HTTPError(404)


_H = TypeVar("_H", bound=Handler)
_P = ParamSpec("_P")


def signed_in(
    method: Callable[Concatenate[_H, _P], Awaitable[None]],
) -> Callable[Concatenate[_H, _P], Awaitable[None]]:
    """Only for signed-in people: others are sent to sign in (and come back), a service user's session is refused."""

    @functools.wraps(method)
    async def guarded(self: _H, /, *args: _P.args, **kwargs: _P.kwargs) -> None:
        if self.current_session is None:
            back = (self.request.uri or "") if self.request.method in _SAFE_METHODS else ""
            self.see_other(SIGN_IN_PATH + (f"?next={quote(back, safe='/')}" if back not in ("", "/") else ""))
        elif self.current_session.service_user_id is not None:
            raise Refusal(errors.NO_SERVICE_USERS)
        else:
            await method(self, *args, **kwargs)

    return guarded
