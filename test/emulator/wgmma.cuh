/* SPDX-License-Identifier: Apache-2.0
 * wgmma: what cuda/wgmma.cuh does in assembly. Products are made at once, warp by warp, from the descriptions of the
 * operands; whoever reads a result before its wait, or changes an operand when its warp has gone on, is not found out
 * here.
 */
#ifndef FF_TEST_EMULATOR_WGMMA_H
#define FF_TEST_EMULATOR_WGMMA_H

#include "ptx.cuh"

#define FF_HAVE_WGMMA 1

enum wgmma_major { WGMMA_K_MAJOR = 0, WGMMA_MN_MAJOR = 1 };
enum wgmma_type { WGMMA_BF16, WGMMA_F16 };

template <int ROW> static inline unsigned wgmma_swizzled(unsigned at) { return at ^ (at >> 3 & (ROW - 1) & 0x70u); }

template <int ROW> static inline uint64_t wgmma_operand(unsigned address, unsigned lead, unsigned stride)
{
    const uint64_t swizzle = ROW == 128 ? 1 : ROW == 64 ? 2 : ROW == 32 ? 3 : 0;
    if (address % 16 != 0 || lead % 16 != 0 || stride % 16 != 0 || address >= 1 << 18)
        abort();                         /* the hardware drops these bits */
    return (uint64_t)(address >> 4) | (uint64_t)(lead >> 4) << 16 | (uint64_t)(stride >> 4) << 32 | swizzle << 62;
}
static inline uint64_t wgmma_advance(uint64_t operand, unsigned bytes) { return operand + (bytes >> 4); }

template <int n> static inline void take_registers() {}
template <int n> static inline void give_registers() {}
static inline void shared_fence() {}
static inline void wgmma_fence() {}
static inline void wgmma_commit() {}
template <int n> static inline void wgmma_wait() { (void)emulator_meet(EMULATOR_WARP, NULL, 0); }
template <int n> static inline void wgmma_use(float (&)[n]) {}

/* A thread's part of d [64, n] (+)= A B: its sums, and the descriptions of the operands, or its registers of A. */
struct emulator_wgmma_call {
    float *d;
    uint64_t a, b;
    unsigned registers[4];
    uint16_t n;
    uint8_t type, a_major, b_major, add, a_in_registers;
};
void emulator_wgmma(const struct emulator_wgmma_call &own);

template <int N, int a_major, int b_major, enum wgmma_type type = WGMMA_BF16>
static inline void wgmma_ss(float (&d)[N / 2], uint64_t a, uint64_t b, bool add = true)
{
    emulator_wgmma({d, a, b, {}, N, type, a_major, b_major, add, false});
}

template <int N, int b_major, enum wgmma_type type = WGMMA_BF16>
static inline void wgmma_rs(float (&d)[N / 2], const unsigned (&a)[4], uint64_t b, bool add = true)
{
    emulator_wgmma({d, 0, b, {a[0], a[1], a[2], a[3]}, N, type, WGMMA_K_MAJOR, b_major, add, true});
}

#endif
