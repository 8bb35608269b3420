/* SPDX-License-Identifier: Apache-2.0
 * Splitting, gathering and exchanging tensors among ranks: every value is known from its index. Run by mpirun on 1 to 4
 * ranks (test/parallel/dap.bats). $FF_TEST_DEVICE=cuda: one GPU per rank, $FF_TEST_TRANSPORT among them.
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

static void open_fixture(struct fixture *f)
{
    const char *device = getenv("FF_TEST_DEVICE");
    bool cuda = device != NULL && strcmp(device, "cuda") == 0;
    assert_ok(ff_backend_create(cuda ? FF_DEVICE_CUDA : FF_DEVICE_CPU, FF_PRECISION_FP32, 1, &f->be));
    assert_ok(ff_comm_split(f->be, 0, &f->comm));
    assert_ok(f->be->alloc(f->be, ARENA, &f->memory));
    ff_arena_init(&f->arena, f->memory, ARENA);
    ff_comm_attach(f->comm, f->memory, ARENA);
    f->dap = (struct ff_dap){.comm = f->comm, .be = f->be, .arena = &f->arena};
}

static void close_fixture(struct fixture *f)
{
    ff_comm_detach(f->comm);
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
    open_fixture(&f);
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
    open_fixture(&f);
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

/* Rows change over to columns, where every number is doubled, and back; rows_of_piece at a time. turned: the columns
 * lie where rows otherwise do. */
static void visit(int64_t n_row, int64_t n_column, int64_t rows_of_piece, bool turned)
{
    struct fixture f;
    open_fixture(&f);
    int rank = f.comm->rank;
    int64_t i0 = ff_dap_from(&f.dap, n_row, rank), rows = ff_dap_count(&f.dap, n_row, rank);
    int64_t j0 = ff_dap_from(&f.dap, n_column, rank);
    struct ff_tensor filled = ff_arena_push(&f.arena, FF_F32, FF_SHAPE(rows, n_column, 3)), x = filled;
    fill(&f, filled, i0, 0);
    if (turned) {
        x = ff_tensor_transpose(ff_arena_push(&f.arena, FF_F32, FF_SHAPE(n_column, rows, 3)), 0, 1);
        if (rows > 0)
            FF_OP(f.be, copy, .out = x, .x = filled);
    }
    struct ff_dap_visit v;
    ff_dap_visit_open(&f.dap, x, n_row, rows_of_piece, &v);
    int64_t seen = 0;
    ff_dap_visit_fetch(&v, 0);
    for (int64_t k = 0; k < v.n_piece; k++) {
        struct ff_dap_rows part[1 + FF_DAP_OTHERS] = {ff_dap_visit_own(&v, k)};
        int n_part = 1 + ff_dap_visit_others(&v, k, part + 1);
        int64_t n_seen = 0;
        for (int i = 0; i < n_part; i++)
            expect(&f, ff_tensor_transpose(part[i].t, 0, 1), part[i].from, j0 + k * rows_of_piece);
        ff_dap_visit_return(&v, k - 1);
        ff_dap_visit_fetch(&v, k + 1);
        ff_dap_visit_come(&v, k + 1);
        for (int i = 0; i < n_part; i++) {
            struct ff_tensor t = part[i].t;
            if (ff_tensor_count(&t) > 0)
                FF_OP(f.be, scale_add, .out = t, .alpha = 2.0f);
            n_seen += t.shape[1];
        }
        assert_int_equal(n_seen, n_row);
        seen += part[0].t.shape[0];
    }
    ff_dap_visit_return(&v, v.n_piece - 1);
    ff_dap_visit_end(&v, v.n_piece - 1);
    ff_dap_visit_close(&v);
    assert_int_equal(seen, ff_dap_count(&f.dap, n_column, rank));
    expect_times(&f, x, i0, 0, 2.0f);
    close_fixture(&f);
}

