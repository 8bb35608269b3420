/* SPDX-License-Identifier: Apache-2.0
 * ptx: what cuda/ptx.cuh does in assembly. Products take the layouts of the PTX manual's fragments; copies behind the
 * program's back are made when somebody waits for them, not before.
 */
#ifndef FF_TEST_EMULATOR_PTX_H
#define FF_TEST_EMULATOR_PTX_H

#include "cuda_bf16.h"

/* Shared memory is addressed from a fixed place; 32 bits are enough within one program. */
unsigned shared_address(const void *p);
const char *emulator_shared_at(unsigned address);

static inline void keep_in_register(unsigned &) {}
static inline unsigned shared_number(unsigned address)
{
    return *(const unsigned *)(const void *)emulator_shared_at(address);
}

static inline void emulator_ldmatrix(unsigned (&r)[4], unsigned address, bool transposed)
{
    const char *slots = emulator_meet(EMULATOR_MATRIX, &address, sizeof address);
    int lane = emulator_lane();
    for (int m = 0; m < 4; m++) {
        uint16_t pair[2];
        for (int i = 0; i < 2; i++) {
            int row = transposed ? lane % 4 * 2 + i : lane / 4, column = transposed ? lane / 4 : lane % 4 * 2 + i;
            const char *at = emulator_shared_at(emulator_from_lane<unsigned>(slots, m * 8 + row));
            if ((uintptr_t)at % 16 != 0)
                abort();                         /* misaligned row */
            memcpy(&pair[i], at + column * 2, sizeof pair[i]);
        }
        memcpy(&r[m], pair, sizeof pair);
    }
}
static inline void ldmatrix_x4(unsigned (&r)[4], unsigned address) { emulator_ldmatrix(r, address, false); }
static inline void ldmatrix_x4_trans(unsigned (&r)[4], unsigned address) { emulator_ldmatrix(r, address, true); }

/* float16 by its bits: the processor's own conversions are not in every build, and the library's are slow. */
static inline unsigned emulator_to_f16(float x)
{
    unsigned u = __float_as_uint(x), sign = u >> 16 & 0x8000u, size = u & 0x7fffffffu;
    if (size >= 0x47800000u)                     /* 2^16 and more */
        return sign | (size > 0x7f800000u ? 0x7e00u | (size >> 13 & 0x3ffu) : 0x7c00u);
    if (size < 0x38800000u)                      /* below the normal numbers: adding 1/2 rounds at 2^-24 */
        return sign | (__float_as_uint(__uint_as_float(size) + 0.5f) - 0x3f000000u);
    return sign | ((size + 0xfffu + (size >> 13 & 1)) - (112u << 23)) >> 13;
}
static inline float emulator_from_f16(unsigned v)
{
    unsigned size = (v & 0x7fffu) << 13, sign = (v & 0x8000u) << 16;
    if (size < 1u << 23)
        return __uint_as_float(sign | __float_as_uint(__uint_as_float(size + (113u << 23)) - 0x1p-14f));
    return __uint_as_float(sign | (size >= 31u << 23 ? size | 0x7f800000u : size + (112u << 23)));
}
static inline unsigned pack_f16(float x, float y) { return emulator_to_f16(x) | emulator_to_f16(y) << 16; }
static inline float2 unpack_f16(unsigned v) { return {emulator_from_f16(v & 0xffffu), emulator_from_f16(v >> 16)}; }

/* c [16, 8] += a [16, 16] b [16, 8], or [16, 8] and [8, 8] of TF32. */
enum emulator_type { EMULATOR_BF16, EMULATOR_F16, EMULATOR_TF32 };
void emulator_mma(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, enum emulator_type type);
static inline void mma_bf16(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1)
{
    emulator_mma(c, a, b0, b1, EMULATOR_BF16);
}
static inline void mma_f16(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1)
{
    emulator_mma(c, a, b0, b1, EMULATOR_F16);
}
static inline void mma_tf32(float (&c)[4], unsigned a0, unsigned a1, unsigned a2, unsigned a3, unsigned b0, unsigned b1)
{
    const unsigned a[4] = {a0, a1, a2, a3};
    emulator_mma(c, a, b0, b1, EMULATOR_TF32);
}

static inline unsigned to_tf32(float x)
{
    unsigned b = __float_as_uint(x);
    return (b & 0x7f800000u) == 0x7f800000u ? b : (b + 0x1000u) & 0xffffe000u;
}

static inline float exp2_fast(float x) { return exp2f(x); }

void emulator_copy(void *to, const void *from, int bytes);
static inline void copy_async(unsigned to, const void *from, int bytes)
{
    emulator_copy((void *)emulator_shared_at(to), from, bytes);
}
static inline void copy16_async(void *to, const void *from, bool there) { emulator_copy(to, from, there ? 16 : 0); }
static inline void copy16_async(unsigned to, const void *from) { copy_async(to, from, 16); }
void copy_commit();
void emulator_copy_wait(int n);
template <int n> static inline void copy_wait() { emulator_copy_wait(n); }

void barrier_start(uint64_t *b, unsigned arrivals);
void barrier_arrive(uint64_t *b);
constexpr unsigned warp_arrivals = 1;
static inline void barrier_arrive_warp(uint64_t *b)
{
    __syncwarp();
    if (threadIdx.x % 32 == 0)
        barrier_arrive(b);
}
bool barrier_over(uint64_t *b, unsigned parity);
void barrier_wait(uint64_t *b, unsigned parity);
static inline void barrier_arrive_copied(uint64_t *b)
{
    copy_commit();
    emulator_copy_wait(0);
    barrier_arrive(b);
}
void barrier_expect(uint64_t *b, unsigned bytes);
void bulk_copy(void *to, const void *from, unsigned bytes, uint64_t *b);

static inline void prefetch_line(const void *) {}
static inline void after_kernels_before() {}

#endif
