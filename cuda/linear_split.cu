/* SPDX-License-Identifier: Apache-2.0
 * linear_split: C = mask act(pre(A) W + bias) + beta C in float32 for rows of 64, 128 or 256 channels, pre: layer norm
 * or relu, by products of warpgroups (sm_90a) of float16 numbers, three under fp32, one under tf32 (dense_split.cuh).
 *
 * A block, one per multiprocessor, has 192 rows, 64 each of its warpgroups, which norm and split their rows into
 * shared memory and then go over all columns, 128 at a time, or 64 where the rows leave little room or the old C is
 * read. Rows of float16, results of attention, are copied as they are; results may be float16 too. One thread of a last
 * warpgroup brings split W: a place in the ring has 32 k with both parts, or 64 k with one, of the columns; a W that
 * fits as a whole is brought once. Rows that come next, and the old C, are asked for early.
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

/* What becomes of the results: float32 or float16 rows, the next product's operand. */
enum result { MEMORY, HALVES, OPERAND };

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
template <int K, int N, int PARTS>
__device__ __forceinline__ void bring(linear_shared<K, N, PARTS> &s, const linear_job &a, split_ring to)
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

template <int K, class X>
__device__ __forceinline__ void expect_rows(const split_source &a, unsigned row0)
{
    constexpr int lines = K * (int)sizeof(X) / 128;
    const int lane = (int)threadIdx.x % 32;
#pragma unroll
    for (int i = 0; i < (lines + 1) / 2; i++) {
        const unsigned row = row0 + (unsigned)(i * 32 + lane) / lines;
        if (row < min(a.rows, row0 + 16))
            prefetch_line((const X *)a.x + a.at.at(a.first + row) + lane % lines * (128 / (int)sizeof(X)));
    }
}

/* A warp's sixteen float16 rows as they are; under way on return. */
template <int K>
__device__ __forceinline__ void copy_rows(const split_source &a, const split_operand &to, unsigned row0, unsigned own)
{
    constexpr unsigned pieces = K / 8;   /* 16 bytes each */
    const unsigned lane = threadIdx.x % 32;
#pragma unroll
    for (unsigned u = lane; u < 16 * pieces; u += 32) {
        const unsigned row = u / pieces, piece = u % pieces;
        const bool there = row0 + row < a.rows;
        copy16_async(split_place<1>(to, split_group, own + row, piece / 4) +
                         wgmma_swizzled<64>((own + row) % split_group * 64 + piece % 4 * 16),
                     (const f16 *)a.x + (there ? a.at.at(a.first + row0 + row) : 0) + piece * 8, there);
    }
    copy_commit();
    for (unsigned chunk = 0; lane < 16 && chunk < (K + split_chunk - 1) / split_chunk; chunk++)
        to.inverse[chunk * to.rows + own + lane] = 1.0f;
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
            prefetch_line((const float *)a.c + a.c_rows.at(a.c_first + row) + column);
    }
}

