/* SPDX-License-Identifier: Apache-2.0
 * embed: the embeddings. One-hot features times a weight matrix are sums of its rows, so no feature is ever written.
 *
 * Every op is  out[i, j, :] (+)= rows of weights chosen by (i, j)  and differs only in that choice, so there is one
 * kernel, embed_kernel, that a small functor completes. Shapes: out [I, J, c], any strides on I and J. Work: a thread
 * owns V channels of one pair, neighbouring threads the next channels, then the next j; blockIdx.y walks over i. No
 * shared memory. Cost: out is read (where it is added to) and written once, weights come from the caches; bound by
 * memory. Numerics: sums in float32, one rounding to the type of out. V is 16 bytes of out where everything is aligned,
 * else 1.
 *
 * Source: Jumper et al. 2021, Suppl. Alg. 2 to 4 and 32; Evans et al. 2021; AlphaFold model/modules.py and
 * modules_multimer.py (relative encoding, dgram_from_positions, SingleTemplateEmbedding). Reference: ops_cpu_embed.c.
 */
#include "common.cuh"

namespace {

constexpr int threads = 256;
constexpr int max_bin = 128;
constexpr int msa_letters = 23;
constexpr int aatypes = 22;

/* x[v] += factor * row[v] */
template <int V>
__device__ __forceinline__ void add_row(float (&x)[V], const float *row, float factor)
{
    if constexpr (V >= 4) {
#pragma unroll
        for (int v = 0; v < V; v += 4) {
            float4 r = *(const float4 *)(row + v);
            x[v] += factor * r.x;
            x[v + 1] += factor * r.y;
            x[v + 2] += factor * r.z;
            x[v + 3] += factor * r.w;
        }
    } else {
        x[0] += factor * row[0];
    }
}

template <typename T, int V>
__device__ __forceinline__ void load_vector(float (&x)[V], const T *p)
{
    if constexpr (V == 1) {
        x[0] = (float)p[0];
    } else {
        union { uint4 bits; T value[V]; } u;
        u.bits = *(const uint4 *)p;
#pragma unroll
        for (int v = 0; v < V; v++)
            x[v] = (float)u.value[v];
    }
}

template <typename T, int V>
__device__ __forceinline__ void store_vector(T *p, const float (&x)[V])
{
    if constexpr (V == 1) {
        p[0] = (T)x[0];
    } else {
        union { uint4 bits; T value[V]; } u;
#pragma unroll
        for (int v = 0; v < V; v++)
            u.value[v] = (T)x[v];
        *(uint4 *)p = u.bits;
    }
}

struct pair_view {
    void *data;
    int64_t stride_i, stride_j;
    int64_t n_i;
    int n_j, c;
};

template <typename T, int V, bool accumulate, typename Rows>
__global__ void __launch_bounds__(threads) embed_kernel(pair_view out, const __grid_constant__ Rows rows)
{
    int units = out.c / V;
    int64_t unit = (int64_t)blockIdx.x * threads + threadIdx.x;
    int j = (int)(unit / units), k = (int)(unit % units) * V;
    if (j >= out.n_j)
        return;
    for (int64_t i = blockIdx.y; i < out.n_i; i += gridDim.y) {
        T *o = (T *)out.data + i * out.stride_i + j * out.stride_j + k;
        float x[V];
        if constexpr (accumulate) {
            load_vector<T, V>(x, o);
        } else {
#pragma unroll
            for (int v = 0; v < V; v++)
                x[v] = 0.0f;
        }
        rows.template add<V>(x, i, j, k);
        store_vector<T, V>(o, x);
    }
}

bool aligned16(const void *p) { return ((uintptr_t)p & 15) == 0; }

template <typename T, int V, bool accumulate, typename Rows>
void launch(struct ff_backend *be, const pair_view &out, const Rows &rows)
{
    int64_t blocks = ((int64_t)out.n_j * (out.c / V) + threads - 1) / threads;
    dim3 grid((unsigned)blocks, (unsigned)(out.n_i < 65535 ? out.n_i : 65535));
    embed_kernel<T, V, accumulate, Rows><<<grid, threads, 0, ff_cuda_stream(be)>>>(out, rows);
    FF_CUDA_LAUNCHED();
}

/* plain: the weights' rows are aligned too. */
template <bool accumulate, typename Rows>
void embed(struct ff_backend *be, const struct ff_tensor *out, bool weights_aligned, const Rows &rows)
{
    FF_ASSERT(out->ndim == 3 && (out->dtype == FF_F32 || out->dtype == FF_BF16));
    pair_view v = {out->data, out->stride[0], out->stride[1], out->shape[0], (int)out->shape[1], (int)out->shape[2]};
    bool wide = weights_aligned && aligned16(out->data) && v.c % 8 == 0 && v.stride_i % 8 == 0 && v.stride_j % 8 == 0;
    if (v.n_i == 0 || v.n_j == 0)
        return;
    if (out->dtype == FF_BF16) {
        if (wide)
            launch<bf16, 8, accumulate>(be, v, rows);
        else
            launch<bf16, 1, accumulate>(be, v, rows);
    } else {
        if (wide)
            launch<float, 4, accumulate>(be, v, rows);
        else
            launch<float, 1, accumulate>(be, v, rows);
    }
}

const float *weights_of(const struct ff_tensor *t)
{
    FF_ASSERT(t->dtype == FF_F32);
    return (const float *)t->data;
}

struct vector_view {             /* one number per residue */
    const void *data;
    int64_t stride;
    __device__ int integer(int64_t i) const { return ((const int32_t *)data)[i * stride]; }
    __device__ float number(int64_t i) const { return ((const float *)data)[i * stride]; }
    __device__ const float *row(int64_t i) const { return (const float *)data + i * stride; }
};

vector_view vector_of(const struct ff_tensor *t)
{
    return {t->data, t->ndim > 0 ? t->stride[0] : 0};
}

/* --- outer sum --- */

template <typename T>
struct outer_sum_rows {
    vector_view left, right;     /* [I, c] of T or nothing, [J, c] of T */
    template <int V>
    __device__ void add_typed(float (&x)[V], const T *row) const
    {
#pragma unroll
        for (int v = 0; v < V; v++)
            x[v] += (float)row[v];
    }
    template <int V>
    __device__ void add(float (&x)[V], int64_t i, int j, int k) const
    {
        if (left.data)
            add_typed(x, (const T *)left.data + i * left.stride + k);
        add_typed(x, (const T *)right.data + j * right.stride + k);
    }
};

/* --- relative position --- */

/* from - to + half, clipped to [0, 2 half]; the difference of two int32 can be too large for one. */
__device__ __forceinline__ int clipped_offset(int from, int to, int half)
{
    int64_t x = (int64_t)from - to + half;
    return x < 0 ? 0 : x > 2 * half ? 2 * half : (int)x;
}

struct relative_rows {
    vector_view index_i, index_j, asym_i, asym_j, entity_i, entity_j, sym_i, sym_j;
    const float *w, *b;
    int c, max_index, max_chain;
    template <int V>
    __device__ void add(float (&x)[V], int64_t i, int j, int k) const
    {
        int bin = clipped_offset(index_i.integer(i), index_j.integer(j), max_index);
        add_row(x, b + k, 1.0f);
        if (!asym_i.data) {
            add_row(x, w + (int64_t)bin * c + k, 1.0f);
            return;
        }
        bool same_chain = asym_i.integer(i) == asym_j.integer(j);
        bool same_entity = entity_i.integer(i) == entity_j.integer(j);
        int chain = clipped_offset(sym_i.integer(i), sym_j.integer(j), max_chain);
        add_row(x, w + (int64_t)(same_chain ? bin : 2 * max_index + 1) * c + k, 1.0f);
        if (same_entity)
            add_row(x, w + (int64_t)(2 * max_index + 2) * c + k, 1.0f);
        add_row(x, w + (int64_t)(2 * max_index + 3 + (same_entity ? chain : 2 * max_chain + 1)) * c + k, 1.0f);
    }
};

/* --- distances --- */

struct bins {
    int n;
    float lower[max_bin + 1];    /* squared lower borders [n], then 1e8 */
};

/* Borders as the published program has them: interpolated between the ends, squared, each step rounded to float32. */
bins bins_make(float min_bin, float top_bin, int64_t n)
{
    bins b;
    FF_ASSERT(n >= 1 && n <= max_bin);
    b.n = (int)n;
    for (int64_t k = 0; k < n; k++) {
        volatile float step = n > 1 ? (float)k / (float)(n - 1) : 0.0f;
        volatile float low = min_bin * (1.0f - step), high = top_bin * step;   /* volatile: no fused multiply-add */
        float x = n > 1 && k == n - 1 ? top_bin : low + high;
        b.lower[k] = x * x;
    }
    b.lower[n] = 1e8f;
    return b;
}

/* The bin of |x - y|^2, or -1 where no bin has it: below all, on a border, beyond the last, not a number. */
__device__ __forceinline__ int bin_of(const bins &b, const float *x, const float *y)
{
    float dx = x[0] - y[0], dy = x[1] - y[1], dz = x[2] - y[2];
    float d2 = dx * dx + dy * dy + dz * dz;
    int bin = -1;
    for (int k = 0; k < b.n; k++)
        if (d2 > b.lower[k] && d2 < b.lower[k + 1])
            bin = k;
    return bin;
}

struct distance_rows {
    vector_view x_i, x_j;        /* [I, 3], [J, 3] */
    const float *w, *b;
    int c;
    bins border;
    template <int V>
    __device__ void add(float (&x)[V], int64_t i, int j, int k) const
    {
        int bin = bin_of(border, x_i.row(i), x_j.row(j));
        add_row(x, b + k, 1.0f);
        if (bin >= 0)
            add_row(x, w + (int64_t)bin * c + k, 1.0f);
    }
};

/* --- extra MSA --- */

struct extra_msa_rows {
    const int32_t *msa;          /* each [S, N] with its strides */
    const float *has, *value;
    int64_t msa_stride[2], has_stride[2], value_stride[2];
    const float *w, *b;
    int c;
    template <int V>
    __device__ void add(float (&x)[V], int64_t i, int j, int k) const
    {
        int letter = msa[i * msa_stride[0] + j * msa_stride[1]];
        if (letter >= 0 && letter < msa_letters)             /* one_hot of anything else is zero */
            add_row(x, w + (int64_t)letter * c + k, 1.0f);
        add_row(x, w + (int64_t)msa_letters * c + k, has[i * has_stride[0] + j * has_stride[1]]);
        add_row(x, w + (int64_t)(msa_letters + 1) * c + k, value[i * value_stride[0] + j * value_stride[1]]);
        add_row(x, b + k, 1.0f);
    }
};

/* --- template pairs --- */

/* R^T t of frame f, and R^T (-t), each in its own order of rounding: see unit_vector. */
__device__ __forceinline__ float to_local(const float *f, const float *t, int k)
{
    return __fmaf_rn(f[6 + k], t[2], __fmaf_rn(f[k], t[0], __fmul_rn(f[3 + k], t[1])));
}
__device__ __forceinline__ float minus_origin(const float *f, int k)
{
    return __fmaf_rn(f[6 + k], -f[11], __fmaf_rn(f[3 + k], -f[10], __fmul_rn(f[k], -f[9])));
}

/* Direction of the origin of frame y seen from frame x, as ops.h defines it. The program for complexes applies the
 * inverse frame, R^T t_y + R^T (-t_x), and clamps the length at 1e-6 only. For a residue with itself the two products
 * cancel but for their rounding, and what is left passes for a direction; so the products are rounded as they are
 * there. */
__device__ __forceinline__ void unit_vector(float (&u)[3], const float *x, const float *y, bool clamp_norm)
{
    float d0 = y[9] - x[9], d1 = y[10] - x[10], d2 = y[11] - x[11];
#pragma unroll
    for (int k = 0; k < 3; k++)
        u[k] = clamp_norm ? __fadd_rn(to_local(x, y + 9, k), minus_origin(x, k))
                          : x[k] * d0 + x[3 + k] * d1 + x[6 + k] * d2;
    float length2 = u[0] * u[0] + u[1] * u[1] + u[2] * u[2];
    float length = sqrtf(clamp_norm ? fmaxf(length2, 1e-12f) : length2 + 1e-6f);
#pragma unroll
    for (int k = 0; k < 3; k++)
        u[k] /= length;
}

struct template_rows {
    vector_view aatype_i, aatype_j, pseudo_beta_i, pseudo_beta_j, pb_mask_i, pb_mask_j, frame_i, frame_j, bb_mask_i,
        bb_mask_j, asym_i, asym_j;
    const float *w_dgram, *w_pb, *w_aatype_j, *w_aatype_i, *w_unit, *w_bb, *b;
    int c;
    bool mask_all, clamp_norm;
    bins border;
    template <int V>
    __device__ void add(float (&x)[V], int64_t i, int j, int k) const
    {
        float same = !asym_i.data || asym_i.integer(i) == asym_j.integer(j) ? 1.0f : 0.0f;
        float pb = pb_mask_i.number(i) * pb_mask_j.number(j) * same;
        float bb = bb_mask_i.number(i) * bb_mask_j.number(j) * same;
        float all = mask_all ? bb : 1.0f;
        add_row(x, b + k, 1.0f);
        if (all == 0.0f)
            return;
        int type_i = aatype_i.integer(i), type_j = aatype_j.integer(j);
        if (type_i >= 0 && type_i < aatypes)
            add_row(x, w_aatype_i + (int64_t)type_i * c + k, all);
        if (type_j >= 0 && type_j < aatypes)
            add_row(x, w_aatype_j + (int64_t)type_j * c + k, all);
        int bin = bin_of(border, pseudo_beta_i.row(i), pseudo_beta_j.row(j));
        if (bin >= 0)
            add_row(x, w_dgram + (int64_t)bin * c + k, mask_all ? all : pb);
        add_row(x, w_pb + k, all * pb);
        add_row(x, w_bb + k, all * bb);
        if (w_unit && bb != 0.0f) {
            float u[3];
            unit_vector(u, frame_i.row(i), frame_j.row(j), clamp_norm);
#pragma unroll
            for (int d = 0; d < 3; d++)
                add_row(x, w_unit + (int64_t)d * c + k, all * u[d] * bb);
        }
    }
};

template <typename T>
void outer_sum(struct ff_backend *be, const struct ff_outer_sum_args *a)
{
    outer_sum_rows<T> rows = {vector_of(&a->left), vector_of(&a->right)};
    embed<true>(be, &a->out, true, rows);
}

} // namespace

