/* SPDX-License-Identifier: Apache-2.0 */
#include "bio/pdb.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "bio/lines.h"
#include "format/gzip.h"

static const char chain_letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

enum { N_CHAIN_LETTER = sizeof chain_letters - 1, LINE_WIDTH = 80, REMARK_WIDTH = LINE_WIDTH - 11 };

/* --- writing --- */

/* Whether v printed with decimals fits the columns that hold values in the open interval (low, high). */
static bool fits(float v, double low, double high)
{
    return v > low && v < high; /* false for NaN */
}

static const char *misfit_residue(const struct ff_structure *s, int r, int *n_atom)
{
    if (s->aatype[r] < 0 || s->aatype[r] > FF_RESTYPE_X)
        return "a residue type is outside 0..20";
    if (s->residue_index[r] < -999 || s->residue_index[r] > 9999)
        return "a residue number has more than the 4 digits of the PDB format";
    for (int a = 0; a < FF_N_ATOM37; a++) {
        size_t i = (size_t)r * FF_N_ATOM37 + (size_t)a;
        if (s->mask[i] < 0.5f)
            continue;
        ++*n_atom;
        for (int k = 0; k < 3; k++)
            if (!fits(s->positions[3 * i + (size_t)k], -999.9995, 9999.9995))
                return "a coordinate does not fit the columns of the PDB format or is not a number";
        if (!fits(s->b_factors[i], -99.995, 999.995))
            return "a B factor does not fit the columns of the PDB format or is not a number";
    }
    return NULL;
}

const char *ff_pdb_misfit(const struct ff_structure *s, const struct ff_pdb_options *opt)
{
    if (s->n_res == 0)
        return "it has no residues";
    int32_t *chains;
    int n_chain = ff_structure_chains(s, &chains);
    bool bad = opt && opt->chains_from_a ? n_chain > N_CHAIN_LETTER
                                         : chains[0] < 0 || chains[n_chain - 1] >= N_CHAIN_LETTER;
    free(chains);
    if (bad)
        return "the PDB format has letters for at most 62 chains";
    int number = 0;
    for (int r = 0; r < s->n_res; r++) {
        const char *reason = misfit_residue(s, r, &number);
        if (reason)
            return reason;
        number += r == 0 || s->chain_index[r] != s->chain_index[r - 1]; /* TER lines are numbered too */
    }
    return number > 99999 ? "it has more atoms than the 5 digits of the PDB format can number" : NULL;
}

static char chain_letter(const int32_t *chains, int n_chain, int32_t index, bool from_a)
{
    if (!from_a)
        return chain_letters[index];
    int i = 0;
    while (i < n_chain && chains[i] != index)
        i++;
    return chain_letters[i];
}

static void end_line(struct ff_strbuf *out, size_t start)
{
    while (out->len - start < LINE_WIDTH)
        ff_strbuf_putc(out, ' ');
    ff_strbuf_putc(out, '\n');
}

/* REMARK 6 and above are free text. Breaks at the last blank that fits, or inside a word that is longer than a line. */
static void write_remark(struct ff_strbuf *out, const char *text)
{
    do {
        size_t n = strlen(text);
        if (n > REMARK_WIDTH) {
            n = REMARK_WIDTH;
            while (n > 0 && text[n] != ' ')
                n--;
            if (n == 0)
                n = REMARK_WIDTH;
        }
        size_t start = out->len;
        ff_strbuf_printf(out, "REMARK   6 %.*s", (int)n, text);
        for (size_t i = start; i < out->len; i++) /* a line end inside would start a record of its own */
            if (out->s[i] < ' ')
                out->s[i] = ' ';
        end_line(out, start);
        text += n;
        while (*text == ' ')
            text++;
    } while (*text);
}

static void write_residue(const struct ff_structure *s, int r, char chain, int *serial, struct ff_strbuf *out)
{
    for (int a = 0; a < FF_N_ATOM37; a++) {
        size_t i = (size_t)r * FF_N_ATOM37 + (size_t)a;
        if (s->mask[i] < 0.5f)
            continue;
        const char *name = ff_residue_atom37_names[a]; /* at most 3 characters: they start in the second column */
        const float *x = s->positions + 3 * i;
        size_t start = out->len;
        ff_strbuf_printf(out, "ATOM  %5d  %-3s %3s %c%4d%c   %8.3f%8.3f%8.3f%6.2f%6.2f          %2c", (*serial)++, name,
                         ff_residue_names[s->aatype[r]], chain, s->residue_index[r], s->insertion_code[r], x[0], x[1],
                         x[2], 1.0, s->b_factors[i], name[0]);
        end_line(out, start);
    }
}

