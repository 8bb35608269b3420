/* SPDX-License-Identifier: Apache-2.0
 * weights: every learned array of the network, named as its AlphaFold scope, as views into one block of memory.
 *
 * weights.c holds the only table of published names: one walk over the configuration declares each array (name, shape,
 * where it goes), and listing, checking, sizing, filling and planning are all that same walk with another visitor.
 * Where several published arrays feed one fused product they are packed side by side while loading (query, key, value
 * and gate; left and right projections; keys and values of points).
 *
 * Stacked scopes (evoformer_iteration, ...) have the block index as leading axis of every tensor; ff_weights_*_block
 * gives the views of one block.
 */
#ifndef FF_MODEL_WEIGHTS_H
#define FF_MODEL_WEIGHTS_H

#include "base/status.h"
#include "compute/arena.h"
#include "compute/ops.h"
#include "model/config.h"

struct ff_linear_weights {
    struct ff_tensor w;                  /* [k, n] */
    struct ff_tensor b;                  /* [n]; absent where the published layer has none */
};

struct ff_attention_weights {            /* gated self-attention */
    struct ff_norm query_norm;           /* [c] */
    struct ff_linear_weights qkvg;       /* [c, 4 H d]; bias 0 but for the gate */
    struct ff_linear_weights output;     /* [H d, c] */
    struct ff_norm pair_norm;            /* feat_2d_norm of row attention; query_norm for triangles; [c_z] */
    struct ff_tensor pair_bias;          /* feat_2d_weights [c_z, H]; absent for columns */
    int num_head;
};

struct ff_global_attention_weights {
    struct ff_norm query_norm;           /* [c] */
    struct ff_tensor query;              /* [c, H d] */
    struct ff_tensor key_value;          /* [c, 2 d] */
    struct ff_linear_weights gate;       /* [c, H d] */
    struct ff_linear_weights output;     /* [H d, c] */
    int num_head;
};

struct ff_transition_weights {
    struct ff_norm input_layer_norm;     /* [c] */
    struct ff_linear_weights transition1, transition2;
};

struct ff_outer_product_weights {
    struct ff_norm layer_norm_input;     /* [c_m] */
    struct ff_linear_weights left_projection, right_projection; /* [c_m, C] */
    struct ff_linear_weights output;     /* [C C, c_z] */
};

struct ff_triangle_weights {             /* triangle multiplication */
    struct ff_norm layer_norm_input;     /* [c_z] */
    struct ff_linear_weights left_projection, right_projection, left_gate, right_gate; /* [c_z, c_i] */
    struct ff_norm center_layer_norm;    /* [c_i] */
    struct ff_linear_weights output_projection; /* [c_i, c_z] */
    struct ff_linear_weights gating_linear;     /* [c_z, c_z] */
};

struct ff_block_weights {                /* one Evoformer, extra-MSA or template block, or a stack of them */
    struct ff_attention_weights msa_row_attention_with_pair_bias;
    struct ff_attention_weights msa_column_attention;
    struct ff_global_attention_weights msa_column_global_attention;   /* extra-MSA stack */
    struct ff_transition_weights msa_transition;
    struct ff_outer_product_weights outer_product_mean;
    struct ff_triangle_weights triangle_multiplication_outgoing, triangle_multiplication_incoming;
    struct ff_attention_weights triangle_attention_starting_node, triangle_attention_ending_node;
    struct ff_transition_weights pair_transition;
};

struct ff_template_weights {
    /* embedding2d [2 * 22 + bins + 5, c_t]: dgram, pseudo-beta mask, aatype j, i, unit vector, backbone mask */
    struct ff_linear_weights pair_embedding;
    struct ff_norm query_embedding_norm;     /* multimer [c_z] */
    struct ff_tensor query_embedding;        /* multimer [c_z, c_t] */
    struct ff_block_weights stack;
    struct ff_norm output_layer_norm;        /* [c_t] */
    struct ff_tensor query, key, value;      /* monomer pointwise attention [c_z, H d], [c_t, H d] */
    struct ff_linear_weights output;         /* monomer [H d, c_z]; multimer output_linear [c_t, c_z] */
    struct ff_linear_weights single_embedding, projection; /* torsion rows: [57 or 34, c_m], [c_m, c_m] */
};

struct ff_structure_weights {
    struct ff_norm single_layer_norm, pair_layer_norm;
    struct ff_linear_weights initial_projection;
    struct ff_linear_weights q_scalar, kv_scalar, q_point, kv_point;  /* layouts of ff_point_attention_args */
    struct ff_linear_weights attention_2d;   /* [c_z, H] */
    struct ff_tensor trainable_point_weights;
    struct ff_linear_weights output_projection;
    struct ff_norm attention_layer_norm, transition_layer_norm;
    struct ff_linear_weights transition[8];
    struct ff_linear_weights affine_update;  /* [c, 6] */
    struct ff_linear_weights input_projection[2]; /* side chains: of act, of initial act */
    struct ff_linear_weights resblock1[8], resblock2[8];
    struct ff_linear_weights unnormalized_angles; /* [c, 14] */
};

