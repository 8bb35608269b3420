/* SPDX-License-Identifier: Apache-2.0
 * rows_wgmma: rows of bf16 numbers on their way through the products of a warpgroup: read from memory straight into
 * registers as A, layer norm there, weights through shared memory as B, results back to memory as whole lines.
 *
 * A warpgroup has 64 rows, a warp 16, a thread (of g = lane / 4, t = lane % 4) the rows g and g + 8 of its warp's. A
 * thread reads eight neighbouring channels at a time, 8 t .. 8 t + 7 of each 32; as registers of A these are not in the
 * order of k that the product knows. A sum has no order: the rows of W are put into shared memory in the order that A
 * has (k_place). Results of 64 columns pass through 2 KiB of shared memory of the warp's own, 16 swizzled rows of 128
 * bytes, so that memory sees pieces of 16 bytes of whole rows.
 */
#ifndef FF_CUDA_ROWS_WGMMA_CUH
#define FF_CUDA_ROWS_WGMMA_CUH

#include "mma.cuh"
#include "wgmma.cuh"

constexpr int LINE_BYTES = 16 * 128;     /* of a warp, in shared memory */

/* Where channel c of a row lies in the order of k. */
__device__ __forceinline__ int k_place(int c)
{
    return c / 32 * 32 + c % 8 / 4 * 16 + c % 4 / 2 * 8 + c % 32 / 8 * 2 + c % 2;
}

/* What a thread has read of its row r, channels 32 i + 8 t on. */
template <int K> __device__ __forceinline__ void set_a(unsigned (&a)[K / 16][4], int i, int r, uint4 v)
{
    a[2 * i][r] = v.x;
    a[2 * i][2 + r] = v.y;
    a[2 * i + 1][r] = v.z;
    a[2 * i + 1][2 + r] = v.w;
}

/* This thread's two rows of K channels; NULL: zeros. */
template <int K>
__device__ __forceinline__ void load_a(unsigned (&a)[K / 16][4], const bf16 *row0, const bf16 *row1)
{
    const int t = (int)threadIdx.x % 4;
#pragma unroll
    for (int i = 0; i < K / 32; i++)
#pragma unroll
        for (int r = 0; r < 2; r++) {
            const bf16 *row = r == 0 ? row0 : row1;
            set_a<K>(a, i, r, row ? *(const uint4 *)(row + 32 * i + 8 * t) : make_uint4(0, 0, 0, 0));
        }
}

/* Where 16 bytes of a warp's sixteen rows lie in shared memory: neighbouring rows' pieces do not meet in a bank. */
template <int K> __device__ __forceinline__ int staged_piece(int row, int piece)
{
    return row * 2 * K + (piece ^ row % 2 * 4) * 16;
}
/* The same rows from there. */
template <int K> __device__ __forceinline__ void load_staged(unsigned (&a)[K / 16][4], const char *rows)
{
    const int g = (int)threadIdx.x % 32 / 4, t = (int)threadIdx.x % 4;
#pragma unroll
    for (int i = 0; i < K / 32; i++)
#pragma unroll
        for (int r = 0; r < 2; r++)
            set_a<K>(a, i, r, *(const uint4 *)(rows + staged_piece<K>(g + 8 * r, 4 * i + t)));
}

/* Asks for a row of K channels to be in the second-level cache soon; each thread of four for a part of it. */
template <int K> __device__ __forceinline__ void expect_row(const bf16 *row)
{
    const int t = (int)threadIdx.x % 4;
    if (64 * t < K)
        prefetch_line(row + 64 * t);
}

/* Layer norm of both rows; scale and offset [K] in shared memory. The matrix units sum: of A times ones every column is
 * the sums of the rows, of A times its own transposed half (whose registers are those of A) the diagonal is the sums of
 * squares. So numbers are unpacked once only, which keeps the code, all of it unrolled, short. */