static void write_ter(const struct ff_structure *s, int r, char chain, int *serial, struct ff_strbuf *out)
{
    size_t start = out->len;
    ff_strbuf_printf(out, "TER   %5d      %3s %c%4d", (*serial)++, ff_residue_names[s->aatype[r]], chain,
                     s->residue_index[r]);
    if (s->insertion_code[r] != ' ')
        ff_strbuf_putc(out, s->insertion_code[r]);
    end_line(out, start);
}

ff_status ff_pdb_write(const struct ff_structure *s, const struct ff_pdb_options *opt, struct ff_strbuf *out)
{
    const char *reason = ff_pdb_misfit(s, opt);
    if (reason)
        return ff_fail(FF_EINPUT, "the structure cannot be written as PDB: %s; use mmCIF", reason);

    int32_t *chains;
    int n_chain = ff_structure_chains(s, &chains), serial = 1;
    for (const char *const *remark = opt ? opt->remarks : NULL; remark && *remark; remark++)
        write_remark(out, *remark);
    size_t start = out->len;
    ff_strbuf_puts(out, "MODEL     1");
    end_line(out, start);
    for (int r = 0; r < s->n_res; r++) {
        char chain = chain_letter(chains, n_chain, s->chain_index[r], opt && opt->chains_from_a);
        write_residue(s, r, chain, &serial, out);
        if (r + 1 == s->n_res || s->chain_index[r + 1] != s->chain_index[r])
            write_ter(s, r, chain, &serial, out);
    }
    start = out->len;
    ff_strbuf_puts(out, "ENDMDL");
    end_line(out, start);
    start = out->len;
    ff_strbuf_puts(out, "END");
    end_line(out, start);
    free(chains);
    return FF_OK;
}

/* --- reading --- */

struct reader {
    const char *file;
    struct ff_structure *s;
    int capacity;                            /* residues */
    float occupancy[FF_N_ATOM37];            /* of the current residue's atoms */
    char residue_name[4];                    /* of the current residue, as in the file */
    char chain;
    bool open;                               /* residue s->n_res is being read; it counts when it has an atom */
};

static void reserve_residue(struct reader *rd)
{
    struct ff_structure *s = rd->s;
    if (s->n_res < rd->capacity)
        return;
    size_t n = rd->capacity ? 2 * (size_t)rd->capacity : 256;
    s->aatype = ff_xreallocarray(s->aatype, n, sizeof *s->aatype);
    s->positions = ff_xreallocarray(s->positions, n, FF_N_ATOM37 * 3 * sizeof *s->positions);
    s->mask = ff_xreallocarray(s->mask, n, FF_N_ATOM37 * sizeof *s->mask);
    s->b_factors = ff_xreallocarray(s->b_factors, n, FF_N_ATOM37 * sizeof *s->b_factors);
    s->residue_index = ff_xreallocarray(s->residue_index, n, sizeof *s->residue_index);
    s->chain_index = ff_xreallocarray(s->chain_index, n, sizeof *s->chain_index);
    s->insertion_code = ff_xrealloc(s->insertion_code, n);
    rd->capacity = (int)n;
}

static void end_residue(struct reader *rd)
{
    struct ff_structure *s = rd->s;
    if (!rd->open)
        return;
    rd->open = false;
    const float *mask = s->mask + (size_t)s->n_res * FF_N_ATOM37;
    bool any = false;
    for (int a = 0; a < FF_N_ATOM37; a++)
        any = any || mask[a] > 0.0f;
    if (!any)
        return;
    int c = 0;
    while (c < s->n_chain && s->chain_id[c] != rd->chain)
        c++;
    if (c == s->n_chain) {
        s->chain_id = ff_xrealloc(s->chain_id, (size_t)++s->n_chain);
        s->chain_id[c] = rd->chain;
    }
    s->chain_index[s->n_res++] = c;
}

static void begin_residue(struct reader *rd, const char name[4], char chain, int32_t number, char insertion)
{
    struct ff_structure *s = rd->s;
    end_residue(rd);
    reserve_residue(rd);
    size_t r = (size_t)s->n_res;
    rd->open = true;
    rd->chain = chain;
    memcpy(rd->residue_name, name, 4);
    s->aatype[r] = ff_residue_from_name(strcmp(name, "MSE") == 0 ? "MET" : name);
    s->residue_index[r] = number;
    s->insertion_code[r] = insertion;
    memset(s->positions + r * FF_N_ATOM37 * 3, 0, FF_N_ATOM37 * 3 * sizeof *s->positions);
    memset(s->mask + r * FF_N_ATOM37, 0, FF_N_ATOM37 * sizeof *s->mask);
    memset(s->b_factors + r * FF_N_ATOM37, 0, FF_N_ATOM37 * sizeof *s->b_factors);
}

