"""The loop: it learns, it stops, it goes on after a kill with the same bits, it warns of collapse."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
import torch

from modalign.errors import ModalignError
from modalign.files import RunFile
from modalign.metrics.mean_recall import mean_of, recalls
from modalign.metrics.ranking import find_all
from modalign.model import Heads
from modalign.model.heads import FeatureMap, Head, Projection
from modalign.objectives.base import Objective
from modalign.registry import make
from modalign.training import TrainingSettings
from modalign.training.loop import CollapseWarning, dev_recall, dev_recalls, parameter_groups, train
from modalign.views import Batch, Views, hide_links

PROGRAM = """
import sys, time, torch
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_loop import heads, objective, pairs, schedule
from modalign.training.loop import train

def slow(done, total, what):
    print(done, flush=True)
    time.sleep(0.15)

torch.set_num_threads(1)
train(heads(), objective(), pairs(), schedule(), pairs(seed=1), Path(sys.argv[1]), progress=slow)
"""


def pairs(n: int = 60, unpaired: int = 20, seed: int = 0) -> Views:
    mix = torch.Generator().manual_seed(7)
    a, b = torch.randn(4, 8, generator=mix), torch.randn(4, 6, generator=mix)
    g = torch.Generator().manual_seed(seed)
    s = torch.randn(n + unpaired, 4, generator=g)
    noise = [0.3 * torch.randn(n + unpaired, d, generator=g) for d in (8, 6)]
    ids = torch.arange(n + unpaired)
    return Views(
        {"x": s @ a + noise[0], "y": s @ b + noise[1]},
        {"x": ids, "y": torch.where(ids < n, ids, ids + 1000)},
    )


def heads(seed: int = 0) -> Heads:
    torch.manual_seed(seed)
    return Heads(
        {"x": Head(FeatureMap(8), Projection(8, 4, 16, 0.3)), "y": Head(FeatureMap(6), Projection(6, 4, 16, 0.3))}
    )


def objective() -> Objective:
    table = {"alpha": 0.1, "beta": 0.1, "transport": {"name": "transport"}, "neighbourhood": {"name": "rma"}}
    made: Objective = make("objective", "total", **table)
    return made


def schedule(**changes: object) -> TrainingSettings:
    settings = {"steps": 40, "batch": 16, "unpaired": 0.25, "lr": 1e-2, "every": 5, "mixing": 1.0, "noise": 0.1}
    return TrainingSettings(**{**settings, "patience": 0, **changes})  # type: ignore[arg-type]


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, torch.Tensor], str]:
    """Weights and log of a run that nobody disturbed."""
    run = tmp_path_factory.mktemp("whole")
    h = heads()
    train(h, objective(), pairs(), schedule(), pairs(seed=1), run)
    return h.state_dict(), (run / RunFile.LOG).read_text()


def test_training_raises_the_dev_score_and_logs_each_term(uninterrupted: tuple[dict[str, torch.Tensor], str]) -> None:
    lines = [json.loads(line) for line in uninterrupted[1].splitlines()]
    assert [line["step"] for line in lines] == list(range(0, 41, 5))
    assert max(line["dev"] for line in lines) > lines[0]["dev"] + 0.2
    wanted = {
        "loss",
        "lr",
        "transport",
        "neighbourhood",
        "retrieval",
        "dev",
        "effective_rank",
        "mean_cosine",
        "gradient",
    }
    assert wanted <= lines[-1].keys()


@pytest.mark.parametrize(("step", "workers"), [(1, 0), (4, 0), (5, 3), (17, 2), (39, 0)])
def test_a_run_interrupted_at_any_step_ends_with_the_same_bits(
    step: int, workers: int, tmp_path: Path, uninterrupted: tuple[dict[str, torch.Tensor], str]
) -> None:
    class Interrupted(Exception):
        pass

    broken = objective()
    forward = broken.forward

    def stop(batch: Batch) -> torch.Tensor:
        if batch.step == step:
            raise Interrupted
        return forward(batch)

    broken.forward = stop  # type: ignore[method-assign]
    with pytest.raises(Interrupted):
        train(heads(), broken, pairs(), schedule(), pairs(seed=1), tmp_path)
    torch.manual_seed(99)  # the state of the process must not matter
    h = heads()
    train(h, objective(), pairs(), schedule(workers=workers), pairs(seed=1), tmp_path)
    assert equal(h.state_dict(), uninterrupted[0])
    assert (tmp_path / RunFile.LOG).read_text() == uninterrupted[1]


def test_a_killed_process_ends_with_the_same_bits(
    tmp_path: Path, uninterrupted: tuple[dict[str, torch.Tensor], str]
) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(tests=str(Path(__file__).parent)))
    run = tmp_path / "run"
    run.mkdir()
    command = [sys.executable, str(program), str(run)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        while int(process.stdout.readline()) < 15:
            pass
        time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert (run / RunFile.CHECKPOINT).exists()
    assert len((run / RunFile.LOG).read_text().splitlines()) < len(uninterrupted[1].splitlines())
    h, begun = heads(), []
    train(h, objective(), pairs(), schedule(), pairs(seed=1), run, progress=lambda done, *_: begun.append(done))
    assert begun[0] >= 10
    assert equal(h.state_dict(), uninterrupted[0])
    assert (run / RunFile.LOG).read_text() == uninterrupted[1]


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    first, second = heads(), heads(seed=5)
    train(first, objective(), pairs(), schedule(), pairs(seed=1), tmp_path)
    calls: list[int] = []
    train(second, objective(), pairs(), schedule(), pairs(seed=1), tmp_path, progress=lambda *a: calls.append(a[0]))
    assert not calls
    assert equal(first.state_dict(), second.state_dict())


def test_checkpoints_of_other_settings_or_damaged_ones_are_refused(tmp_path: Path) -> None:
    train(heads(), objective(), pairs(), schedule(steps=5), run=tmp_path)
    others = "checkpoint.* belongs to a training of other data or settings: use another folder or delete it"
    for changed in (
        lambda: train(heads(), objective(), pairs(), schedule(steps=6), run=tmp_path),
        lambda: train(heads(), make("objective", "clip"), pairs(), schedule(steps=5), run=tmp_path),
        lambda: train(heads(), objective(), pairs(seed=7), schedule(steps=5), run=tmp_path),
        lambda: train(heads(), objective(), hide_links(pairs(), torch.arange(9)), schedule(steps=5), run=tmp_path),
        lambda: train(heads(), objective(), pairs(), schedule(steps=5), run=tmp_path, made_of={"alpha": 0.2}),
    ):
        with pytest.raises(ModalignError, match=others):
            changed()
    (tmp_path / RunFile.CHECKPOINT).write_bytes(b"nothing")
    with pytest.raises(ModalignError, match="checkpoint is damaged"):
        train(heads(), objective(), pairs(), schedule(steps=5), run=tmp_path)


def test_the_best_weights_are_kept_and_training_stops_early() -> None:
    h = heads()
    at = train(h, objective(), pairs(), schedule(steps=400, lr=0.3, patience=3), pairs(seed=1))
    assert at.stopped
    assert at.step < 400
    assert dev_recall(h.embed(pairs(seed=1))) == pytest.approx(at.best, abs=1e-9)


def test_the_start_is_kept_where_training_only_harms() -> None:
    h = heads()
    train(h, objective(), pairs(), schedule(), pairs(seed=1))
    before = dev_recall(h.embed(pairs(seed=1)))
    train(h, objective(), pairs(), schedule(lr=5.0, steps=10), pairs(seed=1))
    assert dev_recall(h.embed(pairs(seed=1))) >= before


def test_the_callers_random_state_is_left_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    with torch.random.fork_rng():
        h = heads()
    train(h, objective(), pairs(), schedule(steps=3))
    assert torch.equal(torch.rand(1), expected)


def test_learning_rate_warms_up_and_falls_to_zero() -> None:
    s = TrainingSettings(steps=100, lr=1.0, warmup=0.1)
    assert [s.rate(k) for k in (0, 9, 10)] == pytest.approx([0.1, 1.0, 1.0])
    assert s.rate(55) == pytest.approx(0.5)
    assert s.rate(100) == pytest.approx(0.0)
    assert TrainingSettings(steps=10, lr=1.0, warmup=0.0).rate(0) == 1.0


def test_only_matrices_decay() -> None:
    groups = parameter_groups(heads(), objective(), 0.1)
    decays = {p.ndim: g["weight_decay"] for g in groups for p in g["params"]}
    assert decays[2] == 0.1
    assert decays[1] == 0.0
    assert decays[0] == 0.0


def test_collapse_is_warned_of_with_the_name_of_the_term() -> None:
    total = make(
        "objective", "total", beta=1.0, neighbourhood={"name": "rma", "form": "literal", "k": 16}, retrieval=None
    )
    with pytest.warns(CollapseWarning, match="'neighbourhood' draws them together"):
        train(heads(), total, pairs(), schedule(steps=120, lr=3e-2, mixing=0.0, noise=0.0))


def test_healthy_training_does_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", CollapseWarning)
        train(heads(), objective(), pairs(), schedule())


def test_one_pair_one_batch_of_one_and_half_inputs() -> None:
    one = pairs(1, 0)
    at = train(heads(), make("objective", "clip"), one, schedule(steps=3, unpaired=0.0))
    assert at.step == 3
    at = train(heads(), make("objective", "clip"), pairs(5, 0), schedule(steps=7, batch=4, unpaired=0.0))
    assert at.step == 7


def test_a_loss_that_is_not_finite_stops_the_training() -> None:
    class Broken(Objective):
        def forward(self, batch: Batch) -> torch.Tensor:
            return batch.z["x"].sum() * float("nan")

    with pytest.raises(ModalignError, match="the loss is nan at step 0"):
        train(heads(), Broken(), pairs(), schedule())
    with pytest.raises(ModalignError, match=r"embeddings are not finite after step [1-9]: lower the learning rate"):
        train(heads(), make("objective", "clip"), pairs(), schedule(lr=1e25, every=1, steps=9, warmup=0.0))


def test_bfloat16_on_request_and_other_precisions_refused() -> None:
    h = heads()
    train(h, make("objective", "clip"), pairs(), schedule(steps=5, precision="bfloat16"))
    assert all(p.dtype == torch.float32 and torch.isfinite(p).all() for p in h.parameters())
    with pytest.raises(ModalignError, match="precision is 'float16'"):
        train(heads(), make("objective", "clip"), pairs(), schedule(precision="float16"))


def test_equal_scores_are_equal_whatever_was_added_up() -> None:
    """Against hits in whole numbers, of 13 queries both ways at three depths, and what rounding makes of their mean."""
    plain: dict[int, set[float]] = {}
    scores: dict[int, set[float]] = {}
    groups: set[float] = set()
    for seed in range(150):
        g = torch.Generator().manual_seed(seed)
        x = Views.from_arrays(a=torch.randn(13, 3, generator=g), b=torch.randn(13, 3, generator=g))
        parts = recalls(find_all(x).values())
        hits = round(sum(float(s.per_item.sum()) for s in parts if s.per_item is not None))
        plain.setdefault(hits, set()).add(mean_of([parts], samples=0).value)
        scores.setdefault(hits, set()).add(dev_recall(x))
        groups |= set(dev_recalls(x).tolist())
        assert dev_recall(x) == pytest.approx(hits / (6 * 13), abs=1e-11)
    assert max(map(len, plain.values())) > 1
    assert max(map(len, scores.values())) == 1
    assert len(groups) <= 7  # 0 to 6 hits


def test_dev_views_without_pairs_are_refused() -> None:
    x = pairs(0, 4)
    with pytest.raises(ModalignError, match="no pairs"):
        dev_recall(x)
