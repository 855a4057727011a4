#!/usr/bin/env bash
# Runs in the new environment, in the folder in which Snakemake was started.
set -euo pipefail
python -m pip install --no-deps --editable .
