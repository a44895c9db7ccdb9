"""What the site does to the pages, which are also read in the repository."""

from __future__ import annotations

import re
from typing import Any

OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:\.\./|examples/?)[^)\s]*\)")


def on_page_markdown(markdown: str, **_more: Any) -> str:
    """Return the page with links to files of the repository as plain text: they are no pages of the site."""
    return OUTSIDE.sub(r"\1", markdown)
