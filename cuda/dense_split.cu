/* SPDX-License-Identifier: Apache-2.0
 * dense_split: C = mask act(A B + bias) + beta C from split operands, by products of warpgroups (sm_90a); float32 in
 * three products of float16 numbers, tf32 in one.
 *
 * A block, one per multiprocessor, makes tiles of 192 rows, 64 by each of three warpgroups, and 64 or 128 columns; the
 * columns of the same rows follow each other. One thread of a fourth warpgroup starts the copies: a place in the ring
 * has 32 k with both parts, or 64 k with one, of 192 rows and the columns, 40 KiB; five places, so that four are on
 * their way, those of the next tile too while results are stored. The warpgroups need not go in step.
 * Sums: `part` is made by the matrix units, which cut off what a sum loses, over 128 k, the small products first in
 * each 32; it is multiplied with the inverse scale of the row and added to `total`.
 * Results go to memory, or, if they are the left operand of the next product, are split: a warp has all 128 columns of
 * its rows, which get one scale. Of 32 columns lane t = lane % 4 has 8 j + 2 t + e, j < 4; in the operand they follow
 * each other, 16 bytes, and the rows of the next weights are put in the same order.
 * Cost: from the second-level cache both operands once per tile, 4 (192 + N) k bytes for 3 * 2 * 192 N k flops; bound
 * by the products, under tf32 by that cache.
 */
#include <algorithm>

#include "dense_split.cuh"
#include "wgmma.cuh"

namespace {

constexpr int groups = 3, rows = groups * split_group, threads = 128 * (groups + 1);

struct product_job {
    split_operand a, b;
    unsigned m, n;
    unsigned first;              /* row of the job that is row 0 here */
    float *c;
    ff_cuda_rows c_rows, mask_rows;
    unsigned c_first;
    const float *bias, *mask;    /* or NULL */
    bool relu;
    float beta;
    split_operand to;            /* instead of c */
};

template <int N> struct product_shared {
    static constexpr int b_bytes = N * 128, place_bytes = rows * 128 + b_bytes, places = N == 128 ? 5 : 6;
    char place[places][place_bytes];
    uint64_t full[places], empty[places];
};

#ifdef FF_HAVE_WGMMA
struct ring {
    unsigned place, parity;
    template <int places> __device__ __forceinline__ void next()
    {
        if (++place == (unsigned)places) {
            place = 0;
            parity ^= 1u;
        }
    }
};

template <int N, int PARTS> __device__ __forceinline__ void bring(product_shared<N> &s, const product_job &a)
{
    using S = product_shared<N>;
    constexpr unsigned step = 3 - PARTS, a_piece = split_group * 128;        /* blocks of a place */
    const unsigned columns = (a.n + N - 1) / N, tiles = (a.m + rows - 1) / rows * columns;
    ring to = {0, 1};
    for (unsigned tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        const unsigned row0 = tile / columns * rows, column0 = tile % columns * N;
        for (unsigned block = 0; block < a.a.blocks; block += step) {
            char *place = s.place[to.place];
            uint64_t *full = &s.full[to.place];
            barrier_wait(&s.empty[to.place], to.parity);
            barrier_expect(full, S::place_bytes);
#pragma unroll
            for (int g = 0; g < groups; g++)
                bulk_copy(place + g * a_piece, split_place<PARTS>(a.a, split_group, row0 + g * split_group, block),
                          a_piece, full);
            bulk_copy(place + groups * a_piece, split_place<PARTS>(a.b, N, column0, block), S::b_bytes, full);
            to.next<S::places>();
        }
    }
}

/* part (+)= what lies in a place. */
template <int N, int PARTS>
__device__ __forceinline__ void multiply_place(float (&part)[N / 2], unsigned a_address, unsigned b_address, bool add)
{
    constexpr unsigned a_half = split_group * 64, b_half = N * 64;
    const uint64_t a = wgmma_operand<64>(a_address, 0, 512), b = wgmma_operand<64>(b_address, 0, 512);
    auto product = [&](unsigned a_at, unsigned b_at, bool and_add) {
        wgmma_ss<N, WGMMA_K_MAJOR, WGMMA_K_MAJOR, WGMMA_F16>(part, wgmma_advance(a, a_at), wgmma_advance(b, b_at),
                                                             and_add);
    };
    wgmma_fence();
    if (PARTS == 2) {
        product(a_half, 0, add);
        product(a_half + 32, 32, true);
        product(0, b_half, true);
        product(32, b_half + 32, true);
        product(0, 0, true);
        product(32, 32, true);
    } else {
        product(0, 0, add);
        product(32, 32, true);
        product(a_half, b_half, true);
        product(a_half + 32, b_half + 32, true);
    }
    wgmma_commit();
}

/* This thread's results of row r < 2, columns 8 j + 2 t, from y[r] on. */
template <int N, int PARTS>
__device__ __forceinline__ void store_split(const product_job &a, const float (&y)[N / 2], unsigned row0,
                                            unsigned column0)
{
    const unsigned lane = threadIdx.x % 32, t = lane % 4;
#pragma unroll
    for (int r = 0; r < 2; r++) {
        const unsigned row = row0 + 8 * r;
        float most = 0.0f;
#pragma unroll
        for (int j = 0; j < N / 8; j++)
            most = fmaxf(most, fmaxf(fabsf(y[4 * j + 2 * r]), fabsf(y[4 * j + 2 * r + 1])));
        most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 1));
        most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 2));
        const split_scale s = split_scale_of(most);
