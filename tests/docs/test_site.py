"""The site builds without a warning, and a page of it loads nothing from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("core", "engine", "plugins", "problems", "analyzers", "testing")
LOADS = re.compile(
    r'<(?:script|img|iframe|source)\b[^>]*\bsrc="([^"]*)"|<link\b[^>]*\bhref="([^"]*)"'
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs")
    room = tmp_path_factory.mktemp("site")
    (room / "build" / "types" / "pinn").mkdir(parents=True)
    for name in ("docs", "mkdocs.yml"):
        (room / name).symlink_to(ROOT / name)
    for name in ROOMS:
        (room / "build" / "types" / "pinn" / name).symlink_to(ROOT / name)
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict"],
        cwd=room,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return room / "build" / "site"


def test_the_site_builds_with_every_link_and_page_in_place(site: Path) -> None:
    assert (site / "index.html").exists()
    assert (site / "search" / "search_index.json").exists()


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        for found in LOADS.findall(page.read_text(encoding="utf-8")):
            address = "".join(found)
            assert not re.match(r"(\w+:)?//", address), f"{page.name} loads {address}"


def test_every_formula_and_name_is_shown_as_it_is_written(site: Path) -> None:
    """Markdown took none of the signs that formulas are made of."""
    page = (site / "reference" / "weightings.html").read_text(encoding="utf-8")
    assert "λ ← γ λ + η |r| / max|r|, bounded by η / (1 − γ)." in page
    assert "<!-- generated" not in page
    page = (site / "reference" / "configuration.html").read_text(encoding="utf-8")
    assert "default runs/&lt;file name&gt;" in page
