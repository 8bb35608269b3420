/* SPDX-License-Identifier: Apache-2.0
 * cmd_compare: `fastfold compare A.pdb B.pdb` superposes A on B and tells how far apart they are.
 *
 * Residues are paired by sequence, whatever their numbers: the first chain of A with the first of B, and so on. Chains
 * of equal length are paired residue by residue unless an alignment finds more that are identical; others are aligned.
 * Only residues whose CA both have count.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "app/options.h"
#include "base/alloc.h"
#include "base/log.h"
#include "bio/align.h"
#include "bio/geometry.h"
#include "bio/pdb.h"
#include "format/json.h"

enum { LEAST_PAIRS = 3 }; /* fewer points fit on each other in many ways */

struct pairs {
    int count, capacity;
    struct {
        int a, b;                /* residues of the two structures */
    } *items;
    int n_identical;
};

struct comparison {
    int n_a, n_b, n_pair;
    double identity;             /* of the pairs, 0..1 */
    double rmsd;                 /* of CA atoms after superposition, A */
    double lddt;                 /* of CA atoms, 0..100; NaN when no residue has a neighbour */
};

/* Residues [from, to) of a chain as letters. Caller frees. */
static char *chain_letters(const struct ff_structure *s, int from, int to)
{
    static const char letters[] = "ARNDCQEGHILKMFPSTWYVX";
    char *text = ff_xmalloc((size_t)(to - from) + 1);
    for (int i = from; i < to; i++)
        text[i - from] = letters[s->aatype[i]];
    text[to - from] = '\0';
    return text;
}

static int chain_end(const struct ff_structure *s, int from)
{
    int to = from;
    while (to < s->n_res && s->chain_index[to] == s->chain_index[from])
        to++;
    return to;
}

static bool has_ca(const struct ff_structure *s, int res)
{
    return s->mask[res * FF_N_ATOM37 + FF_ATOM_CA] >= 0.5f;
}

/* Partners of a's residues in b, -1 where there is none. */
static void pair_letters(const char *a, const char *b, int32_t *b_of_a /* [strlen(a)] */)
{
    int n_a = (int)strlen(a), n_b = (int)strlen(b), by_place = 0, by_alignment = 0;
    for (int i = 0; i < n_a && n_a == n_b; i++)
        by_place += a[i] == b[i];
    ff_align(a, b, FF_ALIGN_OVERLAP, b_of_a);
    for (int i = 0; i < n_a; i++)
        by_alignment += b_of_a[i] >= 0 && a[i] == b[b_of_a[i]];
    if (n_a != n_b || by_alignment > by_place)
        return;
    for (int i = 0; i < n_a; i++)
        b_of_a[i] = i;
}

static void add_chain_pairs(const struct ff_structure *a, int a_from, int a_to, const struct ff_structure *b,
                            int b_from, int b_to, struct pairs *ret)
{
    char *letters_a = chain_letters(a, a_from, a_to), *letters_b = chain_letters(b, b_from, b_to);
    int32_t *b_of_a = ff_xmalloc((size_t)(a_to - a_from) * sizeof *b_of_a);
    pair_letters(letters_a, letters_b, b_of_a);
    for (int i = 0; i < a_to - a_from; i++) {
        if (b_of_a[i] < 0 || !has_ca(a, a_from + i) || !has_ca(b, b_from + b_of_a[i]))
            continue;
        FF_GROW(ret->items, ret->count, ret->capacity);
        ret->items[ret->count].a = a_from + i;
        ret->items[ret->count++].b = b_from + b_of_a[i];
        ret->n_identical += letters_a[i] == letters_b[b_of_a[i]];
    }
    free(b_of_a);
    free(letters_a);
    free(letters_b);
}

static void find_pairs(const struct ff_structure *a, const struct ff_structure *b, struct pairs *ret)
{
    int a_from = 0, b_from = 0;
    while (a_from < a->n_res && b_from < b->n_res) {
        int a_to = chain_end(a, a_from), b_to = chain_end(b, b_from);
        add_chain_pairs(a, a_from, a_to, b, b_from, b_to, ret);
        a_from = a_to;
        b_from = b_to;
    }
}