#pragma unroll
        for (int block = 0; block < N / split_block; block++) {
            unsigned high[4], low[4];
#pragma unroll
            for (int j = 0; j < 4; j++) {
                float v0 = y[16 * block + 4 * j + 2 * r] * s.scale, v1 = y[16 * block + 4 * j + 2 * r + 1] * s.scale;
                high[j] = split_high(v0, v1);
                low[j] = PARTS == 2 ? split_low(v0, v1, high[j]) : 0;
            }
            char *to = split_place<PARTS>(a.to, split_group, row, column0 / split_block + block) +
                       wgmma_swizzled<64>(row % split_group * 64 + t * 16);
            *(uint4 *)to = make_uint4(high[0], high[1], high[2], high[3]);
            if (PARTS == 2)
                *(uint4 *)(to + split_group * 64) = make_uint4(low[0], low[1], low[2], low[3]);
        }
        if (t == 0)
            a.to.inverse[(int64_t)(column0 / split_chunk) * a.to.rows + row] = s.inverse;
    }
}

template <int N>
__device__ __forceinline__ void store(const product_job &a, const float (&y)[N / 2], unsigned row0, unsigned column0)
{
    const unsigned t = threadIdx.x % 4;
#pragma unroll
    for (int r = 0; r < 2; r++) {
        const unsigned row = row0 + 8 * r;
        if (row >= a.m)
            continue;
        const float mask = a.mask ? a.mask[a.mask_rows.at(a.first + row)] : 1.0f;
        float *to = a.c + a.c_rows.at(a.c_first + row) + column0 + 2 * t;
        if (a.beta != 0.0f) {
#pragma unroll
            for (int half = 0; half < N / 8; half += 8) {        /* eight loads under way */
                float2 old[8];
#pragma unroll
                for (int j = 0; j < 8; j++)
                    old[j] = column0 + 8 * (half + j) + 2 * t < a.n ? *(const float2 *)(to + 8 * (half + j))
                                                                    : make_float2(0, 0);
#pragma unroll
                for (int j = 0; j < 8; j++) {
                    const int at = 4 * (half + j) + 2 * r;
                    if (column0 + 8 * (half + j) + 2 * t < a.n)
                        *(float2 *)(to + 8 * (half + j)) = make_float2(fmaf(a.beta, old[j].x, y[at] * mask),
                                                                       fmaf(a.beta, old[j].y, y[at + 1] * mask));
                }
            }
        } else {
#pragma unroll
            for (int j = 0; j < N / 8; j++)
                if (column0 + 8 * j + 2 * t < a.n)
                    *(float2 *)(to + 8 * j) = make_float2(y[4 * j + 2 * r] * mask, y[4 * j + 2 * r + 1] * mask);
        }
    }
}

