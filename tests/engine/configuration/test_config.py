"""Reading pinn.toml: what is wrong is said, all at once; what is right survives a round trip."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
import tomli
import tomli_w
from click.testing import CliRunner
from hypothesis import given, strategies as st

from pinn.core import ConfigError, PinnError
from pinn.engine import load_config, parse_config
from pinn.engine.cli import commands
from pinn.engine.configuration.config import differences
from pinn.engine.training.build import choose_device

VALID: dict[str, Any] = {
    "run": {"device": "cpu", "compile": "never"},
    "problem": {"name": "helmholtz", "a1": 1, "a2": 1},
    "network": {"name": "mlp", "width": 4, "depth": 1},
    "points": {"interior": 16, "conditions": 8},
    "optimizers": [{"name": "adam", "steps": 3}],
}

Check = Callable[..., click.testing.Result]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """`pinn check` on a file with this content; it never ends in a traceback."""
    monkeypatch.chdir(tmp_path)

    def run(content: Any, *overrides: str, command: str = "check") -> click.testing.Result:
        if isinstance(content, dict):
            content = tomli_w.dumps(content)
        data = content.encode() if isinstance(content, str) else content
        (tmp_path / "pinn.toml").write_bytes(data)
        options = [word for text in overrides for word in ("--set", text)]
        result = CliRunner().invoke(commands, [command, "pinn.toml", *options])
        assert result.exception is None or isinstance(result.exception, SystemExit), (
            result.exception
        )
        assert "Traceback" not in result.output
        return result

    return run


def changed(**sections: Any) -> dict[str, Any]:
    """VALID with keys replaced inside its sections."""
    table = copy.deepcopy(VALID)
    for section, keys in sections.items():
        if section == "optimizers":
            table[section][0].update(keys)
        else:
            table.setdefault(section, {}).update(keys)
    return table


def without(section: str) -> dict[str, Any]:
    return {key: value for key, value in VALID.items() if key != section}


def test_a_valid_file_passes(check: Check) -> None:
    result = check(VALID)
    assert result.exit_code == 0
    assert result.stderr == ""
    assert "helmholtz with mlp (17 parameters), vanilla, 3 steps" in result.stdout


@pytest.mark.parametrize("content", ["\ufeff{}", "{}"], ids=["byte order mark", "plain"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_files_as_windows_writes_them(check: Check, content: str, newline: str) -> None:
    text = content.format(tomli_w.dumps(VALID)).replace("\n", newline)
    assert check(text).exit_code == 0


FAULTS: list[tuple[str, Any, list[str]]] = [
    (
        "empty",
        "",
        ["[problem] name: is missing; there are allen-cahn", "[[optimizers]]: is missing"],
    ),
    ("not TOML", "a = 1\nb = [1,\nc = 2", ["is not valid TOML", "line 3, column 1"]),
    ("declared twice", "[run]\n[run]\n", ["is not valid TOML", "line 2"]),
    ("binary", b"\x7fELF\x02\x01\x01\x00\xff\xfe\x00", ["is not a UTF-8 text file"]),
    ("unknown section", {**VALID, "netwrk": {}}, ["[netwrk]: unknown section", "'network'"]),
    (
        "key above its section",
        {"seed": 3, **VALID},
        ["seed: unknown section, or a key that stands"],
    ),
    ("unknown key", changed(network={"widht": 3}), ["[network] widht", "'width'", "depth"]),
    ("unknown run key", changed(run={"sed": 3}), ["[run] sed", "'seed'"]),
    ("unknown problem", changed(problem={"name": "helmholz"}), ["[problem] name", "'helmholtz'"]),
    ("unknown network", changed(network={"name": "mpl"}), ["[network] name", "'mlp'"]),
    ("unknown sampler", changed(points={"sampler": "lsh"}), ["[points] sampler", "'lhs'"]),
    ("unknown weighting", changed(weighting={"name": "RBA"}), ["[weighting] name", "'rba'"]),
    ("unknown optimizer", changed(optimizers={"name": "adm"}), ["[[optimizers]] 1 name", "'adam'"]),
    (
        "unknown analyzer",
        {**VALID, "analyzers": [{"name": "srn"}]},
        ["[[analyzers]] 1 name", "'snr'"],
    ),
    (
        "name is a number",
        changed(network={"name": 3}),
        ["[network] name: expected a string, found 3"],
    ),
    ("no problem", without("problem"), ["[problem] name: is missing"]),
    ("no optimizers", without("optimizers"), ["[[optimizers]]: is missing"]),
    ("optimizers empty", {**VALID, "optimizers": []}, ["[[optimizers]]: is missing"]),
    (
        "one optimizer as a table",
        {**VALID, "optimizers": {"steps": 3}},
        ["expected tables [[optim"],
    ),
    (
        "section is a number",
        {**VALID, "network": 3},
        ["network: expected a table [network], found 3"],
    ),
    ("section is a list", {**VALID, "run": [{}]}, ["run: expected a table [run]"]),
    ("steps missing", {**VALID, "optimizers": [{"name": "adam"}]}, ["1 steps: is missing"]),
    (
        "steps = 3.7",
        changed(optimizers={"steps": 3.7}),
        ["steps: expected a whole number, found 3.7"],
    ),
    ("steps = true", changed(optimizers={"steps": True}), ["expected a whole number, found true"]),
    ("steps = 0", changed(optimizers={"steps": 0}), ["1 steps: expected at least 1, found 0"]),
    (
        "lr is a string",
        changed(optimizers={"lr": "1e-3"}),
        ["1 lr: expected a number, found '1e-3'"],
    ),
    ("lr negative", changed(optimizers={"lr": -1}), ["1 lr: expected greater than 0, found -1.0"]),
    ("lr infinite", changed(optimizers={"lr": float("inf")}), ["1 lr: expected a finite number"]),
    (
        "beta out of range",
        changed(optimizers={"beta1": 2}),
        ["beta1: expected at least 0 and below 1"],
    ),
    ("periodic is a string", changed(network={"periodic": "x"}), ["periodic: expected a list"]),
    ("periodic in nothing", changed(network={"periodic": ["z"]}), ["no coordinate 'z'", "x, y"]),
    ("normalise is a string", changed(network={"normalise": "false"}), ["expected true or false"]),
    ("activation", changed(network={"activation": "relu"}), ["activation: expected one of tanh"]),
    ("option infinite", changed(problem={"k": float("inf")}), ["k: expected a finite number"]),
    ("option is a date", "[problem]\nname='helmholtz'\nk=1979-05-27", ["k: expected a number"]),
    (
        "no points",
        changed(points={"interior": 0}),
        ["[points] interior: expected at least 1, found 0"],
    ),
    ("no condition points", changed(points={"conditions": 0}), ["conditions: expected at least 1"]),
    ("half a point", changed(points={"conditions": 1.5}), ["a whole number or a table, found 1.5"]),
    (
        "conditions by a wrong name",
        changed(points={"conditions": {"wals": 3}}),
        [
            "[points.conditions] wals: no such condition (did you mean 'walls'?)",
            "walls: is missing",
        ],
    ),
    (
        "conditions without one",
        changed(points={"conditions": {}}),
        ["[points.conditions] walls: is mis"],
    ),
    (
        "a condition's sampler that there is not",
        changed(points={"conditions": {"walls": {"sampler": "gird", "points": 4}}}),
        ["[points.conditions.walls] sampler: no sampler is called 'gird' (did you mean 'grid'?)"],
    ),
    (
        "a condition's sampler with a misspelt key and no points",
        changed(points={"conditions": {"walls": {"sampler": "grid", "end": "both", "points": 0}}}),
        [
            "[points.conditions.walls] end: unknown key (did you mean 'ends'?)",
            "[points.conditions.walls] points: expected at least 1, found 0",
        ],
    ),
    ("chunk negative", changed(points={"chunk": -1}), ["[points] chunk: expected at least 0"]),
    ("seed negative", changed(run={"seed": -1}), ["[run] seed: expected at least 0"]),
    (
        "seed enormous",
        changed(run={"seed": 10**25}),
        ["[run] seed: expected a whole number up to 2^53"],
    ),
    (
        "precision",
        changed(run={"precision": "float16"}),
        ["[run] precision: expected one of float32"],
    ),
    ("compile", changed(run={"compile": True}), ["[run] compile: expected a string, found true"]),
    ("directory", changed(run={"directory": 3}), ["[run] directory: expected a string"]),
    ("unknown device", changed(run={"device": "tpu"}), ["[run] device: 'tpu' is unknown"]),
    (
        "device without a number",
        changed(run={"device": "cuda:"}),
        ["[run] device: 'cuda:' is unknown"],
    ),
    ("numbered CPU", changed(run={"device": "cpu:1"}), ["[run] device: 'cpu:1' is unknown"]),
    (
        "factor of nothing",
        changed(weighting={"factors": {"wals": 2.0}}),
        ["[weighting.factors] wals", "did you mean 'walls'?", "helmholtz, walls"],
    ),
    ("factor negative", changed(weighting={"factors": {"walls": -1}}), ["expected at least 0"]),
    (
        "factor not finite",
        changed(weighting={"factors": {"walls": float("nan")}}),
        ["finite number"],
    ),
    (
        "hard cavity",
        changed(problem={"name": "cavity", "hard": True, "a1": 1, "a2": 1}),
        ["[problem] a1: unknown key"],
    ),
    (
        "hard cavity of velocities",
        {**VALID, "problem": {"name": "cavity", "hard": True, "formulation": "velocity"}},
        ['[problem]: hard = true needs formulation = "streamfunction"'],
    ),
    (
        "enormous network",
        changed(network={"width": 10**11}),
        ["two moments take at least", "GiB are free"],
    ),
    (
        "analyzer at negative distances",
        {**VALID, "analyzers": [{"name": "snr", "every": -1, "at": [1.5]}]},
        ["[[analyzers]] 1 every: expected at least 0", "1 at: expected a whole number"],
    ),
    (
        "analyzer twice",
        {**VALID, "analyzers": [{"name": "snr"}, {"name": "error"}, {"name": "snr"}]},
        ["[[analyzers]] 3 snr: stands there twice"],
    ),
    (
        "until nothing known",
        changed(optimizers={"until": "plateu"}),
        ["[[optimizers]] 1 until: expected an event", "did you mean 'plateau'", "no analyzer"],
    ),
    (
        "until a bound that is no number",
        changed(optimizers={"until": "loss < small"}),
        ["1 until: expected a number behind the sign, found 'loss < small'"],
    ),
    (
        "no patience",
        changed(optimizers={"until": "plateau", "patience": 0}),
        ["1 patience: expected at least 1"],
    ),
    (
        "one batch",
        {**VALID, "analyzers": [{"name": "snr", "batches": 1}]},
        ["batches: expected at"],
    ),
]


@pytest.mark.parametrize(
    ("content", "expected"), [case[1:] for case in FAULTS], ids=[case[0] for case in FAULTS]
)
def test_bad_input_is_a_message(check: Check, content: Any, expected: list[str]) -> None:
    result = check(content)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    for text in expected:
        assert text in result.stderr
    if "memory" not in result.stderr:
        assert all("pinn.toml" in line for line in result.stderr.splitlines())
    assert len(result.stderr.splitlines()) <= 3


def test_all_faults_of_a_file_at_once(check: Check) -> None:
    table = changed(
        run={"device": 3, "seed": -1},
        problem={"a1": 1.5, "a3": 1},
        network={"name": "mpl"},
        points={"interior": 0},
        optimizers={"steps": 3.7, "steep": 2, "lr": 0},
    )
    lines = check({**table, "pionts": {}}).stderr.splitlines()
    for part in (
        "[pionts]",
        "[run] device",
        "[run] seed",
        "[problem] a1",
        "[problem] a3",
        "[network] name",
        "[points] interior",
        "[[optimizers]] 1 steps",
        "[[optimizers]] 1 steep",
        "[[optimizers]] 1 lr",
    ):
        assert sum(part in line for line in lines) == 1, part
    assert len(lines) == 10


def test_cuda_is_asked_for_and_absent(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    result = check(changed(run={"device": "cuda"}))
    assert result.exit_code == 2
    assert "no CUDA device is available" in result.stderr


def test_mps_is_taken_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    assert choose_device("mps").type == "mps"


def test_mps_is_refused_where_there_is_none(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    result = check(changed(run={"device": "mps"}))
    assert result.exit_code == 2
    assert "[run] device: 'mps' was asked for, but torch finds no GPU of Apple's" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_mps_has_no_double_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    with pytest.raises(
        PinnError, match=r"^\[run\] device: 'mps' has no double precision; set prec"
    ):
        choose_device("mps", "float64")


def test_cuda_number_that_does_not_exist(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    result = check(changed(run={"device": "cuda:7"}))
    assert result.exit_code == 2
    assert "CUDA devices are 0 to 1" in result.stderr


def test_a_grid_that_the_count_does_not_fill(check: Check) -> None:
    result = check(changed(points={"sampler": "grid", "interior": 15}), command="run")
    assert result.exit_code == 2
    assert "[points] the grid sampler needs" in result.stderr
    assert "found 15" in result.stderr


def test_more_points_than_fit_into_memory(check: Check) -> None:
    table = changed(points={"sampler": "uniform", "interior": 10**15})
    result = check(table, command="run")
    assert result.exit_code == 2
    assert "[points] interior: 1,000,000,000,000,000 points take at least" in result.stderr


@pytest.mark.parametrize("path", ["missing.toml", "."])
@pytest.mark.parametrize("command", ["run", "check"])
def test_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, command: str) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(commands, [command, path])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {path}: ")
    assert list(tmp_path.iterdir()) == []


# --set


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("foo", "expected section.key=value"),
        ("foo=3", "expected section.key=value"),
        ("run.=3", "expected section.key=value"),
        (".seed=3", "expected section.key=value"),
        ("=", "expected section.key=value"),
        ("run.seed", "expected section.key=value"),
        ("run.seed=", "[run] seed: expected a whole number, found ''"),
        ("run.seed=x", "[run] seed: expected a whole number, found 'x'"),
        ("run.sed=1", "did you mean 'seed'?"),
        ("rnu.seed=1", "did you mean 'run'?"),
        ("run.seed.deep=1", "seed"),
        ("network.width.deep=1", "width is not a table"),
        ("network.width=8\ndepth=3", "[network] width: expected a whole number"),
        ("optimizers.1.steps=3", "there is no number 1 among 1 tables"),
        ("optimizers.-1.steps=3", "there is no number -1 among 1 tables"),
        ("optimizers.adam.steps=3", "there is no number adam among 1 tables"),
        ("optimizers.steps=3", "as in optimizers.0.steps"),
        ("optimizers.0=3", "as in optimizers.0.steps"),
        ("analyzers.0.name=snr", "there is no number 0 among 0 tables"),
        ("problem.hard=True", "expected true or false, found 'True'"),
    ],
)
def test_bad_overrides(check: Check, override: str, expected: str) -> None:
    result = check(VALID, override)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert expected in result.stderr


def test_overrides_reach_what_they_name(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(tomli_w.dumps(VALID), encoding="utf-8")
    config = load_config(
        path,
        [
            "optimizers.0.lr=2e-4",
            "network.periodic=['x']",
            "network.activation=sin",
            "weighting.name=rba",
            "weighting.eta = 0.5",
            "weighting.factors.walls=3",
            "points.conditions={walls = 9}",
            "run.directory=somewhere/a=b",
        ],
    )
    assert config.table()["optimizers"][0]["lr"] == 2e-4
    assert config.table()["network"]["periodic"] == ["x"]
    assert config.table()["network"]["activation"] == "sin"
    assert config.table()["weighting"]["eta"] == 0.5
    assert config.factors == {"walls": 3.0}
    assert config.points.of_condition("walls")[1] == 9
    assert config.directory == Path("somewhere/a=b").absolute()


def test_the_directory_is_named_after_the_file(tmp_path: Path) -> None:
    path = tmp_path / "my-run.toml"
    path.write_text(tomli_w.dumps(VALID), encoding="utf-8")
    assert load_config(path).directory == Path("runs/my-run").absolute()


LEAVES = [
    ("run.seed", st.integers(0, 2**31)),
    ("run.precision", st.sampled_from(["float32", "float64"])),
    ("problem.a1", st.integers(-5, 5)),
    ("problem.hard", st.booleans()),
    ("network.width", st.integers(1, 99)),
    ("network.periodic", st.sampled_from([[], ["x"], ["x", "y"]])),
    ("points.interior", st.integers(1, 9999)),
    ("points.sampler", st.sampled_from(["lhs", "uniform", "sobol", "grid"])),
    ("optimizers.0.steps", st.integers(1, 9999)),
    ("optimizers.0.lr", st.floats(1e-6, 1.0)),
]


@given(st.data())
def test_overriding_is_editing_the_file(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    chosen = data.draw(st.lists(st.sampled_from(LEAVES), unique_by=lambda leaf: leaf[0]))
    edited = copy.deepcopy(VALID)
    overrides = []
    for path, strategy in chosen:
        value = data.draw(strategy)
        section, *middle, key = path.split(".")
        place = edited[section][int(middle[0])] if middle else edited[section]
        place[key] = value
        overrides.append(f"{path}={tomli_w.dumps({'v': value}).removeprefix('v = ').strip()}")
    folder = tmp_path_factory.mktemp("override")
    (folder / "a.toml").write_text(tomli_w.dumps(VALID), encoding="utf-8")
    (folder / "b").mkdir()
    (folder / "b" / "a.toml").write_text(tomli_w.dumps(edited), encoding="utf-8")
    by_override = load_config(folder / "a.toml", overrides)
    assert by_override == load_config(folder / "b" / "a.toml")


# round trips

positive = st.floats(1e-9, 1e9)
problems = st.one_of(
    st.fixed_dictionaries(
        {"name": st.just("helmholtz")},
        optional={"a1": st.integers(-9, 9), "k": st.floats(-9, 9), "hard": st.just(False)},
    ),
    st.fixed_dictionaries(
        {"name": st.just("allen-cahn")}, optional={"diffusivity": positive, "reaction": positive}
    ),
    st.fixed_dictionaries(
        {"name": st.just("cavity")},
        optional={
            "reynolds": positive,
            "formulation": st.sampled_from(["velocity", "streamfunction"]),
        },
    ),
)
networks = st.fixed_dictionaries(
    {"name": st.sampled_from(["mlp", "modified-mlp"])},
    optional={
        "width": st.integers(1, 512),
        "activation": st.sampled_from(["tanh", "sin", "gelu"]),
        "normalise": st.booleans(),
        "periodic": st.lists(st.sampled_from(["x", "t"]), unique=True),
        "odd": st.lists(st.sampled_from(["x", "u.t"]), unique=True),
        "fourier_scale": positive,
    },
)
weightings = st.one_of(
    st.fixed_dictionaries({"name": st.just("vanilla")}),
    st.fixed_dictionaries(
        {"name": st.just("rba")},
        optional={"eta": positive, "gamma": st.floats(0, 1), "first_eta": positive},
    ),
)
stages = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {"name": st.just("adam"), "steps": st.integers(1, 10**6)},
            optional={
                "lr": positive,
                "until": st.sampled_from(["plateau", "plateau of rel_l2", "loss<1e-3", "snr > 1"]),
                "patience": st.integers(1, 999),
            },
        ),
        st.fixed_dictionaries(
            {"name": st.just("lbfgs"), "steps": st.integers(1, 10**6)},
            optional={"history": st.integers(1, 99)},
        ),
    ),
    min_size=1,
    max_size=3,
)
analyzers = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(["snr", "error", "maps"])},
        optional={
            "every": st.integers(0, 999),
            "early_every": st.integers(0, 999),
            "early_steps": st.integers(0, 999),
            "at": st.lists(st.integers(1, 999)),
        },
    ),
    max_size=3,
    unique_by=lambda table: table["name"],
)
directories = st.text(st.characters(exclude_categories=["Cc", "Cs"])).filter(
    lambda text: text.strip() and not text.startswith("~")
)
tables = st.fixed_dictionaries(
    {"problem": problems, "optimizers": stages},
    optional={
        "run": st.fixed_dictionaries(
            {},
            optional={
                "seed": st.integers(0, 2**53),
                "directory": directories,
                "device": st.text(),
            },
        ),
        "network": networks,
        "points": st.fixed_dictionaries(
            {},
            optional={"interior": st.integers(1, 10**6), "conditions": st.integers(1, 10**6)},
        ),
        "weighting": weightings,
        "analyzers": analyzers,
    },
)


@given(tables)
def test_a_written_configuration_reads_as_the_same(table: dict[str, Any]) -> None:
    config = parse_config(table)
    again = parse_config(tomli.loads(config.toml()))
    assert again == config
    assert again.table() == config.table()
    assert differences(config.table(), again.table()) == []


@given(tables)
def test_what_the_user_wrote_is_what_is_kept(table: dict[str, Any]) -> None:
    kept = parse_config(table).table()
    for section, keys in table.items():
        pairs = (
            zip(keys, kept[section], strict=True)
            if isinstance(keys, list)
            else [(keys, kept[section])]
        )
        for written, resolved in pairs:
            assert {**resolved, **written} == resolved


def test_conditions_by_name_survive() -> None:
    table = changed(points={"conditions": {"walls": 7}}, weighting={"factors": {"walls": 2}})
    again = parse_config(tomli.loads(parse_config(table).toml()))
    assert again.points.of_condition("walls")[1] == 7
    assert again.factors == {"walls": 2.0}


def test_a_configuration_cannot_be_changed() -> None:
    config = parse_config(VALID)
    with pytest.raises(AttributeError):
        config.run.seed = 3  # type: ignore[misc]


def test_faults_of_parse_config_name_their_source() -> None:
    with pytest.raises(ConfigError, match=r"^table: \[network\] width: ") as caught:
        parse_config(changed(network={"width": "8"}), "table")
    assert isinstance(caught.value, PinnError)
    assert len(caught.value.faults) == 1


# differences

plain = st.recursive(
    st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=2),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.lists(st.dictionaries(st.sampled_from("pq"), inner, max_size=2), max_size=2)
        | st.dictionaries(st.sampled_from("pq"), inner, max_size=2)
    ),
    max_leaves=8,
)
nested = st.dictionaries(st.sampled_from("pqr"), plain, max_size=3)


@given(nested, nested)
def test_differences_are_empty_iff_equal(a: dict[str, Any], b: dict[str, Any]) -> None:
    assert differences(a, a) == []
    assert (differences(a, b) == []) == (a == b)
    assert len(differences(a, b)) == len(differences(b, a))


def test_differences_name_key_and_both_values() -> None:
    found = differences(
        {"run": {"seed": 1}, "optimizers": [{"lr": 0.1}], "points": {"conditions": 3}},
        {"run": {"seed": 2}, "optimizers": [{"lr": 0.1}, {"lr": 0.2}]},
    )
    assert found == [
        "optimizers.1: absent there, {'lr': 0.2} here",
        "points: {'conditions': 3} there, absent here",
        "run.seed: 1 there, 2 here",
    ]


def test_the_file_in_a_moved_run_directory_means_that_directory(tmp_path: Path) -> None:
    file = tmp_path / "pinn.toml"
    file.write_text(
        '[run]\ndirectory = "elsewhere"\n[problem]\nname = "burgers"\n'
        '[[optimizers]]\nname = "adam"\nsteps = 1\n'
    )
    assert load_config(file).directory == Path("elsewhere").absolute()
    (tmp_path / "environment.json").write_text("[]")  # of something else, or damaged
    assert load_config(file).directory == Path("elsewhere").absolute()
    (tmp_path / "checkpoints").mkdir()
    assert load_config(file).directory == tmp_path
    assert load_config(file, ["run.directory=new"]).directory == Path("new").absolute()


def test_naming_another_part_on_the_command_line_drops_the_options_of_the_old(
    tmp_path: Path,
) -> None:
    file = tmp_path / "pinn.toml"
    file.write_text(
        """
        [problem]
        name = "helmholtz"
        [network]
        name = "mlp"
        width = 7
        [points]
        interior = 50
        [weighting]
        name = "rba"
        eta = 0.1
        factors = { boundary = 2.0 }
        [[optimizers]]
        name = "adam"
        steps = 5
        lr = 0.1
        schedule = "cosine"
        """,
        encoding="utf-8",
    )
    changed = load_config(
        file, ["weighting.name=vanilla", "network.name=modified-mlp", "optimizers.0.name=lbfgs"]
    )
    assert changed.weighting.name == "vanilla"
    assert changed.network.width == 7  # type: ignore[attr-defined]
    (stage,) = changed.stages
    assert (stage.optimizer.name, stage.steps) == ("lbfgs", 5)
    with pytest.raises(ConfigError, match="eta: unknown key"):
        load_config(file, ["weighting.name=vanilla", "weighting.eta=0.1"])
