/* SPDX-License-Identifier: Apache-2.0
 * op_call: a call of any op made from a few sizes: operands of the right shapes with plausible random contents. What
 * the tests of the ops, the benchmark and whoever times a kernel start from, so that an op's shapes are written down
 * once.
 *
 * A call is built on the host (where a reference can run on it) and bound to a backend, which copies it there. Between
 * and around the rows of every operand lie quiet NaNs with a payload: reading them spoils the result, writing them is
 * found by ff_op_call_damage().
 */
#ifndef FF_COMPUTE_OP_CALL_H
#define FF_COMPUTE_OP_CALL_H

#include "compute/backend.h"
#include "compute/cost.h"

union ff_op_args {
#define X(op) struct ff_##op##_args op;
    FF_OPS(X)
#undef X
};

enum ff_op_case_flags {
    /* layout of operands that may be strided */
    FF_CASE_TRANSPOSED = 1 << 0,     /* the two leading axes lie swapped in memory */
    FF_CASE_GAPS = 1 << 1,           /* 8 unused elements behind every row; masks have a distance of 2 */
    /* masks: some entries are 0 unless */
    FF_CASE_UNMASKED = 1 << 2,       /* all are 1 */
    FF_CASE_EMPTY = 1 << 3,          /* besides, the first row and the last column are all 0 */
    /* optional operands and switches; an op looks at those it knows */
    FF_CASE_NORM = 1 << 4,
    FF_CASE_BIAS = 1 << 5,
    FF_CASE_MASK = 1 << 6,
    FF_CASE_RELU_INPUT = 1 << 7,
    FF_CASE_RELU = 1 << 8,
    FF_CASE_ACCUMULATE = 1 << 9,
    FF_CASE_IN_PLACE = 1 << 10,      /* layer_norm: out is x */
    FF_CASE_LEFT = 1 << 11,          /* outer_sum */
    FF_CASE_CHAINS = 1 << 12,        /* asym, entity, sym given */
    FF_CASE_UNIT = 1 << 13,          /* template_pair_embed: unit vector, and the next two */
    FF_CASE_MASK_ALL = 1 << 14,
    FF_CASE_CLAMP = 1 << 15,
    FF_CASE_MORE = 1 << 16,          /* optional outputs: tm and logits of aligned_error, atom14 of atoms_from_angles,
                                      * out2 of linear, of k channels */
    FF_CASE_X = 1 << 17,             /* scale_add */
    FF_CASE_BF16_IN = 1 << 18,       /* copy: type of x, of out */
    FF_CASE_BF16_OUT = 1 << 19,
    FF_CASE_INT = 1 << 20,           /* copy, fill: int32 */
    FF_CASE_LATE = 1 << 21,          /* the first half of the columns of every mask is 0 */
    FF_CASE_APART = 1 << 22,         /* triangles: some channels lie elsewhere */
    FF_CASE_TO_ATTENTION = 1 << 23,  /* linear: out, x is in the type that attention takes */
    FF_CASE_OF_ATTENTION = 1 << 24,
    FF_CASE_PLACES = 1 << 25,        /* linear: rows in three places; triangle_project, with FF_CASE_APART: channels in
                                      * four */
};

/* Sizes by the letters of ops.h; an op uses those that occur in its shapes. B, R and N of ops.h are i, L is j. */
struct ff_op_case {
    enum ff_op op;
    int flags;
    int64_t s;               /* sequences */
    int64_t t;               /* templates; for the general ops a third leading axis when not 0 */
    int64_t i, j, k;
    int64_t c;               /* channels of the main operand */
    int64_t n;               /* channels of the other side, hidden channels, bins */
    int64_t h, d;            /* heads, channels per head */
    int64_t p, v;            /* point_attention: n_point_qk; n_v (n_point_v is 2 p) */
};

enum {
    FF_OP_CALL_OPERANDS = 24,
    FF_OP_CALL_UNUSED = 0x7FE50000,    /* a quiet NaN that bfloat16 keeps; as an integer far outside every table */
};

struct ff_op_operand {
    size_t tensor;           /* offset of the struct ff_tensor in the arguments */
    bool written;
    bool activation;         /* stored as the backend's activation type */
    bool attended;           /* as what it takes for attention */
    enum ff_dtype dtype;     /* of the host copy: FF_F32 or FF_I32 */
    enum ff_dtype stored;    /* of the bound copy, if it is neither */
    size_t elements;         /* of the storage, with all gaps and guards */
    size_t first;            /* element that the tensor starts at */
    void *host;              /* storage on the host (the call's own, 4 bytes per element) */
};

struct ff_op_call {
    struct ff_op_case what;
    union ff_op_args args;
    struct ff_op_operand operand[FF_OP_CALL_OPERANDS];
    int n_operand;
    struct ff_backend *backend;  /* NULL: on the host */
    void *memory;                /* one block of the backend */
};

/* Contents depend on the case, the seed and nothing else. exact_in: values are exact in the types that this backend
 * stores them in; NULL: any. */
struct ff_op_call *ff_op_call_create(const struct ff_op_case *c, uint64_t seed, const struct ff_backend *exact_in);
/* The same call in the backend's memory and activation type. host must outlive it. */
ff_status ff_op_call_bind(const struct ff_op_call *host, struct ff_backend *be, struct ff_op_call **ret) FF_MUST_USE;
/* Copies the bound call's written operands back into a call created the same way as its host. */
void ff_op_call_fetch(const struct ff_op_call *bound, struct ff_op_call *host);
void ff_op_call_free(struct ff_op_call *call);

static inline struct ff_tensor *ff_op_call_tensor(struct ff_op_call *call, int operand)
{
    return (struct ff_tensor *)(void *)((char *)&call->args + call->operand[operand].tensor);
}
/* Elements outside the tensor of a host call's operand that are no longer what they were made. */
int64_t ff_op_call_damage(const struct ff_op_call *host, int operand);

void ff_op_call_run(const struct ff_op_call *bound);
struct ff_cost ff_op_call_cost(const struct ff_op_call *call);

/* In op_case.c: the operands of call->what, on the host. */
void ff_op_case_build(struct ff_op_call *call, uint64_t seed, const struct ff_backend *exact_in);
/* Sets the operands that are views of others; again after a change of addresses. */
void ff_op_case_make_views(struct ff_op_call *call);

#endif
