#!/usr/bin/env bash
# Run the other libraries again and write conventions.json beside this file: bash tests/golden/conventions.sh
# The versions are those in the file; change them here when a newer one is to be compared.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
pip() { "$place/env/bin/pip" install -q --disable-pip-version-check "$@"; }
pip -c "$here/../../constraints.txt" "$(grep '^torch==' "$here/../../constraints.txt")"
pip -c "$here/../../constraints.txt" POT==0.9.6.post1 geomloss==0.3.1 sacrebleu==2.6.0 torchmetrics==1.9.0 \
    scikit-learn==1.9.1 pytorch-metric-learning==2.9.0 scipy==1.17.1 numpy==2.4.6
pip -c "$here/../../constraints.txt" ott-jax==0.6.0 jax==0.10.2 jaxlib==0.10.2 nltk==3.10.4 \
    pytrec_eval-terrier==0.5.11 ckatorch==1.0.3 calibrated-similarity==0.1.1 qc-procrustes==1.1.3
pip --no-deps pycocoevalcap==1.2 kiez==0.5.0
pip -c "$here/../../constraints.txt" class-resolver
JAX_PLATFORMS=cpu "$place/env/bin/python" "$here/conventions.py"
