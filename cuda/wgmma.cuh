/* SPDX-License-Identifier: Apache-2.0
 * wgmma: the matrix products of a warpgroup (sm_90a): four warps, D [64, N] += A [64, 16] B [16, N], bf16 or float16
 * with float32 sums. B lies in shared memory, A there or in registers. The emulator of the tests has its own file of
 * this name.
 *
 * Order of calls: wgmma_fence - products - wgmma_commit - wgmma_wait<groups that may be under way>; until then neither
 * D, nor A's registers, nor the operands in shared memory may be touched. What ordinary stores or copy16_async put
 * there needs shared_fence() by the threads that put it (after copy_wait), then a barrier.
 *
 * D of a thread: d[4 j + e] is row 16 (warp % 4) + lane / 4 + 8 (e / 2), column 8 j + 2 (lane % 4) + e % 2. A in
 * registers: as for mma_bf16, so that two neighbouring column tiles of D, packed, are an A.
 *
 * Operands in shared memory are tiles of rows of 128, 64 or 32 bytes whose 16-byte pieces are swizzled; they begin at
 * multiples of 1024 bytes. Two arrangements, chosen by a template argument:
 *   K_MAJOR   x[n, k], k along the rows: A, or B given transposed. Eight rows follow each other; `stride` is the
 *             distance of eights of rows. The next 16 k are 32 bytes further on.
 *   MN_MAJOR  x[k, n], n along the rows: `stride` is the distance of eights of k, `lead` that of the blocks of n (64,
 *             32 or 16 numbers, a row). The next 16 k are two `stride`s further on.
 * Rows of 16 bytes are not swizzled: then, MN_MAJOR, `lead` is the distance of eights of k, `stride` of blocks of n.
 */
#ifndef FF_CUDA_WGMMA_CUH
#define FF_CUDA_WGMMA_CUH

#include "ptx.cuh"

#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define FF_HAVE_WGMMA 1                  /* in this pass of the compiler: elsewhere the kernels' bodies are empty */
#endif

enum wgmma_major { WGMMA_K_MAJOR = 0, WGMMA_MN_MAJOR = 1 };
enum wgmma_type { WGMMA_BF16, WGMMA_F16 };       /* of A and B */

/* Where byte `at` of a tile with rows of ROW bytes lies. */
template <int ROW> __host__ __device__ __forceinline__ unsigned wgmma_swizzled(unsigned at)
{
    return at ^ (at >> 3 & (ROW - 1) & 0x70u);
}

/* The description of an operand; distances in bytes. */
template <int ROW> __device__ __forceinline__ uint64_t wgmma_operand(unsigned address, unsigned lead, unsigned stride)
{
    static_assert(ROW == 128 || ROW == 64 || ROW == 32 || ROW == 16, "bytes of a row");
    constexpr uint64_t swizzle = ROW == 128 ? 1 : ROW == 64 ? 2 : ROW == 32 ? 3 : 0;
    return (address >> 4 & 0x3fff) | lead >> 4 << 16 | (uint64_t)(stride >> 4) << 32 | swizzle << 62;
}
/* The same operand some bytes further on. */
__device__ __forceinline__ uint64_t wgmma_advance(uint64_t operand, unsigned bytes)
{
    /* Nothing is carried: one addition of 32 bits. */
    return (operand & 0xffffffff00000000u) | ((unsigned)operand + (bytes >> 4));
}

__device__ __forceinline__ void shared_fence() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

#ifdef FF_HAVE_WGMMA
/* The registers of a thread from here on, for all threads of a warpgroup: a multiple of 8, at most 255; what one gets
 * others must have given back. */
template <int n> __device__ __forceinline__ void take_registers()
{
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(n));
}
template <int n> __device__ __forceinline__ void give_registers()
{
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(n));
}

__device__ __forceinline__ void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int n> __device__ __forceinline__ void wgmma_wait()
{
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(n) : "memory");
}

/* Keeps what is computed from d behind the wait that precedes it. */
template <int n> __device__ __forceinline__ void wgmma_use(float (&d)[n])
{
#pragma unroll
    for (int i = 0; i < n; i++)
        asm volatile("" : "+f"(d[i])::"memory");
}

/* Register lists of the assembly below. */
#define FF_D4(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define FF_D8(i) FF_D4(i), FF_D4(i + 4)
#define FF_D16(i) FF_D8(i), FF_D8(i + 8)
#define FF_D32(i) FF_D16(i), FF_D16(i + 16)
#define FF_D64(i) FF_D32(i), FF_D32(i + 32)
#define FF_D128(i) FF_D64(i), FF_D64(i + 64)
#define FF_D12(i) FF_D8(i), FF_D4(i + 8)
#define FF_D20(i) FF_D16(i), FF_D4(i + 16)
#define FF_R4 "%0, %1, %2, %3"
#define FF_R8 FF_R4 ", " \
    "%4, %5, %6, %7"
