#!/bin/sh
# What a job runs, as slurm-program: prepares the node, then becomes the worker. The daemon passes its arguments
# ("worker --connect URL --token-file FILE --idle-exit-s N --name NAME"); more may be added here.
#
# `exec` matters: Slurm's SIGTERM then reaches the worker, which gives its revisions back at once.
set -eu

# module load openblas                       # what the site's bifurcated needs
# export HF_HOME=/shared/huggingface         # a cache that all nodes share; only whole files (keep = files) lie there
export TMPDIR="${TMPDIR:-/tmp}"              # a local disk

# One fetcher per processor of the job keeps the network busy while one revision is measured.
exec "${BIFURCATED:-bifurcated}" "$@" --fetchers "${SLURM_CPUS_PER_TASK:-2}" --threads "${SLURM_CPUS_PER_TASK:-0}"
