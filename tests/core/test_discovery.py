"""Plugins that are really installed, most of them broken: what the command says of each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import frozen

PINN = Path(sys.executable).with_name("pinn")

HEAT = '''
from attrs import frozen
from pinn.core import Box, Problem, hookimpl
from pinn.core.lazy import torch


@frozen
class Heat(Problem):
    """u_t = kappa u_xx"""

    name = "{name}"
    fields = ("u",)
    domain = Box(x=(0, 1), t=(0, 1))

    kappa: float = 0.1

    def equations(self, q):
        return {{"heat": q.u_t - self.kappa * q.u_xx + 0 * torch.sin(q.x)}}


@hookimpl
def pinn_problems():
    return [Heat]
'''

COMMANDS = """
import click
from pinn.core import hookimpl

@click.command()
def check(): ...

@click.command()
def phases(): ...

@hookimpl
def pinn_commands():
    return [check, phases]
"""


@frozen
class Site:
    """A folder of installed distributions, as pip leaves them."""

    folder: Path

    def add(
        self,
        name: str,
        code: str | None,
        metadata: str = "Name: pinn-{name}\nVersion: 1.0\n",
        entry_point: str = "pinn_{name}",
    ) -> None:
        if code is not None:
            (self.folder / f"pinn_{name}.py").write_text(code, encoding="utf-8")
        information = self.folder / f"pinn_{name}-1.0.dist-info"
        information.mkdir()
        text = "Metadata-Version: 2.1\n" + metadata.format(name=name)
        (information / "METADATA").write_text(text, encoding="utf-8")
        points = f"[pinn]\n{name} = {entry_point.format(name=name)}\n"
        (information / "entry_points.txt").write_text(points, encoding="utf-8")

    def run(self, *words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(word) for word in words],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env=os.environ | {"PYTHONPATH": str(self.folder), "COLUMNS": "100"} | variables,
        )


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


BROKEN: dict[str, tuple[str | None, str]] = {
    "library": (
        "import os\n\n\ndef load():\n    raise ImportError('libheat.so: cannot open')\n\n\nload()\n",
        "ImportError: libheat.so: cannot open (pinn_library.py:5)",
    ),
    "needy": (
        "import os\nimport jaxx.numpy\n",
        "needs 'jaxx', which is not installed: pip install jaxx (pinn_needy.py:2)",
    ),
    "old": (
        "from pinn.core import Gone\n",
        "cannot import name 'Gone' from 'pinn.core': this version of pinn-dynamics does not have it (",
    ),
    "syntax": ("def f(:\n", "SyntaxError: invalid syntax (pinn_syntax.py:1)"),
    "exits": ("raise SystemExit(3)\n", "SystemExit: 3 (pinn_exits.py:1)"),
    "absent": (
        None,
        "its entry point names the module 'pinn_absent', which does not exist: install it again",
    ),
    "raises": (
        HEAT.format(name="raises").replace("return [Heat]", "return [Heta]"),
        "NameError: name 'Heta' is not defined (pinn_raises.py:",
    ),
    "unmarked": (
        HEAT.format(name="unmarked").replace("@hookimpl", ""),
        "pinn_problems is not marked: put @hookimpl above it",
    ),
    "box": (
        HEAT.format(name="box").replace("x=(0, 1)", "x=(1, 0)"),
        "(pinn_box.py:13)",
    ),
}


def test_list_names_every_broken_plugin_and_shows_the_others(site: Site) -> None:
    for name, (code, _) in BROKEN.items():
        site.add(name, code)
    site.add("first", HEAT.format(name="heat"))
    site.add("second", HEAT.format(name="heat"))
    site.add("loud", "print('imported')\n" + HEAT.format(name="loud"))
    warning = "import warnings\nwarnings.warn('it is old', DeprecationWarning)\n"
    site.add("warns", warning + HEAT.format(name="warns"))
    site.add("commands", COMMANDS)
    site.add("nameless", HEAT.format(name="nameless"), metadata="Version: 1.0\n")
    site.add("attribute", HEAT.format(name="attribute"), entry_point="pinn_{name}:plugin")
    site.add("unreadable", HEAT.format(name="unreadable"), entry_point="pinn unreadable")
    needs = "Name: pinn-{name}\nVersion: 1.0\nRequires-Dist: pinn-dynamics>=99\n"
    site.add("future", HEAT.format(name="future"), metadata=needs)

    found = site.run(PINN, "list")
    assert found.returncode == 0
    assert "Traceback" not in found.stderr
    assert "imported" not in found.stdout
    assert "imported" in found.stderr
    for name in ("loud", "warns", "heat"):
        assert f"  {name} " in found.stdout
    for name in (*BROKEN, "nameless", "attribute", "unreadable", "future"):
        assert f"  {name} " not in found.stdout
    lines = {line.split("'")[1]: line for line in found.stderr.splitlines() if "plugin '" in line}
    for name, (_, expected) in BROKEN.items():
        assert lines[name].startswith(f"broken: plugin '{name}' of pinn-{name} 1.0: ")
        assert expected in lines[name]
        assert lines[name].endswith(f"; PINN_DISABLE_PLUGINS={name} leaves it out")
    assert "of a distribution without a name 1.0: the metadata" in lines["nameless"]
    assert "names 'pinn_attribute:plugin', which does not exist" in lines["attribute"]
    assert "names 'pinn unreadable', which does not exist" in lines["unreadable"]
    assert "it needs pinn-dynamics >=99, and " in lines["future"]
    for text in (
        "broken: the problem 'heat' is offered by pinn-first 1.0 (entry point 'first') and pinn-second",
        "broken: the command 'check' of pinn-commands 1.0 has the name of a built-in command",
        "broken: the command 'phases' of pinn-commands 1.0 has the name of a built-in command",
    ):
        assert text in found.stderr


def test_a_run_needs_only_what_it_names(site: Site, tmp_path: Path) -> None:
    site.add("first", HEAT.format(name="heat"))
    site.add("second", HEAT.format(name="heat"))
    site.add("third", HEAT.format(name="warm"))
    site.add("broken", "import jaxx\n")
    file = tmp_path / "heat.toml"
    text = (
        '[problem]\nname = "{}"\n[network]\nwidth = 4\n[[optimizers]]\nname = "adam"\nsteps = 2\n'
    )
    file.write_text(text.format("warm"), encoding="utf-8")
    assert site.run(PINN, "check", file).returncode == 0
    file.write_text(text.format("heat"), encoding="utf-8")
    refused = site.run(PINN, "check", file)
    assert refused.returncode == 2
    assert "uninstall one, or set PINN_DISABLE_PLUGINS=second" in refused.stderr
    assert site.run(PINN, "check", file, PINN_DISABLE_PLUGINS="Pinn_SECOND").returncode == 0


def test_a_damaged_list_of_entry_points_is_named(site: Site) -> None:
    site.add("first", HEAT.format(name="heat"), entry_point="")
    (site.folder / "pinn_first-1.0.dist-info" / "entry_points.txt").write_text("[pinn]\nheat\n")
    found = site.run(PINN, "list")
    assert found.returncode == 2
    assert found.stderr == (
        "error: the plugins cannot be found, since entry_points.txt of pinn-first is damaged: install "
        "it again\n"
    )


def test_metadata_that_is_no_text(site: Site) -> None:
    site.add("first", HEAT.format(name="heat"))
    (site.folder / "pinn_first-1.0.dist-info" / "METADATA").write_bytes(b"Name: \xff\xfe\n")
    found = site.run(PINN, "list")
    assert found.returncode == 0
    assert "broken: plugin 'first' of a distribution without a name" in found.stderr


def test_an_older_copy_further_down_the_path_is_not_loaded(site: Site, tmp_path: Path) -> None:
    """As where a user's site-packages and a virtual environment hold the same plugin."""
    newer, older = Site(tmp_path / "newer"), Site(tmp_path / "older")
    for copy in (newer, older):
        copy.folder.mkdir()
        copy.add("first", HEAT.format(name="heat"))
    found = newer.run(PINN, "list", PYTHONPATH=f"{newer.folder}{os.pathsep}{older.folder}")
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.count("[pinn-first 1.0]") == 1


