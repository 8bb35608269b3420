/* SPDX-License-Identifier: Apache-2.0
 * config: see config.h.
 */
#include "model/config.h"

#include <stddef.h>

struct rule {
    const char *key;
    double value, low, high;
};

static ff_status check_rules(const struct ff_model_config *c, const struct rule *rules, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct rule *r = &rules[i];
        if (!(r->value >= r->low && r->value <= r->high))
            return ff_fail(FF_EUSAGE, "model %s: %s is %g; it must be between %g and %g", c->name, r->key, r->value,
                           r->low, r->high);
    }
    return FF_OK;
}

static ff_status check_attention(const struct ff_model_config *c, const char *stack, const char *layer,
                                 struct ff_attention_config a)
{
    if (a.num_head >= 1 && a.num_head <= 64 && a.head_dim >= 1 && a.head_dim <= 256)
        return FF_OK;
    return ff_fail(FF_EUSAGE, "model %s: %s.%s has %d heads of %d channels; 1 to 64 heads of 1 to 256 are possible",
                   c->name, stack, layer, a.num_head, a.head_dim);
}

static ff_status check_stack(const struct ff_model_config *c, const char *name, const struct ff_stack_config *s,
                             bool has_msa)
{
    const struct rule rules[] = {
        {"num_block", s->num_block, 1, 1024},
        {"triangle_multiplication_channel", s->triangle_multiplication_channel, 1, 4096},
        {"pair_transition_factor", s->pair_transition_factor, 1, 64},
        {"num_outer_channel", has_msa ? s->num_outer_channel : 1, 1, 256},
        {"msa_transition_factor", has_msa ? s->msa_transition_factor : 1, 1, 64},
    };
    FF_TRY(ff_context(check_rules(c, rules, sizeof rules / sizeof rules[0]), "%s", name));
    FF_TRY(check_attention(c, name, "triangle_attention", s->triangle_attention));
    if (has_msa) {
        FF_TRY(check_attention(c, name, "msa_row_attention", s->msa_row_attention));
        FF_TRY(check_attention(c, name, "msa_column_attention", s->msa_column_attention));
    }
    return FF_OK;
}

ff_status ff_model_config_check(const struct ff_model_config *c)
{
    const struct ff_structure_config *g = &c->structure;
    const struct ff_heads_config *h = &c->heads;
    const struct rule rules[] = {
        {"num_recycle", c->num_recycle, 0, 1000},
        {"num_ensemble", c->num_ensemble, 1, 64},
        {"msa_channel", c->msa_channel, 1, 8192},
        {"pair_channel", c->pair_channel, 1, 8192},
        {"extra_msa_channel", c->extra_msa_channel, 1, 8192},
        {"seq_channel", c->seq_channel, 1, 8192},
        {"target_feat_dim", c->target_feat_dim, 21, 22},
        {"msa_feat_dim", c->msa_feat_dim, 49, 49},
        {"max_relative_feature", c->max_relative_feature, 1, 4096},
        {"max_relative_chain", c->multimer ? c->max_relative_chain : 1, 1, 64},
        {"prev_pos_num_bins", c->prev_pos_num_bins, 2, 1024},
        {"structure.num_layer", g->num_layer, 1, 64},
        {"structure.num_channel", g->num_channel, 1, 8192},
        {"structure.num_head", g->num_head, 1, 64},
        {"structure.num_scalar_qk", g->num_scalar_qk, 1, 256},
        {"structure.num_scalar_v", g->num_scalar_v, 1, 256},
        {"structure.num_point_qk", g->num_point_qk, 1, 64},
        {"structure.num_point_v", g->num_point_v, 1, 64},
        {"structure.num_layer_in_transition", g->num_layer_in_transition, 2, 8},
        {"structure.sidechain_num_channel", g->sidechain_num_channel, 1, 8192},
        {"structure.sidechain_num_residual_block", g->sidechain_num_residual_block, 0, 8},
        {"structure.position_scale", g->position_scale, 1e-3, 1e3},
        {"heads.distogram_num_bins", h->distogram_num_bins, 3, 1024},
        {"heads.plddt_num_channel", h->plddt_num_channel, 1, 8192},
        {"heads.plddt_num_bins", h->plddt_num_bins, 2, 1024},
        {"heads.pae_num_bins", h->pae_num_bins, 3, 1024},
        {"heads.masked_msa_num_output", h->masked_msa_num_output, 21, 23},
        {"heads.experimentally_resolved_num_output", h->experimentally_resolved_num_output, 37, 37},
    };
    FF_TRY(check_rules(c, rules, sizeof rules / sizeof rules[0]));
    FF_TRY(check_stack(c, "evoformer", &c->evoformer, true));
    FF_TRY(check_stack(c, "extra_msa_stack", &c->extra_msa_stack, true));
    if (!c->templates.enabled)
        return FF_OK;
    const struct rule templates[] = {
        {"templates.max_templates", c->templates.max_templates, 1, 64},
        {"templates.num_channel", c->templates.num_channel, 1, 4096},
        {"templates.dgram_num_bins", c->templates.dgram_num_bins, 2, 1024},
    };
    FF_TRY(check_rules(c, templates, sizeof templates / sizeof templates[0]));
    if (!c->multimer)
        FF_TRY(check_attention(c, "templates", "attention", c->templates.attention));
    return check_stack(c, "templates.stack", &c->templates.stack, false);
}
