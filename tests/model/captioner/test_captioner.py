"""Vocabulary, decoder, beam search, and a captioner that survives a save."""

from __future__ import annotations

import itertools
import json

import pytest
import torch
from torch.nn.functional import normalize

from modalign.errors import ModalignError
from modalign.model.captioner import Captioner, Decoder, Vocabulary
from modalign.model.captioner.captioner import centred
from modalign.model.captioner.decoder import beam_search
from modalign.model.captioner.vocabulary import BEGIN, END, PAD, SPECIAL, UNKNOWN


def rows(n, d, seed=0):
    return normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)), dim=1)


def decoder(words=9, dim=6, seed=0, sharp=3.0, **settings):
    """A random decoder whose distributions are far from uniform."""
    torch.manual_seed(seed)
    made = Decoder(words, dim, **{"width": 16, "layers": 2, "heads": 2, "longest": 3, "dropout": 0.1, **settings})
    with torch.no_grad():
        made.last.weight.mul_(sharp)
        made.word.weight[PAD] = 0.0
    return made.eval()


# ------------------------------------------------------------------ vocabulary


def test_words_by_falling_frequency_then_by_alphabet():
    v = Vocabulary.of(["b a", "c a", "b, A!", "d"], least=1)
    assert v.words == ("a", "b", "c", "d")
    assert Vocabulary.of(["b a", "c a", "b, A!", "d"], least=2).words == ("a", "b")
    assert len(v) == 8


def test_captions_survive_a_round_trip_and_unknown_words_are_one_number():
    v = Vocabulary.of(["the man's dog can't swim"])
    numbers = v.encode(["The man's dog can't swim.", "a man"])
    assert numbers.shape == (2, 9)
    assert v.decode(numbers[0].tolist()) == "the man's dog can't swim"
    assert numbers[1].tolist() == [BEGIN, UNKNOWN, v.number["man"], END] + [PAD] * 5


def test_long_captions_are_cut_and_no_captions_make_no_rows():
    v = Vocabulary.of(["a b c d"])
    assert v.encode(["a b c d"], longest=2).shape == (1, 4)
    assert v.encode([]).shape == (0, 2)


def test_a_vocabulary_without_words_is_refused():
    with pytest.raises(ModalignError, match="lower the least count"):
        Vocabulary.of(["a b"], least=2)
    with pytest.raises(ModalignError, match="each once"):
        Vocabulary(["a", "a"])


# ------------------------------------------------------------------ decoder


def test_a_step_with_memory_equals_the_whole_pass():
    d, z = decoder(), rows(3, 6)
    tokens = torch.tensor([[BEGIN, 5, 6], [BEGIN, 7, 4], [BEGIN, 8, 8]])
    _states, memory = d.hidden(z, tokens[:, :1])
    for t in (1, 2):
        found, memory = d.step(tokens[:, t], memory)
    whole = d.logits(d.hidden(z, tokens)[0][:, -1]).log_softmax(1)
    torch.testing.assert_close(found, whole, atol=1e-5, rtol=1e-5)


def test_words_do_not_see_the_words_after_them():
    d, z = decoder(), rows(1, 6)
    a = d.hidden(z, torch.tensor([[BEGIN, 5, 6]]))[0]
    b = d.hidden(z, torch.tensor([[BEGIN, 5, 8]]))[0]
    torch.testing.assert_close(a[:, :2], b[:, :2])
    assert not torch.allclose(a[:, 2], b[:, 2])


def test_the_loss_is_the_mean_negative_log_probability_of_words_and_ends():
    d, z = decoder(), rows(2, 6)
    tokens = torch.tensor([[BEGIN, 5, 6, END], [BEGIN, 7, END, PAD]])
    total = 0.0
    for i, sentence in enumerate([[5, 6, END], [7, END]]):
        past = [BEGIN]
        for word in sentence:
            logits = d.logits(d.hidden(z[i : i + 1], torch.tensor([past]))[0][0, -1])
            total -= logits.detach().log_softmax(0)[word].item()
            past.append(word)
    assert float(d.loss(z, tokens, smoothing=0.0).detach()) == pytest.approx(total / 5, rel=1e-5)


def test_padding_changes_nothing():
    d, z = decoder(), rows(2, 6)
    tokens = torch.tensor([[BEGIN, 5, 6, END], [BEGIN, 7, END, PAD]])
    wider = torch.cat([tokens[:, :4], torch.full((2, 0), PAD)], 1)
    longer = Decoder(9, 6, width=16, layers=2, heads=2, longest=6).eval()
    state = d.state_dict()
    state["place"] = torch.cat([state["place"], torch.zeros(3, 16)])
    longer.load_state_dict(state)
    padded = torch.cat([wider, torch.full((2, 2), PAD)], 1)
    torch.testing.assert_close(longer.loss(z, padded), d.loss(z, tokens))


