"""Signing in with name and password, and signing out. Whether a password is right is `identity.accounts`' decision."""

from authd.errors import InvalidCredentials, Overloaded, Throttled
from authd.handlers import errors
from authd.handlers.base import Handler
from authd.handlers.errors import Problem
from authd.handlers.forms import SignInForm, safe_next
from authd.identity.facts import Account, LoginAttempt, Session

HOME = "/"
ADMIN_HOME = "/admin/"
PASSWORD = ("pwd",)  # RFC 8176


class SignInHandler(Handler):
    """`/action/login/?next=PATH`; with `again` the form is shown to somebody who is signed in, too.
    `login_hint` fills in the name.
    """

    async def get(self) -> None:
        next_path = safe_next(self.query.get("next", ""), default="")
        if self.current_session is not None and "again" not in self.query:
            self.see_other(next_path or _usual_place(self.current_session))
        else:
            await self._show(SignInForm(self.query.get("login_hint", ""), "", False, next_path))

    async def post(self) -> None:
        form = SignInForm.read(self.form)
        if form.missing:
            await self._show(form, status=400)
            return
        try:
            login = await self.services.accounts.authenticate(LoginAttempt(
                form.username, form.password, self.client_address, "web", device_token=self.read_cookie("device") or None))
        except (InvalidCredentials, Throttled, Overloaded) as error:
            problem = errors.problem_of(error, 500)
            await self._show(form, status=problem.status, problem=problem)
            return
        if form.remember:
            await self._remember_device(login.account)
        new = await self.services.sessions.start(
            login, PASSWORD, self.client_address, self.request.headers.get("User-Agent", ""))
        await self.begin_session(new, persistent=form.remember)
        self.see_other(form.next or _usual_place(new.session))

    async def _remember_device(self, account: Account) -> None:
        token = await self.services.sessions.remember_device(account.uuid)
        self.write_cookie("device", token, max_age=int(self.services.config.session.remember_device))

    async def _show(self, form: SignInForm, status: int = 200, problem: Problem | None = None) -> None:
        application = await self.services.application_behind(form.next) if form.next else None
        if application is not None:
            self.form_redirect_origin = application.redirect_origin
        if problem is not None and problem.retry_after is not None:
            self.set_header("Retry-After", str(problem.retry_after))
        self.render_page("sign_in.html", status, form=form, submitted=status != 200, problem=problem, application=application)


class SignOutHandler(Handler):
    """`/action/logout/`: asks first, so that no link signs anybody out."""

    async def get(self) -> None:
        self.render_page("sign_out.html")

    async def post(self) -> None:
        await self.end_session()
        self.see_other(self.request.path)


def _usual_place(session: Session) -> str:
    """Where somebody lands who came from nowhere in particular."""
    return ADMIN_HOME if session.account.is_admin and session.service_user_id is None else HOME