#define FF_R16 FF_R8 ", " \
    "%8, %9, %10, %11, %12, %13, %14, %15"
#define FF_R12 FF_R8 ", %8, %9, %10, %11"
#define FF_R20 FF_R16 ", %16, %17, %18, %19"
#define FF_R32 FF_R16 ", " \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define FF_R64 FF_R32 ", " \
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, " \
    "%52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define FF_R128 FF_R64 ", " \
    "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, %80, %81, %82, %83, " \
    "%84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, %96, %97, %98, %99, %100, %101, %102, " \
    "%103, %104, %105, %106, %107, %108, %109, %110, %111, %112, %113, %114, %115, %116, %117, %118, " \
    "%119, %120, %121, %122, %123, %124, %125, %126, %127"

template <int N, enum wgmma_type type> struct wgmma_product;

/* REGS registers of D; then, for ss, the descriptions of A and B, for rs four registers and B; then whether to add. */
#define FF_WGMMA_OF(TYPE, NAME, N, REGS, S0, S1, S2, S3, S4, S5, S6)                                               \
    template <> struct wgmma_product<N, TYPE> {                                                                    \
        template <int a_major, int b_major>                                                                        \
        static __device__ __forceinline__ void ss(float (&d)[REGS], uint64_t a, uint64_t b, bool add)              \
        {                                                                                                          \
            asm volatile("{ .reg .pred p; setp.ne.b32 p, %" #S2 ", 0; "                                            \
                         "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." NAME "." NAME " {" FF_R##REGS "}, %" #S0 \
                         ", %" #S1 ", p, 1, 1, %" #S3 ", %" #S4 "; }"                                              \
                         : FF_D##REGS(0)                                                                           \
                         : "l"(a), "l"(b), "r"((int)add), "n"(a_major), "n"(b_major));                             \
        }                                                                                                          \
        template <int b_major>                                                                                     \
        static __device__ __forceinline__ void rs(float (&d)[REGS], const unsigned (&a)[4], uint64_t b, bool add)  \
        {                                                                                                          \
            asm volatile("{ .reg .pred p; setp.ne.b32 p, %" #S5 ", 0; "                                            \
                         "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." NAME "." NAME " {" FF_R##REGS           \
                         "}, {%" #S0 ", %" #S1 ", %" #S2 ", %" #S3 "}, %" #S4 ", p, 1, 1, %" #S6 "; }"             \
                         : FF_D##REGS(0)                                                                           \
                         : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"((int)add), "n"(b_major));       \
        }                                                                                                          \
    };
#define FF_WGMMA(...)                             \
    FF_WGMMA_OF(WGMMA_BF16, "bf16", __VA_ARGS__) \
    FF_WGMMA_OF(WGMMA_F16, "f16", __VA_ARGS__)
FF_WGMMA(8, 4, 4, 5, 6, 7, 8, 9, 10)
FF_WGMMA(16, 8, 8, 9, 10, 11, 12, 13, 14)
FF_WGMMA(24, 12, 12, 13, 14, 15, 16, 17, 18)
FF_WGMMA(40, 20, 20, 21, 22, 23, 24, 25, 26)
FF_WGMMA(32, 16, 16, 17, 18, 19, 20, 21, 22)
FF_WGMMA(64, 32, 32, 33, 34, 35, 36, 37, 38)
FF_WGMMA(128, 64, 64, 65, 66, 67, 68, 69, 70)
FF_WGMMA(256, 128, 128, 129, 130, 131, 132, 133, 134)

/* d [64, N] (+)= A B of sixteen k. */
template <int N, int a_major, int b_major, enum wgmma_type type = WGMMA_BF16>
__device__ __forceinline__ void wgmma_ss(float (&d)[N / 2], uint64_t a, uint64_t b, bool add = true)
{
    wgmma_product<N, type>::template ss<a_major, b_major>(d, a, b, add);
}
template <int N, int b_major, enum wgmma_type type = WGMMA_BF16>
__device__ __forceinline__ void wgmma_rs(float (&d)[N / 2], const unsigned (&a)[4], uint64_t b, bool add = true)
{
    wgmma_product<N, type>::template rs<b_major>(d, a, b, add);
}
#endif

#endif
