#!/usr/bin/env bash
# No AVX instruction outside of the target regions: the extension must load and run on any x86-64 machine.
set -euo pipefail
. .ci/need.sh
need objdump binutils
.venv/bin/python .ci/baseline_instructions.py "$(.venv/bin/python -c 'import progrm_fast._C as core; print(core.__file__)')"