template <int K, int N, int PARTS, class X, enum result RESULT>
__device__ __forceinline__ void multiply(linear_shared<K, N, PARTS> &s, const linear_job &a, unsigned base, int warp,
                                         split_ring from)
{
    using S = linear_shared<K, N, PARTS>;
    constexpr int pieces = (K + 127) / 128, lanes = K < 128 ? K / 4 : 32, at_once = split_at_once * (32 / lanes);
    constexpr int step = 3 - PARTS, blocks = K / split_block, chunk = split_chunk / split_block;
    const unsigned lane = threadIdx.x % 32, group = (unsigned)warp / 4, own = (unsigned)warp * 16;
    const unsigned tiles = (a.r.m + block_rows - 1) / block_rows;
    const unsigned x_base = base + group * (blocks * S::block_bytes);
    const unsigned w_base = base + (unsigned)((char *)s.w - (char *)&s);
    const split_operand rows = {s.x, s.inverse, block_rows, blocks};
    /* Rows that come next are asked for so many columns before the end: earlier, results that go to memory would drive
     * them from the cache before their turn. Under fp32 columns take three times as long. */
    constexpr unsigned ahead = PARTS == 2 ? 4096 : 256;
    const unsigned width = (a.r.n + N - 1) / N * N;
    const unsigned expect_at = RESULT == OPERAND || width <= ahead ? 0 : width - max(ahead, (unsigned)N);
    unsigned together = 0;
    auto meet = [&]() {                  /* the warps of this warpgroup */
        barrier_arrive(&s.together[group]);
        barrier_wait(&s.together[group], together);
        together ^= 1u;
        __syncwarp();
    };
#pragma unroll 1
    for (unsigned tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        const unsigned warp_row = tile * block_rows + own, row0 = warp_row + lane / 4;
        if constexpr (sizeof(X) == 2) {
            meet();                      /* nobody reads the rows before */
            copy_rows<K>(a.from, rows, warp_row, own);
            copy_wait<0>();
        } else {
            float4 x[2][split_at_once][pieces];
            const unsigned lane_row = lane / lanes * split_at_once;
            split_load<pieces, lanes>(x[0], a.from, warp_row + lane_row);
            meet();
#pragma unroll
            for (int i = 0; i < 16 / at_once; i++) {
                if (i + 1 < 16 / at_once)
                    split_load<pieces, lanes>(x[(i + 1) % 2], a.from,
                                              warp_row + lane_row + (unsigned)(i + 1) * at_once);
                split_store<pieces, lanes, PARTS>(x[i % 2], a.from, rows, own + lane_row + (unsigned)i * at_once);
            }
        }
        shared_fence();
        meet();
#pragma unroll 1
        for (unsigned column0 = 0; column0 < a.r.n; column0 += N) {
            if (tile + gridDim.x < tiles && column0 == expect_at)
                expect_rows<K, X>(a.from, warp_row + gridDim.x * block_rows);
            if (RESULT == MEMORY && a.r.beta != 0.0f)
                expect_old<N>(a.r, warp_row, column0);
            float4 columns[N / 8];
            if (N == 64)                 /* else there are not the registers */
#pragma unroll
                for (int j = 0; j < N / 8; j++)
                    columns[j] = split_column(a.r, column0, j);
            float total[N / 2] = {};
#pragma unroll 1
            for (int block = 0; block < blocks; block += chunk) {
                split_sum<N, PARTS, blocks>(
                    total, s.inverse + block / chunk * block_rows + own + lane / 4, from, s.full, s.empty,
                    (blocks < chunk ? blocks : chunk) / step,
                    [&](unsigned b, unsigned) { return x_base + ((unsigned)block + b * step) * S::block_bytes; },
                    [&](unsigned place) { return w_base + place * S::place_bytes; });
            }
            split_finish<N>(a.r, total, [&](int j) { return N == 64 ? columns[j] : split_column(a.r, column0, j); });
            if constexpr (RESULT == OPERAND)
                split_store_next<N, PARTS>(a.r, total, row0, column0);
            else if constexpr (RESULT == HALVES)
                split_store_halves<N>(a.r, total, row0, column0);
            else
                split_store_rows<N>(a.r, total, row0, column0);
        }
    }
}
#endif

template <int K, int N, int PARTS, class X, enum result RESULT>
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
    const split_ring places = {0, 0, a.stays ? round : (unsigned)S::places, a.stays};
    if (warp >= 4 * groups) {
        give_registers<24>();
        if (threadIdx.x == 128 * groups)
            bring<K, N, PARTS>(s, a, places);
    } else {
        take_registers<160>();
        multiply<K, N, PARTS, X, RESULT>(s, a, shared_address(shared_memory), warp, places);
    }
#endif
}