extern "C" void ff_cuda_outer_sum(struct ff_backend *be, const struct ff_outer_sum_args *a)
{
    FF_ASSERT(a->out.ndim == 3 && a->right.shape[1] == a->out.shape[2] && a->right.shape[0] == a->out.shape[1]);
    FF_ASSERT(a->left.ndim == 0 || (a->left.shape[0] == a->out.shape[0] && a->left.shape[1] == a->out.shape[2] &&
                                    a->left.dtype == a->right.dtype));
    if (a->right.dtype == FF_BF16)
        outer_sum<bf16>(be, a);
    else
        outer_sum<float>(be, a);
}

extern "C" void ff_cuda_relative_position(struct ff_backend *be, const struct ff_relative_position_args *a)
{
    int64_t k = a->max_relative_idx, m = a->max_relative_chain;
    FF_ASSERT(a->out.ndim == 3 && a->w.shape[1] == a->out.shape[2] && a->b.shape[0] == a->w.shape[1]);
    FF_ASSERT(a->w.shape[0] == (a->asym_i.ndim > 0 ? 2 * k + 2 + 1 + 2 * m + 2 : 2 * k + 1));
    FF_ASSERT(a->index_i.shape[0] == a->out.shape[0] && a->index_j.shape[0] == a->out.shape[1]);
    FF_ASSERT(a->index_i.dtype == FF_I32 && a->index_j.dtype == FF_I32);
    relative_rows rows = {
        vector_of(&a->index_i), vector_of(&a->index_j), vector_of(&a->asym_i), vector_of(&a->asym_j),
        vector_of(&a->entity_i), vector_of(&a->entity_j), vector_of(&a->sym_i), vector_of(&a->sym_j),
        weights_of(&a->w), weights_of(&a->b), (int)a->w.shape[1], (int)k, (int)m,
    };
    embed<true>(be, &a->out, aligned16(rows.w) && aligned16(rows.b), rows);
}