struct ff_heads_weights {
    struct ff_linear_weights distogram, experimentally_resolved, masked_msa, predicted_aligned_error;
    struct ff_norm plddt_norm;
    struct ff_linear_weights plddt_act_0, plddt_act_1, plddt_logits;
};

struct ff_weights {
    struct ff_linear_weights preprocess_1d, preprocess_msa, left_single, right_single, prev_pos_linear;
    struct ff_linear_weights relative_position;   /* pair_activiations; multimer position_activations */
    struct ff_linear_weights extra_msa_activations, single_activations;
    struct ff_norm prev_msa_first_row_norm, prev_pair_norm;
    struct ff_template_weights templates;
    struct ff_block_weights extra_msa_stack, evoformer;
    struct ff_structure_weights structure;
    struct ff_heads_weights heads;
};

/* One published array and its place. npz_shape is the published one; dst has the same elements in C order under the
 * shape of dst (strided where arrays are packed). add: several arrays are summed in dst. */
struct ff_weight_decl {
    const char *name;                    /* scope//name */
    int ndim;
    int64_t shape[FF_ARRAY_MAX_DIM];
    struct ff_tensor dst;
    bool add;
};

struct ff_weights_walker {
    const struct ff_model_config *config;
    struct ff_arena *arena;              /* where the tensors are pushed (measuring or real) */
    struct ff_arena *block_arena;        /* the same for the blocks of the Evoformer; NULL: behind the others */
    enum ff_dtype trunk_dtype;           /* matrices of the MSA and pair stacks; the rest is float32 */
    void (*visit)(void *user, const struct ff_weight_decl *decl); /* may be NULL */
    void *user;
};

/* The whole network. */
void ff_weights_walk(struct ff_weights_walker *k, struct ff_weights *ret);

/* Parts, for tests of single operations; n_block 0: the scope is not stacked. scope without a trailing slash. */
void ff_weights_walk_row_attention(struct ff_weights_walker *k, const char *scope, int n_block, int c_m, int c_z,
                                   struct ff_attention_config a, struct ff_attention_weights *ret);
void ff_weights_walk_column_attention(struct ff_weights_walker *k, const char *scope, int n_block, int c_m,
                                      struct ff_attention_config a, struct ff_attention_weights *ret);
void ff_weights_walk_global_attention(struct ff_weights_walker *k, const char *scope, int n_block, int c_m,
                                      struct ff_attention_config a, struct ff_global_attention_weights *ret);
void ff_weights_walk_triangle_attention(struct ff_weights_walker *k, const char *scope, int n_block, int c_z,
                                        struct ff_attention_config a, struct ff_attention_weights *ret);
void ff_weights_walk_triangle(struct ff_weights_walker *k, const char *scope, int n_block, int c_z, int c_i, bool fused,
                              struct ff_triangle_weights *ret);
void ff_weights_walk_transition(struct ff_weights_walker *k, const char *scope, int n_block, int c, int factor,
                                struct ff_transition_weights *ret);
void ff_weights_walk_outer_product(struct ff_weights_walker *k, const char *scope, int n_block, int c_m, int c_z,
                                   int n_outer, struct ff_outer_product_weights *ret);
enum ff_stack_kind { FF_STACK_EVOFORMER, FF_STACK_EXTRA_MSA, FF_STACK_TEMPLATE };
void ff_weights_walk_stack(struct ff_weights_walker *k, const char *scope, enum ff_stack_kind kind, int n_block,
                           int c_m, int c_z, const struct ff_stack_config *s, struct ff_block_weights *ret);
void ff_weights_walk_templates(struct ff_weights_walker *k, const char *scope, struct ff_template_weights *ret);
void ff_weights_walk_structure(struct ff_weights_walker *k, const char *scope, struct ff_structure_weights *ret);

/* Views of block i of a stack. */
struct ff_block_weights ff_weights_block(const struct ff_block_weights *stack, int i);

/* The same in one piece of memory for each block, as blocks travel that lie in host memory until they are used. */
size_t ff_weights_packed_bytes(const struct ff_block_weights *stack);        /* of one block */
/* Block by block from a stack in host memory to packed and back. */
void ff_weights_pack(const struct ff_block_weights *stack, int n_block, char *packed);
void ff_weights_unpack(const struct ff_block_weights *stack, int n_block, const char *packed);
/* A block that lies packed at base. */
struct ff_block_weights ff_weights_packed(const struct ff_block_weights *stack, void *base);

/* Copies C-ordered float32 values of a published array into its place; dst must be host memory. */
void ff_weights_store(const struct ff_weight_decl *decl, const float *values);

#endif
