"""The public surface: flat, sorted, complete, and light to import."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

import chatkit

HOME_OF: dict[str, str] = vars(chatkit)["_HOME_OF"]


def test_every_public_name_resolves_and_is_sorted() -> None:
    """Each name of `__all__` is there, and none stands twice."""
    assert sorted(chatkit.__all__) == sorted(HOME_OF)
    for name in chatkit.__all__:
        assert getattr(chatkit, name) is not None
    assert set(chatkit.__all__) <= set(dir(chatkit))


def test_what_type_checkers_see_is_what_loads() -> None:
    """The names imported for type checkers are the lazy ones, from the same modules."""
    tree = ast.parse(Path(chatkit.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    seen = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("chatkit.")
        for alias in node.names
    }
    assert seen == {name: f"chatkit.{home}" for name, home in HOME_OF.items()}


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A misspelt name fails as in any module."""
    with pytest.raises(AttributeError, match="conect"):
        chatkit.conect  # type: ignore[attr-defined]  # noqa: B018  # that is the point


def test_importing_chatkit_loads_nothing_heavy() -> None:
    """`import chatkit` loads no pydantic, provider, telemetry or CLI module."""
    heavy = (
        "pydantic",
        "httpx",
        "websockets",
        "tenacity",
        "typer",
        "rich",
        "sqlite3",
        "asyncio",
        "opentelemetry",
    )
    code = f"import sys, chatkit; print([m for m in {heavy!r} if m in sys.modules])"

    # A measuring of coverage would start in the new process too, and loads some of these itself.
    plain = {name: text for name, text in os.environ.items() if not name.startswith("COV")}
    out = subprocess.run([sys.executable, "-c", code], env=plain, capture_output=True, text=True, check=True)

    assert out.stdout.strip() == "[]"


def test_a_traceback_says_what_to_do() -> None:
    """Most people meet an error there first: the hint stands below the message."""
    with pytest.raises(chatkit.ConfigError) as caught:
        _ = chatkit.connect("nowhere://x", user="ada")

    shown = "".join(traceback.format_exception(caught.value))
    assert shown.endswith("no adapter for nowhere://\nKnown schemes: ably, memory, pusher, supabase.\n")