static void test_visit(void **state)
{
    (void)state;
    for (int turned = 0; turned < 2; turned++) {
        visit(9, 9, 100, turned);
        visit(9, 11, 1, turned);
        visit(10, 13, 2, turned);
        visit(3, 10, 2, turned); /* fewer rows than ranks may be */
        visit(10, 3, 1, turned);
        visit(1, 4000, 4000, turned); /* in messages that MPI sends when they are asked for */
    }
}

/* Rank r sends rank q its rows [q, q + q + 1): blocks of different sizes, none to the last rank. They leave and come in
 * tensors with other strides: leaving by channels, coming by columns, behind some of their channels. */
static void swap(int64_t channels, int64_t behind)
{
    struct fixture f;
    open_fixture(&f);
    int size = f.comm->size, rank = f.comm->rank;
    struct ff_tensor own = ff_arena_push(&f.arena, FF_F32, FF_SHAPE(10, 4, channels)), to[8], from[8];
    assert_in_range(size, 1, 4);
    fill(&f, own, rank * 50, 0);
    for (int k = 0; k < 4; k++) {
        bool turned = k % 2 == 1, beside = k < 2;
        for (int r = 0; r < size; r++) {
            int64_t come = rank == size - 1 ? 0 : rank + 1;
            to[r] = ff_tensor_slice(own, 0, r, r == size - 1 ? 0 : r + 1);
            struct ff_tensor room = ff_arena_push(
                &f.arena, FF_F32, FF_SHAPE(turned ? 6 : 10, turned ? 10 : 6, 2 * behind + channels));
            room = turned ? ff_tensor_transpose(room, 0, 1) : room;
            from[r] = ff_tensor_slice(ff_tensor_slice(ff_tensor_slice(room, 0, 1, come), 1, 2, 4), 2, behind, channels);
        }
        ff_dap_wait(&f.dap, ff_dap_swap_beside(&f.dap, beside, to, from));
        for (int r = 0; r < size && size > 1; r++)
            expect(&f, from[r], r * 50 + rank, 0);
    }
    close_fixture(&f);
}

static void test_swap(void **state)
{
    (void)state;
    swap(3, 1);
    swap(4, 4);      /* everything at multiples of 16 bytes */
    swap(700, 4);    /* and longer than what a warp copies at a time */
}

/* Blocks as in swap, made by an operation where they are to lie as far as that is in reach, in the same memory again
 * and again. Nothing is tried where ranks do not reach each other's memory. */
static void test_reach(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    enum { ROUNDS = 10 };
    int size = f.comm->size, rank = f.comm->rank;
    struct ff_tensor own = ff_arena_push(&f.arena, FF_F32, FF_SHAPE(10, 4, 4)), to[8], from[8];
    struct ff_tensor made = ff_arena_push(&f.arena, FF_F32, FF_SHAPE(10, 4, 4));
    for (int r = 0; r < size; r++)
        from[r] = ff_tensor_transpose(
            ff_arena_push(&f.arena, FF_F32, FF_SHAPE(4, rank == size - 1 ? 0 : rank + 1, 4)), 0, 1);
    for (int k = 0; k < ROUNDS; k++) {
        const bool beside = k % 2 == 1;
        int n_there = 0;
        for (int r = 0; r < size; r++)   /* blocks side by side: rows overlap in own */
            to[r] = r == rank ? from[r] : ff_tensor_slice(made, 0, r * (r + 1) / 2, r == size - 1 ? 0 : r + 1);
        if (!ff_dap_reach(&f.dap, beside, to, from)) {
            assert_true(size == 1 || strcmp(f.comm->name, "peer") != 0 || (beside && size < 4));
            continue;
        }
        fill(&f, own, rank * 50 + k, 0);
        for (int r = 0; r < size; r++) {
            const char *data = to[r].data;
            n_there += r != rank && (data < (char *)made.data || data >= (char *)made.data + ff_tensor_bytes(&made));
            if (ff_tensor_count(&to[r]) > 0)
                FF_OP(f.be, copy, .out = to[r], .x = ff_tensor_slice(own, 0, r, r + 1));
        }
        /* The last rank gets nothing, and may be the only one whose block would be made there. */
        const bool none = size == 2 ? rank == 0 : beside && rank == size - 2;
        assert_in_range(n_there, none ? 0 : 1, none ? 0 : size - 1);
        ff_dap_wait(&f.dap, ff_dap_reached(&f.dap, to));
        for (int r = 0; r < size; r++)
            expect(&f, from[r], r * 50 + rank + k, 0);
    }
    close_fixture(&f);
}

