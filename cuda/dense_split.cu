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
 * Cost: from the second-level cache both operands once per tile, 4 (192 + N) k bytes for 3 * 2 * 192 N k flops; bound
 * by the products, under tf32 by that cache.
 */
#include <algorithm>

#include "split_product.cuh"

namespace {

constexpr int groups = 3, rows = groups * split_group, threads = 128 * (groups + 1);

struct product_job {
    split_operand a, b;
    split_result r;
};

template <int N> struct product_shared {
    static constexpr int b_bytes = N * 128, place_bytes = rows * 128 + b_bytes, places = N == 128 ? 5 : 6;
    char place[places][place_bytes];
    uint64_t full[places], empty[places];
};

#ifdef FF_HAVE_WGMMA
template <int N, int PARTS> __device__ __forceinline__ void bring(product_shared<N> &s, const product_job &a)
{
    using S = product_shared<N>;
    constexpr unsigned step = 3 - PARTS, a_piece = split_group * 128;        /* blocks of a place */
    const unsigned columns = (a.r.n + N - 1) / N, tiles = (a.r.m + rows - 1) / rows * columns;
    split_ring to = {0, 1, (unsigned)S::places, false};
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
            to.next();
        }
    }
}

template <int N, int PARTS, bool SPLIT>
__device__ __forceinline__ void multiply(product_shared<N> &s, const product_job &a, unsigned base, int warp)
{
    using S = product_shared<N>;
    constexpr unsigned step = 3 - PARTS, chunk = split_chunk / split_block;
    const unsigned lane = threadIdx.x % 32;
    const unsigned columns = (a.r.n + N - 1) / N, tiles = (a.r.m + rows - 1) / rows * columns;
    const unsigned a_base = base + (unsigned)(warp / 4) * (split_group * 128), b_base = base + rows * 128;
    split_ring from = {0, 0, (unsigned)S::places, false};
#pragma unroll 1
    for (unsigned tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        const unsigned row0 = tile / columns * rows + (unsigned)warp * 16 + lane / 4, column0 = tile % columns * N;
        float total[N / 2] = {};
#pragma unroll 1
        for (unsigned block = 0; block < a.a.blocks; block += chunk) {
            split_sum<N, PARTS, 1>(
                total, a.a.inverse + (int64_t)(block / chunk) * a.a.rows + row0, from, s.full, s.empty,
                min(chunk, a.a.blocks - block) / step,
                [&](unsigned, unsigned place) { return a_base + place * S::place_bytes; },
                [&](unsigned place) { return b_base + place * S::place_bytes; });
        }
        split_finish<N>(a.r, total, [&](int j) { return split_column(a.r, column0, j); });
        if (SPLIT)
            split_store_next<N, PARTS>(a.r, total, row0, column0);
        else
            split_store_rows<N>(a.r, total, row0, column0);
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
    const unsigned blocks = std::min(ff_blocks(a.r.m, rows) * ff_blocks(a.r.n, N), (unsigned)ff_cuda_sm_count(be));
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
    else if (tile_columns(a.r.n) == 64 && tf32)
        launch<64, 1, false>(be, a);
    else if (tile_columns(a.r.n) == 64)
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
        if ((both[i]->s0 | both[i]->s1 | both[i]->s2) % (i == 0 || j.c_half ? 4 : 2) != 0)
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

} // namespace

bool ff_cuda_dense_split(struct ff_backend *be, const struct ff_cuda_dense_job *j)
{
    if (!ff_cuda_has_wgmma(be) || !takes(*j) || j->k > 512 ||
        ((j->a_half || j->c_half) && !ff_cuda_linear_split_halves(be, j)))
        return false;
    ff_cuda_mark mark(be);
    const int fused = ff_cuda_linear_split_columns(be, j->k, j->n, ff_cuda_linear_split_narrow(be, j));
    const struct split_operand w = take_weights(be, *j, fused ? fused : tile_columns(j->n), false);
    if (fused) {
        ff_cuda_linear_split(be, j, 0, j->m, &w, nullptr);
        return true;
    }
    const size_t row_bytes = ff_cuda_split_row_bytes(be, j->k);
    const unsigned step = piece_rows(be, j->m, (unsigned)ff_cuda_sm_count(be), row_bytes);
    FF_ASSERT(step > 0);
    const struct split_operand a = ff_cuda_split_take(be, step, j->k, false);
    product_job p = {a, w, split_result_of(j, &w)};
    split_result &r = p.r;
    for (r.first = 0; r.first < j->m; r.first += step) {
        r.m = std::min(step, j->m - r.first);
        r.c_first = j->c_first + r.first;
        ff_cuda_split_rows(be, &a, j, r.first, r.m);
        multiply_split(be, p, false);
    }
    return true;
}

bool ff_cuda_dense_split_two(struct ff_backend *be, const struct ff_cuda_dense_job *first,
                             const struct ff_cuda_dense_job *second)
{
    if (!ff_cuda_has_wgmma(be) || !takes(*first) || !takes(*second) || first->k > 512 || first->n % 128 != 0 ||
        first->n != second->k || first->n > 1024 || first->mask || first->beta != 0.0f || first->m != second->m)
        return false;
    ff_cuda_mark mark(be);
    const int columns = tile_columns(second->n);
    const struct split_operand w1 = take_weights(be, *first, 128, false);
    const struct split_operand w2 = take_weights(be, *second, columns, true);
    const bool fused = ff_cuda_linear_split_columns(be, first->k, first->n, false) == 128;
    const unsigned sm = (unsigned)ff_cuda_sm_count(be);
    /* So many that every multiprocessor gets as many tiles as the others of either product. */
    const unsigned tiles = fused ? sm : std::max(1u, sm / ff_blocks(second->n, columns));
    const size_t row_bytes =
        ff_cuda_split_row_bytes(be, first->n) + (fused ? 0 : ff_cuda_split_row_bytes(be, first->k));
    const unsigned step = piece_rows(be, first->m, tiles, row_bytes);
    FF_ASSERT(step > 0);
    const struct split_operand hidden = ff_cuda_split_take(be, step, first->n, false);
    const struct split_operand a = fused ? split_operand() : ff_cuda_split_take(be, step, first->k, false);
    product_job p = {a, w1, split_result_of(first, &w1)}, q = {hidden, w2, split_result_of(second, &w2)};
    p.r.to = hidden;
    for (unsigned row = 0; row < first->m; row += step) {
        p.r.m = q.r.m = std::min(step, first->m - row);
        q.r.c_first = second->c_first + row;
        if (fused) {
            ff_cuda_linear_split(be, first, row, p.r.m, &w1, &hidden);
        } else {
            ff_cuda_split_rows(be, &a, first, row, p.r.m);
            multiply_split(be, p, true);
        }
        multiply_split(be, q, false);
    }
    return true;
}