static void compare(const struct ff_structure *a, const struct ff_structure *b, const struct pairs *pairs,
                    struct comparison *ret)
{
    int n = pairs->count;
    float *mobile = ff_xmalloc((size_t)n * 3 * sizeof *mobile), *target = ff_xmalloc((size_t)n * 3 * sizeof *target);
    for (int i = 0; i < n; i++) {
        size_t from_a = ((size_t)pairs->items[i].a * FF_N_ATOM37 + FF_ATOM_CA) * 3;
        size_t from_b = ((size_t)pairs->items[i].b * FF_N_ATOM37 + FF_ATOM_CA) * 3;
        memcpy(mobile + 3 * i, a->positions + from_a, 3 * sizeof *mobile);
        memcpy(target + 3 * i, b->positions + from_b, 3 * sizeof *target);
    }
    struct ff_motion motion;
    *ret = (struct comparison){
        .n_a = a->n_res,
        .n_b = b->n_res,
        .n_pair = n,
        .identity = (double)pairs->n_identical / n,
        .rmsd = ff_geometry_superpose(n, mobile, target, &motion),
        .lddt = 100 * ff_geometry_lddt(n, mobile, target, NULL, NULL),
    };
    free(mobile);
    free(target);
}

static void print_text(const struct comparison *c)
{
    printf("residues  %d paired, of %d and %d; %.1f %% identical\n", c->n_pair, c->n_a, c->n_b, 100 * c->identity);
    printf("CA-RMSD   %.3f A\n", c->rmsd);
    if (isnan(c->lddt))
        printf("lDDT-CA   none: no residue has a neighbour\n");
    else
        printf("lDDT-CA   %.2f\n", c->lddt);
}

static void print_json(const struct comparison *c, const char *path_a, const char *path_b)
{
    struct ff_strbuf text = {0};
    struct ff_json j;
    ff_json_init(&j, &text, 4);
    ff_json_begin_object(&j);
    ff_json_key(&j, "model");
    ff_json_string(&j, path_a);
    ff_json_key(&j, "reference");
    ff_json_string(&j, path_b);
    ff_json_key(&j, "model_residues");
    ff_json_int(&j, c->n_a);
    ff_json_key(&j, "reference_residues");
    ff_json_int(&j, c->n_b);
    ff_json_key(&j, "paired_residues");
    ff_json_int(&j, c->n_pair);
    ff_json_key(&j, "identity");
    ff_json_double(&j, c->identity);
    ff_json_key(&j, "ca_rmsd");
    ff_json_double(&j, c->rmsd);
    ff_json_key(&j, "lddt_ca");
    ff_json_double(&j, c->lddt);
    ff_json_end_object(&j);
    puts(ff_strbuf_cstr(&text));
    ff_strbuf_free(&text);
}

static ff_status run(const struct ff_command_line *line)
{
    if (line->n_operand != 2)
        return ff_fail(FF_EUSAGE, "compare: %d files were given; expected two: A.pdb B.pdb", line->n_operand);
    struct ff_structure a = {0}, b = {0};
    struct pairs pairs = {0};
    struct comparison c;
    ff_status st;
    FF_TRY_GOTO(st, ff_pdb_load(line->operands[0], &a), cleanup);
    FF_TRY_GOTO(st, ff_pdb_load(line->operands[1], &b), cleanup);
    find_pairs(&a, &b, &pairs);
    if (pairs.count < LEAST_PAIRS) {
        st = ff_fail(FF_EINPUT, "%s and %s have %d residues with CA atoms in common; expected at least %d",
                     line->operands[0], line->operands[1], pairs.count, LEAST_PAIRS);
        goto cleanup;
    }
    compare(&a, &b, &pairs, &c);
    int shorter = a.n_res < b.n_res ? a.n_res : b.n_res;
    if (2 * c.n_pair < shorter)
        ff_warn("only %d of %d residues have a partner: the figures tell little about the whole", c.n_pair, shorter);
    if (line->json)
        print_json(&c, line->operands[0], line->operands[1]);
    else
        print_text(&c);
cleanup:
    free(pairs.items);
    ff_structure_free(&a);
    ff_structure_free(&b);
    return st;
}

int ff_cmd_compare(int argc, char **argv)
{
    struct ff_config config;
    struct ff_command_line line;
    FF_TRY(ff_options_parse(argc, argv, "compare", &config, &line));
    ff_status st = run(&line);
    ff_command_line_free(&line);
    ff_config_free(&config);
    return (int)st;
}
