"""Why a page could not be had."""

from __future__ import annotations


class CrawlFault(Exception):  # noqa: N818 - it is a result, not an error of the program
    """A page cannot be had; `final` says that asking again would not help. The text is fit to be shown."""

    def __init__(self, reason: str, *, final: bool) -> None:
        """`reason` names what is wrong, without the URL."""
        super().__init__(reason)
        self.final = final
