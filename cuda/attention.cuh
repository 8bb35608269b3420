/* SPDX-License-Identifier: Apache-2.0
 * attention: what the attention kernels get. attention.cu chooses among them.
 */
#ifndef FF_CUDA_ATTENTION_CUH
#define FF_CUDA_ATTENTION_CUH

#include <type_traits>

#include "mma.cuh"
#include "wgmma.cuh"

struct ff_cuda_attention_job {
    const void *qkvg, *bias;                     /* bias NULL: none */
    void *out;
    const float *mask;
    int64_t qkvg_b, qkvg_l, out_b, out_l;        /* strides in elements */
    int64_t mask_b, mask_l, bias_h, bias_i;
    int n_row, length, n_head, d;
    int n_sm;                                    /* multiprocessors */
    bool bias_aligned;                           /* rows of the bias start at multiples of 16 bytes */
    bool half;                                   /* float16, else bf16 or float32 */
    cudaStream_t stream;
};

#define FF_LOG2E 1.4426950408889634f
#define FF_MASKED (-1e9f * FF_LOG2E)             /* logit of a masked key in units of log 2 */

/* Calls f(d, biased) with the head size and whether there is a bias as constants; false for sizes that no fast kernel
 * takes. */
template <class F> static inline bool ff_cuda_attention_shape(const struct ff_cuda_attention_job *j, F &&f)
{
    auto call = [&](auto d) {
        if (j->bias)
            f(d, std::true_type());
        else
            f(d, std::false_type());
        return true;
    };
    return j->d == 32   ? call(std::integral_constant<int, 32>())
           : j->d == 16 ? call(std::integral_constant<int, 16>())
           : j->d == 8  ? call(std::integral_constant<int, 8>())
                        : false;
}

/* The numbers of 16 bits: two of them packed, the first in the lower half; a product of them. `most` is the largest sum
 * of exponentials, none of which is infinite then; `room` log 2 by which the largest logit is taken for larger where
 * the range is small, so that later ones may be. */
struct bf16_numbers {
    typedef bf16 type;
    static constexpr bool narrow = false;
    static constexpr enum wgmma_type product = WGMMA_BF16;
    static constexpr unsigned ones = 0x3f803f80u;
    static constexpr float most = 1e18f, room = 0.0f;
    __device__ __forceinline__ static unsigned pack(float x, float y) { return pack2(x, y); }
    __device__ __forceinline__ static float2 unpack(unsigned v) { return make_float2(low_half(v), high_half(v)); }
    __device__ __forceinline__ static void multiply(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1)
    {
        mma_bf16(c, a, b0, b1);
    }
};
struct f16_numbers {
    typedef f16 type;
    static constexpr bool narrow = true;
    static constexpr enum wgmma_type product = WGMMA_F16;
    static constexpr unsigned ones = 0x3c003c00u;
    static constexpr float most = 32768.0f, room = 4.0f;
    __device__ __forceinline__ static unsigned pack(float x, float y) { return pack_f16(x, y); }
    __device__ __forceinline__ static float2 unpack(unsigned v) { return unpack_f16(v); }
    __device__ __forceinline__ static void multiply(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1)
    {
        mma_f16(c, a, b0, b1);
    }
};

/* The same as f(numbers, d, biased) for numbers of 16 bits. */
template <class F> static inline bool ff_cuda_attention_narrow(const struct ff_cuda_attention_job *j, F &&f)
{
    return ff_cuda_attention_shape(j, [&](auto d, auto biased) {
        if (j->half)
            f(f16_numbers(), d, biased);
        else
            f(bf16_numbers(), d, biased);
    });
}

/* Each returns false when it has no kernel for this head size. All strides of qkvg and out are multiples of 16 bytes.
 * Two are for numbers of 16 bits, two for float32; of either the first where ff_cuda_has_wgmma. */
bool ff_cuda_attention_wgmma(const struct ff_cuda_attention_job *j);
bool ff_cuda_attention_mma(const struct ff_cuda_attention_job *j);
bool ff_cuda_attention_fp32_wgmma(const struct ff_cuda_attention_job *j);
bool ff_cuda_attention_fp32(const struct ff_cuda_attention_job *j);

#endif
