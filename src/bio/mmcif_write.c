/* SPDX-License-Identifier: Apache-2.0 */
#include "bio/mmcif_write.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "bio/cif_writer.h"
#include "bio/lines.h"
#include "bio/mmcif_metadata.h"

/* Residue numbers of a chain may leave out this many; more is taken for a mistake, not for an unknown stretch. */
enum { MAX_SPAN = 1000000 };

/* --- chains --- */

/* Chains by ascending chain_index, with the number that the file gives them: entity id, and chain id by chain_name. */
struct chains {
    int32_t *index;      /* [count] */
    int count;
    bool from_a;
};

static int32_t chain_number(const struct chains *c, int i)
{
    return c->from_a ? i : c->index[i];
}

static int find_chain(const struct chains *c, int32_t index)
{
    int i = 0;
    while (c->index[i] != index)
        i++;
    return i;
}

/* Reverse spreadsheet naming, as usual in mmCIF: 0 is A, 25 is Z, 26 is AA, 27 is BA. */
static const char *chain_name(int32_t number, char buf[16])
{
    int n = 0;
    for (int64_t k = number; k >= 0; k = k / 26 - 1)
        buf[n++] = (char)('A' + k % 26);
    buf[n] = '\0';
    return buf;
}

static void write_entities(struct ff_cif_writer *w, const struct chains *c)
{
    char name[16];
    ff_cif_writer_begin(w, "_struct_asym", "id entity_id");
    for (int i = 0; i < c->count; i++) {
        ff_cif_writer_add(w, "%s", chain_name(chain_number(c, i), name));
        ff_cif_writer_add(w, "%d", chain_number(c, i));
    }
    ff_cif_writer_end(w);
    ff_cif_writer_begin(w, "_entity_poly", "entity_id type pdbx_strand_id");
    for (int i = 0; i < c->count; i++) {
        ff_cif_writer_add(w, "%d", chain_number(c, i));
        ff_cif_writer_add(w, "polypeptide(L)");
        ff_cif_writer_add(w, "%s", chain_name(chain_number(c, i), name));
    }
    ff_cif_writer_end(w);
    ff_cif_writer_begin(w, "_entity", "id type");
    for (int i = 0; i < c->count; i++) {
        ff_cif_writer_add(w, "%d", chain_number(c, i));
        ff_cif_writer_add(w, "polymer");
    }
    ff_cif_writer_end(w);
}

static void write_targets(struct ff_cif_writer *w, const struct chains *c)
{
    char name[16];
    ff_cif_writer_begin(w, "_ma_target_entity_instance", "asym_id entity_id details");
    for (int i = 0; i < c->count; i++) {
        ff_cif_writer_add(w, "%s", chain_name(chain_number(c, i), name));
        ff_cif_writer_add(w, "%d", chain_number(c, i));
        ff_cif_writer_add(w, ".");
    }
    ff_cif_writer_end(w);
    ff_cif_writer_begin(w, "_ma_target_entity", "entity_id data_id origin");
    for (int i = 0; i < c->count; i++) {
        ff_cif_writer_add(w, "%d", chain_number(c, i));
        ff_cif_writer_add(w, "1");
        ff_cif_writer_add(w, ".");
    }
    ff_cif_writer_end(w);
}

/* --- sequences --- */

/* Residues of chain i from number 1 (or the lowest, if that is less) to the highest. Numbers that occur take the types
 * of the chain's residues in the order of the file; the others are unknown. */
static void write_chain_sequence(struct ff_cif_writer *w, const struct ff_structure *s, const struct chains *c, int i,
                                 int first_residue)
{
    int32_t low = 1, high = s->residue_index[first_residue];
    for (int r = first_residue; r < s->n_res; r++)
        if (s->chain_index[r] == c->index[i]) {
            low = s->residue_index[r] < low ? s->residue_index[r] : low;
            high = s->residue_index[r] > high ? s->residue_index[r] : high;
        }
    bool *present = FF_NEW_ARRAY(bool, (size_t)(high - low) + 1);
    for (int r = first_residue; r < s->n_res; r++)
        if (s->chain_index[r] == c->index[i])
            present[s->residue_index[r] - low] = true;
    int r = first_residue;
    for (int32_t number = low; number <= high; number++) {
        int type = FF_RESTYPE_X;
        if (present[number - low]) {
            while (s->chain_index[r] != c->index[i])
                r++;
            type = s->aatype[r++];
        }
        ff_cif_writer_add(w, "%d", chain_number(c, i));
        ff_cif_writer_add(w, "%d", number);
        ff_cif_writer_add(w, "%s", ff_residue_names[type]);
    }
    free(present);
}

