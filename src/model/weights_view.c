/* SPDX-License-Identifier: Apache-2.0
 * weights_view: views of one block of stacked weights, and filling of packed places. See weights.h.
 */
#include "model/weights.h"

#include "format/array.h"

/* --- one block of a stack --------------------------------------------------------------------------------------- */

static void tensor_at(struct ff_tensor *t, int i)
{
    if (ff_tensor_present(t))
        *t = ff_tensor_index(*t, 0, i);
}

static void norm_at(struct ff_norm *n, int i)
{
    tensor_at(&n->scale, i);
    tensor_at(&n->offset, i);
}

static void linear_at(struct ff_linear_weights *l, int i)
{
    tensor_at(&l->w, i);
    tensor_at(&l->b, i);
}

static void attention_at(struct ff_attention_weights *a, int i)
{
    norm_at(&a->query_norm, i);
    linear_at(&a->qkvg, i);
    linear_at(&a->output, i);
    norm_at(&a->pair_norm, i);
    tensor_at(&a->pair_bias, i);
}

static void transition_at(struct ff_transition_weights *t, int i)
{
    norm_at(&t->input_layer_norm, i);
    linear_at(&t->transition1, i);
    linear_at(&t->transition2, i);
}

static void triangle_at(struct ff_triangle_weights *t, int i)
{
    norm_at(&t->layer_norm_input, i);
    linear_at(&t->left_projection, i);
    linear_at(&t->right_projection, i);
    linear_at(&t->left_gate, i);
    linear_at(&t->right_gate, i);
    norm_at(&t->center_layer_norm, i);
    linear_at(&t->output_projection, i);
    linear_at(&t->gating_linear, i);
}

struct ff_block_weights ff_weights_block(const struct ff_block_weights *stack, int i)
{
    struct ff_block_weights b = *stack;
    attention_at(&b.msa_row_attention_with_pair_bias, i);
    attention_at(&b.msa_column_attention, i);
    struct ff_global_attention_weights *g = &b.msa_column_global_attention;
    norm_at(&g->query_norm, i);
    tensor_at(&g->query, i);
    tensor_at(&g->key_value, i);
    linear_at(&g->gate, i);
    linear_at(&g->output, i);
    transition_at(&b.msa_transition, i);
    norm_at(&b.outer_product_mean.layer_norm_input, i);
    linear_at(&b.outer_product_mean.left_projection, i);
    linear_at(&b.outer_product_mean.right_projection, i);
    linear_at(&b.outer_product_mean.output, i);
    triangle_at(&b.triangle_multiplication_outgoing, i);
    triangle_at(&b.triangle_multiplication_incoming, i);
    attention_at(&b.triangle_attention_starting_node, i);
    attention_at(&b.triangle_attention_ending_node, i);
    transition_at(&b.pair_transition, i);
    return b;
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
