/* SPDX-License-Identifier: Apache-2.0
 * triangle_fused: the fused kernels of triangle multiplication, bf16 and float32. Each returns false, having done
 * nothing, where types, sizes or alignment are not its own; triangle.cu then does the work in steps.
 */
#ifndef FF_CUDA_TRIANGLE_FUSED_CUH
#define FF_CUDA_TRIANGLE_FUSED_CUH

#include "common.cuh"

/* How the tiles lie on the pairs. */
struct triangle_tiling {
    int n_i, n_j, shift, tiles_j;        /* tj = 1 << shift */
    unsigned tiles;
    __device__ __forceinline__ void origin(unsigned tile, int rows, int &i0, int &j0) const
    {
        int a = (int)(tile / (unsigned)tiles_j);
        i0 = a * (rows >> shift);
        j0 = (int)(tile - (unsigned)a * (unsigned)tiles_j) << shift;
    }
    __device__ __forceinline__ int i_of(int row) const { return row >> shift; }
    __device__ __forceinline__ int j_of(int row) const { return row & ((1 << shift) - 1); }
};

/* A channel-first tensor, some channels of which may lie elsewhere; the others lie one behind the other. */
template <class T> struct triangle_planes {
    T *others, *apart;
    int64_t c, i, apart_c, apart_i;
    unsigned from, count;                /* channels that lie apart */
    bool wide;                           /* rows may be read and written 16 bytes at a time */
    /* Channel 0 of a pair in either. */
    struct pair {
        T *others, *apart;
    };
    __device__ __forceinline__ pair of(int64_t row, int64_t column) const
    {
        return {others + row * i + column, apart + row * apart_i + column};
    }
    __device__ __forceinline__ T *channel(const pair &p, int k) const
    {
        const unsigned n = (unsigned)k - from;
        return n < count ? p.apart + n * apart_c : p.others + ((unsigned)k < from ? k : k - (int)count) * c;
    }
};

/* A channel-first tensor that is written, whose channels lie in any places. */
template <class T> struct triangle_places {
    struct run {
        T *at;                           /* the first channel's first pair */
        int64_t c, i;
        int from;
    } runs[FF_PLANES_MOST];
    int n;
    bool wide;
    /* A channel. */
    struct place {
        T *first;
        int64_t i;
        __device__ __forceinline__ T *at(int64_t row, int64_t column) const { return first + row * i + column; }
    };
    __device__ __forceinline__ place channel(int c) const
    {
        int r = n - 1;
        while (r > 0 && c < runs[r].from)
            r--;
        return {runs[r].at + (c - runs[r].from) * runs[r].c, runs[r].i};
    }
};

template <class T> struct triangle_project_of {
    triangle_places<T> out;
    const T *z;
    int64_t z_i, z_k;
    const float *mask;
    int64_t mask_i, mask_k;
    const T *w, *gate_w;
    const float *scale, *offset, *b, *gate_b;
    triangle_tiling t;
};
typedef triangle_project_of<bf16> triangle_project_job;

template <class T> struct triangle_output_of {
    T *z;
    int64_t z_i, z_j;
    triangle_planes<const T> x;
    const T *o_w, *gate_w;
    const float *center_scale, *center_offset, *scale, *offset, *o_b, *gate_b;
    triangle_tiling t;
};
typedef triangle_output_of<bf16> triangle_output_job;

/* The widest tile of so many pairs whose waste is within a twentieth of the least. */
struct triangle_tiling ff_cuda_triangle_tiling(const struct ff_tensor *z, int rows);

static inline bool triangle_fits(const struct ff_tensor *z)
{
    return z->shape[0] > 0 && z->shape[1] > 0 && z->shape[0] < 1 << 20 && z->shape[1] < 1 << 20;
}

template <class T> bool triangle_wide(const struct ff_tensor *p)
{
    const int n = 16 / (int)sizeof(T);
    return ((uintptr_t)p->data & 15) == 0 && p->stride[0] % n == 0 && p->stride[1] % n == 0;
}

template <class T> triangle_planes<T> triangle_planes_of(const struct ff_tensor *t, const struct ff_planes *apart)
{
    triangle_planes<T> r = {(T *)t->data, (T *)t->data, t->stride[0], t->stride[1], 0, 0, 0, 0, triangle_wide<T>(t)};
    if (ff_tensor_present(&apart->t)) {
        r.apart = (T *)apart->t.data;
        r.apart_c = apart->t.stride[0];
        r.apart_i = apart->t.stride[1];
        r.from = (unsigned)apart->from;
        r.count = (unsigned)apart->t.shape[0];
        r.wide = r.wide && triangle_wide<T>(&apart->t);
    }
    return r;
}

