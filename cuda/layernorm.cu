/* SPDX-License-Identifier: Apache-2.0
 * layernorm: layer norm of strided rows, alone and on the way into a tile.
 *
 * Several threads of one warp per row, the whole row in registers: one pass over memory. Rows that are short, long or
 * at odd addresses go through a plain loop. Mean and variance are in float32, the variance by a second pass over the
 * registers.
 */
#include <algorithm>

#include "common.cuh"

namespace {

struct job {
    struct ff_cuda_rows x, y;
    unsigned first;              /* number of the first row in x and y */
    unsigned y_first;
    unsigned rows;
    int c, ld;                   /* columns c .. ld - 1 of y become 0 */
    const float *scale, *offset; /* NULL: no norm */
    bool relu, accumulate;
};

/* THREADS threads per row, each with V vectors of 4: c <= 4 * V * THREADS, c % 4 == 0. */
template <class X, class Y, int V, int THREADS>
__global__ void __launch_bounds__(256) vector_kernel(job j, const X *x, Y *y)
{
    const int lane = threadIdx.x % THREADS;
    const unsigned per_block = 256 / THREADS;
    unsigned r = blockIdx.x * per_block + threadIdx.x / THREADS;
    bool alive = r < j.rows;
    if (!alive)
        r = j.rows - 1;                              /* all threads of a warp take part in the sums */
    const X *from = x + j.x.at(j.first + r);
    float4 v[V];
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < V; i++) {
        int c = (i * THREADS + lane) * 4;
        v[i] = c < j.c ? load4(from + c) : make_float4(0, 0, 0, 0);
        sum += (v[i].x + v[i].y) + (v[i].z + v[i].w);
    }
    if (j.scale) {
        for (int d = THREADS / 2; d > 0; d >>= 1)
            sum += __shfl_xor_sync(0xffffffffu, sum, d);
        float mean = sum / (float)j.c, square = 0.0f;
#pragma unroll
        for (int i = 0; i < V; i++) {
            if ((i * THREADS + lane) * 4 >= j.c)
                continue;
            v[i].x -= mean;
            v[i].y -= mean;
            v[i].z -= mean;
            v[i].w -= mean;
            square += (v[i].x * v[i].x + v[i].y * v[i].y) + (v[i].z * v[i].z + v[i].w * v[i].w);
        }
        for (int d = THREADS / 2; d > 0; d >>= 1)
            square += __shfl_xor_sync(0xffffffffu, square, d);
        float inverse = rsqrtf(square / (float)j.c + 1e-5f);
#pragma unroll
        for (int i = 0; i < V; i++) {
            int c = (i * THREADS + lane) * 4;
            if (c >= j.c)
                continue;
            float4 s = *(const float4 *)(j.scale + c), o = *(const float4 *)(j.offset + c);
            v[i].x = v[i].x * inverse * s.x + o.x;
            v[i].y = v[i].y * inverse * s.y + o.y;
            v[i].z = v[i].z * inverse * s.z + o.z;
            v[i].w = v[i].w * inverse * s.w + o.w;
        }
    }
    if (!alive)
        return;
    Y *to = y + j.y.at(j.y_first + r);
#pragma unroll
    for (int i = 0; i < V; i++) {
        int c = (i * THREADS + lane) * 4;
        if (c >= j.c)
            continue;
        float4 t = v[i];
        if (j.relu)
            t = make_float4(fmaxf(t.x, 0), fmaxf(t.y, 0), fmaxf(t.z, 0), fmaxf(t.w, 0));
        if (j.accumulate) {
            float4 old = load4(to + c);
            t = make_float4(old.x + t.x, old.y + t.y, old.z + t.z, old.w + t.w);
        }
        store4(to + c, t);
    }
}

