/* SPDX-License-Identifier: Apache-2.0
 * attention: the choice of an attention kernel. Head sizes and strides that the fast kernels do not take go through a
 * plain one.
 */
#include "attention.cuh"

namespace {

enum { MAX_D = 256 };

/* One warp per query: 32 keys at a time, a key per thread for the logits, a channel per thread for the values. */
template <class T> __global__ void __launch_bounds__(128) plain_kernel(struct ff_cuda_attention_job j)
{
    __shared__ float queries[4][MAX_D];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, hd = j.n_head * j.d, d = j.d;
    int64_t item = blockIdx.x * 4ll + warp;
    if (item >= (int64_t)j.n_row * j.n_head * j.length)
        return;
    int i = (int)(item % j.length), h = (int)(item / j.length % j.n_head), b = (int)(item / j.length / j.n_head);
    const T *row = (const T *)j.qkvg + b * j.qkvg_b + h * d;
    float *q = queries[warp], value[MAX_D / 32], top = -INFINITY, sum = 0.0f, scale = FF_LOG2E * rsqrtf((float)d);
    for (int c = lane; c < d; c += 32)
        q[c] = to_float(row[i * j.qkvg_l + c]) * scale;
    __syncwarp();
    for (int n = 0; n < MAX_D / 32; n++)
        value[n] = 0.0f;
    for (int key = 0; key < j.length; key += 32) {
        float s = -INFINITY;
        int k = key + lane;
        if (k < j.length) {
            s = 0.0f;
            for (int c = 0; c < d; c++)
                s += q[c] * to_float(row[k * j.qkvg_l + hd + c]);
            if (j.bias)
                s += FF_LOG2E * to_float(((const T *)j.bias)[h * j.bias_h + i * j.bias_i + k]);
            if (j.mask[b * j.mask_b + k * j.mask_l] == 0.0f)
                s = FF_MASKED;
        }
        float now = fmaxf(top, warp_max(s)), factor = exp2f(top - now), p = exp2f(s - now);
        top = now;
        sum = sum * factor + warp_sum(p);
        for (int n = 0; n < MAX_D / 32; n++)
            value[n] *= factor;
        for (int other = 0; other < min(32, j.length - key); other++) {
            float weight = __shfl_sync(0xffffffffu, p, other);
            const T *v = row + (key + other) * j.qkvg_l + 2 * hd;
            for (int n = 0; n < MAX_D / 32; n++)
                if (n * 32 + lane < d)
                    value[n] += weight * to_float(v[n * 32 + lane]);
        }
    }
    for (int n = 0; n < MAX_D / 32; n++) {
        int c = n * 32 + lane;
        if (c < d)
            ((T *)j.out)[b * j.out_b + i * j.out_l + h * d + c] =
                from_float<T>(value[n] / sum * sigmoid(to_float(row[i * j.qkvg_l + 3 * hd + c])));
    }
}

}  // namespace

extern "C" void ff_cuda_attention(struct ff_backend *be, const struct ff_attention_args *a)
{
    FF_ASSERT(a->out.ndim == 3 && a->qkvg.ndim == 3 && a->mask.ndim == 2 && a->n_head >= 1);
    struct ff_cuda_attention_job j = {};
    j.n_row = (int)a->qkvg.shape[0];
    j.length = (int)a->qkvg.shape[1];
    j.n_head = a->n_head;
    j.n_sm = ff_cuda_sm_count(be);
    j.d = (int)(a->qkvg.shape[2] / 4 / a->n_head);
    FF_ASSERT(j.d * j.n_head * 4 == a->qkvg.shape[2] && a->out.shape[2] == j.d * j.n_head && j.d <= MAX_D);
    FF_ASSERT(a->out.shape[0] == j.n_row && a->out.shape[1] == j.length && a->out.dtype == a->qkvg.dtype);
    if (j.n_row == 0 || j.length == 0)
        return;
    j.qkvg = a->qkvg.data;
    j.out = a->out.data;
    j.mask = (const float *)a->mask.data;
    j.qkvg_b = a->qkvg.stride[0];
    j.qkvg_l = a->qkvg.stride[1];
    j.out_b = a->out.stride[0];
    j.out_l = a->out.stride[1];
    j.mask_b = a->mask.stride[0];
    j.mask_l = a->mask.stride[1];
    j.stream = ff_cuda_stream(be);
    int vector = 16 / (int)ff_dtype_size(a->qkvg.dtype);
    if (ff_tensor_present(&a->bias)) {
        FF_ASSERT(a->bias.ndim == 3 && a->bias.dtype == a->qkvg.dtype && a->bias.stride[2] == 1);
        FF_ASSERT(a->bias.shape[0] == j.n_head && a->bias.shape[1] == j.length && a->bias.shape[2] == j.length);
        j.bias = a->bias.data;
        j.bias_h = a->bias.stride[0];
        j.bias_i = a->bias.stride[1];
        j.bias_aligned = (uintptr_t)j.bias % 16 == 0 && j.bias_h % vector == 0 && j.bias_i % vector == 0;
    }
    /* Heads start at multiples of d numbers: of 16 bytes where d is. */
    bool fast = j.d % vector == 0 && ff_cuda_aligned(&a->qkvg, vector) && ff_cuda_aligned(&a->out, vector);
    const bool wide = a->qkvg.dtype == FF_F32, wgmma = ff_cuda_has_wgmma(be);
    j.half = a->qkvg.dtype == FF_F16;
    if (fast && wgmma && (wide ? ff_cuda_attention_fp32_wgmma(&j) : ff_cuda_attention_wgmma(&j)))
        return;
    if (fast && (wide ? ff_cuda_attention_fp32(&j) : ff_cuda_attention_mma(&j)))
        return;
    int64_t warps = (int64_t)j.n_row * j.n_head * j.length;
    ff_cuda_with_stored(a->qkvg.dtype,
                        [&](auto t) { plain_kernel<decltype(t)><<<ff_blocks(warps, 4), 128, 0, j.stream>>>(j); });
    FF_CUDA_LAUNCHED();
}
