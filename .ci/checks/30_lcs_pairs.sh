#!/usr/bin/env bash
# 200,000 random pairs, every instruction set of this machine against the reference.
set -euo pipefail
.venv/bin/python tests/fuzz/lcs_random_pairs.py --pairs 200000
