#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Tests the CUDA backend on this machine's GPU: every operation in every precision against plain loops in double, the
# golden layers and passes, and the memory and race checkers of compute-sanitizer on small operations.
# Where two GPUs are visible, several ranks with NCCL too.
# usage: gpu_check.sh 'op tests' 'golden tests' 'parallel tests' (make check-gpu)
set -u
read -ra ops <<<"$1"
read -ra golden <<<"$2"
read -ra parallel <<<"$3"
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
if [ "$gpus" -ge 2 ] && command -v mpirun >/dev/null; then
    for t in "${parallel[@]}"; do
        log=$(mktemp) || exit 1
        if timeout 600 mpirun --allow-run-as-root --bind-to none -np 2 "$t" >"$log" 2>&1; then
            echo "ok    $t on two GPUs"
        else
            tail -n 40 "$log"
            echo "FAIL  $t on two GPUs"
            failed=1
        fi
        rm -f "$log"
    done
else
    echo "several GPUs: left out, $gpus visible"
fi

if command -v compute-sanitizer >/dev/null; then
    for tool in memcheck racecheck; do
        for precision in fp32 bf16; do
            log=$(mktemp) || exit 1
            if FF_TEST_PRECISION=$precision timeout 600 compute-sanitizer --tool $tool --error-exitcode 9 "${ops[0]}" \
                layer_norm linear pair_bias attention global_attention transition triangle_project triangle_output \
                outer_product_mean point_attention aligned_error >"$log" 2>&1; then
                echo "ok    compute-sanitizer $tool, $precision"
            else
                tail -n 40 "$log"
                echo "FAIL  compute-sanitizer $tool, $precision"
                failed=1
            fi
            rm -f "$log"
        done
    done
else
    echo 'compute-sanitizer is not on the PATH: memory and race checks left out'
fi
exit $failed
