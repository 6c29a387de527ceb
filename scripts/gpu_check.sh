#!/usr/bin/env bash
# Everything that tracekit has to prove on a GPU, in one command: captures of real model shapes, the overhead
# of scopes, and the device's peak and bandwidth. Needs torch and transformers, no network.
#
#   scripts/gpu_check.sh OUT            writes OUT/*.json.gz and OUT/*.json; ten minutes on a data centre GPU
#   scripts/gpu_check.sh OUT --smoke    the same at the smallest sizes, also without a GPU
#
# Then, where tracekit is installed:  python scripts/gpu_check.py verify OUT
set -euo pipefail
exec "${PYTHON:-python3}" "$(dirname "$0")/gpu_check.py" run "$@"
