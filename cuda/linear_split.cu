/* SPDX-License-Identifier: Apache-2.0
 * linear_split: C = mask act(pre(A) W + bias) + beta C in float32 for rows of 64, 128 or 256 channels, pre: layer norm
 * or relu, by products of warpgroups (sm_90a) of float16 numbers, three under fp32, one under tf32 (dense_split.cuh).
 *
 * A block, one per multiprocessor, has 192 rows, 64 each of its warpgroups, which norm and split their rows into
 * shared memory and then go over all columns, 128 at a time, or 64 where the rows leave little room. One thread of a
 * last warpgroup brings split W: a place in the ring has 32 k with both parts, or 64 k with one, of the columns; a W
 * that fits as a whole is brought once. Rows that come next, and the old C, are asked for early.
 * Sums as in dense_split.cu. Shared memory: rows 4 k bytes each, under tf32 2 k; four to twelve places of 128 bytes for
 * each column.
 * Cost: A read and C written once through memory, W once per block's rows through the second-level cache; bound by
 * memory, with many columns by the products. Reference: ops_cpu_general.c.
 */
#include <algorithm>

#include "split_product.cuh"
#include "split_rows.cuh"

namespace {

constexpr int groups = 3, block_rows = groups * split_group, threads = 128 * (groups + 1);

struct linear_job {
    split_source from;
    split_operand w;
    split_result r;
    bool stays;                  /* all of W fits */
};

template <int K, int N, int PARTS> struct linear_shared {
    static constexpr int block_bytes = split_group * 2 * split_block * PARTS;    /* of 32 k */
    static constexpr int x_bytes = K / split_block * groups * block_bytes, place_bytes = N * 128;
    static constexpr int room = (224 << 10) - x_bytes, places = room / place_bytes < 12 ? room / place_bytes : 12;
    char x[x_bytes];
    char w[places][place_bytes];
    float inverse[(K + split_chunk - 1) / split_chunk * block_rows];
    uint64_t full[places], empty[places], together[groups];
};

#ifdef FF_HAVE_WGMMA
struct ring {
    unsigned place, parity, turn;        /* places until the next round */
    bool stays;
    __device__ __forceinline__ void next()
    {
        if (++place == turn) {
            place = 0;
            parity ^= stays ? 0u : 1u;
        }
    }
};

template <int K, int N, int PARTS>
__device__ __forceinline__ void bring(linear_shared<K, N, PARTS> &s, const linear_job &a, ring to)
{
    using S = linear_shared<K, N, PARTS>;
    const unsigned tiles = (a.r.m + block_rows - 1) / block_rows;
    for (unsigned tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        for (unsigned column = 0; column < a.r.n; column += N)
#pragma unroll 1
            for (unsigned block = 0; block < K / split_block; block += 3 - PARTS) {
                if (!a.stays)
                    barrier_wait(&s.empty[to.place], to.parity ^ 1u);
                barrier_expect(&s.full[to.place], S::place_bytes);
                bulk_copy(s.w[to.place], split_place<PARTS>(a.w, N, column, block), S::place_bytes, &s.full[to.place]);
                to.next();
            }
        if (a.stays)
            return;
    }
}

template <int K>
__device__ __forceinline__ void expect_rows(const split_source &a, unsigned row0)
{
    constexpr int lines = K / 32;
    const int lane = (int)threadIdx.x % 32;
#pragma unroll
    for (int i = 0; i < lines / 2; i++) {
        const unsigned row = row0 + (unsigned)(i * 32 + lane) / lines;
        if (row < a.rows)
            prefetch_line(a.x + a.at.at(a.first + row) + lane % lines * 32);
    }
}

/* The lines of a warp's sixteen rows of C. */
template <int N> __device__ __forceinline__ void expect_old(const split_result &a, unsigned row0, unsigned column0)
{
    constexpr int lines = N / 32;
    const int lane = (int)threadIdx.x % 32;
#pragma unroll
    for (int i = 0; i < lines / 2; i++) {
        const unsigned row = row0 + (unsigned)(i * 32 + lane) / lines, column = column0 + (unsigned)lane % lines * 32;
        if (row < a.m && column < a.n)
            prefetch_line(a.c + a.c_rows.at(a.c_first + row) + column);
    }
}

template <int K, int N, int PARTS, bool SPLIT>
__device__ __forceinline__ void multiply(linear_shared<K, N, PARTS> &s, const linear_job &a, unsigned base, int warp,
                                         ring from)
{
    using S = linear_shared<K, N, PARTS>;
    constexpr int pieces = (K + 127) / 128, lanes = K < 128 ? K / 4 : 32, at_once = split_at_once * (32 / lanes);
    constexpr int step = 3 - PARTS, blocks = K / split_block, chunk = split_chunk / split_block;
    const unsigned lane = threadIdx.x % 32, group = (unsigned)warp / 4, own = (unsigned)warp * 16;
    const unsigned tiles = (a.r.m + block_rows - 1) / block_rows;
    const unsigned x_base = base + group * (blocks * S::block_bytes);
    const unsigned w_base = base + (unsigned)((char *)s.w - (char *)&s);
    const split_operand rows = {s.x, s.inverse, block_rows, blocks};
    unsigned together = 0;
    auto meet = [&]() {                  /* the warps of this warpgroup */
        barrier_arrive(&s.together[group]);
        barrier_wait(&s.together[group], together);
        together ^= 1u;
        __syncwarp();
    };
    auto release = [&](unsigned place) {
        if (!a.stays && lane == 0)
            barrier_arrive(&s.empty[place]);
    };
#pragma unroll 1
    for (unsigned tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        const unsigned warp_row = tile * block_rows + own, row0 = warp_row + lane / 4;
        float4 x[2][split_at_once][pieces];
        const unsigned lane_row = lane / lanes * split_at_once;
        split_load<pieces, lanes>(x[0], a.from, warp_row + lane_row);
        meet();                          /* nobody reads the rows before */
#pragma unroll
        for (int i = 0; i < 16 / at_once; i++) {
            if (i + 1 < 16 / at_once)
                split_load<pieces, lanes>(x[(i + 1) % 2], a.from, warp_row + lane_row + (unsigned)(i + 1) * at_once);
            split_store<pieces, lanes, PARTS>(x[i % 2], a.from, rows, own + lane_row + (unsigned)i * at_once);
        }
        shared_fence();
        meet();
        if (tile + gridDim.x < tiles)
            expect_rows<K>(a.from, warp_row + gridDim.x * block_rows);

#pragma unroll 1
        for (unsigned column0 = 0; column0 < a.r.n; column0 += N) {
            if (!SPLIT && a.r.beta != 0.0f)
                expect_old<N>(a.r, warp_row, column0);
            float4 columns[N / 8];
            if (N == 64)                 /* else there are not the registers */
#pragma unroll
                for (int j = 0; j < N / 8; j++)
                    columns[j] = split_column(a.r, column0, j);
            float total[N / 2] = {};
#pragma unroll 1
            for (int block = 0; block < blocks; block += chunk) {
                float part[N / 2] = {};
                const float *inverse = s.inverse + block / chunk * block_rows + own + lane / 4;
                const float inverse0 = inverse[0], inverse1 = inverse[8];
                unsigned before = from.place;
#pragma unroll
                for (int b = 0; b < (blocks < chunk ? blocks : chunk); b += step) {
                    barrier_wait(&s.full[from.place], from.parity);
                    split_multiply<N, PARTS>(part, x_base + (unsigned)(block + b) * S::block_bytes,
                                             w_base + from.place * S::place_bytes, b > 0);
                    if (b > 0) {
                        wgmma_wait<1>();
                        release(before);
                    }
                    before = from.place;
                    from.next();
                }
                wgmma_wait<0>();
                wgmma_use(part);
                release(before);
#pragma unroll
                for (int i = 0; i < N / 2; i++)
                    total[i] = fmaf(part[i], i % 4 < 2 ? inverse0 : inverse1, total[i]);
            }
            split_finish<N>(a.r, total, [&](int j) { return N == 64 ? columns[j] : split_column(a.r, column0, j); });
            if constexpr (SPLIT)
                split_store_next<N, PARTS>(a.r, total, row0, column0);
            else
                split_store_rows<N>(a.r, total, row0, column0);
        }
    }
}
#endif

template <int K, int N, int PARTS, bool SPLIT>
__global__ void __launch_bounds__(threads, 1) linear_split_kernel(const __grid_constant__ linear_job a)
{
#ifdef FF_HAVE_WGMMA
    extern __shared__ __align__(1024) char shared_memory[];
    using S = linear_shared<K, N, PARTS>;
    auto &s = *(S *)shared_memory;
    if (threadIdx.x < S::places) {
        barrier_start(&s.full[threadIdx.x], 1);
        barrier_start(&s.empty[threadIdx.x], 4 * groups);
        if (threadIdx.x < groups)
            barrier_start(&s.together[threadIdx.x], 128);
        shared_fence();
    }
    __syncthreads();
    const int warp = __shfl_sync(0xffffffffu, (int)threadIdx.x / 32, 0);
    const unsigned round = (a.r.n + N - 1) / N * (K / split_block / (3 - PARTS));
    const ring places = {0, 0, a.stays ? round : (unsigned)S::places, a.stays};
    if (warp >= 4 * groups) {
        give_registers<24>();
        if (threadIdx.x == 128 * groups)
            bring<K, N, PARTS>(s, a, places);
    } else {
        take_registers<160>();
        multiply<K, N, PARTS, SPLIT>(s, a, shared_address(shared_memory), warp, places);
    }
#endif
}

template <int K, int N, int PARTS, bool SPLIT> void launch(struct ff_backend *be, linear_job &a)
{
    using S = linear_shared<K, N, PARTS>;
    static_assert(sizeof(S) <= 227 << 10, "as much as a block can have");
    static bool ready = false;
    if (!ready)
        FF_CUDA(cudaFuncSetAttribute(linear_split_kernel<K, N, PARTS, SPLIT>,
                                     cudaFuncAttributeMaxDynamicSharedMemorySize, (int)sizeof(S)));
    ready = true;
    a.stays = ff_blocks(a.r.n, N) * (K / split_block / (3 - PARTS)) <= (unsigned)S::places;
    const unsigned blocks = std::min(ff_blocks(a.r.m, block_rows), (unsigned)ff_cuda_sm_count(be));
    linear_split_kernel<K, N, PARTS, SPLIT><<<blocks, threads, sizeof(S), ff_cuda_stream(be)>>>(a);
    FF_CUDA_LAUNCHED();
}

template <int K, int PARTS> void choose(struct ff_backend *be, linear_job &a, int columns, bool split)
{
    if constexpr (K * PARTS > 256)
        launch<K, 64, PARTS, false>(be, a);
    else if (split)
        launch<K, 128, PARTS, true>(be, a);
    else if (columns == 64)
        launch<K, 64, PARTS, false>(be, a);
    else
        launch<K, 128, PARTS, false>(be, a);
}

template <int K> void choose(struct ff_backend *be, linear_job &a, int columns, bool split)
{
    if (be->precision == FF_PRECISION_TF32)
        choose<K, 1>(be, a, columns, split);
    else
        choose<K, 2>(be, a, columns, split);
}

} // namespace

int ff_cuda_linear_split_columns(struct ff_backend *be, unsigned k, unsigned n)
{
    if (!ff_cuda_has_wgmma(be) || (k != 64 && k != 128 && k != 256))
        return 0;
    /* The rows of a block and 128 columns of W do not fit. */
    const bool large = k == 256 && be->precision != FF_PRECISION_TF32;
    return n <= 64 || large ? 64 : 128;
}

void ff_cuda_linear_split(struct ff_backend *be, const struct ff_cuda_dense_job *j, unsigned first, unsigned rows,
                          const struct split_operand *w, const struct split_operand *to)
{
    linear_job a = {split_source_of(j, first, rows), *w, split_result_of(j, w), false};
    const int columns = ff_cuda_linear_split_columns(be, j->k, j->n);
    FF_ASSERT(columns > 0 && (!to || columns == 128));
    a.r.m = rows;
    a.r.first = first;
    a.r.c_first = j->c_first + first;
    if (to)
        a.r.to = *to;
    if (j->k == 64)
        choose<64>(be, a, columns, to != nullptr);
    else if (j->k == 128)
        choose<128>(be, a, columns, to != nullptr);
    else
        choose<256>(be, a, columns, to != nullptr);
}
