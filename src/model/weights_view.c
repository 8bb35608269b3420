/* SPDX-License-Identifier: Apache-2.0
 * weights_view: views of one block of stacked weights, and filling of packed places. See weights.h.
 */
#include "model/weights.h"

#include <string.h>

#include "format/array.h"

/* --- one block of a stack --------------------------------------------------------------------------------------- */

/* How the tensors of a block are looked at, one after the other. */
struct view {
    int i;                       /* the block */
    bool packed;                 /* they are to stand at base, else where they are in the stack */
    char *base;                  /* NULL: only counted */
    size_t used;                 /* of base */
    enum { KEEP, PACK, UNPACK } copy;
};

static void tensor_at(struct ff_tensor *t, struct view *v)
{
    if (!ff_tensor_present(t))
        return;
    *t = ff_tensor_index(*t, 0, v->i);
    if (!v->packed)
        return;
    size_t bytes = ff_tensor_bytes(t);
    void *place = (void *)((uintptr_t)v->base + v->used);
    if (v->copy == PACK)
        memcpy(place, t->data, bytes);
    else if (v->copy == UNPACK)
        memcpy(t->data, place, bytes);
    t->data = place;
    v->used += (bytes + FF_ARENA_ALIGN - 1) / FF_ARENA_ALIGN * FF_ARENA_ALIGN;
}

static void norm_at(struct ff_norm *n, struct view *v)
{
    tensor_at(&n->scale, v);
    tensor_at(&n->offset, v);
}

static void linear_at(struct ff_linear_weights *l, struct view *v)
{
    tensor_at(&l->w, v);
    tensor_at(&l->b, v);
}

static void attention_at(struct ff_attention_weights *a, struct view *v)
{
    norm_at(&a->query_norm, v);
    linear_at(&a->qkvg, v);
    linear_at(&a->output, v);
    norm_at(&a->pair_norm, v);
    tensor_at(&a->pair_bias, v);
}

static void transition_at(struct ff_transition_weights *t, struct view *v)
{
    norm_at(&t->input_layer_norm, v);
    linear_at(&t->transition1, v);
    linear_at(&t->transition2, v);
}

static void triangle_at(struct ff_triangle_weights *t, struct view *v)
{
    norm_at(&t->layer_norm_input, v);
    linear_at(&t->left_projection, v);
    linear_at(&t->right_projection, v);
    linear_at(&t->left_gate, v);
    linear_at(&t->right_gate, v);
    norm_at(&t->center_layer_norm, v);
    linear_at(&t->output_projection, v);
    linear_at(&t->gating_linear, v);
}

static struct ff_block_weights block_at(const struct ff_block_weights *stack, struct view *v)
{
    struct ff_block_weights b = *stack;
    attention_at(&b.msa_row_attention_with_pair_bias, v);
    attention_at(&b.msa_column_attention, v);
    struct ff_global_attention_weights *g = &b.msa_column_global_attention;
    norm_at(&g->query_norm, v);
    tensor_at(&g->query, v);
    tensor_at(&g->key_value, v);
    linear_at(&g->gate, v);
    linear_at(&g->output, v);
    transition_at(&b.msa_transition, v);
    norm_at(&b.outer_product_mean.layer_norm_input, v);
    linear_at(&b.outer_product_mean.left_projection, v);
    linear_at(&b.outer_product_mean.right_projection, v);
    linear_at(&b.outer_product_mean.output, v);
    triangle_at(&b.triangle_multiplication_outgoing, v);
    triangle_at(&b.triangle_multiplication_incoming, v);
    attention_at(&b.triangle_attention_starting_node, v);
    attention_at(&b.triangle_attention_ending_node, v);
    transition_at(&b.pair_transition, v);
    return b;
}

struct ff_block_weights ff_weights_block(const struct ff_block_weights *stack, int i)
{
    return block_at(stack, &(struct view){.i = i});
}

size_t ff_weights_packed_bytes(const struct ff_block_weights *stack)
{
    struct view v = {.packed = true};
    (void)block_at(stack, &v);
    return v.used;
}

void ff_weights_pack(const struct ff_block_weights *stack, int n_block, char *packed)
{
    size_t bytes = ff_weights_packed_bytes(stack);
    for (int i = 0; i < n_block; i++)
        (void)block_at(stack, &(struct view){.i = i, .packed = true, .base = packed + (size_t)i * bytes, .copy = PACK});
}

void ff_weights_unpack(const struct ff_block_weights *stack, int n_block, const char *packed)
{
    size_t bytes = ff_weights_packed_bytes(stack);
    for (int i = 0; i < n_block; i++)
        (void)block_at(stack, &(struct view){.i = i, .packed = true, .base = (char *)packed + (size_t)i * bytes,
                                             .copy = UNPACK});
}

struct ff_block_weights ff_weights_packed(const struct ff_block_weights *stack, void *base)
{
    return block_at(stack, &(struct view){.packed = true, .base = base});
}

/* --- filling ---------------------------------------------------------------------------------------------------- */

static void store_row(const struct ff_weight_decl *decl, int64_t offset, int64_t n, int64_t stride, const float *values)
{
    if (decl->dst.dtype == FF_BF16) {
        uint16_t *p = (uint16_t *)decl->dst.data + offset;
        for (int64_t i = 0; i < n; i++)
            p[i * stride] = ff_f32_to_bf16(values[i]);
        return;
    }
    FF_ASSERT(decl->dst.dtype == FF_F32);
    float *p = (float *)decl->dst.data + offset;
    for (int64_t i = 0; i < n; i++)
        p[i * stride] = decl->add ? p[i * stride] + values[i] : values[i];
}

void ff_weights_store(const struct ff_weight_decl *decl, const float *values)
{
    const struct ff_tensor *t = &decl->dst;
    int last = t->ndim - 1;
    int64_t index[FF_TENSOR_MAX_DIM] = {0};
    int64_t n = t->shape[last], rows = ff_tensor_count(t) / n;
    for (int64_t r = 0; r < rows; r++) {
        store_row(decl, ff_tensor_offset(t, last, index), n, t->stride[last], values + r * n);
        for (int d = last - 1; d >= 0 && ++index[d] == t->shape[d]; d--)
            index[d] = 0;
    }
}
