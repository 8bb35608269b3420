/* SPDX-License-Identifier: Apache-2.0
 * attention: what the attention kernels get. attention.cu chooses among them.
 */
#ifndef FF_CUDA_ATTENTION_CUH
#define FF_CUDA_ATTENTION_CUH

#include <type_traits>

#include "common.cuh"
#include "ptx.cuh"

struct ff_cuda_attention_job {
    const void *qkvg, *bias;                     /* bias NULL: none */
    void *out;
    const float *mask;
    int64_t qkvg_b, qkvg_l, out_b, out_l;        /* strides in elements */
    int64_t mask_b, mask_l, bias_h, bias_i;
    int n_row, length, n_head, d;
    int n_sm;                                    /* multiprocessors */
    bool bias_aligned;                           /* rows of the bias start at multiples of 16 bytes */
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

/* Each returns false when it has no kernel for this head size. All strides of qkvg and out are multiples of 16 bytes.
 */
bool ff_cuda_attention_wgmma(const struct ff_cuda_attention_job *j);     /* bf16, where ff_cuda_has_wgmma */
bool ff_cuda_attention_bf16(const struct ff_cuda_attention_job *j);
bool ff_cuda_attention_fp32(const struct ff_cuda_attention_job *j, bool tf32);
bool ff_cuda_attention_fp32_wgmma(const struct ff_cuda_attention_job *j, bool tf32);      /* where ff_cuda_has_wgmma */

#endif