extern "C" void ff_cuda_distance_embed(struct ff_backend *be, const struct ff_distance_embed_args *a)
{
    FF_ASSERT(a->out.ndim == 3 && a->w.shape[1] == a->out.shape[2] && a->b.shape[0] == a->w.shape[1]);
    FF_ASSERT(a->x_i.shape[0] == a->out.shape[0] && a->x_j.shape[0] == a->out.shape[1]);
    FF_ASSERT(a->x_i.shape[1] == 3 && a->x_j.shape[1] == 3);
    distance_rows rows = {vector_of(&a->x_i), vector_of(&a->x_j), weights_of(&a->w), weights_of(&a->b),
                          (int)a->w.shape[1], bins_make(a->min_bin, a->max_bin, a->w.shape[0])};
    embed<true>(be, &a->out, aligned16(rows.w) && aligned16(rows.b), rows);
}

extern "C" void ff_cuda_extra_msa_embed(struct ff_backend *be, const struct ff_extra_msa_embed_args *a)
{
    FF_ASSERT(a->out.ndim == 3 && a->w.shape[1] == a->out.shape[2] && a->w.shape[0] == msa_letters + 2);
    FF_ASSERT(a->b.shape[0] == a->w.shape[1] && a->msa.ndim == 2 && a->msa.dtype == FF_I32);
    FF_ASSERT(a->msa.shape[0] == a->out.shape[0] && a->msa.shape[1] == a->out.shape[1]);
    FF_ASSERT(ff_tensor_same_shape(&a->msa, &a->has_deletion) && ff_tensor_same_shape(&a->msa, &a->deletion_value));
    extra_msa_rows rows = {
        (const int32_t *)a->msa.data, weights_of(&a->has_deletion), weights_of(&a->deletion_value),
        {a->msa.stride[0], a->msa.stride[1]}, {a->has_deletion.stride[0], a->has_deletion.stride[1]},
        {a->deletion_value.stride[0], a->deletion_value.stride[1]},
        weights_of(&a->w), weights_of(&a->b), (int)a->w.shape[1],
    };
    embed<false>(be, &a->out, aligned16(rows.w) && aligned16(rows.b), rows);
}

