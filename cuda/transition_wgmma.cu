/* SPDX-License-Identifier: Apache-2.0
 * transition_wgmma: x += relu(LN(x) W1 + b1) W2 + b2 in bf16 for rows of 64, 128 or 256 channels, with the hidden layer
 * in registers. For GPUs with the products of warpgroups (sm_90a).
 *
 * Shapes: x [.., C] with any leading strides, W1 [C, n], W2 [n, C], n a multiple of 64, at most 1024. One block per
 * multiprocessor: three warpgroups (two at C = 256) that multiply and one that brings weights. A warpgroup has 64 rows
 * with all channels of the result as accumulators, C / 2 per thread. The hidden layer is made 64 numbers at a time: the
 * accumulators of the first product, with bias and relu, are the left operand of the second as they lie. Normed rows
 * stay in shared memory, at C = 128 in registers. W1 and W2 come by turns, as tiles [C, 64] and [64, C] of a ring that
 * all warpgroups use; where all of both fit they are brought once. Hidden numbers may come in any order, so up to
 * C = 128 each warpgroup begins new rows a third of a round after the one before: its loads, layer norm and stores run
 * beside the products of the others. At C = 256 too few tiles fit for one to go on while the other does not.
 * Shared memory: tiles 160 KiB, normed rows 24 KiB at C = 64 and 64 KiB at C = 256, or lines of results 24 KiB.
 * Cost: x read twice (the second time mostly from the second-level cache) and written once, the weights once per block
 * of 128 or 192 rows through that cache; 4 C n flops per row; bound by the products. Numerics: layer norm, sums and
 * bias in float32; normed rows and hidden layer rounded to bf16. Reference: ops_cpu_transition.c.
 */
#include "dense_wgmma.cuh"

#include "rows_wgmma.cuh"