template <class T> triangle_places<T> triangle_places_of(const struct ff_triangle_project_args *a)
{
    struct ff_planes runs[FF_PLANES_MOST];
    triangle_places<T> places = {};
    places.n = ff_planes_of(&a->out, a->apart, FF_PLANES_APART, runs);
    places.wide = true;
    for (int r = 0; r < places.n; r++) {
        const struct ff_tensor *t = &runs[r].t;
        places.runs[r] = {(T *)t->data, t->stride[0], t->stride[1], (int)runs[r].from};
        places.wide = places.wide && triangle_wide<T>(t);
    }
    return places;
}

template <class T>
triangle_project_of<T> triangle_project_in(const struct ff_triangle_project_args *a, const T *w, const T *gate_w,
                                           int rows)
{
    return {
        triangle_places_of<T>(a),
        (const T *)a->z.data, a->z.stride[0], a->z.stride[1],
        (const float *)a->mask.data, a->mask.stride[0], a->mask.stride[1],
        w, gate_w,
        (const float *)a->norm.scale.data, (const float *)a->norm.offset.data,
        (const float *)a->b.data, (const float *)a->gate_b.data,
        ff_cuda_triangle_tiling(&a->z, rows),
    };
}

template <class T>
triangle_output_of<T> triangle_output_in(const struct ff_triangle_output_args *a, const T *o_w, const T *gate_w,
                                         int rows)
{
    return {
        (T *)a->out.data, a->out.stride[0], a->out.stride[1],
        triangle_planes_of<const T>(&a->x, &a->apart),
        o_w, gate_w,
        (const float *)a->center_norm.scale.data, (const float *)a->center_norm.offset.data,
        (const float *)a->norm.scale.data, (const float *)a->norm.offset.data,
        (const float *)a->o_b.data, (const float *)a->gate_b.data,
        ff_cuda_triangle_tiling(&a->out, rows),
    };
}

/* Launches a persistent kernel, so many blocks per multiprocessor, if its shared memory is to be had on this GPU. */
template <class Shared, class Args>
bool triangle_launch(struct ff_backend *be, void (*kernel)(Args), const Args &args, unsigned threads, unsigned per_sm)
{
    static bool ready = false;           /* per kernel: each has its own Shared and Args */
    if (!ready) {
        int device, most;
        FF_CUDA(cudaGetDevice(&device));
        FF_CUDA(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
        if ((int)sizeof(Shared) > most)
            return false;
        FF_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)sizeof(Shared)));
        ready = true;
    }
    unsigned blocks = per_sm * (unsigned)ff_cuda_sm_count(be);
    blocks = args.t.tiles < blocks ? args.t.tiles : blocks;
    kernel<<<blocks, threads, sizeof(Shared), ff_cuda_stream(be)>>>(args);
    FF_CUDA_LAUNCHED();
    return true;
}

bool ff_cuda_triangle_project_fused(struct ff_backend *be, const struct ff_triangle_project_args *a);
bool ff_cuda_triangle_output_fused(struct ff_backend *be, const struct ff_triangle_output_args *a);
bool ff_cuda_triangle_project_float32(struct ff_backend *be, const struct ff_triangle_project_args *a);
bool ff_cuda_triangle_output_float32(struct ff_backend *be, const struct ff_triangle_output_args *a);

/* The same on GPUs with products of warpgroups, c_z and c_i 64 or 128, for tiles of this many pairs. */
constexpr int triangle_wgmma_rows = 64;
bool ff_cuda_triangle_project_wgmma(struct ff_backend *be, int c_z, int c_i, const triangle_project_job *j);
bool ff_cuda_triangle_output_wgmma(struct ff_backend *be, int c_i, int c_z, const triangle_output_job *j);
/* Of float32 numbers, the other channels 128. */
bool ff_cuda_triangle_project_split(struct ff_backend *be, int c_z, bool tf32, const triangle_project_of<float> &job);
bool ff_cuda_triangle_output_split(struct ff_backend *be, int c_i, bool tf32, const triangle_output_of<float> &job);

#endif
