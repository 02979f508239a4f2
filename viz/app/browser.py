"""Who uses this server: its owner alone, or many people, each known by a cookie that only the server can read.

``MEMORY_EXPLORER_SHARED`` decides: 1 for many people, 0 for one. Without it, a server that listens on this machine
alone belongs to one person. On a shared server every browser gets a random cookie with its first page: HttpOnly, so
that no script can read it, and SameSite, so that no other site can send it. What the cookie opens is named by its hash.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Iterable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

import streamlit as st
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "memory_explorer"
LOOPBACK = {"localhost", "127.0.0.1", "::1"}
DAYS = 30
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


def shared() -> bool:
    """Whether several people use this server, so that each sees only what is theirs."""
    said = os.environ.get("MEMORY_EXPLORER_SHARED")
    return said != "0" if said else st.get_option("server.address") not in LOOPBACK


def days() -> int:
    """Days without a visit after which the workspace of a browser is deleted."""
    said = os.environ.get("MEMORY_EXPLORER_DAYS", "")
    return max(1, int(said)) if said.isascii() and said.isdecimal() else DAYS


def browser_id() -> str | None:
    """The hash of this browser's cookie; None if it sends none."""
    token = str(st.context.cookies.get(COOKIE, ""))
    return hashlib.sha256(token.encode()).hexdigest()[:32] if _TOKEN.fullmatch(token) else None


class BrowserCookie:
    """Middleware that gives every browser of a shared server its cookie, and renews it with each page."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or not shared():
            await self.app(scope, receive, send)
            return

        async def with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start" and _is_page(message):
                message["headers"] = [
                    *(pair for pair in message["headers"] if pair[0].lower() != b"cache-control"),
                    (b"cache-control", b"private, no-cache"),  # a proxy must not give one browser's cookie to another
                    (b"set-cookie", set_cookie(scope).encode("ascii")),
                ]
            await send(message)

        await self.app(scope, receive, with_cookie)


def set_cookie(scope: MutableMapping[str, Any]) -> str:
    """The header that renews the cookie of a request, or gives it a new one."""
    token = _sent(scope["headers"]) or secrets.token_urlsafe(32)
    path = "/" + (st.get_option("server.baseUrlPath") or "").strip("/")
    secure = "; Secure" if scope.get("scheme") == "https" else ""
    return f"{COOKIE}={token}; Path={path}; Max-Age={days() * 86_400}; HttpOnly; SameSite=Lax{secure}"


def _sent(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The valid cookie of a request, if there is one."""
    for name, value in headers:
        if name.lower() == b"cookie":
            try:
                found = SimpleCookie(value.decode("latin-1")).get(COOKIE)
            except CookieError:
                continue
            if found is not None and _TOKEN.fullmatch(found.value):
                return found.value
    return None


def _is_page(message: Message) -> bool:
    return any(name.lower() == b"content-type" and value.startswith(b"text/html") for name, value in message["headers"])