namespace {

constexpr int group_rows = 64, chunk = 64, max_hidden = 1024;

struct transition_job {
    bf16 *x;
    ff_cuda_rows rows;
    unsigned n_row;
    int n;
    const bf16 *w1, *w2;
    const float *scale, *offset, *b1, *b2;
    unsigned blocks;             /* of rows */
    unsigned turn;               /* chunks of the hidden layer */
    unsigned lag;                /* of a warpgroup behind the one before, in chunks */
    bool stays;                  /* all weights fit */
};

template <int C>
struct transition_shared {
    /* Normed rows lie in shared memory, else in registers. These would do at C = 64 as well, but ptxas (CUDA 13.0) then
     * gives the hidden layer the very registers that the rows are in, and the products are wrong. */
    static constexpr bool rows_shared = C != 128;
    static constexpr int groups = C > 128 ? 2 : 3, warps = 4 * groups, threads = 128 * (groups + 1);
    static constexpr int tile_bytes = C * chunk * 2, tiles = (160 << 10) / tile_bytes;
    /* Enumerators, of which the compiler does not mind that other architectures have no use for them. */
    enum { registers = C > 128 ? 232 : 160, few_registers = C > 128 ? 40 : 32 };
    enum { block_bytes = 64 * 128 };                 /* 64 rows of 64 numbers */
    char w[tiles][tile_bytes];
    char x[rows_shared ? groups : 1][rows_shared ? group_rows * C * 2 : 1024];
    char lines[rows_shared ? 1 : warps][rows_shared ? 16 : LINE_BYTES];  /* else in the place of the warp's own rows */
    static constexpr int copy = rows_shared ? 4 : C, copy_hidden = rows_shared ? 4 : max_hidden;
    float scale[copy], offset[copy], b2[copy], b1[copy_hidden];          /* else read where they are */
    int64_t at[warps][16];
    uint64_t full[tiles], empty[tiles], together[groups];
};

#ifdef FF_HAVE_WGMMA
/* Waits for the four warps of a warpgroup. */
__device__ __forceinline__ void meet(uint64_t *b, unsigned &parity)
{
    barrier_arrive(b);
    barrier_wait(b, parity);
    parity ^= 1u;
    __syncwarp();
}

/* Normed rows as an operand in shared memory: blocks of 64 channels, rows of 128 bytes. */
template <int C>
__device__ __forceinline__ void store_a(char *to, const unsigned (&a)[C / 16][4], int warp)
{
    const int lane = (int)threadIdx.x % 32, t = lane % 4;
#pragma unroll
    for (int i = 0; i < C / 32; i++)
#pragma unroll
        for (int r = 0; r < 2; r++) {
            int row = warp % 4 * 16 + lane / 4 + 8 * r;
            *(uint4 *)(to + i / 2 * transition_shared<C>::block_bytes +
                       wgmma_swizzled<128>((unsigned)(row * 128 + i % 2 * 64 + 16 * t))) =
                make_uint4(a[2 * i][r], a[2 * i][2 + r], a[2 * i + 1][r], a[2 * i + 1][2 + r]);
        }
}

/* x += result + b2, 64 channels at a time; the old x of the next is on its way meanwhile. */
template <int C>
__device__ __forceinline__ void add_result(const transition_job &a, const float *b2, const int64_t *at, char *lines,
                                           const float (&result)[C / 2])
{
    const int lane = (int)threadIdx.x % 32;
    uint4 old[2][4];
    bf16 *to[4];
    line_pointers(to, a.x, at);
    fetch_lines(old[0], to, 0, true);
#pragma unroll
    for (int p = 0; p < C / 64; p++) {
        if (p + 1 < C / 64)
            fetch_lines(old[(p + 1) % 2], to, 64 * (p + 1), true);
        put_lines(lines, old[p % 2]);
        __syncwarp();
#pragma unroll
        for (int j = 0; j < 8; j++) {
            const float2 b = *(const float2 *)(b2 + 64 * p + 8 * j + lane % 4 * 2);
#pragma unroll
            for (int r = 0; r < 2; r++) {
                unsigned *word = line_word(lines, j, r), v = *word;
                const int e = 32 * p + 4 * j + 2 * r;
                *word = pack2(low_half(v) + (result[e] + b.x), high_half(v) + (result[e + 1] + b.y));
            }
        }
        __syncwarp();
        send_lines(to, 64 * p, true, lines);
        __syncwarp();
    }
}

template <int C>
__device__ __forceinline__ void multiply(transition_shared<C> &s, const transition_job &a, int warp, unsigned steps,
                                         unsigned last, tile_ring from)
{
    using S = transition_shared<C>;
    /* The second product is under way while the next first one is made: at C = 128 there are not the registers. */
    constexpr bool second_stays = C != 128;
    const int lane = (int)threadIdx.x % 32, group = warp / 4;
    char *lines = S::rows_shared ? s.x[group] + warp % 4 * LINE_BYTES : s.lines[S::rows_shared ? 0 : warp];
    int64_t *at = s.at[warp];
    unsigned together = 0;
    after_kernels_before();
    auto release = [&](unsigned slot) {
        if (!a.stays && lane == 0)
            barrier_arrive(&s.empty[slot]);
    };
    for (unsigned step = 0; step < last;) {
        unsigned own = step - (unsigned)group * a.lag;       /* of this warpgroup's steps */
        if (own >= steps) {
            for (int half = 0; half < 2; half++) {
                barrier_wait(&s.full[from.slot], from.parity);
                __syncwarp();
                release(from.slot);
                from.next();
            }
            step++;
            continue;
        }
        const unsigned block = blockIdx.x + own / a.turn * gridDim.x;
        const unsigned row0 = (block * S::groups + (unsigned)group) * group_rows + (unsigned)(warp % 4) * 16;
        const unsigned end = step + a.turn;

        unsigned x[C / 16][4];
        const bf16 *row[2];
#pragma unroll
        for (int r = 0; r < 2; r++) {
            unsigned i = row0 + (unsigned)(lane / 4 + 8 * r);
            row[r] = i < a.n_row ? a.x + a.rows.at(i) : nullptr;
        }
        load_a<C>(x, row[0], row[1]);
        if (lane < 16)
            at[lane] = row0 + (unsigned)lane < a.n_row ? a.rows.at(row0 + (unsigned)lane) : -1;
        __syncwarp();
        norm_a<C>(x, S::rows_shared ? a.scale : s.scale, S::rows_shared ? a.offset : s.offset);
        if (own + a.turn < steps)
#pragma unroll
            for (int r = 0; r < 2; r++) {
                unsigned i = row0 + (unsigned)(lane / 4 + 8 * r) + gridDim.x * S::groups * group_rows;
                if (i < a.n_row)
                    expect_row<C>(a.x + a.rows.at(i));
            }
        if (S::rows_shared) {
            meet(&s.together[group], together);      /* nobody reads the rows before */
            store_a<C>(s.x[S::rows_shared ? group : 0], x, warp);
            shared_fence();
            meet(&s.together[group], together);
        }
        const uint64_t x_shared = wgmma_operand<128>(shared_address(s.x[S::rows_shared ? group : 0]), 1024, 1024);

        const float *b1 = (S::rows_shared ? a.b1 : s.b1) + lane % 4 * 2;
        float result[C / 2] = {};
        unsigned reading = S::tiles;                 /* the tile of W2 of a second product that is under way */
        /* The chunk is counted, as a division beside the products keeps them waiting, where there are the registers. */
        unsigned counted = step % a.turn;
        for (; step < end; step++, counted = counted + 1 < a.turn ? counted + 1 : 0) {
            const unsigned at_chunk = S::rows_shared ? counted : step % a.turn;
            float hidden[chunk / 2] = {};
            unsigned h[chunk / 16][4];
            barrier_wait(&s.full[from.slot], from.parity);
            const uint64_t w1 = b_operand(s.w[from.slot]);
            wgmma_fence();
#pragma unroll
            for (int k = 0; k < C / 16; k++)
                if (S::rows_shared)
                    wgmma_ss<chunk, WGMMA_K_MAJOR, WGMMA_MN_MAJOR>(
                        hidden, wgmma_advance(x_shared, (unsigned)(k / 4 * S::block_bytes + k % 4 * 32)),
                        wgmma_advance(w1, (unsigned)k * 2048u), k > 0);
                else
                    wgmma_rs<chunk, WGMMA_MN_MAJOR>(hidden, x[k], wgmma_advance(w1, (unsigned)k * 2048u), k > 0);
            wgmma_commit();
            float2 b[chunk / 8];
            auto read_bias = [&]() {
#pragma unroll
                for (int j = 0; j < chunk / 8; j++)
                    b[j] = *(const float2 *)(b1 + at_chunk * chunk + 8 * j);
            };
            if (S::rows_shared)                      /* there are the registers to read it beside the product */
                read_bias();
            wgmma_wait<0>();
            wgmma_use(hidden);
            if (!S::rows_shared)
                read_bias();
            if (reading < (unsigned)S::tiles)
                release(reading);
            release(from.slot);
            from.next();

#pragma unroll
            for (int j = 0; j < chunk / 8; j++)
#pragma unroll
                for (int r = 0; r < 2; r++)
                    h[j / 2][j % 2 * 2 + r] = pack2(fmaxf(hidden[4 * j + 2 * r] + b[j].x, 0.0f),
                                                    fmaxf(hidden[4 * j + 2 * r + 1] + b[j].y, 0.0f));
            barrier_wait(&s.full[from.slot], from.parity);
            const uint64_t w2 = wgmma_operand<128>(shared_address(s.w[from.slot]), S::block_bytes, 1024);
            wgmma_fence();
#pragma unroll
            for (int k = 0; k < chunk / 16; k++)
                wgmma_rs<C, WGMMA_MN_MAJOR>(result, h[k], wgmma_advance(w2, (unsigned)k * 2048u));
            wgmma_commit();
            reading = from.slot;
            from.next();
            if (!second_stays) {
                wgmma_wait<0>();
                wgmma_use(result);
                release(reading);
                reading = S::tiles;
            }
        }
        if (second_stays) {
            wgmma_wait<0>();
            wgmma_use(result);
            release(reading);
        }
        add_result<C>(a, S::rows_shared ? a.b2 : s.b2, at, lines, result);
    }
}
#endif

template <int C>
__global__ void __launch_bounds__(transition_shared<C>::threads, 1)
    transition_wgmma_kernel(const __grid_constant__ transition_job a)
{
#ifdef FF_HAVE_WGMMA
    extern __shared__ __align__(1024) char shared_memory[];
    auto &s = *(transition_shared<C> *)shared_memory;
    using S = transition_shared<C>;
    if (threadIdx.x < S::tiles) {
        barrier_start(&s.full[threadIdx.x], 4 * warp_arrivals);
        barrier_start(&s.empty[threadIdx.x], S::warps);
    }
    if (threadIdx.x < S::groups)
        barrier_start(&s.together[threadIdx.x], 128);
    if (!S::rows_shared) {
        for (int k = (int)threadIdx.x; k < C; k += S::threads) {
            s.scale[k] = a.scale[k];
            s.offset[k] = a.offset[k];
            s.b2[k] = a.b2[k];
        }
        for (int k = (int)threadIdx.x; k < a.n; k += S::threads)
            s.b1[k] = a.b1[k];
    }
    __syncthreads();

    const unsigned steps = (a.blocks - blockIdx.x + gridDim.x - 1) / gridDim.x * a.turn;
    const unsigned last = steps + (S::groups - 1) * a.lag;
    const int warp = __shfl_sync(0xffffffffu, (int)threadIdx.x / 32, 0);
    const tile_ring tiles = {a.stays ? 2 * a.turn : (unsigned)S::tiles, 0, 0, a.stays};
    if (warp >= S::warps) {
        give_registers<S::few_registers>();
        int from = -chunk;
        bring_tiles(s.full, s.empty, tiles, 2 * (a.stays ? a.turn : last), [&](unsigned i, unsigned slot) {
            if (i % 2 == 0)
                from = from + chunk < a.n ? from + chunk : 0;
            if (i % 2 == 0)
                load_b<C, !S::rows_shared>(s.w[slot], a.w1 + from, a.n, chunk);
            else
                for (int b = 0; b < C / 64; b++)
                    load_b<chunk, false>(s.w[slot] + b * S::block_bytes, a.w2 + (int64_t)from * C + 64 * b, C, 64);
        });
    } else {
        take_registers<S::registers>();
        multiply<C>(s, a, warp, steps, last, tiles);
    }
#endif
}

template <int C>
void launch(struct ff_backend *be, transition_job &a)
{
    using S = transition_shared<C>;
    static_assert(sizeof(S) <= 227 << 10, "as much as a block can have");
    static bool ready = false;
    if (!ready)
        FF_CUDA(cudaFuncSetAttribute(transition_wgmma_kernel<C>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                     (int)sizeof(S)));
    ready = true;
    a.blocks = ff_blocks(a.n_row, S::groups * group_rows);
    a.turn = (unsigned)a.n / chunk;
    a.lag = C > 128 ? 0 : a.turn / S::groups;
    a.stays = 2 * a.turn <= (unsigned)S::tiles;
    unsigned grid = min((unsigned)ff_cuda_sm_count(be), a.blocks);
    ff_cuda_launch_early(transition_wgmma_kernel<C>, grid, S::threads, sizeof(S), ff_cuda_stream(be), true, a);
}

} // namespace