/* Columns first to last (1-based, as the format's description counts them) without blanks at the ends; "" when the line
 * is too short. buf has room for the columns and a NUL. */
static void columns(const struct ff_lines *it, size_t first, size_t last, char *buf)
{
    size_t n = 0;
    for (size_t i = first - 1; i < last && i < it->len; i++)
        if (n > 0 || !ff_lines_is_space(it->line[i]))
            buf[n++] = it->line[i];
    ff_lines_trim_end(buf, &n);
    buf[n] = '\0';
}

/* A number of at most the size that 8 columns can hold; "1e99" is none. */
static bool number_in(const struct ff_lines *it, size_t first, size_t last, double *ret)
{
    char text[16], *end;
    columns(it, first, last, text);
    *ret = strtod(text, &end);
    return text[0] && !*end && fabs(*ret) < 1e8;
}

static ff_status bad_column(const struct reader *rd, const struct ff_lines *it, size_t first, size_t last,
                            const char *what)
{
    char text[16];
    columns(it, first, last, text);
    for (char *c = text; *c; c++)
        if (*c < ' ')
            *c = '?';
    return ff_fail(FF_EINPUT, "%s:%d: columns %zu to %zu: expected %s, found '%s'", rd->file, it->number, first, last,
                   what, text);
}

static ff_status read_atom(struct reader *rd, const struct ff_lines *it)
{
    struct ff_structure *s = rd->s;
    char name[5], residue_name[4];
    columns(it, 13, 16, name);
    columns(it, 18, 20, residue_name);
    bool selenium = strcmp(residue_name, "MSE") == 0;
    if (it->line[0] == 'H' && !selenium)
        return FF_OK;

    double x[3], number, occupancy, b_factor;
    for (size_t k = 0; k < 3; k++)
        if (!number_in(it, 31 + 8 * k, 38 + 8 * k, &x[k]))
            return bad_column(rd, it, 31 + 8 * k, 38 + 8 * k, "a coordinate");
    if (!number_in(it, 23, 26, &number) || number != (int32_t)number)
        return bad_column(rd, it, 23, 26, "a residue number");
    if (!number_in(it, 55, 60, &occupancy))
        occupancy = 1.0; /* left out by some programs, like the B factor */
    if (!number_in(it, 61, 66, &b_factor))
        b_factor = 0.0;
    char chain = it->line[21], insertion = it->line[26];

    if (!rd->open || rd->chain != chain || s->residue_index[s->n_res] != (int32_t)number ||
        s->insertion_code[s->n_res] != insertion)
        begin_residue(rd, residue_name, chain, (int32_t)number, insertion);
    else if (strcmp(residue_name, rd->residue_name) != 0)
        return FF_OK; /* another residue type at the same place: the first one counts */

    if (selenium && strcmp(name, "SE") == 0)
        memcpy(name, "SD", 3);
    int slot = ff_residue_atom37_index(name, strlen(name));
    if (slot < 0)
        return FF_OK;
    size_t i = (size_t)s->n_res * FF_N_ATOM37 + (size_t)slot;
    if (s->mask[i] > 0.0f && !(occupancy > rd->occupancy[slot]))
        return FF_OK;
    rd->occupancy[slot] = (float)occupancy;
    s->mask[i] = 1.0f;
    s->b_factors[i] = (float)b_factor;
    for (size_t k = 0; k < 3; k++)
        s->positions[3 * i + k] = (float)x[k];
    return FF_OK;
}

ff_status ff_pdb_parse(const char *name, const char *text, size_t len, struct ff_structure *ret)
{
    ff_status st = FF_OK;
    *ret = (struct ff_structure){0};
    struct reader rd = {.file = name, .s = ret};
    struct ff_lines it;
    ff_lines_init(&it, text, len);
    while (ff_lines_next(&it)) {
        if (ff_lines_starts_with(it.line, it.len, "ENDMDL"))
            break;
        if (ff_lines_starts_with(it.line, it.len, "ATOM  ") || ff_lines_starts_with(it.line, it.len, "HETATM"))
            FF_TRY_GOTO(st, read_atom(&rd, &it), cleanup);
    }
    end_residue(&rd);
    if (ret->n_res == 0)
        st = ff_fail(FF_EINPUT, "%s: no protein atoms found; expected ATOM lines of the PDB format", name);
cleanup:
    if (st != FF_OK)
        ff_structure_free(ret);
    return st;
}

ff_status ff_pdb_load(const char *path, struct ff_structure *ret)
{
    char *text;
    size_t len;
    *ret = (struct ff_structure){0};
    FF_TRY(ff_gzip_read_file(path, &text, &len));
    ff_status st = ff_pdb_parse(path, text, len, ret);
    free(text);
    return st;
}
