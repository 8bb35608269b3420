/* SPDX-License-Identifier: Apache-2.0
 * Splitting, gathering and exchanging tensors among ranks: every value is known from its index. Run by mpirun on 1 to 4
 * ranks (test/parallel/dap.bats). $FF_TEST_DEVICE=cuda: one GPU per rank, NCCL.
 */
#include "unit/testing.h"

#include "base/alloc.h"
#include "parallel/dap.h"

enum { ARENA = 16 << 20 };

struct fixture {
    struct ff_backend *be;
    struct ff_comm *comm;
    struct ff_arena arena;
    void *memory;
    struct ff_dap dap;
};

static void open_fixture(struct fixture *f, int64_t chunk_bytes)
{
    const char *device = getenv("FF_TEST_DEVICE");
    bool cuda = device != NULL && strcmp(device, "cuda") == 0;
    assert_ok(ff_backend_create(cuda ? FF_DEVICE_CUDA : FF_DEVICE_CPU, FF_PRECISION_FP32, 1, &f->be));
    assert_ok(ff_comm_split(f->be, 0, &f->comm));
    assert_ok(f->be->alloc(f->be, ARENA, &f->memory));
    ff_arena_init(&f->arena, f->memory, ARENA);
    f->dap = (struct ff_dap){.comm = f->comm, .be = f->be, .arena = &f->arena, .chunk_bytes = chunk_bytes};
}

static void close_fixture(struct fixture *f)
{
    f->be->release(f->be, f->memory);
    ff_comm_destroy(f->comm);
    ff_backend_destroy(f->be);
}

static float value(int64_t i, int64_t j, int64_t c)
{
    return (float)(i * 10000 + j * 100 + c);
}

/* t[i, j, c] of the whole tensor starts at (i0, j0); t is contiguous. */
static void fill(struct fixture *f, struct ff_tensor t, int64_t i0, int64_t j0)
{
    float *host = FF_NEW_ARRAY(float, (size_t)ff_tensor_count(&t)), *at = host;
    for (int64_t i = 0; i < t.shape[0]; i++)
        for (int64_t j = 0; j < t.shape[1]; j++)
            for (int64_t c = 0; c < t.shape[2]; c++)
                *at++ = value(i0 + i, j0 + j, c);
    f->be->upload(f->be, &t, host);
    f->be->sync(f->be);
    free(host);
}

static void expect_times(struct fixture *f, struct ff_tensor t, int64_t i0, int64_t j0, float factor)
{
    size_t mark = ff_arena_mark(&f->arena);
    struct ff_tensor flat = ff_arena_push(&f->arena, FF_F32, 3, t.shape);
    float *host = FF_NEW_ARRAY(float, (size_t)ff_tensor_count(&t)), *at = host;
    if (ff_tensor_count(&t) > 0)
        FF_OP(f->be, copy, .out = flat, .x = t);
    f->be->download(f->be, host, &flat);
    for (int64_t i = 0; i < t.shape[0]; i++)
        for (int64_t j = 0; j < t.shape[1]; j++)
            for (int64_t c = 0; c < t.shape[2]; c++, at++)
                if (*at != factor * value(i0 + i, j0 + j, c))
                    fail_msg("[%d, %d, %d] is %g instead of %g", (int)(i0 + i), (int)(j0 + j), (int)c, *at,
                             factor * value(i0 + i, j0 + j, c));
    free(host);
    ff_arena_release(&f->arena, mark);
}

static void expect(struct fixture *f, struct ff_tensor t, int64_t i0, int64_t j0)
{
    expect_times(f, t, i0, j0, 1.0f);
}

static void test_parts_cover(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, 1 << 20);
    for (int64_t n = 1; n < 20; n++) {
        int64_t at = 0;
        for (int r = 0; r < f.comm->size; r++) {
            assert_int_equal(ff_dap_from(&f.dap, n, r), at);
            at += ff_dap_count(&f.dap, n, r);
            assert_in_range(ff_dap_count(&f.dap, n, r), n / f.comm->size, n / f.comm->size + 1);
        }
        assert_int_equal(at, n);
    }
    close_fixture(&f);
}

static void test_gather(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, 1 << 20);
    for (int axis = 0; axis < 2; axis++) {
        int64_t n[2] = {7, 5}, own = ff_dap_count(&f.dap, n[axis], f.comm->rank);
        int64_t from = ff_dap_from(&f.dap, n[axis], f.comm->rank);
        int64_t shape[3] = {axis == 0 ? own : n[0], axis == 1 ? own : n[1], 3};
        struct ff_tensor part = ff_arena_push(&f.arena, FF_F32, 3, shape);
        fill(&f, part, axis == 0 ? from : 0, axis == 1 ? from : 0);
        struct ff_tensor whole = ff_dap_gather(&f.dap, part, axis, n[axis]);
        assert_int_equal(whole.shape[axis], n[axis]);
        expect(&f, whole, 0, 0);
    }
    close_fixture(&f);
}

