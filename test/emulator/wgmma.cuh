/* SPDX-License-Identifier: Apache-2.0
 * wgmma: what cuda/wgmma.cuh does in assembly. Products are made at once, element by element, from the descriptions of
 * the operands; whoever reads a result before its wait, or changes an operand, is not found out here.
 */
#ifndef FF_TEST_EMULATOR_WGMMA_H
#define FF_TEST_EMULATOR_WGMMA_H

#include "ptx.cuh"

#define FF_HAVE_WGMMA 1

enum wgmma_major { WGMMA_K_MAJOR = 0, WGMMA_MN_MAJOR = 1 };
enum wgmma_type { WGMMA_BF16, WGMMA_F16 };

static inline float emulator_number(uint16_t v, enum wgmma_type type)
{
    return type == WGMMA_F16 ? unpack_f16(v).x : __uint_as_float((unsigned)v << 16);
}

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

/* Element (mn, k) of an operand, k < 16. */
static inline float emulator_operand(uint64_t d, int major, int mn, int k, enum wgmma_type type)
{
    static const unsigned row_bytes[4] = {16, 128, 64, 32};
    unsigned row = row_bytes[d >> 62], lead = (unsigned)(d >> 16 & 0x3fff) << 4, stride = (unsigned)(d >> 32 & 0x3fff)
                                                                                         << 4;
    unsigned width = row / 2, at = (unsigned)(d & 0x3fff) << 4;
    if (major == WGMMA_K_MAJOR)
        at += mn % 8 * row + mn / 8 * stride + (row == 16 ? k / 8 * lead + k % 8 * 2 : k * 2);
    else
        at += mn % width * 2 + mn / width * (row == 16 ? stride : lead) + k % 8 * row +
              k / 8 * (row == 16 ? lead : stride);
    if (row > 16)
        at ^= at >> 3 & (row - 1) & 0x70u;
    uint16_t v;
    memcpy(&v, emulator_shared_at(at), sizeof v);
    return emulator_number(v, type);
}

/* d += the product of this thread's two rows of A with all columns of B. */
template <int N>
static inline void emulator_wgmma(float (&d)[N / 2], const float (&a)[2][16], uint64_t b, int b_major, bool add,
                                  enum wgmma_type type)
{
    for (int j = 0; j < N / 8; j++)
        for (int e = 0; e < 4; e++) {
            double sum = add ? d[4 * j + e] : 0.0;
            for (int k = 0; k < 16; k++)
                sum += (double)a[e / 2][k] *
                       emulator_operand(b, b_major, 8 * j + 2 * (emulator_lane() % 4) + e % 2, k, type);
            d[4 * j + e] = (float)sum;
        }
}

template <int N, int a_major, int b_major, enum wgmma_type type = WGMMA_BF16>
static inline void wgmma_ss(float (&d)[N / 2], uint64_t a, uint64_t b, bool add = true)
{
    (void)emulator_meet(EMULATOR_PRODUCT, NULL, 0);
    int row = (int)threadIdx.x / 32 % 4 * 16 + emulator_lane() / 4;
    float x[2][16];
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 16; k++)
            x[i][k] = emulator_operand(a, a_major, row + 8 * i, k, type);
    emulator_wgmma<N>(d, x, b, b_major, add, type);
}

template <int N, int b_major, enum wgmma_type type = WGMMA_BF16>
static inline void wgmma_rs(float (&d)[N / 2], const unsigned (&a)[4], uint64_t b, bool add = true)
{
    const char *slots = emulator_meet(EMULATOR_PRODUCT, a, sizeof a);
    struct registers {
        unsigned v[4];
    };
    float x[2][16];
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 16; k++) {
            registers r = emulator_from_lane<registers>(slots, emulator_lane() / 4 * 4 + k % 8 / 2);
            x[i][k] = emulator_number((uint16_t)(r.v[i + k / 8 * 2] >> k % 2 * 16), type);
        }
    emulator_wgmma<N>(d, x, b, b_major, add, type);
}

#endif