@pytest.mark.parametrize("wrong", [{"heads": 3}, {"dropout": 1.0}, {"layers": 0}, {"prefix": 0}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ModalignError, match="a decoder of width"):
        Decoder(9, 6, **{"width": 16, **wrong})


def test_points_of_another_width_are_refused():
    with pytest.raises(ModalignError, match="points of 6 dimensions"):
        decoder().hidden(rows(2, 5), torch.tensor([[BEGIN]] * 2))


# ------------------------------------------------------------------ beam search


def every_caption(d, z, power):
    """Score of every possible caption of one point, by brute force."""
    words = list(range(len(SPECIAL), d.settings["words"]))
    found = {}
    for n in range(d.longest + 1):
        for caption in itertools.product(words, repeat=n):
            tokens = torch.tensor([[BEGIN, *caption]])
            table = d.logits(d.hidden(z[None], tokens)[0][0]).log_softmax(1)
            steps = [*caption, END]
            found[caption] = sum(table[i, w].item() for i, w in enumerate(steps)) / (n + 1) ** power
    return found


@pytest.mark.parametrize("power", [0.0, 0.7, 1.0])
def test_a_beam_as_wide_as_all_captions_finds_the_best_one(power):
    d = decoder(words=7)
    for z in rows(3, 6):
        every = every_caption(d, z, power)
        best = max(every, key=lambda c: every[c])
        numbers, score = beam_search(d, z[None], beam=200, power=power)
        found = tuple(numbers[0].tolist())
        assert found[: found.index(END)] == best
        assert float(score[0]) == pytest.approx(every[best], abs=1e-4)


def test_beam_one_is_greedy():
    d, z = decoder(longest=6), rows(5, 6)
    numbers, _ = beam_search(d, z, beam=1)
    for i in range(5):
        past = [BEGIN]
        while len(past) <= 6 and past[-1] != END:
            logits = d.logits(d.hidden(z[i : i + 1], torch.tensor([past]))[0][0, -1])
            logits[[PAD, BEGIN, UNKNOWN]] = -torch.inf
            past.append(int(logits.argmax()))
        if past[-1] != END:
            past.append(END)
        assert numbers[i, : len(past) - 1].tolist() == past[1:]


def test_a_wider_beam_scores_no_worse_here_and_points_do_not_disturb_each_other():
    d, z = decoder(longest=6), rows(12, 6)
    narrow, wide = beam_search(d, z, 1)[1], beam_search(d, z, 6)[1]
    assert float((wide - narrow).mean()) >= 0
    for i in range(3):
        torch.testing.assert_close(beam_search(d, z[i : i + 1], 6)[1][0], wide[i], atol=1e-5, rtol=1e-5)


def test_captions_hold_no_special_words_and_end():
    d = decoder(longest=6)
    numbers, score = beam_search(d, rows(20, 6), 3)
    assert (numbers == END).sum(1).eq(1).all()
    assert not torch.isin(numbers, torch.tensor([BEGIN, UNKNOWN])).any()
    assert torch.isfinite(score).all()


def test_no_points_no_captions_and_wrong_beams():
    d = decoder()
    assert beam_search(d, rows(0, 6))[0].shape == (0, 4)
    with pytest.raises(ModalignError, match="beam 0"):
        beam_search(d, rows(1, 6), beam=0)
    with pytest.raises(ModalignError, match="power"):
        beam_search(d, rows(1, 6), power=-1.0)


# ------------------------------------------------------------------ the captioner and its files


@pytest.fixture
def captioner():
    vocabulary = Vocabulary.of(["a red fox runs", "two dogs"])
    means = {"text": 0.1 * torch.ones(6), "image": -0.1 * torch.ones(6)}
    return Captioner(decoder(words=len(vocabulary)), vocabulary, means)


def test_means_are_taken_away_from_unit_rows():
    z = rows(4, 6)
    means = {"image": rows(1, 6, 1)[0] * 0.3}
    wanted = normalize(z - means["image"], dim=1)
    torch.testing.assert_close(centred(5.0 * z, "image", means), wanted)
    torch.testing.assert_close(centred(5.0 * z, "image", {}), z)
    with pytest.raises(ModalignError, match="unknown modality with a mean 'audio'"):
        centred(z, "audio", means)


def test_a_saved_captioner_says_the_same(captioner, tmp_path):
    captioner.save(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"captioner.safetensors", "captioner.json"}
    again = Captioner.load(tmp_path)
    z = rows(7, 6, 2)
    assert again.caption(z, "image") == captioner.caption(z, "image")
    assert again.caption(z, "text", beam=1) == captioner.caption(z, "text", beam=1)
    assert again.vocabulary.words == captioner.vocabulary.words


def test_damaged_files_are_named(captioner, tmp_path):
    with pytest.raises(ModalignError, match="captioner not found"):
        Captioner.load(tmp_path / "none")
    captioner.save(tmp_path)
    weights, table = tmp_path / "captioner.safetensors", tmp_path / "captioner.json"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-4])
    with pytest.raises(ModalignError, match="do not belong together"):
        Captioner.load(tmp_path)
    weights.write_bytes(whole)
    content = json.loads(table.read_text())
    table.write_text(json.dumps({**content, "words": content["words"][:-1]}))
    with pytest.raises(ModalignError, match="vocabulary of"):
        Captioner.load(tmp_path)
    table.write_text(json.dumps({**content, "decoder": {**content["decoder"], "width": 32}}))
    with pytest.raises(ModalignError, match="damaged"):
        Captioner.load(tmp_path)
    table.write_text(json.dumps({**content, "format": 99}))
    with pytest.raises(ModalignError, match="format 99"):
        Captioner.load(tmp_path)
    table.write_text("[]")
    with pytest.raises(ModalignError, match="no format"):
        Captioner.load(tmp_path)
    table.write_text(json.dumps(content))
    weights.unlink()
    with pytest.raises(ModalignError, match="weights cannot be read"):
        Captioner.load(tmp_path)


def test_points_that_are_no_points_are_refused(captioner):
    with pytest.raises(ModalignError, match="finite rows"):
        captioner.caption(torch.full((1, 6), torch.nan))
    with pytest.raises(ModalignError, match="points of 6 dimensions"):
        Captioner(captioner.decoder, captioner.vocabulary).caption(rows(1, 5))
    assert captioner.caption(torch.zeros(0, 6)) == []
