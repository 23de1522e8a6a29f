"""A message when a run fails: to a webhook (Slack, Teams, Mattermost, your own), or by e-mail.

Copy this file into your project and load it beside the library, in the module that `dagster dev -m` or `workspace.yaml`
names:

    import dagster as dg
    from aion_dagster import LibraryConfig, build_definitions
    from run_failure_webhook import run_failure_sensor

    defs = dg.Definitions.merge(
        build_definitions(LibraryConfig.from_env()), dg.Definitions(sensors=[run_failure_sensor])
    )

Where messages go stands in the environment, so that no secret is in the code, in Dagster's database or in its logs:

    AION_ALERT_WEBHOOK    a URL that takes a POST of {"text": "…"}, as Slack's incoming webhooks do
    AION_ALERT_MAIL       smtp://user:password@host:587 or smtps://…, with AION_ALERT_FROM and AION_ALERT_TO
    AION_ALERT_UI         address of the UI, such as https://dagster.example.com, for a link to the run

The daemon evaluates it every 30 seconds (`dagster dev` and `aion-dagster dev` run one). A message that cannot be sent fails the
tick and is logged there; the next failure is told in any case. Failures of all code locations of the instance are told, and those
of `aion-dagster run` on the same store while a daemon is running.
"""

from __future__ import annotations

import os
import smtplib
import ssl
from email.message import EmailMessage
from typing import Any
from urllib.parse import unquote, urlsplit

import dagster as dg
import httpx

SECONDS = 10.0
MOST_WORDS = 600
"""Characters of an error that are told; the rest stands in the run."""


@dg.run_failure_sensor(
    name="tell_of_failed_runs",
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    monitor_all_code_locations=True,
)
def run_failure_sensor(context: dg.RunFailureSensorContext) -> None:
    """Tell of a failed run, wherever the environment says."""
    text = message(context)
    webhook, mail = os.environ.get("AION_ALERT_WEBHOOK"), os.environ.get("AION_ALERT_MAIL")
    if not webhook and not mail:
        context.log.warning(
            "Neither AION_ALERT_WEBHOOK nor AION_ALERT_MAIL is set: nobody is told."
        )
    if webhook:
        post(webhook, text)
    if mail:
        send(mail, text)


def message(context: dg.RunFailureSensorContext) -> str:
    """Which run failed, about what, why, and where to look."""
    run = context.dagster_run
    about = run.tags.get("dagster/partition") or ", ".join(
        sorted(key.to_user_string() for key in run.asset_selection or ())
    )
    steps = [event.step_key for event in context.get_step_failure_events() if event.step_key]
    errors = [
        innermost(event.step_failure_data.error)
        for event in context.get_step_failure_events()
        if event.step_failure_data.error is not None
    ]
    lines = [
        f"Run {run.run_id[:8]} of {run.job_name} failed" + (f" for {about}." if about else ".")
    ]
    lines += [f"Steps: {', '.join(steps)}"] if steps else []
    lines.append((errors[0] if errors else context.failure_event.message or "")[:MOST_WORDS])
    if ui := os.environ.get("AION_ALERT_UI"):
        lines.append(f"{ui.rstrip('/')}/runs/{run.run_id}")
    lines.append("What to do: docs/runbook.md")
    return "\n".join(line for line in lines if line)


def innermost(error: Any) -> str:
    """What an error came from, without the frames that led there."""
    while error.cause is not None:
        error = error.cause
    return str(error.message).strip()


def post(url: str, text: str) -> None:
    """Send it to a webhook.

    Raises:
        RuntimeError: it was not taken; the URL, which is a secret, is not part of the message.
    """
    try:
        answer = httpx.post(url, json={"text": text}, timeout=SECONDS)
    except httpx.HTTPError as error:
        raise RuntimeError(f"The webhook was not reached: {type(error).__name__}.") from None
    if answer.status_code >= 300:
        raise RuntimeError(f"The webhook answered {answer.status_code}.")


def send(server: str, text: str) -> None:
    """Send it by e-mail.

    Raises:
        RuntimeError: it was not taken; the address of the server, which holds a password, is not part of the message.
    """
    parts = urlsplit(server)
    mail = EmailMessage()
    mail["Subject"] = text.splitlines()[0]
    mail["From"], mail["To"] = os.environ["AION_ALERT_FROM"], os.environ["AION_ALERT_TO"]
    mail.set_content(text)
    host, secure = parts.hostname or "localhost", ssl.create_default_context()
    try:
        if parts.scheme == "smtps":
            client: smtplib.SMTP = smtplib.SMTP_SSL(
                host, parts.port or 465, timeout=SECONDS, context=secure
            )
        else:
            client = smtplib.SMTP(host, parts.port or 587, timeout=SECONDS)
        with client:
            if parts.username:
                if parts.scheme != "smtps":
                    client.starttls(context=secure)
                client.login(unquote(parts.username), unquote(parts.password or ""))
            client.send_message(mail)
    except (OSError, smtplib.SMTPException) as error:
        raise RuntimeError(f"The message could not be mailed: {type(error).__name__}.") from None
