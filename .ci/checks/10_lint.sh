#!/usr/bin/env bash
# Format, types, import layers, and the stub of the compiled core.
set -euo pipefail
make lint
