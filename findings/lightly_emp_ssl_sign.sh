#!/usr/bin/env bash
# Guess, written down first: EMPSSLLoss of lightly, which is minimised, is lower for views that agree and whose rows spread than for views
# that agree and whose rows are all equal, since the total coding rate of EMP-SSL (Tong et al. 2023), half of a log determinant, is
# maximised against collapse.
# Seen (lightly 1.6.0): the rate is added, not taken off, so the loss is lowest where all rows are one: of 64 unit rows of 16 columns in
# two equal views -186 for rows that spread and -198 for one row 64 times; by the paper -214 and -202. Descent from rows that spread
# ends with all of them on one line: squared cosines of 1.00 on average, at first .06, with the sign turned .05. Nothing tells it.
# So: the loss minus twice tcr_loss of the same views, or another loss against collapse.
# Source: lightly/loss/emp_ssl_loss.py: tcr_loss returns 0.5 * logdet, and forward adds it; with a minus in KoyoImai/SSOCL,
# losses/loss_empssl.py. arXiv 2304.03977.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check torch==2.13.0 numpy==2.4.6
"$place/env/bin/pip" install -q --disable-pip-version-check --no-deps lightly==1.6.0
"$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import distribution
from importlib.util import module_from_spec, spec_from_file_location

import numpy as np
import torch

lightly = distribution("lightly")
print("lightly", lightly.version)
file = spec_from_file_location("emp_ssl_loss", lightly.locate_file("lightly/loss/emp_ssl_loss.py"))  # alone: it needs torch, no torchvision
module = module_from_spec(file)
file.loader.exec_module(module)
EMPSSLLoss = module.EMPSSLLoss
torch.manual_seed(0)
n, columns, eps = 64, 16, 0.2
loss = EMPSSLLoss(tcr_eps=eps)


def unit(rows):
    return torch.nn.functional.normalize(rows, dim=-1)


def rate(rows):
    """The coding rate of one view by numpy: half of log det(I + d / (n eps) Z'Z)."""
    values = np.linalg.eigvalsh(rows.double().T.numpy() @ rows.double().numpy())
    return 0.5 * np.log1p(columns / (n * eps) * np.maximum(values, 0)).sum()


spread = unit(torch.randn(n, columns))
collapsed = unit(torch.randn(1, columns)).expand(n, columns)
seen = {}
for name, rows in (("spread", spread), ("collapsed", collapsed)):
    seen[name] = float(loss([rows, rows])), -200 - rate(rows)
    print(f"{name}: loss {seen[name][0]:.2f}, as in the paper {seen[name][1]:.2f}; coding rate {rate(rows):.2f}")
    assert abs(seen[name][0] - (-200 + rate(rows))) < 0.01
assert seen["collapsed"][0] < seen["spread"][0] - 5 and seen["collapsed"][1] > seen["spread"][1] + 5


def fitted(sign):
    """Coding rate and mean squared cosine between rows after descent, with the sign of the rate."""
    rows = spread.clone().requires_grad_()
    optimiser = torch.optim.Adam([rows], lr=0.01)
    for _ in range(1000):
        value = loss([unit(rows), unit(rows)]) + 200  # views that are equal: what is left is the rate
        optimiser.zero_grad()
        (sign * value).backward()
        optimiser.step()
    final = unit(rows.detach())
    return rate(final), squared_cosine(final)


def squared_cosine(rows):
    return float(((rows @ rows.T) ** 2).sum() - n) / (n * (n - 1))


ends = {sign: fitted(sign) for sign in (1, -1)}
print(f"squared cosines between rows: at first {squared_cosine(spread):.3f}; descent on the loss {ends[1][1]:.3f} (rate {ends[1][0]:.2f}), "
      f"with the sign of the rate turned {ends[-1][1]:.3f} (rate {ends[-1][0]:.2f})")
assert ends[1][1] > 0.9 and ends[-1][1] < 0.06 and ends[1][0] < 3 < 13 < ends[-1][0]
PYTHON
