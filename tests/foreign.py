"""What the built pages load: nothing may come from another host, for a reader may be offline, or unwilling to be seen.

    python tests/foreign.py FOLDER    says what does, and ends with 1

A link that somebody may follow loads nothing. Only the standard library is used.
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

LOADING: Final = {
    "audio": "src",
    "embed": "src",
    "iframe": "src",
    "image": "href",
    "img": "src",
    "input": "src",
    "object": "data",
    "script": "src",
    "source": "src",
    "track": "src",
    "use": "href",
    "video": "src",
}
"""Elements that load what an attribute names; `link` is apart."""
IDLE: Final = {"alternate", "author", "canonical", "help", "license", "next", "prev", "search"}
"""Relations of a `link` that load nothing."""
STYLE: Final = re.compile(r"url\(\s*[\"']?([^\"')]+)|@import\s+[\"']([^\"']+)")
ADDRESS: Final = re.compile(r"[\"'`](https?://[^\"'`$]+)")

SCRIPTED: Final = {
    "https://unpkg.com/mermaid@11/dist/mermaid.min.js": "mermaid",
    "https://api.github.com/repos/": "source",
    "https://api.github.com/users/": "source",
    "https://unpkg.com/resize-observer-polyfill": "",  # by browsers alone that are older than 2020
}
"""What the theme's script may load: each address, and the mark of a page on which it does."""


class Page(HTMLParser):
    """Collects what one page loads from other hosts."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name.partition(":")[2] or name: value or "" for name, value in attrs}
        wanted = [given.get(LOADING.get(tag, ""), ""), given.get("poster", "")]
        wanted += [part.split()[0] for part in given.get("srcset", "").split(",") if part.strip()]
        if tag == "link" and not set(given.get("rel", "").lower().split()) <= IDLE:
            wanted.append(given.get("href", ""))
        self.found += [f"<{tag}> {address}" for address in wanted if foreign(address)]
        self.found += styled(given.get("style", ""))
        marks = {*given.get("class", "").split(), given.get("data-md-component", "")}
        self.found += [address for address, mark in SCRIPTED.items() if mark and mark in marks]

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "style":
            self.found += styled(data)
        if self.cdata_elem == "script":
            self.found += scripted(data)


def foreign(address: str) -> bool:
    """Whether an address names a host."""
    return bool(urlsplit(address.strip()).netloc)


def styled(text: str) -> list[str]:
    """Return what a style sheet loads from other hosts."""
    named = (first or second for first, second in STYLE.findall(text))
    return [f"style: {address}" for address in named if foreign(address)]


def scripted(text: str) -> list[str]:
    """Return the addresses in a script, but for those of the theme that are looked for as marks."""
    return [f"script: {address}" for address in ADDRESS.findall(text) if address not in SCRIPTED]


def loaded(path: Path) -> list[str]:
    """Return what a file of the site loads from other hosts."""
    text = path.read_text(encoding="utf-8")
    match path.suffix:
        case ".html" | ".svg":
            page = Page()
            page.feed(text)
            page.close()
            return page.found
        case ".css":
            return styled(text)
        case _:
            return scripted(text)


def main(folder: str) -> int:
    """Say what the pages in a folder load from other hosts; returns the exit code."""
    paths = [
        path for path in sorted(Path(folder).rglob("*")) if path.suffix in {".html", ".svg", ".css", ".js"}
    ]
    found = [f"{path.relative_to(folder)}: {what}" for path in paths for what in loaded(path)]
    print("\n".join(found) or f"{len(paths)} files load nothing from another host")
    return 1 if found or not paths else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