COUNTING = """
import json, sys
from collections import Counter
from importlib.metadata import PathDistribution

read = Counter()
original = PathDistribution.read_text

def counted(self, name):
    read[f"{self._path.name}/{name}"] += 1
    return original(self, name)

PathDistribution.read_text = counted
sys.argv = ["pinn", *sys.argv[1:]]
from pinn.engine.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code
heavy = [name for name in ("torch._C", "scipy", "matplotlib", "rich") if name in sys.modules]
print(json.dumps({"read": read, "heavy": heavy}), file=sys.stderr)
"""


@pytest.mark.parametrize("words", [["list"], ["describe", "heat-7"]])
def test_a_hundred_plugins_are_read_once_and_load_nothing_slow(
    site: Site, words: list[str]
) -> None:
    needs = "Name: pinn-{name}\nVersion: 1.0\nRequires-Dist: pinn-dynamics>=0.0.1\n"
    for number in range(100):
        site.add(f"heat{number}", HEAT.format(name=f"heat-{number}"), metadata=needs)
    found = site.run(sys.executable, "-c", COUNTING, *words)
    assert found.returncode == 0, found.stderr
    shown = [line for line in found.stdout.splitlines() if "[pinn-heat" in line]
    assert len(shown) == (100 if words == ["list"] else 1)
    counts = json.loads(found.stderr.splitlines()[-1])
    assert counts["heavy"] == []
    ours = {file: n for file, n in counts["read"].items() if file.startswith("pinn_heat")}
    assert len(ours) == 200
    assert set(ours.values()) == {1}


def test_plugins_without_a_bound_do_not_load_what_compares_versions(site: Site) -> None:
    needs = (
        "Name: pinn-{name}\nVersion: 1.0\nRequires-Dist: pinn-dynamics\nRequires-Dist: numpy>=1\n"
    )
    site.add("heat", HEAT.format(name="heat"), metadata=needs)
    code = "import sys, pinn.core.discovery as d; d.registry(); print('packaging' in sys.modules)"
    assert site.run(sys.executable, "-c", code).stdout == "False\n"


def test_a_plugin_does_not_replace_a_built_in_command(site: Site) -> None:
    site.add("commands", COMMANDS)
    found = site.run(PINN, "check", "nowhere.toml")
    assert found.returncode == 2
    assert "nowhere.toml: there is no such file" in found.stderr