bool ff_cuda_transition_wgmma(struct ff_backend *be, const struct ff_transition_args *a)
{
    int64_t c = a->w1.shape[0], n = a->w1.shape[1];
    if (!ff_cuda_has_wgmma(be) || !ff_is_bf16(&a->out) || (c != 64 && c != 128 && c != 256) || n % chunk != 0 ||
        n > max_hidden || !ff_cuda_aligned(&a->out, 8))
        return false;
    ff_cuda_mark mark(be);
    const void *w1 = ff_cuda_as_type(be, &a->w1, FF_BF16), *w2 = ff_cuda_as_type(be, &a->w2, FF_BF16);
    const void *const used[] = {w1, w2, a->norm.scale.data, a->norm.offset.data, a->b1.data, a->b2.data};
    for (const void *p : used)
        if ((uintptr_t)p % 16 != 0)
            return false;
    int axes = a->out.ndim - 1;
    transition_job j = {};
    j.x = (bf16 *)a->out.data;
    j.rows = ff_cuda_rows_of(&a->out, axes);
    j.n_row = (unsigned)ff_cuda_row_count(&a->out, axes);
    j.n = (int)n;
    j.w1 = (const bf16 *)w1;
    j.w2 = (const bf16 *)w2;
    j.scale = (const float *)a->norm.scale.data;
    j.offset = (const float *)a->norm.offset.data;
    j.b1 = (const float *)a->b1.data;
    j.b2 = (const float *)a->b2.data;
    if (j.n_row == 0)
        return true;
    if (c == 64)
        launch<64>(be, j);
    else if (c == 128)
        launch<128>(be, j);
    else
        launch<256>(be, j);
    return true;
}
