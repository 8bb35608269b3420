# SPDX-License-Identifier: Apache-2.0
# What the tests on several ranks share. They run from the root of the repository; $FF_TEST_BUILD is the build's folder.
build=${FF_TEST_BUILD:-build}/test/parallel

# $1 ranks of a program that share this machine: they must not spin while they wait.
ranks() {
    local n=$1
    shift
    OMP_NUM_THREADS=1 timeout 300 mpirun --allow-run-as-root --oversubscribe --bind-to none \
        --mca mpi_yield_when_idle 1 --mca btl self,vader -np "$n" "$@"
}
