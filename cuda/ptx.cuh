/* SPDX-License-Identifier: Apache-2.0
 * ptx: the instructions of the GPU that C++ has no name for; all inline assembly of the program. The emulator of the
 * tests (test/emulator) has its own file of this name.
 */
#ifndef FF_CUDA_PTX_CUH
#define FF_CUDA_PTX_CUH

#include <cuda_runtime.h>
#include <stdint.h>

__device__ __forceinline__ unsigned shared_address(const void *p) { return (unsigned)__cvta_generic_to_shared(p); }

/* Keeps the compiler from computing x again and again to save a register. */
__device__ __forceinline__ void keep_in_register(unsigned &x) { asm volatile("" : "+r"(x)); }

/* Four matrices of 8 x 8 16-bit numbers; lane l gives the address of row l % 8 of matrix l / 8 and gets of each the
 * numbers 2 (l % 4) and + 1 of row l / 4; _trans: of column l / 4. */
__device__ __forceinline__ void ldmatrix_x4(unsigned (&r)[4], unsigned address)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}
__device__ __forceinline__ void ldmatrix_x4_trans(unsigned (&r)[4], unsigned address)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}

/* c [16, 8] += a [16, 16] b [16, 8], bf16. */
__device__ __forceinline__ void mma_bf16(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/* The same, float16. */
__device__ __forceinline__ void mma_f16(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/* c [16, 8] += a [16, 8] b [8, 8], TF32; with g = lane / 4, t = lane % 4: a at (g, t), (g + 8, t), (g, t + 4),
 * (g + 8, t + 4), b at (t, g), (t + 4, g). */
__device__ __forceinline__ void mma_tf32(float (&c)[4], unsigned a0, unsigned a1, unsigned a2, unsigned a3, unsigned b0,
                                         unsigned b1)
{
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

/* The nearest TF32 number, as the bits of a float. */
__device__ __forceinline__ unsigned to_tf32(float x)
{
    unsigned r;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(x));
    return r;
}

/* Two float16 numbers of 4 bytes, the first in the lower half, rounded to nearest; and back. */
__device__ __forceinline__ unsigned pack_f16(float x, float y)
{
    unsigned r;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(y), "f"(x));
    return r;
}
__device__ __forceinline__ float2 unpack_f16(unsigned v)
{
    float2 r;
    asm("{ .reg .b16 x, y; mov.b32 {x, y}, %2; cvt.f32.f16 %0, x; cvt.f32.f16 %1, y; }"
        : "=f"(r.x), "=f"(r.y)
        : "r"(v));
    return r;
}

/* 2^x on the special function unit; 0 for results below the normal numbers. */
__device__ __forceinline__ float exp2_fast(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

/* The first `bytes` of 16 from global to shared memory behind the program's back, zeros behind them. */
__device__ __forceinline__ void copy_async(unsigned to, const void *from, int bytes)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes) : "memory");
}
/* 16 bytes; zeros where `there` is false. */
__device__ __forceinline__ void copy16_async(void *to, const void *from, bool there)
{
    copy_async(shared_address(to), from, there ? 16 : 0);
}
/* 16 bytes to a shared address, always. */
__device__ __forceinline__ void copy16_async(unsigned to, const void *from)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from) : "memory");
}
__device__ __forceinline__ void copy_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/* Waits until at most n of the latest groups are under way. */
template <int n> __device__ __forceinline__ void copy_wait()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(n) : "memory");
}

__device__ __forceinline__ unsigned shared_number(unsigned address)
{
    unsigned x;
    asm volatile("ld.shared.u32 %0, [%1];" : "=r"(x) : "r"(address) : "memory");
    return x;
}

__device__ __forceinline__ void prefetch_line(const void *p) { asm volatile("prefetch.global.L2 [%0];" ::"l"(p)); }

/* For kernels that ff_cuda_launch_early() begins (sm_90): lets the next one begin, then waits for those before. */
__device__ __forceinline__ void after_kernels_before()
{
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents; griddepcontrol.wait;" ::: "memory");
#endif
}

/* Barriers in shared memory (sm_90): one thread starts each for so many arrivals, then the block synchronises. A phase
 * ends with the last arrival and the next begins. Waiting for parity 0, 1, 0, .. is waiting for the end of phase 0, 1,
 * 2, ..; whoever waits for parity 1 first passes at once. */
__device__ __forceinline__ void barrier_start(uint64_t *b, unsigned arrivals)
{
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(b)), "r"(arrivals) : "memory");
}
__device__ __forceinline__ void barrier_arrive(uint64_t *b)
{
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(b)) : "memory");
}
/* A warp arrives as one, for what all of its lanes have done. racecheck knows of what the threads have done that arrive
 * themselves, so in a build for it (make check-gpu) every lane does: a warp counts as warp_arrivals. */
#ifdef FF_RACECHECK
constexpr unsigned warp_arrivals = 32;
#else
constexpr unsigned warp_arrivals = 1;
#endif
__device__ __forceinline__ void barrier_arrive_warp(uint64_t *b)
{
    __syncwarp();
    if (warp_arrivals == 32)
        barrier_arrive(b);
    else
        asm volatile("{ .reg .pred p; elect.sync _|p, 0xffffffff; @p mbarrier.arrive.shared::cta.b64 _, [%0]; }" ::"r"(
                         shared_address(b))
                     : "memory");
}
__device__ __forceinline__ bool barrier_over(uint64_t *b, unsigned parity)
{
    unsigned over;
    asm volatile("{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; selp.b32 %0, 1, 0, p; }"
                 : "=r"(over)
                 : "r"(shared_address(b)), "r"(parity)
                 : "memory");
    return over != 0;
}
__device__ __forceinline__ void barrier_wait(uint64_t *b, unsigned parity)
{
    while (!barrier_over(b, parity)) {
    }
}

/* An arrival for which the copies of 16 bytes that this thread has begun must be there. */
__device__ __forceinline__ void barrier_arrive_copied(uint64_t *b)
{
    asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(shared_address(b)) : "memory");
}

/* Copies of any size (sm_90), a multiple of 16 bytes, by the engine for them: one thread says how many bytes the phase
 * of a barrier waits for, which is its arrival, and begins the copies. */
__device__ __forceinline__ void barrier_expect(uint64_t *b, unsigned bytes)
{
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(b)), "r"(bytes)
                 : "memory");
}
__device__ __forceinline__ void bulk_copy(void *to, const void *from, unsigned bytes, uint64_t *b)
{
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                     shared_address(to)),
                 "l"(from), "r"(bytes), "r"(shared_address(b))
                 : "memory");
}

#endif