static void write_sequences(struct ff_cif_writer *w, const struct ff_structure *s, const struct chains *c)
{
    bool *written = FF_NEW_ARRAY(bool, (size_t)c->count);
    ff_cif_writer_begin(w, "_entity_poly_seq", "entity_id num mon_id");
    for (int r = 0; r < s->n_res; r++) {
        int i = find_chain(c, s->chain_index[r]);
        if (written[i])
            continue;
        write_chain_sequence(w, s, c, i, r);
        written[i] = true;
    }
    ff_cif_writer_end(w);
    free(written);
}

/* Glycine comes last, as it has no handedness. */
static void write_components(struct ff_cif_writer *w)
{
    static const char *const names[FF_N_RESTYPE] = {
        "ALANINE", "ARGININE",  "ASPARAGINE", "ASPARTIC ACID", "CYSTEINE",   "GLUTAMINE",     "GLUTAMIC ACID",
        "GLYCINE", "HISTIDINE", "ISOLEUCINE", "LEUCINE",       "LYSINE",     "METHIONINE",    "PHENYLALANINE",
        "PROLINE", "SERINE",    "THREONINE",  "TRYPTOPHAN",    "TYROSINE",   "VALINE",
    };
    const int glycine = ff_residue_from_letter('G');
    ff_cif_writer_begin(w, "_chem_comp", "id type name");
    for (int k = 0; k < FF_N_RESTYPE; k++) {
        int type = k < glycine ? k : k < FF_N_RESTYPE - 1 ? k + 1 : glycine;
        ff_cif_writer_add(w, "%s", ff_residue_names[type]);
        ff_cif_writer_add(w, "%s", type == glycine ? "peptide linking" : "L-peptide linking");
        ff_cif_writer_add(w, "%s", names[type]);
    }
    ff_cif_writer_end(w);
}

/* --- atoms --- */

/* Sum in the order of numpy's add.reduce, so that the mean rounds to the same digits: eight running sums in blocks of
 * up to 128 values, halves above. */
static double pairwise_sum(const double *a, size_t n)
{
    if (n > 128) {
        size_t half = n / 2;
        half -= half % 8;
        return pairwise_sum(a, half) + pairwise_sum(a + half, n - half);
    }
    double r[8] = {0}, sum = 0.0;
    size_t i = 0;
    if (n >= 8) {
        memcpy(r, a, sizeof r);
        for (i = 8; i < n - n % 8; i++)
            r[i % 8] += a[i];
        sum = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
    }
    for (; i < n; i++)
        sum += a[i];
    return sum;
}

/* Writes all atoms. Returns the mean of the B factors as written; types [128] marks the elements that occur. */
static double write_atoms(struct ff_cif_writer *w, const struct ff_structure *s, const struct chains *c, int n_atom,
                          bool types[128])
{
    double *b = FF_NEW_ARRAY(double, (size_t)n_atom);
    int n = 0;
    ff_cif_writer_begin(w, "_atom_site",
                        "group_PDB id type_symbol label_atom_id label_alt_id label_comp_id label_asym_id "
                        "label_entity_id label_seq_id pdbx_PDB_ins_code Cartn_x Cartn_y Cartn_z occupancy "
                        "B_iso_or_equiv auth_seq_id auth_asym_id pdbx_PDB_model_num");
    for (int r = 0; r < s->n_res; r++) {
        char chain[16];
        int32_t number = chain_number(c, find_chain(c, s->chain_index[r]));
        chain_name(number, chain);
        for (int a = 0; a < FF_N_ATOM37; a++) {
            size_t i = (size_t)r * FF_N_ATOM37 + (size_t)a;
            if (s->mask[i] < 0.5f)
                continue;
            const char *atom = ff_residue_atom37_names[a];
            char b_text[64];
            snprintf(b_text, sizeof b_text, "%.2f", s->b_factors[i]);
            b[n++] = strtod(b_text, NULL);
            types[(unsigned char)atom[0]] = true;
            ff_cif_writer_add(w, "ATOM");
            ff_cif_writer_add(w, "%d", n);
            ff_cif_writer_add(w, "%c", atom[0]);
            ff_cif_writer_add(w, "%s", atom);
            ff_cif_writer_add(w, ".");
            ff_cif_writer_add(w, "%s", ff_residue_names[s->aatype[r]]);
            ff_cif_writer_add(w, "%s", chain);
            ff_cif_writer_add(w, "%d", number);
            ff_cif_writer_add(w, "%d", s->residue_index[r]);
            if (s->insertion_code[r] == ' ')
                ff_cif_writer_add(w, ".");
            else
                ff_cif_writer_add(w, "%c", s->insertion_code[r]);
            for (size_t k = 0; k < 3; k++)
                ff_cif_writer_add(w, "%.3f", s->positions[3 * i + k]);
            ff_cif_writer_add(w, "1.00");
            ff_cif_writer_add(w, "%s", b_text);
            ff_cif_writer_add(w, "%d", s->residue_index[r]);
            ff_cif_writer_add(w, "%s", chain);
            ff_cif_writer_add(w, "1");
        }
    }
    ff_cif_writer_end(w);
    double mean = pairwise_sum(b, (size_t)n) / n;
    free(b);
    return mean;
}