template <int N, int PARTS, bool SPLIT>
__device__ __forceinline__ void multiply(product_shared<N> &s, const product_job &a, unsigned base, int warp)
{
    using S = product_shared<N>;
    constexpr unsigned step = 3 - PARTS, chunk = split_chunk / split_block;
    const unsigned lane = threadIdx.x % 32, t = lane % 4;
    const unsigned columns = (a.n + N - 1) / N, tiles = (a.m + rows - 1) / rows * columns;
    const unsigned a_base = base + (unsigned)(warp / 4) * (split_group * 128), b_base = base + rows * 128;
    auto release = [&](unsigned place) {
        if (lane == 0)
            barrier_arrive(&s.empty[place]);
    };
    ring from = {0, 0};
#pragma unroll 1
    for (unsigned tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        const unsigned row0 = tile / columns * rows + (unsigned)warp * 16 + lane / 4, column0 = tile % columns * N;
        float total[N / 2] = {};
#pragma unroll 1
        for (unsigned block = 0; block < a.a.blocks; block += chunk) {
            float part[N / 2] = {};
            const float *inverse = a.a.inverse + (int64_t)(block / chunk) * a.a.rows + row0;
            const float inverse0 = inverse[0], inverse1 = inverse[8];
            const unsigned end = min(block + chunk, a.a.blocks);
            unsigned before = from.place;
#pragma unroll 1
            for (unsigned b = block; b < end; b += step) {
                barrier_wait(&s.full[from.place], from.parity);
                multiply_place<N, PARTS>(part, a_base + from.place * S::place_bytes,
                                         b_base + from.place * S::place_bytes, b > block);
                if (b > block) {
                    wgmma_wait<1>();
                    release(before);
                }
                before = from.place;
                from.next<S::places>();
            }
            wgmma_wait<0>();
            wgmma_use(part);
            release(before);
#pragma unroll
            for (int i = 0; i < N / 2; i++)
                total[i] = fmaf(part[i], i % 4 < 2 ? inverse0 : inverse1, total[i]);
        }
#pragma unroll
        for (int j = 0; j < N / 8; j++) {
            const unsigned column = column0 + 8 * j + 2 * t;
            const float2 inverse = *(const float2 *)(a.b.inverse + column);
            const float2 bias = a.bias && column < a.n ? *(const float2 *)(a.bias + column) : make_float2(0, 0);
#pragma unroll
            for (int e = 0; e < 4; e++) {
                float &y = total[4 * j + e];
                y = fmaf(y, e % 2 ? inverse.y : inverse.x, e % 2 ? bias.y : bias.x);
                y = a.relu ? fmaxf(y, 0.0f) : y;
            }
        }
        if (SPLIT)
            store_split<N, PARTS>(a, total, row0, column0);
        else
            store<N>(a, total, row0, column0);
    }
}
#endif

template <int N, int PARTS, bool SPLIT>
__global__ void __launch_bounds__(threads, 1) product_kernel(const __grid_constant__ product_job a)
{
#ifdef FF_HAVE_WGMMA
    extern __shared__ __align__(1024) char shared_memory[];
    auto &s = *(product_shared<N> *)shared_memory;
    if (threadIdx.x < product_shared<N>::places) {
        barrier_start(&s.full[threadIdx.x], 1);
        barrier_start(&s.empty[threadIdx.x], 4 * groups);
        shared_fence();
    }
    __syncthreads();
    const int warp = __shfl_sync(0xffffffffu, (int)threadIdx.x / 32, 0);
    if (warp >= 4 * groups) {
        give_registers<24>();
        if (threadIdx.x == 128 * groups)
            bring<N, PARTS>(s, a);
    } else {
        take_registers<160>();
        multiply<N, PARTS, SPLIT>(s, a, shared_address(shared_memory), warp);
    }
#endif
}

template <int N, int PARTS, bool SPLIT> void launch(struct ff_backend *be, const product_job &a)
{
    constexpr int bytes = (int)sizeof(product_shared<N>);
    static_assert(bytes <= 227 << 10, "as much as a block can have");
    static bool ready = false;
    if (!ready)
        FF_CUDA(cudaFuncSetAttribute(product_kernel<N, PARTS, SPLIT>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                     bytes));
    ready = true;
    const unsigned blocks = std::min(ff_blocks(a.m, rows) * ff_blocks(a.n, N), (unsigned)ff_cuda_sm_count(be));
    product_kernel<N, PARTS, SPLIT><<<blocks, threads, bytes, ff_cuda_stream(be)>>>(a);
    FF_CUDA_LAUNCHED();
}

int tile_columns(unsigned n) { return n <= 64 ? 64 : 128; }

void multiply_split(struct ff_backend *be, const product_job &a, bool split)
{
    const bool tf32 = be->precision == FF_PRECISION_TF32;
    if (split && tf32)
        launch<128, 1, true>(be, a);
    else if (split)
        launch<128, 2, true>(be, a);
    else if (tile_columns(a.n) == 64 && tf32)
        launch<64, 1, false>(be, a);
    else if (tile_columns(a.n) == 64)
        launch<64, 2, false>(be, a);
    else if (tf32)
        launch<128, 1, false>(be, a);
    else
        launch<128, 2, false>(be, a);
}

bool takes(const struct ff_cuda_dense_job &j)
{
    const ff_cuda_rows *both[2] = {&j.a_rows, &j.c_rows};
    for (int i = 0; i < 2; i++)
        if ((both[i]->s0 | both[i]->s1 | both[i]->s2) % (i == 0 ? 4 : 2) != 0)
            return false;
    const uintptr_t fours = (uintptr_t)j.a | (uintptr_t)j.b | (uintptr_t)j.scale | (uintptr_t)j.offset;
    const uintptr_t twos = (uintptr_t)j.c | (uintptr_t)j.bias;
    return j.batch <= 1 && !j.a_trans && !j.b_trans && j.alpha == 1.0f && j.k % 64 == 0 && j.n % 4 == 0 &&
           j.ldb % 4 == 0 && fours % 16 == 0 && twos % 8 == 0 && j.m > 0;
}

