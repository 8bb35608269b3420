/* SPDX-License-Identifier: Apache-2.0
 * mma: the warp's matrix product of bf16 with float32 sums (mma.sync, sm_80 and later) and its loads from shared memory.
 *
 * A tile of A is [16, 16], of B [16 (k), 8 (n)], of C [16, 8]. Lane l holds of C the rows l / 4 and l / 4 + 8, columns
 * 2 (l % 4) and + 1: c[0], c[1] of the first row, c[2], c[3] of the second. Rows in shared memory start at multiples of
 * 16 bytes; an odd multiple of 16 as their distance keeps the loads free of bank conflicts.
 */
#ifndef FF_CUDA_MMA_CUH
#define FF_CUDA_MMA_CUH

#include "common.cuh"

__device__ __forceinline__ unsigned shared_address(const void *p) { return (unsigned)__cvta_generic_to_shared(p); }

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

/* c += a b; b0, b1 as ldmatrix gives them for one tile of B. */
__device__ __forceinline__ void mma_bf16(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/* The address that this lane gives to ldmatrix, for one tile of A or two neighbouring tiles of B:
 *   A from x[m, k]: ldmatrix_x4;   A from x[k, m]: ldmatrix_x4_trans;
 *   B from x[k, n]: ldmatrix_x4_trans, r[0], r[1] the tile of columns n .. n + 7, r[2], r[3] that of n + 8 .. n + 15. */
__device__ __forceinline__ unsigned mma_a_address(const bf16 *x, int pitch, int m, int k)
{
    int lane = (int)threadIdx.x % 32;
    return shared_address(x + (m + lane % 16) * pitch + k + lane / 16 * 8);
}
__device__ __forceinline__ unsigned mma_a_trans_address(const bf16 *x, int pitch, int m, int k)
{
    int lane = (int)threadIdx.x % 32;
    return shared_address(x + (k + lane / 16 * 8 + lane % 8) * pitch + m + lane / 8 % 2 * 8);
}
__device__ __forceinline__ unsigned mma_b_address(const bf16 *x, int pitch, int k, int n)
{
    int lane = (int)threadIdx.x % 32;
    return shared_address(x + (k + lane % 16) * pitch + n + lane / 16 * 8);
}

/* 16 bytes from global to shared memory behind the program's back; zeros where `there` is false. */
__device__ __forceinline__ void copy16_async(void *to, const void *from, bool there)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from),
                 "r"(there ? 16 : 0)
                 : "memory");
}
__device__ __forceinline__ void copy_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/* Waits until at most n of the latest groups are under way. */
template <int n> __device__ __forceinline__ void copy_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(n) : "memory"); }

/* sigmoid to the accuracy that bf16 needs, on the special function unit */
__device__ __forceinline__ float fast_sigmoid(float x) { return __fdividef(1.0f, 1.0f + __expf(-x)); }

/* Eight bf16 of 16 bytes as floats and back. */
__device__ __forceinline__ void unpack8(float (&x)[8], uint4 v)
{
    const unsigned w[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
    for (int k = 0; k < 4; k++) {
        x[2 * k] = __uint_as_float(w[k] << 16);
        x[2 * k + 1] = __uint_as_float(w[k] & 0xffff0000u);
    }
}
__device__ __forceinline__ unsigned pack2(float x, float y)
{
    __nv_bfloat162 v = __floats2bfloat162_rn(x, y);
    return *(unsigned *)&v;
}
__device__ __forceinline__ uint4 pack8(const float (&x)[8])
{
    return make_uint4(pack2(x[0], x[1]), pack2(x[2], x[3]), pack2(x[4], x[5]), pack2(x[6], x[7]));
}

#endif