static void write_types(struct ff_cif_writer *w, const bool types[128])
{
    ff_cif_writer_begin(w, "_atom_type", "symbol");
    for (int c = 0; c < 128; c++)
        if (types[c])
            ff_cif_writer_add(w, "%c", c);
    ff_cif_writer_end(w);
}

/* --- the file --- */

static ff_status check(const struct ff_structure *s, int *ret_n_atom)
{
    static const char refused[] = "the structure cannot be written as mmCIF";
    *ret_n_atom = 0;
    for (int r = 0; r < s->n_res; r++) {
        if (s->aatype[r] < 0 || s->aatype[r] > FF_RESTYPE_X)
            return ff_fail(FF_EINPUT, "%s: residue %d has type %d, expected 0..20", refused, r + 1, s->aatype[r]);
        if (s->chain_index[r] < 0)
            return ff_fail(FF_EINPUT, "%s: residue %d has the negative chain number %d", refused, r + 1,
                           s->chain_index[r]);
        if (s->residue_index[r] < -MAX_SPAN || s->residue_index[r] > MAX_SPAN)
            return ff_fail(FF_EINPUT, "%s: residue %d has the number %d, expected at most %d", refused, r + 1,
                           s->residue_index[r], MAX_SPAN);
        for (int a = 0; a < FF_N_ATOM37; a++) {
            size_t i = (size_t)r * FF_N_ATOM37 + (size_t)a;
            if (s->mask[i] < 0.5f)
                continue;
            ++*ret_n_atom;
            const float *x = s->positions + 3 * i;
            if (!isfinite(x[0]) || !isfinite(x[1]) || !isfinite(x[2]) || !isfinite(s->b_factors[i]))
                return ff_fail(FF_EINPUT, "%s: atom %s of residue %d has a coordinate or B factor that is no number",
                               refused, ff_residue_atom37_names[a], r + 1);
        }
    }
    return *ret_n_atom > 0 ? FF_OK : ff_fail(FF_EINPUT, "%s: it has no atoms", refused);
}

ff_status ff_mmcif_write(const struct ff_structure *s, const struct ff_mmcif_options *opt, struct ff_strbuf *out)
{
    int n_atom;
    FF_TRY(check(s, &n_atom));
    struct chains chains = {.from_a = opt->chains_from_a};
    struct ff_cif_writer w = {.out = out};
    bool types[128] = {false};
    chains.count = ff_structure_chains(s, &chains.index);

    char *id = ff_xstrdup(opt->id);
    for (char *c = id; *c; c++)
        *c = ff_lines_is_space(*c) ? '_' : *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
    ff_strbuf_printf(out, "data_%s\n#\n", id);
    ff_cif_writer_single(&w, "_entry", "id", id);
    free(id);

    write_entities(&w, &chains);
    write_sequences(&w, s, &chains);
    write_components(&w);
    double mean = write_atoms(&w, s, &chains, n_atom, types);
    ff_mmcif_metadata_head(&w, opt);
    write_targets(&w, &chains);
    ff_mmcif_metadata_tail(&w, opt, mean);
    write_types(&w, types);
    ff_cif_writer_free(&w);
    free(chains.index);
    return FF_OK;
}