template <int K>
__device__ __forceinline__ void norm_a(unsigned (&a)[K / 16][4], const float *scale, const float *offset)
{
    const int lane = (int)threadIdx.x % 32, t = lane % 4, source = lane / 4 * 4 + lane / 8;
    constexpr unsigned ones = 0x3f803f80u;
    float sum[4] = {}, low[4] = {}, high[4] = {};
#pragma unroll
    for (int k = 0; k < K / 16; k++) {
        mma_bf16(sum, a[k], ones, ones);
        mma_bf16(low, a[k], a[k][0], a[k][2]);
        mma_bf16(high, a[k], a[k][1], a[k][3]);
    }
    /* Row g and column g of the lower half of a tile are with thread 4 g + g / 2. */
    const float square0 = __shfl_sync(0xffffffffu, lane / 4 % 2 ? low[1] : low[0], source);
    const float square1 = __shfl_sync(0xffffffffu, lane / 4 % 2 ? high[3] : high[2], source);
    float inverse[2], shift[2];
#pragma unroll
    for (int r = 0; r < 2; r++) {
        float mean = sum[2 * r] * (1.0f / K), square = r == 0 ? square0 : square1;
        inverse[r] = rsqrtf(fmaxf(square * (1.0f / K) - mean * mean, 0.0f) + 1e-5f);
        shift[r] = -mean * inverse[r];
    }
#pragma unroll
    for (int k = 0; k < K / 16; k++) {
        const int c = k / 2 * 32 + 8 * t + k % 2 * 4;
        float4 s = load4(scale + c), o = load4(offset + c);
#pragma unroll
        for (int r = 0; r < 2; r++) {
            unsigned &v = a[k][r], &w = a[k][2 + r];
            v = pack2((low_half(v) * inverse[r] + shift[r]) * s.x + o.x,
                      (high_half(v) * inverse[r] + shift[r]) * s.y + o.y);
            w = pack2((low_half(w) * inverse[r] + shift[r]) * s.z + o.z,
                      (high_half(w) * inverse[r] + shift[r]) * s.w + o.w);
        }
    }
}

/* relu of two bf16 numbers */
__device__ __forceinline__ unsigned relu2(unsigned v) { return v & ~((v >> 15 & 0x10001u) * 0xffffu); }

/* Copies rows [0, rows) of 64 columns of w, which has distance ld and `columns` columns from there on, into a tile of
 * swizzled rows of 128 bytes, by a warpgroup; columns that are not there become 0. permute: row k goes to k_place(k).
 * What it takes are the instructions of those who bring: addresses are not computed anew for each piece. */
template <int rows, bool permute>
__device__ __forceinline__ void load_b(char *tile, const bf16 *w, int ld, int columns)
{
    const int piece = (int)threadIdx.x % 8, k = (int)threadIdx.x % 128 / 8;
    const int bytes = 8 * piece < columns ? 16 : 0;
    const bf16 *from = w + (bytes > 0 ? 8 * piece : 0) + (int64_t)k * ld;
    const unsigned first = (unsigned)((permute ? k_place(k) : k) * 128 + piece * 16);
    /* Row k + 16 of 32 goes four places behind row k, or sixteen. */
    const unsigned even = shared_address(tile) + wgmma_swizzled<128>(first);
    const unsigned odd = shared_address(tile) + wgmma_swizzled<128>(first + (permute ? 4 : 16) * 128);
#pragma unroll
    for (int i = 0; i < rows / 16; i++) {
        copy_async((i % 2 == 0 ? even : odd) + (unsigned)(i / 2) * 4096, from, bytes);
        from += 16 * (int64_t)ld;
    }
}
/* The tile as an operand; the next 16 rows are 2048 bytes on. */
__device__ __forceinline__ uint64_t b_operand(const char *tile)
{
    return wgmma_operand<128>(shared_address(tile), 1024, 1024);
}

/* --- tiles of weights, brought by one warpgroup to those that multiply --- */

