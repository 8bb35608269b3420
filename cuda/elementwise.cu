/* SPDX-License-Identifier: Apache-2.0
 * elementwise: copy, fill, scale_add, and the way from tiles back into strided rows. One thread per 4 numbers where
 * addresses allow it, per number otherwise.
 */
#include <algorithm>

#include "common.cuh"

namespace {

/* A tensor's rows as a kernel sees them: element i of row r is p[rows.at(r) + i * step]. */
template <class T> struct span {
    T *p;
    struct ff_cuda_rows rows;
};

struct extent {
    unsigned rows, n;            /* n: numbers of a row in units of the vector length */
};

/* Calls f(row, first column) for every vector of W numbers. */
template <int W, class F> __global__ void __launch_bounds__(256) each_kernel(extent e, F f)
{
    uint64_t total = (uint64_t)e.rows * e.n;
    for (uint64_t i = blockIdx.x * 256ull + threadIdx.x; i < total; i += gridDim.x * 256ull) {
        unsigned r = total <= 0xffffffffu ? (unsigned)i / e.n : (unsigned)(i / e.n);
        f(r, (unsigned)(i - (uint64_t)r * e.n) * W);
    }
}

template <int W, class F> void each(struct ff_backend *be, int64_t rows, int64_t n, F f)
{
    if (rows * n == 0)
        return;
    extent e = {(unsigned)rows, (unsigned)(n / W)};
    unsigned blocks = (unsigned)std::min<int64_t>((rows * (n / W) + 255) / 256, 132 * 64);
    each_kernel<W><<<blocks, 256, 0, ff_cuda_stream(be)>>>(e, f);
    FF_CUDA_LAUNCHED();
}

template <int W, class T> __device__ __forceinline__ void get(float (&v)[W], const T *p)
{
    if (W == 4) {
        float4 t = load4(p);
        v[0] = t.x, v[W > 1 ? 1 : 0] = t.y, v[W > 2 ? 2 : 0] = t.z, v[W > 3 ? 3 : 0] = t.w;
    } else {
        v[0] = to_float(p[0]);
    }
}
template <int W, class T> __device__ __forceinline__ void put(T *p, const float (&v)[W])
{
    if (W == 4)
        store4(p, make_float4(v[0], v[W > 1 ? 1 : 0], v[W > 2 ? 2 : 0], v[W > 3 ? 3 : 0]));
    else
        p[0] = from_float<T>(v[0]);
}

template <int W, class Y, class X> struct axpy {
    span<Y> out;
    span<const X> x;             /* p NULL: none */
    float alpha, beta;
    __device__ void operator()(unsigned r, unsigned c) const
    {
        Y *to = out.p + out.rows.at(r) + c;
        float v[W] = {}, old[W] = {};
        if (x.p)
            get<W>(v, x.p + x.rows.at(r) + c);
        if (alpha != 0.0f)
            get<W>(old, to);
#pragma unroll
        for (int i = 0; i < W; i++)
            v[i] = alpha != 0.0f ? alpha * old[i] + beta * v[i] : beta * v[i];
        put<W>(to, v);
    }
};

/* Bits as they are: int32, and numbers whose type does not change. */
template <class T> struct bits {
    span<T> out;
    span<const T> x;
    __device__ void operator()(unsigned r, unsigned c) const { out.p[out.rows.at(r) + c] = x.p[x.rows.at(r) + c]; }
};

template <class T> struct set_to {
    span<T> out;
    T value;
    __device__ void operator()(unsigned r, unsigned c) const { out.p[out.rows.at(r) + c] = value; }
};

template <int W, class Y, class X> struct store {
    span<Y> out;
    const X *tile;
    int64_t ld;
    unsigned row;
    const float *b, *mask;
    struct ff_cuda_rows mask_rows;
    bool relu, accumulate;
    __device__ void operator()(unsigned r, unsigned c) const
    {
        Y *to = out.p + out.rows.at(row + r) + c;
        float v[W], old[W] = {}, factor = mask ? mask[mask_rows.at(row + r)] : 1.0f;
        get<W>(v, tile + r * ld + c);
        if (accumulate)
            get<W>(old, to);
#pragma unroll
        for (int i = 0; i < W; i++) {
            v[i] += b ? b[c + i] : 0.0f;
            v[i] = relu ? fmaxf(v[i], 0.0f) : v[i];
            v[i] = accumulate ? old[i] + factor * v[i] : factor * v[i];
        }
        put<W>(to, v);
    }
};

template <class T> span<T> span_of(const struct ff_tensor *t)
{
    return {(T *)t->data, ff_cuda_rows_of(t, t->ndim - 1)};
}

}  // namespace

