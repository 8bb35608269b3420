#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Tests the CUDA backend on this machine's GPU: every operation in every precision against plain loops in double, the
# golden layers and passes, and the memory and race checkers of compute-sanitizer on small operations, side by side.
# Where two GPUs are visible, two ranks too: as GPUs reach each other's memory, and with NCCL where the build has it.
# Where four are, four ranks as well, which share work among engines, kernels and operations in other ways.
# usage: gpu_check.sh 'op tests' 'golden tests' 'parallel tests' 'op test for racecheck' (make check-gpu)
# FF_SANITIZER_OPS chooses the operations for compute-sanitizer, FF_SANITIZER_LIMIT its seconds (180).
set -u
read -ra ops <<<"$1"
read -ra golden <<<"$2"
read -ra parallel <<<"$3"
for_racecheck=$4
run() { scripts/run_tests.sh "$@" || failed=1; }
failed=0
export FF_TEST_DEVICE=cuda

for precision in fp32 tf32 bf16; do
    echo "operations, $precision"
    FF_TEST_PRECISION=$precision run "${ops[@]}"
done
echo 'golden files'
run "${golden[@]}"

gpus=$(nvidia-smi -L 2>/dev/null | grep -c '^GPU')
[ -n "${CUDA_VISIBLE_DEVICES:-}" ] && gpus=$(tr ',' '\n' <<<"$CUDA_VISIBLE_DEVICES" | grep -c .)
on_ranks() { # ranks, transport, test
    log=$(mktemp) || exit 1
    if FF_TEST_TRANSPORT=$2 timeout 600 mpirun --allow-run-as-root --bind-to none -np "$1" "$3" >"$log" 2>&1; then
        echo "ok    $3 on $1 GPUs ($2)"
    else
        tail -n 40 "$log"
        echo "FAIL  $3 on $1 GPUs ($2)"
        failed=1
    fi
    rm -f "$log"
}
if [ "$gpus" -ge 2 ] && command -v mpirun >/dev/null; then
    for t in "${parallel[@]}"; do
        on_ranks 2 auto "$t"
        ldd "$t" | grep -q libnccl && on_ranks 2 nccl "$t"
        [ "$gpus" -ge 4 ] && on_ranks 4 auto "$t"
    done
else
    echo "several GPUs: left out, $gpus visible"
fi

sanitizer=$(command -v compute-sanitizer)
if [ -z "$sanitizer" ]; then
    for dir in "$(dirname "$(readlink -f "$(command -v nvcc)")")" /usr/local/cuda/bin; do
        [ -x "$dir/compute-sanitizer" ] && sanitizer=$dir/compute-sanitizer && break
    done
fi
if [ -z "$sanitizer" ]; then
    echo 'compute-sanitizer is not on the PATH: memory and race checks left out'
    exit $failed
fi

read -ra checked <<<"${FF_SANITIZER_OPS:-layer_norm linear pair_bias attention global_attention transition \
    triangle_project triangle_contract triangle_output outer_product_mean point_attention aligned_error}"
logs=$(mktemp -d) || exit 1
trap 'rm -rf "$logs"' EXIT

# sanitize TOOL PRECISION: leaves the output in $logs, and the status and seconds as its last line. cuBLAS's kernels are
# left out, as they are not ours to mend; racecheck's test does not have them (cuda/plain_product.cuh).
sanitize() {
    local log=$logs/$1-$2 start=$SECONDS test=${ops[0]}
    [ "$1" != racecheck ] || test=$for_racecheck
    FF_TEST_PRECISION=$2 timeout "${FF_SANITIZER_LIMIT:-180}" "$sanitizer" --tool "$1" --error-exitcode 9 \
        --kernel-name-exclude kernel_substring=nvjet --kernel-name-exclude kernel_substring=cutlass "$test" \
        "${checked[@]}" >"$log" 2>&1
    echo "$? $((SECONDS - start))" >>"$log"
}

# Most of the time goes into instrumenting on the processor, so all six run at once.
for tool in memcheck racecheck; do
    for precision in fp32 tf32 bf16; do
        sanitize $tool $precision &
    done
done
wait
for tool in memcheck racecheck; do
    for precision in fp32 tf32 bf16; do
        log=$logs/$tool-$precision
        read -r status seconds < <(tail -n 1 "$log")
        if [ "$status" -eq 0 ]; then
            printf 'ok    compute-sanitizer %s, %s  %d s\n' "$tool" "$precision" "$seconds"
            continue
        fi
        grep -m 10 -A 4 'Error: \|Warning: ' "$log"
        tail -n 40 "$log"
        note=
        [ "$status" -eq 124 ] && note=", stopped after ${FF_SANITIZER_LIMIT:-180} s"
        echo "FAIL  compute-sanitizer $tool, $precision (status $status$note)"
        failed=1
    done
done
exit $failed