extern "C" void ff_cuda_template_pair_embed(struct ff_backend *be, const struct ff_template_pair_embed_args *a)
{
    int64_t n_i = a->out.shape[0], n_j = a->out.shape[1], c = a->out.shape[2];
    FF_ASSERT(a->out.ndim == 3 && a->w_dgram.shape[1] == c && a->b.shape[0] == c);
    FF_ASSERT(a->w_pb_mask.shape[0] == c && a->w_bb_mask.shape[0] == c);
    FF_ASSERT(a->w_aatype_i.shape[0] == aatypes && a->w_aatype_j.shape[0] == aatypes);
    FF_ASSERT(a->w_aatype_i.shape[1] == c && a->w_aatype_j.shape[1] == c);
    FF_ASSERT(a->w_unit.ndim == 0 || (a->w_unit.shape[0] == 3 && a->w_unit.shape[1] == c));
    FF_ASSERT(a->aatype_i.shape[0] == n_i && a->aatype_j.shape[0] == n_j);
    FF_ASSERT(a->pseudo_beta_i.shape[0] == n_i && a->pseudo_beta_j.shape[0] == n_j);
    FF_ASSERT(a->frame_i.shape[0] == n_i && a->frame_j.shape[0] == n_j);
    FF_ASSERT(a->backbone_mask_i.shape[0] == n_i && a->backbone_mask_j.shape[0] == n_j);
    FF_ASSERT(a->pseudo_beta_mask_i.shape[0] == n_i && a->pseudo_beta_mask_j.shape[0] == n_j);
    template_rows rows = {
        vector_of(&a->aatype_i), vector_of(&a->aatype_j), vector_of(&a->pseudo_beta_i), vector_of(&a->pseudo_beta_j),
        vector_of(&a->pseudo_beta_mask_i), vector_of(&a->pseudo_beta_mask_j), vector_of(&a->frame_i),
        vector_of(&a->frame_j), vector_of(&a->backbone_mask_i), vector_of(&a->backbone_mask_j), vector_of(&a->asym_i),
        vector_of(&a->asym_j), weights_of(&a->w_dgram), weights_of(&a->w_pb_mask), weights_of(&a->w_aatype_j),
        weights_of(&a->w_aatype_i), a->w_unit.ndim > 0 ? weights_of(&a->w_unit) : nullptr, weights_of(&a->w_bb_mask),
        weights_of(&a->b), (int)c, a->mask_all, a->clamp_norm,
        bins_make(a->min_bin, a->max_bin, a->w_dgram.shape[0]),
    };
    bool wide = aligned16(rows.w_dgram) && aligned16(rows.w_pb) && aligned16(rows.w_aatype_j) &&
                aligned16(rows.w_aatype_i) && aligned16(rows.w_unit) && aligned16(rows.w_bb) && aligned16(rows.b);
    embed<false>(be, &a->out, wide, rows);
}
