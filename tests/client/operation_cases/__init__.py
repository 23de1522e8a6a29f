"""For every operation of the API the methods of the client that call it, with arguments to try them with."""

from __future__ import annotations

from typing import Final

from . import (
    account,
    agents,
    chats,
    clouds,
    colors,
    documents,
    files,
    folders,
    history,
    uploads,
    videos,
)
from .case import Case

CASES: Final[tuple[Case, ...]] = (
    *uploads.CASES,
    *files.CASES,
    *folders.CASES,
    *documents.CASES,
    *chats.CASES,
    *agents.CASES,
    *colors.CASES,
    *history.CASES,
    *clouds.CASES,
    *videos.CASES,
    *account.CASES,
)

OMITTED: Final[dict[str, tuple[str, ...]]] = {
    "Signing in and one's own account, which a browser does with a session, not a program with a key": (
        "DELETE /auth/session/sessions/{session_id}",
        "DELETE /user/sessions/{session_id}",
        "GET /auth/session/email-verification-status",
        "GET /auth/session/google/callback",
        "GET /auth/session/me",
        "GET /auth/session/password-reset/validate",
        "GET /auth/session/sessions",
        "GET /user/sessions",
        "POST /auth/session/google",
        "POST /auth/session/google/initiate",
        "POST /auth/session/link-provider",
        "POST /auth/session/login",
        "POST /auth/session/logout",
        "POST /auth/session/password-reset/complete",
        "POST /auth/session/password-reset/request",
        "POST /auth/session/refresh",
        "POST /auth/session/register",
        "POST /auth/session/resend-verification",
        "POST /auth/session/resend-verification-by-email",
        "POST /auth/session/rotate-session",
        "POST /auth/session/verify-email",
        "POST /user/account/delete",
        "POST /user/change-email",
        "POST /user/change-password",
        "POST /user/confirm-email-change",
        "POST /user/revoke-all-sessions",
        "POST /user/set-initial-password",
    ),
    "Payment": (
        "GET /payment/credit-balance",
        "GET /payment/subscription/status",
        "POST /payment/billing-portal",
        "POST /payment/checkout",
        "POST /payment/credit-packs/checkout",
        "POST /payment/subscription/update",
        "POST /payment/webhooks/stripe",
    ),
    "Pages of the website, which take no key: its contact form, and its package index for pip": (
        "GET /sdk/simple/",
        "GET /sdk/simple/aion/",
        "GET /sdk/simple/aion/{filename}",
        "POST /support/contact",
    ),
}
"""Operations of the specification that no method calls, on purpose."""