/* A place in the ring of tiles; parity is that of the phase in which the place is full. */
struct tile_ring {
    unsigned tiles, slot, parity;
    bool stays;                          /* all tiles fit: each is brought once */
    __device__ __forceinline__ void next()
    {
        if (++slot == tiles) {
            slot = 0;
            parity ^= stays ? 0u : 1u;
        }
    }
};

/* For the warpgroup that brings: load(i, slot) begins the copies of tile i. full[] have the arrivals of 4 warps. */
template <class F>
__device__ __forceinline__ void bring_tiles(uint64_t *full, uint64_t *empty, tile_ring to, unsigned count, F &&load)
{
    constexpr unsigned ahead = 2;        /* tiles whose copies are under way behind the latest */
    tile_ring done = to;
    unsigned under_way = 0;
    auto declare = [&]() {               /* the oldest of them full, after its copies were waited for */
        shared_fence();
        barrier_arrive_warp(&full[done.slot]);
        done.next();
        under_way--;
    };
    for (unsigned i = 0; i < count; i++) {
        if (__any_sync(0xffffffffu, !barrier_over(&empty[to.slot], to.parity ^ 1u))) {
            /* Those that multiply may want all that there is. */
            copy_wait<0>();
            while (under_way > 0)
                declare();
            barrier_wait(&empty[to.slot], to.parity ^ 1u);
        }
        load(i, to.slot);
        copy_commit();
        to.next();
        if (++under_way > ahead) {
            copy_wait<ahead>();
            declare();
        }
    }
    copy_wait<0>();
    while (under_way > 0)
        declare();
}

/* --- results --- */

/* Two neighbouring columns 8 j + 2 t of row g + 8 r in the warp's lines. */
__device__ __forceinline__ unsigned *line_word(char *lines, int j, int r)
{
    const int lane = (int)threadIdx.x % 32;
    return (unsigned *)(lines + wgmma_swizzled<128>((unsigned)((lane / 4 + 8 * r) * 128 + 16 * j + lane % 4 * 4)));
}
/* The piece of 16 bytes of a line that this thread moves, p < 4: line 4 p + lane / 8. */
__device__ __forceinline__ uint4 *line_piece(char *lines, int p)
{
    const int lane = (int)threadIdx.x % 32;
    return (uint4 *)(lines + wgmma_swizzled<128>((unsigned)((4 * p + lane / 8) * 128 + lane % 8 * 16)));
}

/* Lines of out: at[16] says where they begin, -1 for none. This thread's pieces of them, NULL for none. */
__device__ __forceinline__ void line_pointers(bf16 *(&to)[4], bf16 *out, const int64_t *at)
{
    const int lane = (int)threadIdx.x % 32;
#pragma unroll
    for (int p = 0; p < 4; p++) {
        const int64_t line = at[4 * p + lane / 8];
        to[p] = line < 0 ? nullptr : out + line + lane % 8 * 8;
    }
}
/* Pieces `column` columns on; there: this thread's exist. */
__device__ __forceinline__ void fetch_lines(uint4 (&v)[4], bf16 *const (&to)[4], int64_t column, bool there)
{
#pragma unroll
    for (int p = 0; p < 4; p++)
        v[p] = there && to[p] ? *(const uint4 *)(to[p] + column) : make_uint4(0, 0, 0, 0);
}
__device__ __forceinline__ void put_lines(char *lines, const uint4 (&v)[4])
{
#pragma unroll
    for (int p = 0; p < 4; p++)
        *line_piece(lines, p) = v[p];
}
__device__ __forceinline__ void send_lines(bf16 *const (&to)[4], int64_t column, bool there, char *lines)
{
    uint4 v[4];
#pragma unroll
    for (int p = 0; p < 4; p++)
        v[p] = *line_piece(lines, p);
#pragma unroll
    for (int p = 0; p < 4; p++)
        if (there && to[p])
            *(uint4 *)(to[p] + column) = v[p];
}

#endif