static void scale_add(struct ff_backend *be, const struct ff_tensor *out, const struct ff_tensor *x, float alpha,
                      float beta)
{
    int axes = out->ndim - 1;
    int64_t rows = ff_cuda_row_count(out, axes), n = out->shape[axes];
    bool given = x && ff_tensor_present(x), vectors = ff_cuda_aligned(out, 4) && (!given || ff_cuda_aligned(x, 4));
    ff_cuda_with_stored(out->dtype, [&](auto ty) {
        ff_cuda_with_stored(given ? x->dtype : FF_F32, [&](auto tx) {
            using Y = decltype(ty);
            using X = decltype(tx);
            span<const X> from = {NULL, {}};
            if (given)
                from = span_of<const X>(x);
            if (vectors)
                each<4>(be, rows, n, axpy<4, Y, X>{span_of<Y>(out), from, alpha, beta});
            else
                each<1>(be, rows, n, axpy<1, Y, X>{span_of<Y>(out), from, alpha, beta});
        });
    });
}

template <class T> static void copy_bits(struct ff_backend *be, const struct ff_copy_args *a, int size)
{
    int axes = a->out.ndim - 1;
    struct ff_tensor out = a->out, x = a->x;
    /* In units of T: every stride and length was found to be a multiple of them. */
    int units = (int)sizeof(T) / size;
    for (int d = 0; d < axes; d++) {
        out.stride[d] /= units;
        x.stride[d] /= units;
    }
    each<1>(be, ff_cuda_row_count(&out, axes), out.shape[axes] / units,
            bits<T>{span_of<T>(&out), span_of<const T>(&x)});
}

extern "C" void ff_cuda_copy(struct ff_backend *be, const struct ff_copy_args *a)
{
    FF_ASSERT(ff_tensor_same_shape(&a->out, &a->x));
    if (a->out.dtype != a->x.dtype) {
        scale_add(be, &a->out, &a->x, 0.0f, 1.0f);
        return;
    }
    int size = (int)ff_dtype_size(a->out.dtype);
    FF_ASSERT(((uintptr_t)a->out.data | (uintptr_t)a->x.data) % (uintptr_t)size == 0);
    if (ff_cuda_aligned(&a->out, 16 / size) && ff_cuda_aligned(&a->x, 16 / size))
        copy_bits<uint4>(be, a, size);
    else if (size == 4)
        copy_bits<uint32_t>(be, a, size);
    else
        copy_bits<uint16_t>(be, a, size);
}

extern "C" void ff_cuda_fill(struct ff_backend *be, const struct ff_fill_args *a)
{
    int axes = a->out.ndim - 1;
    int64_t rows = ff_cuda_row_count(&a->out, axes), n = a->out.shape[axes];
    if (a->out.dtype == FF_I32)
        each<1>(be, rows, n, set_to<int32_t>{span_of<int32_t>(&a->out), (int32_t)a->value});
    else if (a->out.dtype == FF_BF16)
        each<1>(be, rows, n, set_to<bf16>{span_of<bf16>(&a->out), __float2bfloat16_rn(a->value)});
    else
        each<1>(be, rows, n, set_to<float>{span_of<float>(&a->out), a->value});
}

extern "C" void ff_cuda_scale_add(struct ff_backend *be, const struct ff_scale_add_args *a)
{
    FF_ASSERT(!ff_tensor_present(&a->x) || ff_tensor_same_shape(&a->out, &a->x));
    scale_add(be, &a->out, &a->x, a->alpha, a->beta);
}

void ff_cuda_store_rows(struct ff_backend *be, const struct ff_tensor *out, int64_t row, int64_t rows, const void *tile,
                        enum ff_dtype tile_type, int64_t ld, const struct ff_cuda_store *how)
{
    int64_t n = out->shape[out->ndim - 1];
    bool masked = how->mask && ff_tensor_present(how->mask);
    struct ff_cuda_rows mask_rows = {};
    if (masked)
        mask_rows = ff_cuda_rows_of(how->mask, how->mask->ndim);
    const float *mask = masked ? (const float *)how->mask->data : NULL;
    bool vectors = ff_cuda_aligned(out, 4) && (uintptr_t)tile % 16 == 0 && ld % 4 == 0;
    ff_cuda_with_stored(out->dtype, [&](auto ty) {
        ff_cuda_with_type(tile_type, [&](auto tx) {
            using Y = decltype(ty);
            using X = decltype(tx);
            if (vectors)
                each<4>(be, rows, n,
                        store<4, Y, X>{span_of<Y>(out), (const X *)tile, ld, (unsigned)row, how->b, mask, mask_rows,
                                       how->relu, how->accumulate});
            else
                each<1>(be, rows, n,
                        store<1, Y, X>{span_of<Y>(out), (const X *)tile, ld, (unsigned)row, how->b, mask, mask_rows,
                                       how->relu, how->accumulate});
        });
    });
}
