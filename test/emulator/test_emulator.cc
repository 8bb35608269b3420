/* SPDX-License-Identifier: Apache-2.0
 * What the emulated GPU finds wrong with a kernel: each mistake must end a process with its message, or show in the
 * results of one order of the threads; and the same kernel without the mistake must pass.
 */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <string>

#include "cuda_bf16.h"
#include "wgmma.cuh"

namespace {

enum { THREADS = 128, N = 16, ROW = 16 };        /* a warpgroup; columns of its products; bytes of a piece */

int n_run, n_failed;

void report(const char *name, bool ok, const std::string &why)
{
    printf("%sok %d - %s\n", ok ? "" : "not ", ++n_run, name);
    if (!ok)
        printf("# %s\n", why.c_str());
    n_failed += !ok;
}

/* What a process of its own writes to stderr while it runs the kernel on one block; "done" when it reaches the end. */
std::string run_apart(const std::function<void()> &kernel)
{
    int ends[2];
    if (pipe(ends) != 0)
        abort();
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        emulator_launch(kernel, 1, THREADS, 64 << 10);
        _exit(write(ends[1], "done", 4) != 4);
    }
    close(ends[1]);
    std::string text;
    char piece[256];
    for (ssize_t n; (n = read(ends[0], piece, sizeof piece)) > 0;)
        text.append(piece, (size_t)n);
    close(ends[0]);
    waitpid(child, NULL, 0);
    return text;
}

/* The kernel without its mistake passes, with it the process ends and says the words. */
void finds(const char *name, const char *words, const std::function<void(bool)> &kernel)
{
    std::string good = run_apart([&] { kernel(false); }), bad = run_apart([&] { kernel(true); });
    report(name, good == "done" && bad.find(words) != std::string::npos,
           "right: " + good + "; wrong: " + bad + "; expected: " + words);
}

/* --- products ----------------------------------------------------------------------------------------------------- */

struct products {
    uint16_t a[8][2][8][8], b[N / 8][2][8][8];   /* pieces of 8 rows: [row / 8, k / 8, row % 8, k % 8] */
};

/* All ones times all ones; mistake: 0 none, 1 thread 5 changes B too early, 2 it asks for another B, 3 it is not there.
 */
void multiply(int mistake)
{
    products &s = *(products *)emulator_shared();
    uint16_t *all = &s.a[0][0][0][0];
    for (size_t i = threadIdx.x; i < sizeof s / sizeof *all; i += THREADS)
        all[i] = 0x3f80;                         /* 1 in bfloat16 */
    __syncthreads();
    bool errs = threadIdx.x == 5;
    if (mistake == 3 && errs)
        return;
    uint64_t a = wgmma_operand<ROW>(shared_address(s.a), sizeof s.a[0][0], sizeof s.a[0]);
    uint64_t b = wgmma_operand<ROW>(shared_address(s.b), sizeof s.b[0][0], sizeof s.b[0]);
    if (mistake == 2 && errs)
        b = wgmma_advance(b, 16);
    float d[N / 2] = {};
    wgmma_ss<N, WGMMA_K_MAJOR, WGMMA_K_MAJOR>(d, a, b);
    if (mistake == 1 && errs)
        s.b[0][0][0][0] = 0;
    wgmma_wait<0>();
    for (float x : d)
        if (x != 16.0f)
            emulator_fail("wrong product");
}

void test_products()
{
    finds("an operand that changes while its product is made", "an operand changed", [](bool m) { multiply(m); });
    finds("threads that ask for different products", "different products", [](bool m) { multiply(2 * m); });
    finds("a product without the whole warp", "without the whole warp", [](bool m) { multiply(3 * m); });
}

/* --- waits -------------------------------------------------------------------------------------------------------- */

alignas(16) float global_memory[4];

void copy_in_groups(bool mistake)
{
    copy16_async((char *)emulator_shared() + 16 * threadIdx.x, global_memory, true);
    copy_commit();
    if (!(mistake && threadIdx.x == 77))
        copy_wait<0>();
}

void copy_in_bulk(bool mistake)
{
    uint64_t *barrier = (uint64_t *)((char *)emulator_shared() + 1024);
    if (threadIdx.x == 0)
        barrier_start(barrier, 1);
    __syncthreads();
    if (threadIdx.x == 0) {
        barrier_expect(barrier, sizeof global_memory);
        bulk_copy(emulator_shared(), global_memory, sizeof global_memory + (mistake ? 16 : 0), barrier);
    }
    barrier_wait(barrier, 0);
}

void meet(bool mistake)
{
    if (mistake && threadIdx.x % 2 == 0)
        (void)__shfl_xor_sync(0xffffffffu, 1.0f, 1);
    else
        __syncwarp();
    __syncthreads();
}

void test_waits()
{
    finds("copies that a thread does not wait for", "without waiting for its copies", copy_in_groups);
    finds("more bytes than a barrier waits for", "nobody waits for", copy_in_bulk);
    finds("threads of a warp at different waits", "different things", meet);
}

/* --- orders ------------------------------------------------------------------------------------------------------- */

/* Whether every thread reads what the one before or behind it has written, in this order of the threads. */
bool neighbours_agree(const char *order, int distance, bool barrier)
{
    setenv("FF_EMULATOR_ORDER", order, 1);
    bool agree = true;
    emulator_launch(
        [&] {
            float *s = (float *)emulator_shared();
            if (s[threadIdx.x] == s[threadIdx.x])
                agree = false;                   /* memory that nobody has written is no number */
            s[threadIdx.x] = (float)threadIdx.x;
            if (barrier)
                __syncthreads();
            unsigned other = (threadIdx.x + THREADS + (unsigned)distance) % THREADS;
            agree = agree && s[other] == (float)other;
        },
        1, THREADS, THREADS * sizeof(float));
    unsetenv("FF_EMULATOR_ORDER");
    return agree;
}

void test_orders()
{
    std::string found, missed;
    for (const char *order : {"forward", "backward", "1"})
        for (int distance : {-1, 1}) {
            if (!neighbours_agree(order, distance, true))
                missed += std::string(" ") + order;
            if (!neighbours_agree(order, distance, false))
                found += std::string(" ") + order + (distance < 0 ? "-" : "+");
        }
    report("a missing barrier shows", found == " forward- forward+ backward- backward+ 1- 1+" && missed == "",
           "found in" + found + "; wrong with a barrier in" + missed);
}

}  // namespace

int main()
{
    test_products();
    test_waits();
    test_orders();
    printf("1..%d\n", n_run);
    return n_failed > 0;
}
