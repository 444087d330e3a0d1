#!/usr/bin/env bash
# torchrun promises that --max-restarts starts all processes again after one of them dies.
# Seen (torch 2.13.0, gloo, one machine): the second attempt cannot join. torchrun keeps one TCPStore over its restarts and
# hands it to the processes (TORCHELASTIC_USE_AGENT_STORE), where the addresses of the first attempt still stand, so that
# the new processes connect to ones that are gone ("connectFullMesh ... Connection refused") and the restarts are used up.
# With TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1, or under a prefix of its own for each attempt, it joins.
# Known: pytorch/pytorch issue 135712. Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check torch==2.13.0 numpy==2.4.6
cat >"$place/program.py" <<'PYTHON'
import os

import torch
from torch import distributed

attempt = int(os.environ["TORCHELASTIC_RESTART_COUNT"])
distributed.init_process_group("gloo")
distributed.all_reduce(torch.ones(1))
print(f"attempt {attempt} joined", flush=True)
if attempt == 0 and distributed.get_rank() == 0:
    os._exit(9)
distributed.barrier()
PYTHON
run() {
  TORCH_DISABLE_SHARE_RDZV_TCP_STORE=$1 OMP_NUM_THREADS=1 timeout 300 "$place/env/bin/torchrun" --standalone \
    --nproc-per-node 2 --max-restarts 1 "$place/program.py" >"$place/said" 2>&1 || true
  grep -c "attempt 1 joined" "$place/said" || true
}
shared=$(run 0)
apart=$(run 1)
echo "processes that joined at the second attempt: $shared with the shared store, $apart with one of their own"
[ "$shared" = 0 ] && [ "$apart" = 2 ]
