"""Every file that `pinn` reads, damaged: what comes is what was read or one message, nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from pinn.analyzers.phases_traces import read_trace
from pinn.core import Box, PinnError
from pinn.core.records import Records
from pinn.engine import parse_config
from pinn.engine.configuration.overrides import override
from pinn.engine.configuration.reader import parse_toml
from pinn.engine.configuration.stored import Environment, Summary, read_arrays, read_json
from pinn.engine.configuration.until import parse_until
from pinn.engine.training.checkpoint import CorruptCheckpoint, newest_whole, read, save
from pinn.plugins.commands.predict import read_table

Read = Callable[[Path], object]
EXAMPLES = pytest.mark.parametrize("examples", [100, pytest.param(1500, marks=pytest.mark.slow)])

TOML = b"""[run]
seed = 3
[problem]
name = "burgers"
viscosity = 0.05
[points]
interior = 144
conditions = {initial = 16, walls = {points = 8, sampler = "grid"}}
[weighting]
name = "rba"
factors = {walls = 2.0}
[[optimizers]]
name = "adam"
steps = 40
until = "rel_l2 < 1e-9"
[[analyzers]]
name = "error"
at = [1, 5]
"""
METRICS = b"".join(
    json.dumps({"step": step, "loss": 1 / step, "phase": "fitting", "map": [[1.0, None]]}).encode()
    + b"\n"
    for step in range(1, 6)
)
SUMMARY = json.dumps(
    {
        "problem": "burgers", "complete": True, "steps": 5, "parameters": 60, "final": {"loss": 0.5},
        "failures": {"snr": ["boom"]}, "seconds": {"training": 1.0}, "steps_per_second": None,
    }
).encode()  # fmt: skip
ENVIRONMENT = json.dumps(
    {"python": "3", "platform": "p", "device": "cpu", "versions": {"a": None}, "plugins": {}}
).encode()
TRACE = b"step,gradient_mean_norm,gradient_std_norm,rel_l2\n" + b"".join(
    b"%d,1.5,0.5,\n" % step for step in range(1, 9)
)
POINTS = b"name,y,x\r\n" + b"".join(b'"a, b",0.%d,-1e-%d\r\n' % (n, n) for n in range(1, 9))
ODD = [
    b"null", b"NaN", b"-Infinity", b"1e999", b"9" * 5000, b"[" * 3000, b"{", b"\xff\xfe",
    b"\xef\xbb\xbf", b"\x00", b"\x1b[31m", b"\n", b"\r", b'"', b",", b"true", b"[]",
    b"a.b.c.d = 1\n", b"[[run]]\n", b"\xe2\x80\xae",
]  # fmt: skip


@st.composite
def damaged(draw: Any, whole: bytes) -> bytes:
    """The file after some accidents: bytes flipped, removed, doubled, put in."""
    content = whole
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(content)))
        end = draw(st.integers(begin, min(begin + 60, len(content))))
        middle = draw(st.sampled_from([b"", 2 * content[begin:end], *ODD]) | st.binary(max_size=20))
        content = content[:begin] + middle + content[end:]
    return content


def checkpoint(folder: Path) -> bytes:
    state = {"step": 1, "module": {"w": np.float64(1).item()}}
    save(folder, 1, state, {"run": {"seed": 0}}, best=False)
    return (folder / "step-000000001.pt").read_bytes()


def arrays(folder: Path) -> bytes:
    np.savez_compressed(folder / "a.npz", x=np.arange(3.0), u=np.ones((3, 3)))
    return (folder / "a.npz").read_bytes()


def a_checkpoint(path: Path) -> object:
    with suppress(CorruptCheckpoint):
        read(path)
    return newest_whole(path.parent, {"run": {"seed": 0}})


def a_configuration(path: Path) -> object:
    return parse_config(parse_toml(path.read_bytes(), path))


FILES: dict[str, tuple[str, bytes | Callable[[Path], bytes], Read]] = {
    "pinn.toml": ("pinn.toml", TOML, a_configuration),
    "metrics.jsonl": ("metrics.jsonl", METRICS, lambda path: Records(path, path.parent).arrays()),
    "summary.json": ("summary.json", SUMMARY, lambda p: read_json(p, p.parent, Summary)),
    "environment.json": ("e.json", ENVIRONMENT, lambda p: read_json(p, p.parent, Environment)),
    "predictions.npz": ("predictions.npz", arrays, lambda p: read_arrays(p, p.parent)),
    "checkpoint": ("step-000000001.pt", checkpoint, a_checkpoint),
    "points.csv": (
        "points.csv",
        POINTS,
        lambda path: read_table(path).points(Box(x=(0, 1), y=(0, 1))),
    ),
    "trace.csv": ("trace.csv", TRACE, lambda path: read_trace(path).phases()),
    "trace.jsonl": ("trace.jsonl", METRICS, lambda path: read_trace(path).phases()),
}


@EXAMPLES
@pytest.mark.parametrize("kind", FILES)
def test_a_damaged_file_is_read_or_refused_in_one_message(
    kind: str, examples: int, tmp_path: Path
) -> None:
    name, whole, reader = FILES[kind]
    content = whole(tmp_path) if callable(whole) else whole
    folder = tmp_path / "fuzz"
    folder.mkdir()

    def check(damage: bytes) -> None:
        (folder / name).write_bytes(damage)
        before = sorted(folder.iterdir())
        message = ""
        try:
            reader(folder / name)
        except PinnError as error:
            message = str(error)
        assert len(message) < 25_000
        assert len(message.splitlines()) < 60
        assert sorted(folder.iterdir()) == before
        assert (folder / name).read_bytes() == damage

    settings(max_examples=examples)(given(damaged(content))(check))()


WORDS = st.sampled_from(
    [
        "optimizers",
        "0",
        "²",
        "9" * 5000,
        "steps",
        "weighting",
        "eta",
        "",
        "run",
        "directory",
        "\x1b[31m",
    ]
) | st.text(max_size=5)
VALUES = st.sampled_from(["1e999", "9" * 5000, "[" * 3000, "nan", "''", "", "{a = 1}", "1_0"])


@EXAMPLES
def test_what_stands_behind_set(examples: int) -> None:
    def check(words: list[str], value: str) -> None:
        table = parse_toml(TOML, Path("pinn.toml"))
        with suppress(PinnError):
            override(table, f"{'.'.join(words)}={value}")
            parse_config(table)

    of = given(st.lists(WORDS, min_size=1, max_size=5), VALUES | st.text(max_size=9))
    settings(max_examples=examples)(of(check))()


@EXAMPLES
def test_what_a_stage_waits_for(examples: int) -> None:
    def check(parts: list[str]) -> None:
        with suppress(PinnError):
            parse_until(" ".join(parts), 10, ["total_diffusion"])

    word = st.sampled_from(
        ["plateau", "of", "step", "<", ">", "1_0", "٣", "1e400", "total_diffusion"]
    )
    of = given(st.lists(word | st.text(max_size=4), max_size=5))
    settings(max_examples=examples)(of(check))()
