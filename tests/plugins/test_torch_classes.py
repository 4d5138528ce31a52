"""Optimizers by the import path of their class: steps, faults, and when the class is imported."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from attrs import frozen
from click.testing import CliRunner
from hypothesis import given, strategies as st
from torch import Tensor

from pinn.core import ConfigError, Optimizer, PinnError
from pinn.core.options import key_of, options, structure, unstructure
from pinn.engine import Config, load_config, open_run, parse_config, train, write_report
from pinn.engine.cli import commands
from pinn.engine.training.checkpoint import OF_RUN, newest_first, read
from pinn.engine.training.state import load_optimizer
from pinn.plugins.optimizers.adam import Adam
from pinn.plugins.optimizers.imported import known_options
from pinn.plugins.optimizers.several import Several
from pinn.plugins.optimizers.torch_class import TorchOptimizer
from pinn.testing import check_optimizer
from pinn.testing.probes.differences import first_difference
from pinn.testing.small_runs import TIMED

MakeConfig = Callable[..., Config]
HELMHOLTZ = {"name": "helmholtz", "a1": 1, "a2": 1}
HAS_MUON = hasattr(torch.optim, "Muon")
needs_muon = pytest.mark.skipif(not HAS_MUON, reason="torch.optim.Muon is there from torch 2.9 on")


def muon(**options: Any) -> TorchOptimizer:
    return TorchOptimizer(class_="torch.optim.Muon", others="torch.optim.Adam", **options)


@pytest.mark.parametrize(
    "part",
    [
        TorchOptimizer(class_="torch.optim.AdamW"),
        TorchOptimizer(
            class_="torch.optim.NAdam", lr=1e-3, warmup=3, options={"betas": [0.8, 0.9]}
        ),
        TorchOptimizer(class_="torch.optim.SGD", lr=1e-3, options={"momentum": 0.9}),
        TorchOptimizer(class_="torch.optim.Adagrad", others="torch.optim.RMSprop"),
        pytest.param(muon(lr=1e-3), marks=needs_muon),
    ],
    ids=lambda part: part.class_,
)
def test_classes_of_torch_keep_the_contract_of_an_optimizer(part: TorchOptimizer) -> None:
    check_optimizer(part)


@pytest.mark.parametrize("name", ["SOAP", pytest.param("Lion", marks=pytest.mark.slow)])
def test_classes_of_pytorch_optimizer_keep_it_too(name: str) -> None:
    pytest.importorskip("pytorch_optimizer", reason="the extra `optimizers`")
    check_optimizer(TorchOptimizer(class_=f"pytorch_optimizer.{name}", lr=3e-3))


# --- the same as code


@frozen
class HandWritten(Optimizer):
    """What one would write instead."""

    name = "hand-written"

    def build(self, parameters: Any) -> torch.optim.Optimizer:
        return torch.optim.AdamW(parameters, lr=2e-3, weight_decay=0.1, betas=(0.8, 0.99))

    def learning_rate(self, step: int, steps: int) -> float | None:
        return 2e-3 * min(1, (step + 1) / 4) * 0.5 ** (step // 3)


def end_of(config: Config, folder: Path) -> dict[str, Any]:
    """All that the last checkpoint of a run holds, but for what it took."""
    assert train(config.in_directory(folder)).complete
    saved = read(newest_first(folder / "checkpoints")[0])
    return {name: value for name, value in saved.items() if name not in (TIMED, OF_RUN)}


def test_it_trains_bitwise_as_a_part_that_is_written_by_hand(
    make_config: MakeConfig, offer: Callable[..., None], tmp_path: Path
) -> None:
    offer(HandWritten)
    table = {
        "name": "torch", "class": "torch.optim.AdamW", "lr": 2e-3, "decay": 0.5, "decay_steps": 3,
        "warmup": 4, "options": {"weight_decay": 0.1, "betas": [0.8, 0.99]}, "steps": 12,
    }  # fmt: skip
    mine = make_config(HELMHOLTZ, optimizers=[table])
    other = make_config(HELMHOLTZ, optimizers=[{"name": "hand-written", "steps": 12}])
    found, expected = end_of(mine, tmp_path / "a"), end_of(other, tmp_path / "b")
    assert first_difference(found, expected) is None


rates = st.floats(1e-6, 1)


@given(
    rates,
    st.sampled_from(["exponential", "cosine", "constant"]),
    st.floats(0, 1),
    st.integers(1, 50),
    st.integers(0, 50),
    st.integers(1, 100),
    st.data(),
)
def test_its_schedules_are_those_of_adam(
    lr: float, schedule: str, decay: float, every: int, warmup: int, steps: int, data: st.DataObject
) -> None:
    shared: dict[str, Any] = {
        "lr": lr, "schedule": schedule, "decay": decay, "decay_steps": every, "warmup": warmup
    }  # fmt: skip
    step = data.draw(st.integers(0, steps - 1))
    one, other = TorchOptimizer(**shared), Adam(**shared)
    assert one.learning_rate(step, steps) == other.learning_rate(step, steps)


def test_without_a_rate_that_of_the_class_stays() -> None:
    part = TorchOptimizer(class_="torch.optim.Adadelta")
    assert part.learning_rate(3, 10) is None
    built = part.build([torch.nn.Parameter(torch.ones(2))])
    default = torch.optim.Adadelta([torch.nn.Parameter(torch.ones(2))]).param_groups[0]["lr"]
    assert built.param_groups[0]["lr"] == default


def test_options_of_adam_stand_in_the_order_they_had() -> None:
    names = [field.name for field in options(Adam)]
    assert names == "lr beta1 beta2 eps schedule decay decay_steps warmup".split()


# --- matrices and the others


def network() -> torch.nn.Sequential:
    torch.manual_seed(1)
    return torch.nn.Sequential(torch.nn.Linear(2, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1))


def closure_of(module: torch.nn.Module) -> Callable[[], Tensor]:
    x = torch.linspace(-1, 1, 14).reshape(7, 2)
    parameters = list(module.parameters())

    def closure() -> Tensor:
        loss = ((module(x)[:, 0] - x.prod(1)) ** 2).mean()
        for parameter, slope in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.grad = slope
        return loss.detach()

    return closure


def test_matrices_and_others_move_as_each_class_moves_them_alone() -> None:
    part = TorchOptimizer(class_="torch.optim.SGD", others="torch.optim.Adam", lr=1e-2)
    one, other = network(), network()
    joint = part.build(one.parameters())
    alone = [
        torch.optim.SGD([p for p in other.parameters() if p.ndim == 2], lr=1e-2),
        torch.optim.Adam([p for p in other.parameters() if p.ndim != 2], lr=1e-2),
    ]
    for _ in range(5):
        joint.step(closure_of(one))  # type: ignore[arg-type]
        closure_of(other)()
        for optimizer in alone:
            optimizer.step()
    assert first_difference(one.state_dict(), other.state_dict()) is None


def test_a_rate_that_is_set_reaches_both() -> None:
    part = TorchOptimizer(class_="torch.optim.SGD", others="torch.optim.SGD", lr=1.0)
    module = network()
    before = [p.detach().clone() for p in module.parameters()]
    optimizer = part.build(module.parameters())
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    optimizer.step(closure_of(module))  # type: ignore[arg-type]
    assert first_difference(before, [p.detach() for p in module.parameters()]) is None


@pytest.mark.parametrize("others", ["torch.optim.NAdam", "torch.optim.Adagrad"])
def test_one_state_dict_holds_both(others: str) -> None:
    part = TorchOptimizer(class_="torch.optim.Adam", others=others, lr=1e-2)
    straight = network()
    optimizer = part.build(straight.parameters())
    for _ in range(3):
        optimizer.step(closure_of(straight))  # type: ignore[arg-type]
    continued = network()
    continued.load_state_dict(straight.state_dict())
    again = part.build(continued.parameters())
    load_optimizer(again, deepcopy(optimizer.state_dict()))  # or both would move the same tensors
    assert set(again.state) == set(continued.parameters())
    for _ in range(3):
        optimizer.step(closure_of(straight))  # type: ignore[arg-type]
        again.step(closure_of(continued))  # type: ignore[arg-type]
    assert first_difference(straight.state_dict(), continued.state_dict()) is None
    assert first_difference(optimizer.state_dict(), again.state_dict()) is None


@pytest.mark.parametrize(("shape", "kind"), [((2,), "RMSprop"), ((2, 2), "SGD")])
def test_where_all_parameters_are_alike_one_class_has_them(
    shape: tuple[int, ...], kind: str
) -> None:
    part = TorchOptimizer(class_="torch.optim.SGD", others="torch.optim.RMSprop", lr=1e-2)
    built = part.build([torch.nn.Parameter(torch.ones(shape))])
    assert isinstance(built, Several)
    assert [type(inner).__name__ for inner in built.inner] == [kind]


@needs_muon
def test_muon_alone_refuses_biases() -> None:
    part = TorchOptimizer(class_="torch.optim.Muon")
    expected = (
        "torch.optim.Muon refuses its options or parameters: ValueError: Muon only supports 2D"
    )
    with pytest.raises(PinnError, match=expected):
        part.build(network().parameters())


# --- faults


@pytest.mark.parametrize("key", ["class", "others"])
@pytest.mark.parametrize(
    "path", ["AdamW", "torch.optim.", "torch optim.AdamW", "", "a-b.C", "torch..C"]
)
def test_what_is_no_import_path_is_refused_when_it_is_read(
    make_config: MakeConfig, key: str, path: str
) -> None:
    table = {"name": "torch", key: path, "steps": 1}
    expected = (
        rf"\[\[optimizers\]\] 1 {key}: expected an import path, as torch.optim.AdamW is, found"
    )
    with pytest.raises(ConfigError, match=expected):
        make_config(HELMHOLTZ, optimizers=[table])


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"schedule": "cosine"}, "schedule without lr: a schedule needs the rate to change"),
        ({"warmup": 3, "decay": 0.5}, "decay, warmup without lr: a schedule"),
        ({"options": {"lr": 1e-3}}, "options.lr: the learning rate is the option lr of the stage"),
        ({"clas": "torch.optim.SGD"}, "clas: unknown key (did you mean 'class'?); torch knows"),
        ({"class_": "torch.optim.SGD"}, "class_: unknown key (did you mean 'class'?)"),
        ({"lr": 0}, "lr: expected greater than 0, found 0"),
    ],
    ids=str,
)  # fmt: skip
def test_options_that_do_not_go_together(
    make_config: MakeConfig, table: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(expected)):
        make_config(HELMHOLTZ, optimizers=[{"name": "torch", "steps": 1, **table}])


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of optimizers of somebody else; what is imported of it is forgotten."""
    folder = tmp_path / "others_optimizers"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "good.py").write_text(
        "import torch\n"
        "class Plain(torch.optim.SGD):\n"
        "    pass\n"
        "class Handing(torch.optim.SGD):\n"
        "    def __init__(self, *args, **kwargs):\n"
        "        super().__init__(*args, **kwargs)\n"
        "class Swallowing(torch.optim.SGD):\n"
        "    def __init__(self, params, lr=1e-3, *, gain=1.0, **kwargs):\n"
        "        super().__init__(params, lr=lr)\n"
        "def function():\n"
        "    pass\n"
    )
    (folder / "failing.py").write_text("1 / 0\n")
    (folder / "needy.py").write_text("import a_package_that_nobody_has\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == folder.name]:
        del sys.modules[name]


BUILDING_REFUSES: list[tuple[dict[str, Any], str, str]] = [
    (
        {"class_": "torch.optim.AdamW", "options": {"weigth_decay": 0.1}},
        "torch.optim.AdamW knows no option 'weigth_decay'; did you mean 'weight_decay'?",
        " It knows amsgrad, betas, ",
    ),
    (
        {"class_": "torch.optim.SGD", "options": {"xyz": 1}},
        "torch.optim.SGD knows no option 'xyz'.",
        " It knows dampening, ",
    ),
    (
        {"class_": "torch.optim.SGD", "options": {"params": []}},
        "torch.optim.SGD knows no option 'params'",
        "",
    ),
    (
        {"class_": "others_optimizers.good.Swallowing", "options": {"gian": 1.0}},
        "others_optimizers.good.Swallowing knows no option 'gian'; did you mean 'gain'?",
        " It knows gain, lr",
    ),
    (
        {"class_": "torch.optim.AdamX"},
        "torch.optim has no 'AdamX'; did you mean 'Adam'?",
        " Its optimizers are ASGD, ",
    ),
    ({"class_": "torch.optimm.Adam"}, "torch.optimm.Adam: there is no module torch.optimm", ""),
    (
        {"class_": "torch.optim.lr_scheduler.LambdaLR"},
        "torch.optim.lr_scheduler.LambdaLR is no subclass of torch.optim.Optimizer, but ",
        "<class ",
    ),
    (
        {"class_": "others_optimizers.good.function"},
        "others_optimizers.good.function is no subclass of torch.optim.Optimizer, but ",
        "<function ",
    ),
    (
        {"class_": "not_installed_anywhere.SOAP"},
        "not_installed_anywhere.SOAP needs the package not_installed_anywhere, which is not ",
        "installed: pip install not-installed-anywhere",
    ),
    (
        {"class_": "others_optimizers.failing.SOAP"},
        "others_optimizers.failing.SOAP: importing others_optimizers.failing fails: ",
        "ZeroDivisionError: division by zero",
    ),
    (
        {"class_": "others_optimizers.needy.SOAP"},
        "others_optimizers.needy.SOAP: importing others_optimizers.needy fails: ",
        "ModuleNotFoundError: No module named 'a_package_that_nobody_has'",
    ),
    (
        {"class_": "torch.optim.AdamW", "options": {"weight_decay": -1.0}},
        "torch.optim.AdamW refuses its options or parameters: ",
        "ValueError: Invalid weight_decay",
    ),
    (
        {"class_": "torch.optim.AdamW", "options": {"betas": "none"}},
        "torch.optim.AdamW refuses its options or parameters: ",
        "TypeError: ",
    ),
    ({"others": "torch.optim.Nowhere"}, "torch.optim has no 'Nowhere'. Its optimizers are", ""),
]


@pytest.mark.parametrize(("part", "expected", "more"), BUILDING_REFUSES)
@pytest.mark.usefixtures("package")
def test_what_building_refuses(part: dict[str, Any], expected: str, more: str) -> None:
    with pytest.raises(PinnError) as caught:
        TorchOptimizer(**part).build(network().parameters())
    assert str(caught.value).startswith(expected + more)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("package")
def test_what_a_class_knows() -> None:
    from others_optimizers.good import (  # type: ignore[import-not-found]
        Handing,
        Plain,
        Swallowing,
    )

    assert known_options(Plain) == known_options(Handing) == known_options(torch.optim.SGD)
    assert "params" not in known_options(torch.optim.SGD)
    assert known_options(Swallowing) == ["lr", "gain"]
    assert known_options(torch.optim.Optimizer) == ["defaults"]


def test_what_a_later_stage_refuses_is_said_before_the_first_trains(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    later = {"name": "torch", "class": "torch.optim.AdamX", "steps": 1}
    config = make_config(HELMHOLTZ, optimizers=[{"name": "adam", "steps": 5}, later])
    with pytest.raises(PinnError, match=r"torch\.optim has no 'AdamX'"):
        train(config)
    assert not (tmp_path / "run" / "checkpoints").exists()


# --- when the class is imported


def test_the_class_is_imported_only_to_train(package: Path, tmp_path: Path) -> None:
    """Whoever opens, checks or reports the run of another does not run the code that it names."""
    module = "others_optimizers.good"
    file = tmp_path / "pinn.toml"
    file.write_text(
        f"""
        [run]
        directory = {str(tmp_path / "run")!r}
        device = "cpu"
        compile = "never"
        [problem]
        name = "helmholtz"
        [network]
        width = 6
        depth = 2
        [points]
        interior = 48
        conditions = 12
        [[optimizers]]
        name = "torch"
        class = "{module}.Plain"
        lr = 1e-3
        steps = 3
        """
    )

    def invoke(*words: str) -> str:
        result = CliRunner().invoke(commands, list(words), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        assert module not in sys.modules, words
        return result.output

    assert "torch" in invoke("list")
    assert "import path of the class" in invoke("describe", "torch")
    invoke("check", str(file))
    config = load_config(file)
    assert parse_config(config.table()) == config
    assert module not in sys.modules

    train(config)
    assert module in sys.modules
    for name in [name for name in sys.modules if name.partition(".")[0] == package.name]:
        del sys.modules[name]

    run = open_run(tmp_path / "run")
    assert run.complete
    assert run.predict(x=[0.0], y=[0.5])["u"].shape == (1,)
    assert run.network() is not None
    write_report(run.path)
    invoke("report", str(run.path))
    invoke("diagnose", str(run.path))
    assert module not in sys.modules

    run.train(more_steps=1)
    assert module in sys.modules


# --- `class` is the key of `class_`


def test_a_table_has_the_key_class() -> None:
    part = TorchOptimizer(class_="torch.optim.SGD", lr=0.1, options={"momentum": 0.5})
    table = unstructure(part)
    assert table["class"] == "torch.optim.SGD"
    assert not [key for key in table if key.endswith("_")]
    assert structure(table, TorchOptimizer) == part
    assert [key_of(field) for field in options(TorchOptimizer)][
        :4
    ] == "class options others lr".split()


def test_set_reaches_class_and_forgets_it_with_the_part(tmp_path: Path) -> None:
    file = tmp_path / "pinn.toml"
    file.write_text(
        """
        [problem]
        name = "helmholtz"
        [[optimizers]]
        name = "torch"
        class = "torch.optim.SGD"
        lr = 1e-3
        steps = 3
        """
    )
    stage = load_config(file, ["optimizers.0.class=torch.optim.RMSprop"]).stages[0]
    assert stage.optimizer == TorchOptimizer(class_="torch.optim.RMSprop", lr=1e-3)
    options_too = load_config(file, ["optimizers.0.options.momentum=0.5"]).stages[0]
    assert options_too.optimizer.options == {"momentum": 0.5}  # type: ignore[attr-defined]
    assert load_config(file, ["optimizers.0.name=adam"]).stages[0].optimizer == Adam(lr=1e-3)