/* Many exchanges that are begun before the first is waited for, again and again, in a ring: what comes is what was sent
 * in that round, and what follows finds room. */
static void test_many(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    enum { FLIGHT = 6, ROUNDS = 40 };
    int size = f.comm->size, rank = f.comm->rank;
    struct ff_tensor own[FLIGHT], come[FLIGHT], to[8], from[8];
    int64_t ticket[FLIGHT] = {0};
    for (int i = 0; i < FLIGHT; i++) {
        own[i] = ff_arena_push(&f.arena, FF_F32, FF_SHAPE(7, 5, 3));
        come[i] = ff_arena_push(&f.arena, FF_F32, FF_SHAPE(7 * size, 5, 3));
    }
    for (int k = 0; k < ROUNDS + FLIGHT; k++) {
        int i = k % FLIGHT;
        if (k >= FLIGHT) {
            ff_dap_wait(&f.dap, ticket[i]);
            for (int r = 0; r < size && size > 1; r++)
                expect(&f, ff_tensor_slice(come[i], 0, 7 * r, 7), 20 * r + k - FLIGHT, 0);
        }
        if (k >= ROUNDS)
            continue;
        fill(&f, own[i], 20 * rank + k, 0);
        for (int r = 0; r < size; r++) {
            to[r] = own[i];
            from[r] = ff_tensor_slice(come[i], 0, 7 * r, 7);
        }
        ticket[i] = ff_dap_swap(&f.dap, to, from);
    }
    close_fixture(&f);
}

/* Two gathers under way at once; the first is waited for last. */
static void test_gathers_side_by_side(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    struct ff_tensor whole[2];
    int64_t ticket[2];
    for (int i = 0; i < 2; i++) {
        whole[i] = ff_arena_push(&f.arena, FF_F32, FF_SHAPE(2, 9, 3));
        struct ff_tensor own = ff_dap_part(&f.dap, whole[i], 1);
        struct ff_tensor part = ff_arena_push(&f.arena, FF_F32, 3, own.shape);
        fill(&f, part, 100 * i, ff_dap_from(&f.dap, 9, f.comm->rank));
        FF_OP(f.be, copy, .out = own, .x = part);
    }
    for (int i = 0; i < 2; i++)
        ticket[i] = ff_dap_share(&f.dap, whole[i], 1);
    for (int i = 1; i >= 0; i--) {
        ff_dap_wait(&f.dap, ticket[i]);
        expect(&f, whole[i], 100 * i, 0);
    }
    close_fixture(&f);
}

int main(int argc, char **argv)
{
    const char *transport = getenv("FF_TEST_TRANSPORT");
    if (transport != NULL && strcmp(transport, "auto") != 0)
        ff_comm_set_transport(strcmp(transport, "nccl") == 0 ? FF_TRANSPORT_NCCL : FF_TRANSPORT_PEER);
    if (ff_comm_start(&argc, &argv) != FF_OK) {
        fprintf(stderr, "%s\n", ff_status_message());
        return 1;
    }
    ff_comm_set_time_limit(30); /* when a test fails on one rank the others wait for it */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts_cover),
        cmocka_unit_test(test_gather),
        cmocka_unit_test(test_gathers_side_by_side),
        cmocka_unit_test(test_visit),
        cmocka_unit_test(test_swap),
        cmocka_unit_test(test_reach),
        cmocka_unit_test(test_many),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ff_comm_stop();
    return failed;
}
