#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Submits two Slurm jobs for a batch: the searches on a node of processors, then the predictions on nodes with GPUs, one
# rank for each GPU, which use what the first one found. A batch that stopped goes on when this is run again.
#   usage: run_slurm.sh INPUT OUTPUT_DIR DATA_DIR [options of fastfold predict]
#     INPUT       FASTA or CSV file, or a folder of them
#     OUTPUT_DIR  results; all nodes must see it
#     DATA_DIR    databases and parameters in the published layout
# Environment, with defaults: FASTFOLD (fastfold on PATH), SEARCH_CPUS=32 SEARCH_MEMORY=128G SEARCH_TIME=2-00:00:00
# SEARCH_SHARDS=8 SEARCH_PARTITION GPU_PARTITION GPU_CPUS=8 GPU_MEMORY=64G GPU_TIME=1-00:00:00
# GPU_NODES=1 GPU_RANKS=1: nodes, and ranks and GPUs of each (GPU_CPUS is for a rank, GPU_MEMORY for a node)
# GPU_REQUEST=gpu:$GPU_RANKS
# DRY_RUN=1 prints the two jobs instead.
set -euo pipefail

case ${1:-} in
    '' | -h | --help) sed -n 's/^# \{0,1\}//; 3,13p' "$0"; exit 0 ;;
esac
[ $# -ge 3 ] || { echo "run_slurm.sh: expected INPUT OUTPUT_DIR DATA_DIR" >&2; exit 2; }
input=$1 out=$2 data=$3
shift 3
fastfold=${FASTFOLD:-$(command -v fastfold || true)}
[ -n "$fastfold" ] || { echo "run_slurm.sh: fastfold was not found; set FASTFOLD" >&2; exit 4; }
[ -e "$input" ] || { echo "run_slurm.sh: $input was not found" >&2; exit 4; }
[ -d "$data" ] || { echo "run_slurm.sh: $data is not a folder" >&2; exit 4; }
mkdir -p "$out"

# quoted WORD...: the words as one line for the shell.
quoted() { printf '%q ' "$@"; }

search_job() {
    echo '#!/bin/bash'
    echo "#SBATCH --job-name=fastfold-search --output=$out/slurm-search-%j.log --nodes=1 --ntasks=1"
    echo "#SBATCH --cpus-per-task=${SEARCH_CPUS:-32} --mem=${SEARCH_MEMORY:-128G} --time=${SEARCH_TIME:-2-00:00:00}"
    [ -z "${SEARCH_PARTITION:-}" ] || echo "#SBATCH --partition=$SEARCH_PARTITION"
    # Fewer results than targets (status 9) are no reason not to predict the others.
    echo "$(quoted "$fastfold" search "$input" --data-dir "$data" --output-dir "$out" \
        --search-shards "${SEARCH_SHARDS:-8}" --cache-dir "$out/cache" "$@") || [ \$? -eq 9 ]"
}
predict_job() {
    echo '#!/bin/bash'
    local nodes=${GPU_NODES:-1} ranks=${GPU_RANKS:-1}
    echo "#SBATCH --job-name=fastfold-predict --output=$out/slurm-predict-%j.log"
    echo "#SBATCH --nodes=$nodes --ntasks-per-node=$ranks"
    echo "#SBATCH --cpus-per-task=${GPU_CPUS:-8} --mem=${GPU_MEMORY:-64G} --time=${GPU_TIME:-1-00:00:00}"
    echo "#SBATCH --gres=${GPU_REQUEST:-gpu:$ranks}"
    [ -z "${GPU_PARTITION:-}" ] || echo "#SBATCH --partition=$GPU_PARTITION"
    # A rank that dies ends the others.
    [ $((nodes * ranks)) -eq 1 ] || printf 'srun --kill-on-bad-exit=1 '
    quoted "$fastfold" predict "$input" --data-dir "$data" --output-dir "$out" "$@"
    echo
}

if [ "${DRY_RUN:-0}" = 1 ]; then
    search_job "$@"
    predict_job "$@"
    exit 0
fi
command -v sbatch >/dev/null || { echo "run_slurm.sh: sbatch was not found; is this a Slurm cluster?" >&2; exit 4; }
search_id=$(search_job "$@" | sbatch --parsable)
predict_id=$(predict_job "$@" | sbatch --parsable --dependency="afterok:${search_id%%;*}")
echo "searches: job $search_id; predictions: job $predict_id, when they are done"
