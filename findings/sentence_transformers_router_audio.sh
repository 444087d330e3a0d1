#!/usr/bin/env bash
# Guess, written down first: a Router of sentence-transformers takes a sound as {"array": ..., "sampling_rate": ...}, as
# its function infer_modality does, and sends it to the route "audio".
# Seen (sentence-transformers 6.2.0): Router.preprocess takes a dictionary without the name of a modality for the old form
# {task: text}, finds two keys, and refuses "different task types". {"audio": {"array": ..., "sampling_rate": ...}} works.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check sentence-transformers==6.2.0 numpy==2.4.6
"$place/env/bin/python" - <<'PYTHON'
import numpy as np
import sentence_transformers
import torch
from sentence_transformers.base.modality import infer_modality
from sentence_transformers.base.modules import InputModule, Router


class Loudness(InputModule):
    modalities = ["audio"]

    def preprocess(self, inputs, prompt=None, **kwargs):
        sounds = [i.get("audio", i)["array"] for i in inputs]
        return {"sentence_embedding": torch.tensor([[float(np.abs(s).mean())] for s in sounds])}

    def forward(self, features, **kwargs):
        return features

    def save(self, output_path, **kwargs): ...


sound = {"array": np.ones(100, dtype=np.float32), "sampling_rate": 16000}
print("sentence-transformers", sentence_transformers.__version__, "infers:", infer_modality(sound))
assert infer_modality(sound) == "audio"
router = Router({"audio": [Loudness()]}, route_mappings={(None, "audio"): "audio"})
found = router.preprocess([{"audio": sound}])
print("by the name of its modality:", found["sentence_embedding"].tolist(), found["modality"])
try:
    router.preprocess([sound])
except ValueError as problem:
    print("as it is:", problem)
else:
    raise SystemExit("changed: the array and its rate alone are taken")
PYTHON