/* Rows change over to columns, where every number is doubled, and back; rows_of_piece at a time. */
static void visit(int64_t n_row, int64_t n_column, int64_t rows_of_piece)
{
    struct fixture f;
    open_fixture(&f, 1 << 20);
    int rank = f.comm->rank;
    int64_t i0 = ff_dap_from(&f.dap, n_row, rank), rows = ff_dap_count(&f.dap, n_row, rank);
    int64_t j0 = ff_dap_from(&f.dap, n_column, rank);
    struct ff_tensor x = ff_arena_push(&f.arena, FF_F32, FF_SHAPE(rows, n_column, 3));
    fill(&f, x, i0, 0);
    struct ff_dap_visit v;
    ff_dap_visit_open(&f.dap, x, n_row, rows_of_piece, (struct ff_tensor){0}, &v);
    int64_t seen = 0;
    ff_dap_visit_fetch(&v, 0);
    for (int64_t k = 0; k < v.n_piece; k++) {
        ff_dap_visit_fetch(&v, k + 1);
        struct ff_tensor t = ff_dap_visit_rows(&v, k);
        expect(&f, ff_tensor_transpose(t, 0, 1), 0, j0 + k * rows_of_piece);
        if (t.shape[0] > 0)
            FF_OP(f.be, scale_add, .out = t, .alpha = 2.0f);
        seen += t.shape[0];
        ff_dap_visit_return(&v, k);
        ff_dap_visit_end(&v, k - 1);
    }
    ff_dap_visit_end(&v, v.n_piece - 1);
    ff_dap_visit_close(&v);
    assert_int_equal(seen, ff_dap_count(&f.dap, n_column, rank));
    expect_times(&f, x, i0, 0, 2.0f);
    close_fixture(&f);
}

static void test_visit(void **state)
{
    (void)state;
    visit(9, 9, 100);
    visit(9, 11, 1);
    visit(10, 13, 2);
    visit(3, 10, 2); /* fewer rows than ranks may be */
    visit(10, 3, 1);
}

static void turn(int64_t n_row, int64_t n_column, int64_t chunk_bytes)
{
    struct fixture f;
    open_fixture(&f, chunk_bytes);
    int rank = f.comm->rank;
    if (f.comm->size > 1) {
        int64_t i0 = ff_dap_from(&f.dap, n_row, rank), rows = ff_dap_count(&f.dap, n_row, rank);
        int64_t j0 = ff_dap_from(&f.dap, n_column, rank), columns = ff_dap_count(&f.dap, n_column, rank);
        struct ff_tensor x = ff_arena_push(&f.arena, FF_F32, FF_SHAPE(rows, n_column, 3));
        struct ff_tensor t = ff_arena_push(&f.arena, FF_F32, FF_SHAPE(columns, n_row, 3));
        fill(&f, x, i0, 0);
        ff_dap_turn(&f.dap, x, n_row, t);
        expect(&f, ff_tensor_transpose(t, 0, 1), 0, j0);
    }
    close_fixture(&f);
}

static void test_turn(void **state)
{
    (void)state;
    turn(9, 9, 1 << 20);
    turn(9, 11, 1);
    turn(3, 10, 2000);
    turn(1, 4000, 1 << 20); /* in messages that MPI sends when they are asked for */
}

/* Rank r sends rank q its rows [q, q + q + 1): blocks of different sizes, none for rank 0's neighbour below. */
static void test_swap(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, 1 << 20);
    int size = f.comm->size, rank = f.comm->rank;
    struct ff_tensor own = ff_arena_push(&f.arena, FF_F32, FF_SHAPE(10, 4, 3)), to[8], from[8];
    assert_in_range(size, 1, 4);
    fill(&f, own, rank * 50, 0);
    for (int r = 0; r < size; r++) {
        to[r] = ff_tensor_slice(own, 0, r, r == size - 1 ? 0 : r + 1);
        from[r] = ff_arena_push(&f.arena, FF_F32, FF_SHAPE(rank == size - 1 ? 0 : rank + 1, 4, 3));
    }
    ff_dap_wait(&f.dap, ff_dap_swap(&f.dap, to, from));
    for (int r = 0; r < size; r++)
        if (r != rank)
            expect(&f, from[r], r * 50 + rank, 0);
    close_fixture(&f);
}

/* Two gathers under way at once; the first is waited for last. */
static void test_gathers_side_by_side(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, 1 << 20);
    struct ff_tensor part[2], whole[2];
    struct ff_dap_gathering g[2];
    for (int i = 0; i < 2; i++) {
        int64_t own = ff_dap_count(&f.dap, 9, f.comm->rank), from = ff_dap_from(&f.dap, 9, f.comm->rank);
        part[i] = ff_arena_push(&f.arena, FF_F32, FF_SHAPE(2, own, 3));
        fill(&f, part[i], 100 * i, from);
        whole[i] = ff_arena_push(&f.arena, FF_F32, FF_SHAPE(2, 9, 3));
    }
    for (int i = 0; i < 2; i++)
        g[i] = ff_dap_gather_begin(&f.dap, part[i], 1, whole[i]);
    for (int i = 1; i >= 0; i--)
        expect(&f, ff_dap_gather_end(&f.dap, &g[i]), 100 * i, 0);
    close_fixture(&f);
}

int main(int argc, char **argv)
{
    if (ff_comm_start(&argc, &argv) != FF_OK) {
        fprintf(stderr, "%s\n", ff_status_message());
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts_cover),
        cmocka_unit_test(test_gather),
        cmocka_unit_test(test_gathers_side_by_side),
        cmocka_unit_test(test_visit),
        cmocka_unit_test(test_turn),
        cmocka_unit_test(test_swap),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ff_comm_stop();
    return failed;
}