template <int K, int N, int PARTS, class X, enum result RESULT> void launch(struct ff_backend *be, linear_job &a)
{
    using S = linear_shared<K, N, PARTS>;
    static_assert(sizeof(S) <= 227 << 10, "as much as a block can have");
    static bool ready = false;
    if (!ready)
        FF_CUDA(cudaFuncSetAttribute(linear_split_kernel<K, N, PARTS, X, RESULT>,
                                     cudaFuncAttributeMaxDynamicSharedMemorySize, (int)sizeof(S)));
    ready = true;
    a.stays = ff_blocks(a.r.n, N) * (K / split_block / (3 - PARTS)) <= (unsigned)S::places;
    const unsigned blocks = std::min(ff_blocks(a.r.m, block_rows), (unsigned)ff_cuda_sm_count(be));
    linear_split_kernel<K, N, PARTS, X, RESULT><<<blocks, threads, sizeof(S), ff_cuda_stream(be)>>>(a);
    FF_CUDA_LAUNCHED();
}

template <int K, int PARTS>
void choose(struct ff_backend *be, linear_job &a, int columns, bool half_rows, enum result result)
{
    if constexpr (K * PARTS > 256) {
        launch<K, 64, PARTS, float, MEMORY>(be, a);
    } else if (result == OPERAND) {
        launch<K, 128, PARTS, float, OPERAND>(be, a);
    } else if (half_rows || result == HALVES) {
        if constexpr (PARTS == 1) {
            if (half_rows)
                launch<K, 64, PARTS, f16, MEMORY>(be, a);
            else if (columns == 64)
                launch<K, 64, PARTS, float, HALVES>(be, a);
            else
                launch<K, 128, PARTS, float, HALVES>(be, a);
        }
    } else if (columns == 64) {
        launch<K, 64, PARTS, float, MEMORY>(be, a);
    } else {
        launch<K, 128, PARTS, float, MEMORY>(be, a);
    }
}

template <int K>
void choose(struct ff_backend *be, linear_job &a, int columns, bool half_rows, enum result result)
{
    if (be->precision == FF_PRECISION_TF32)
        choose<K, 1>(be, a, columns, half_rows, result);
    else
        choose<K, 2>(be, a, columns, half_rows, result);
}

} // namespace

bool ff_cuda_linear_split_narrow(struct ff_backend *be, const struct ff_cuda_dense_job *j)
{
    return be->precision == FF_PRECISION_TF32 && j->beta != 0.0f;
}

bool ff_cuda_linear_split_halves(struct ff_backend *be, const struct ff_cuda_dense_job *j)
{
    const struct ff_cuda_rows *rows = &j->a_rows;
    if (be->precision != FF_PRECISION_TF32 || ff_cuda_linear_split_columns(be, j->k, j->n, false) == 0)
        return false;
    if (j->beta == 0.0f)
        return !j->a_half;
    return !j->c_half && !j->scale && !j->relu_input && (rows->s0 | rows->s1 | rows->s2) % 8 == 0;
}

int ff_cuda_linear_split_columns(struct ff_backend *be, unsigned k, unsigned n, bool narrow)
{
    if (!ff_cuda_has_wgmma(be) || (k != 64 && k != 128 && k != 256))
        return 0;
    /* The rows of a block and 128 columns of W do not fit. */
    const bool large = k == 256 && be->precision != FF_PRECISION_TF32;
    return n <= 64 || large || narrow ? 64 : 128;
}

void ff_cuda_linear_split(struct ff_backend *be, const struct ff_cuda_dense_job *j, unsigned first, unsigned rows,
                          const struct split_operand *w, const struct split_operand *to)
{
    linear_job a = {split_source_of(j, first, rows), *w, split_result_of(j, w), false};
    const int columns = ff_cuda_linear_split_columns(be, j->k, j->n, !to && ff_cuda_linear_split_narrow(be, j));
    FF_ASSERT(columns > 0 && (!to || columns == 128));
    a.r.m = rows;
    a.r.first = first;
    a.r.c_first = j->c_first + first;
    if (to)
        a.r.to = *to;
    const enum result result = to ? OPERAND : j->c_half ? HALVES : MEMORY;
    if (j->k == 64)
        choose<64>(be, a, columns, j->a_half, result);
    else if (j->k == 128)
        choose<128>(be, a, columns, j->a_half, result);
    else
        choose<256>(be, a, columns, j->a_half, result);
}