struct split_operand take_weights(struct ff_backend *be, const struct ff_cuda_dense_job &j, int columns, bool hidden)
{
    struct split_operand w = ff_cuda_split_take(be, ff_blocks(j.n, columns) * (unsigned)columns, j.k, true);
    ff_cuda_split_weights(be, &w, columns, j.b, j.ldb, j.k, j.n, hidden);
    return w;
}

/* The rows of a piece: some times `tiles` tiles of rows, or what there is room for. Larger pieces leave fewer gaps than
 * smaller ones, which would stay in the second-level cache, save of memory. */
unsigned piece_rows(struct ff_backend *be, unsigned m, unsigned tiles, size_t bytes_per_row)
{
    const size_t tile_bytes = bytes_per_row * rows, room = ff_cuda_left(be) - std::min<size_t>(ff_cuda_left(be), 8192);
    const size_t wanted = std::max<size_t>(1, 4 * FF_CUDA_TILE_BYTES / (tile_bytes * tiles)) * tiles;
    const size_t whole = ff_blocks(m, rows);
    return (unsigned)std::min(std::min(wanted, whole), room / tile_bytes) * rows;
}

product_job job_of(const struct ff_cuda_dense_job &j, const split_operand &a, const split_operand &b)
{
    product_job p = {};
    p.a = a;
    p.b = b;
    p.n = j.n;
    p.c = j.c;
    p.c_rows = j.c_rows;
    p.mask_rows = j.mask_rows;
    p.bias = j.bias;
    p.mask = j.mask;
    p.relu = j.relu;
    p.beta = j.beta;
    return p;
}

} // namespace

bool ff_cuda_dense_split(struct ff_backend *be, const struct ff_cuda_dense_job *j)
{
    if (!ff_cuda_has_wgmma(be) || !takes(*j) || j->k > 512)
        return false;
    ff_cuda_mark mark(be);
    const int columns = tile_columns(j->n);
    const struct split_operand w = take_weights(be, *j, columns, false);
    const size_t row_bytes = ff_cuda_split_bytes(be, 1, j->k) - 512;
    const unsigned step = piece_rows(be, j->m, (unsigned)ff_cuda_sm_count(be), row_bytes);
    FF_ASSERT(step > 0);
    const struct split_operand a = ff_cuda_split_take(be, step, j->k, false);
    product_job p = job_of(*j, a, w);
    for (p.first = 0; p.first < j->m; p.first += step) {
        p.m = std::min(step, j->m - p.first);
        p.c_first = j->c_first + p.first;
        ff_cuda_split_rows(be, &a, j, p.first, p.m);
        multiply_split(be, p, false);
    }
    return true;
}

bool ff_cuda_dense_split_two(struct ff_backend *be, const struct ff_cuda_dense_job *first,
                             const struct ff_cuda_dense_job *second)
{
    if (!ff_cuda_has_wgmma(be) || !takes(*first) || !takes(*second) || first->k > 512 || first->n % 128 != 0 ||
        first->n != second->k || first->mask || first->beta != 0.0f || first->m != second->m)
        return false;
    ff_cuda_mark mark(be);
    const int columns = tile_columns(second->n);
    const struct split_operand w1 = take_weights(be, *first, 128, false);
    const struct split_operand w2 = take_weights(be, *second, columns, true);
    const size_t row_bytes = ff_cuda_split_bytes(be, 1, first->k) + ff_cuda_split_bytes(be, 1, first->n) - 1024;
    /* So many that the second product gives every multiprocessor one tile. */
    const unsigned tiles = std::max(1u, (unsigned)ff_cuda_sm_count(be) / ff_blocks(second->n, columns));
    const unsigned step = piece_rows(be, first->m, tiles, row_bytes);
    FF_ASSERT(step > 0);
    const struct split_operand a = ff_cuda_split_take(be, step, first->k, false);
    const struct split_operand hidden = ff_cuda_split_take(be, step, first->n, false);
    product_job p = job_of(*first, a, w1), q = job_of(*second, hidden, w2);
    p.to = hidden;
    for (q.first = 0; q.first < first->m; q.first += step) {
        p.m = q.m = std::min(step, first->m - q.first);
        q.c_first = second->c_first + q.first;
        ff_cuda_split_rows(be, &a, first, q.first, p.m);
        multiply_split(be, p, true);
        multiply_split(be, q, false);
    }
    return true;
}
