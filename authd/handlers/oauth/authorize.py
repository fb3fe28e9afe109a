"""`/o2/authorize/`: the page where people allow a client something, and the way back to it.

What happens is decided in `authd.oauth.authorization`; here an outcome becomes a page or a redirect.
"""

from typing import Literal
from urllib.parse import urlencode

from authd.handlers.base import SIGN_IN_PATH, Handler
from authd.handlers.forms import LONGEST_NEXT
from authd.oauth.authorization import SINCE, AskConsent, ErrorPage, NotPermitted, SignIn
from authd.oauth.authorization_request import Redirect, origin
from authd.oauth.parameters import Parameters, parse
from authd.oauth.scopes import TITLES
from authd.oauth.service import AUTHORIZE_PATH


class AuthorizeHandler(Handler):
    """GET: a request. POST: the answer of the consent page, or a request from a client's own page."""

    own_form_check = True
    may_run_scripts = False

    async def get(self) -> None:
        await self._decide(parse(self.request.query), None)

    async def post(self) -> None:
        form = parse(self.request.body)
        answer: Literal["allow", "deny"] | None = "allow" if form.get("allow") else "deny" if form.get("deny") else None
        if answer is not None:
            self.check_form()
            await self._decide(parse(self.request.query), answer)
        elif form.repeated:
            await self._decide(form, None)
        else:
            # From another site, without our cookies: fetched again, the browser sends them (OpenID Connect Core 3.1.2.1).
            self.see_other(f"{AUTHORIZE_PATH}?{urlencode(form.values)}")

    async def _decide(self, parameters: Parameters, answer: Literal["allow", "deny"] | None) -> None:
        outcome = await self.services.oauth.authorize(
            parameters, self.current_session, answer=answer, remote_address=self.client_address)
        match outcome:
            case ErrorPage():
                self.render_page("oauth/error.html", 400, text=outcome.text)
            case SignIn():
                self._send_to_sign_in(parameters, outcome)
            case AskConsent():
                self.form_redirect_origin = origin(outcome.target.uri)
                here = f"{AUTHORIZE_PATH}?{urlencode(parameters.values)}"
                self.render_page("oauth/consent.html", client=outcome.client, scopes=outcome.scopes, titles=TITLES, action=here,
                                 switch=f"{SIGN_IN_PATH}?{urlencode({'next': here, 'again': 'yes'})}")
            case NotPermitted():
                self.render_page("oauth/not_permitted.html", 403, client=outcome.client, missing=outcome.missing,
                                 back=outcome.way_back if outcome.way_back.mode != "form_post" else None)
            case Redirect():
                self._send_back(outcome)

    def _send_to_sign_in(self, parameters: Parameters, wanted: SignIn) -> None:
        back = f"{AUTHORIZE_PATH}?{urlencode({**parameters.values, SINCE: wanted.since})}"
        if len(back) > LONGEST_NEXT:
            self.render_page("oauth/error.html", 400, text="The request of the application is too long.")
            return
        query = {"next": back, "again": "yes"}
        if wanted.login_hint is not None:
            query["login_hint"] = wanted.login_hint
        self.see_other(f"{SIGN_IN_PATH}?{urlencode(query)}")

    def _send_back(self, answer: Redirect) -> None:
        if answer.mode == "form_post":
            self.form_redirect_origin = origin(answer.uri)
            self.may_run_scripts = True
            self.render_page("oauth/form_post.html", action=answer.uri, parameters=answer.parameters,
                             script_url=self.services.assets.url("form_post.js"))
        else:
            self.set_status(303 if self.request.method == "POST" else 302)
            self.set_header("Location", answer.location)
            self.finish()

    def _page_policy(self) -> str:
        return super()._page_policy() + ("; script-src 'self'" if self.may_run_scripts else "")
