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

static inline unsigned pack_f16(float x, float y)
{
    const _Float16 pair[2] = {(_Float16)x, (_Float16)y};
    unsigned r;
    memcpy(&r, pair, sizeof r);
    return r;
}
static inline float2 unpack_f16(unsigned v)
{
    _Float16 pair[2];
    memcpy(pair, &v, sizeof pair);
    return {(float)pair[0], (float)pair[1]};
}

static inline float2 emulator_bf16(unsigned v)
{
    return {__uint_as_float(v << 16), __uint_as_float(v & 0xffff0000u)};
}

/* c [16, 8] += a [16, 16] b [16, 8]; numbers: what 4 bytes stand for. */
static inline void emulator_mma_16(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1,
                                   float2 (*numbers)(unsigned))
{
    struct operands {
        float2 a[4], b[2];
    } own = {{numbers(a[0]), numbers(a[1]), numbers(a[2]), numbers(a[3])}, {numbers(b0), numbers(b1)}};
    const char *slots = emulator_meet(EMULATOR_PRODUCT, &own, sizeof own);
    int g = emulator_lane() / 4, t = emulator_lane() % 4;
    double sum[4] = {c[0], c[1], c[2], c[3]};
    for (int k = 0; k < 4; k++) {
        operands x = emulator_from_lane<operands>(slots, g * 4 + k);
        for (int i = 0; i < 4; i++) {
            operands y = emulator_from_lane<operands>(slots, (2 * t + i % 2) * 4 + k);
            for (int half = 0; half < 2; half++) {
                float2 u = x.a[i / 2 + 2 * half], v = y.b[half];
                sum[i] += (double)u.x * v.x;
                sum[i] += (double)u.y * v.y;
            }
        }
    }
    for (int i = 0; i < 4; i++)
        c[i] = (float)sum[i];
}
static inline void mma_bf16(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1)
{
    emulator_mma_16(c, a, b0, b1, emulator_bf16);
}
static inline void mma_f16(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1)
{
    emulator_mma_16(c, a, b0, b1, unpack_f16);
}

static inline void mma_tf32(float (&c)[4], unsigned a0, unsigned a1, unsigned a2, unsigned a3, unsigned b0, unsigned b1)
{
    const unsigned own[6] = {a0, a1, a2, a3, b0, b1};
    const char *slots = emulator_meet(EMULATOR_PRODUCT, own, sizeof own);
    struct registers {
        unsigned v[6];
    };
    int g = emulator_lane() / 4, t = emulator_lane() % 4;
    for (int i = 0; i < 4; i++) {
        int row = i / 2, column = 2 * t + i % 2;
        double sum = c[i];
        for (int k = 0; k < 8; k++) {
            registers ra = emulator_from_lane<registers>(slots, g * 4 + k % 4);
            registers rb = emulator_from_lane<registers>(slots, column * 4 + k % 4);
            sum += (double)__uint_as_float(ra.v[row + k / 4 * 2] & 0xffffe000u) *
                   __uint_as_float(rb.v[4 + k / 4] & 0xffffe000u);
        }
        c[i] = (float)sum;
    }
}

static inline unsigned to_tf32(float x)
{
    unsigned b = __float_as_uint(x);
    return (b & 0x7f800000u) == 0x7f800000u ? b : (b + 0x1000u) & 0xffffe000u;
}

static inline float exp2_fast(float x) { return exp2f(x); }

void copy16_async(void *to, const void *from, bool there);
static inline void copy16_async(unsigned to, const void *from)
{
    copy16_async((void *)emulator_shared_at(to), from, true);
}
void copy_commit();
void emulator_copy_wait(int n);
template <int n> static inline void copy_wait() { emulator_copy_wait(n); }

void barrier_start(uint64_t *b, unsigned arrivals);
void barrier_arrive(uint64_t *b);
bool barrier_over(uint64_t *b, unsigned parity);
void barrier_wait(uint64_t *b, unsigned parity);
void barrier_expect(uint64_t *b, unsigned bytes);
void bulk_copy(void *to, const void *from, unsigned bytes, uint64_t *b);

static inline void prefetch_line(const void *) {}

#endif