/* Any length and alignment; one warp per row. */
template <class X, class Y> __global__ void __launch_bounds__(256) plain_kernel(job j, const X *x, Y *y)
{
    const int lane = threadIdx.x % 32;
    unsigned r = blockIdx.x * 8 + threadIdx.x / 32;
    if (r >= j.rows)
        return;
    const X *from = x + j.x.at(j.first + r);
    Y *to = y + j.y.at(j.y_first + r);
    float mean = 0.0f, inverse = 1.0f;
    if (j.scale) {
        for (int c = lane; c < j.c; c += 32)
            mean += to_float(from[c]);
        mean = warp_sum(mean) / (float)j.c;
        float square = 0.0f;
        for (int c = lane; c < j.c; c += 32) {
            float d = to_float(from[c]) - mean;
            square += d * d;
        }
        inverse = rsqrtf(warp_sum(square) / (float)j.c + 1e-5f);
    }
    for (int c = lane; c < j.ld; c += 32) {
        float v = 0.0f;
        if (c < j.c) {
            v = to_float(from[c]);
            if (j.scale)
                v = (v - mean) * inverse * j.scale[c] + j.offset[c];
            if (j.relu)
                v = fmaxf(v, 0.0f);
            if (j.accumulate)
                v += to_float(to[c]);
        }
        to[c] = from_float<Y>(v);
    }
}

bool float4_aligned(const float *p) { return (uintptr_t)p % 16 == 0; }

}  // namespace

static void run(struct ff_backend *be, const job &j, const struct ff_tensor *x, void *y, enum ff_dtype y_type,
                bool y_aligned)
{
    if (j.rows == 0)
        return;
    bool vectors = y_aligned && ff_cuda_aligned(x, 4) && j.c == j.ld && j.c <= 512 && float4_aligned(j.scale) &&
                   float4_aligned(j.offset);
    cudaStream_t s = ff_cuda_stream(be);
    ff_cuda_with_stored(x->dtype, [&](auto tx) {
        ff_cuda_with_type(y_type, [&](auto ty) {
            using X = decltype(tx);
            using Y = decltype(ty);
            const X *from = (const X *)x->data;
            Y *to = (Y *)y;
            if (!vectors)
                plain_kernel<X, Y><<<ff_blocks(j.rows, 8), 256, 0, s>>>(j, from, to);
            else if (j.c <= 64)
                vector_kernel<X, Y, 2, 8><<<ff_blocks(j.rows, 32), 256, 0, s>>>(j, from, to);
            else if (j.c <= 128)
                vector_kernel<X, Y, 2, 16><<<ff_blocks(j.rows, 16), 256, 0, s>>>(j, from, to);
            else if (j.c <= 256)
                vector_kernel<X, Y, 2, 32><<<ff_blocks(j.rows, 8), 256, 0, s>>>(j, from, to);
            else
                vector_kernel<X, Y, 4, 32><<<ff_blocks(j.rows, 8), 256, 0, s>>>(j, from, to);
        });
    });
    FF_CUDA_LAUNCHED();
}

void ff_cuda_load_rows(struct ff_backend *be, void *y, enum ff_dtype y_type, int64_t ld, const struct ff_tensor *x,
                       int64_t row, int64_t rows, const struct ff_norm *norm, bool relu)
{
    bool normed = norm && ff_tensor_present(&norm->scale);
    job j = {};
    j.x = ff_cuda_rows_of(x, x->ndim - 1);
    j.y = {ld, 0, 0, 1, 1};
    j.first = (unsigned)row;
    j.rows = (unsigned)rows;
    j.c = (int)x->shape[x->ndim - 1];
    j.ld = (int)ld;
    j.scale = normed ? (const float *)norm->scale.data : NULL;
    j.offset = normed ? (const float *)norm->offset.data : NULL;
    j.relu = relu;
    run(be, j, x, y, y_type, (uintptr_t)y % 16 == 0 && ld % 4 == 0);
}

extern "C" void ff_cuda_layer_norm(struct ff_backend *be, const struct ff_layer_norm_args *a)
{
    FF_ASSERT(ff_tensor_same_shape(&a->out, &a->x) && ff_tensor_present(&a->norm.scale));
    int axes = a->x.ndim - 1;
    job j = {};
    j.x = ff_cuda_rows_of(&a->x, axes);
    j.y = ff_cuda_rows_of(&a->out, axes);
    j.rows = (unsigned)ff_cuda_row_count(&a->x, axes);
    j.c = j.ld = (int)a->x.shape[axes];
    j.scale = (const float *)a->norm.scale.data;
    j.offset = (const float *)a->norm.offset.data;
    j.accumulate = a->accumulate;
    run(be, j, &a->x, a->out.data, a->out.dtype, ff_cuda_aligned(&a->out, 4));
}
