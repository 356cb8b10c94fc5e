"""The view, served to this machine: two addresses, both read only, behind a token."""

import hmac
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from trajlab.report.charts import embed
from trajlab.report.live.state import Live
from trajlab.report.templates import filled

HOST = "127.0.0.1"
_COOKIE = "trajlab-token"
_Next = Callable[[Request], Awaitable[Response]]


def application(live: Live, token: str) -> Starlette:
    """Return the server's application.

    Parameters
    ----------
    live
        The runs.
    token
        What a browser has to know, once, in the address ``/?token=…``; from then on it is in a
        cookie that no other site can send along.

    Notes
    -----
    ``/`` is the page, ``/state`` tells what changed in it. Nothing can be written or run, and no
    file but the runs is read. A request by another host's name is refused, so that a site whose
    name is pointed to this machine reads nothing.
    """
    scripts = embed.scripts("page.js", "view.js")

    def page(_: Request) -> Response:
        html = filled("live.html", scripts=scripts)
        policy = embed.policy(scripts, connect="'self'")
        return HTMLResponse(html, headers={"Content-Security-Policy": policy})

    def state(request: Request) -> Response:
        sections = live.sections(request.query_params.get("where", ""))
        known = request.query_params.getlist("mark")
        changed = {
            name: text
            for name, text in sections.html.items()
            if f"{name}:{sections.marks[name]}" not in known
        }
        told = {"order": list(sections.html), "marks": dict(sections.marks), "changed": changed}
        return JSONResponse(told)

    async def admit(request: Request, proceed: _Next) -> Response:
        shown = request.cookies.get(_cookie(request)) or request.query_params.get("token", "")
        if not hmac.compare_digest(shown.encode(), token.encode()):
            said = "Open the address that `trajlab view` printed: it holds the token.\n"
            return PlainTextResponse(said, status_code=403)
        response = await proceed(request)
        response.headers["Cache-Control"] = "no-store"
        response.set_cookie(_cookie(request), token, httponly=True, samesite="strict")
        return response

    return Starlette(
        routes=[Route("/", page), Route("/state", state)],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"]),
            Middleware(BaseHTTPMiddleware, dispatch=admit),
        ],
    )


def _cookie(request: Request) -> str:
    """Name the cookie by the port: two views have a token each, and cookies know no ports."""
    return f"{_COOKIE}-{request.url.port}"
