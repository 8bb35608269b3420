/* SPDX-License-Identifier: Apache-2.0
 * output: the files of a finished prediction.
 */
#include "app/output.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "app/chain_id.h"
#include "base/alloc.h"
#include "base/file.h"
#include "base/log.h"
#include "bio/mmcif_write.h"
#include "bio/pdb.h"
#include "format/npz.h"

/* --- names ------------------------------------------------------------------------------------------------------ */

static const struct {
    const char *head, *tail;     /* before and after the prediction's name; tail NULL: head is the whole name */
} names[FF_RESULT_COUNT] = {
    [FF_RESULT_FEATURES] = {"features.npz", NULL},
    [FF_RESULT_RUN] = {"run.json", NULL},
    [FF_RESULT_PDB] = {"unrelaxed_", ".pdb"},
    [FF_RESULT_CIF] = {"unrelaxed_", ".cif"},
    [FF_RESULT_ARRAYS] = {"result_", ".npz"},
    [FF_RESULT_CONFIDENCE] = {"confidence_", ".json"},
    [FF_RESULT_PAE] = {"pae_", ".json"},
    [FF_RESULT_SUMMARY] = {"summary_", ".json"},
    [FF_RESULT_RANKING] = {"ranking_debug.json", NULL},
    [FF_RESULT_TIMINGS] = {"timings.json", NULL},
};

/* Beginnings of the names that AlphaFold and this program give to results. */
static const char *const result_heads[] = {"features.",   "unrelaxed_",     "relaxed_", "ranked_", "result_",
                                           "confidence_", "ranking_debug.", "pae_",     "summary_"};

enum { MAX_PDB_RESIDUE = 9999 };

char *ff_output_target_dir(const char *output_dir, const char *target)
{
    return ff_path_join(output_dir, target);
}

char *ff_output_msa_dir(const char *target_dir)
{
    return ff_path_join(target_dir, "msas");
}

char *ff_output_chain_dir(const char *msa_dir, const char *id)
{
    return ff_path_join(msa_dir, id);
}

char *ff_output_chain_map(const char *msa_dir)
{
    return ff_path_join(msa_dir, "chain_id_map.json");
}

char *ff_output_prediction_name(const char *model, int index)
{
    return ff_xasprintf("%s_pred_%d", model, index);
}

char *ff_output_path(const char *target_dir, enum ff_result_file file, const char *name)
{
    if (names[file].tail == NULL)
        return ff_path_join(target_dir, names[file].head);
    char *base = ff_xasprintf("%s%s%s", names[file].head, name, names[file].tail);
    char *path = ff_path_join(target_dir, base);
    free(base);
    return path;
}

bool ff_output_is_of(const char *file, const char *name)
{
    for (int i = 0; i < FF_RESULT_COUNT; i++) {
        size_t head = strlen(names[i].head);
        if (names[i].tail != NULL && strncmp(file, names[i].head, head) == 0 &&
            strncmp(file + head, name, strlen(name)) == 0 && strcmp(file + head + strlen(name), names[i].tail) == 0)
            return true;
    }
    return false;
}

static char *ranked_path(const char *target_dir, int rank, const char *tail)
{
    char *base = ff_xasprintf("ranked_%d%s", rank, tail);
    char *path = ff_path_join(target_dir, base);
    free(base);
    return path;
}

char *ff_output_ranked_path(const char *target_dir, int rank)
{
    char *path = ranked_path(target_dir, rank, ".cif");
    if (ff_file_exists(path))
        return path;
    free(path);
    return ranked_path(target_dir, rank, ".pdb");
}

char *ff_output_find_result(const char *target_dir)
{
    DIR *dir = opendir(target_dir);
    if (dir == NULL)
        return NULL;
    char *found = NULL;
    for (struct dirent *e = readdir(dir); e != NULL && found == NULL; e = readdir(dir))
        for (size_t i = 0; i < sizeof result_heads / sizeof *result_heads && found == NULL; i++)
            if (strncmp(e->d_name, result_heads[i], strlen(result_heads[i])) == 0)
                found = ff_xstrdup(e->d_name);
    closedir(dir);
    return found;
}

void ff_output_files_add(struct ff_output_files *f, const char *path)
{
    FF_GROW(f->names, f->count, f->capacity);
    f->names[f->count++] = ff_xstrdup(ff_path_base(path));
}

void ff_output_files_free(struct ff_output_files *f)
{
    for (int i = 0; i < f->count; i++)
        free(f->names[i]);
    free(f->names);
    *f = (struct ff_output_files){0};
}

/* --- structure -------------------------------------------------------------------------------------------------- */

/* An array of the prediction; the model always makes it. */
static const float *prediction_array(const struct ff_prediction *p, const char *name, int64_t count)
{
    const struct ff_array *a = ff_arrays_find(&p->arrays, name);
    FF_ASSERT(a != NULL && a->dtype == FF_F32 && ff_array_count(a) == count);
    return a->data;
}

void ff_output_structure(const struct ff_output_prediction *p, struct ff_structure *ret)
{
    int n_res = p->prediction->n_res;
    int64_t n_atom = (int64_t)n_res * FF_N_ATOM37;
    const float *positions = prediction_array(p->prediction, "structure_module/final_atom_positions", n_atom * 3);
    const float *mask = prediction_array(p->prediction, "structure_module/final_atom_mask", n_atom);
    const float *plddt = prediction_array(p->prediction, "plddt", n_res);
    ff_structure_alloc(ret, n_res);
    memcpy(ret->positions, positions, (size_t)n_atom * 3 * sizeof(float));
    memcpy(ret->mask, mask, (size_t)n_atom * sizeof(float));
    for (int i = 0; i < n_res; i++) {
        ret->aatype[i] = p->aatype[i];
        ret->residue_index[i] = p->residue_index[i] + 1;
        ret->chain_index[i] = p->asym_id != NULL ? p->asym_id[i] : 0;
        for (int a = 0; a < FF_N_ATOM37; a++)
            ret->b_factors[i * FF_N_ATOM37 + a] = plddt[i];
    }
}

static ff_status check_finite(const struct ff_prediction *p, const char *name)
{
    const struct ff_array *a = ff_arrays_find(&p->arrays, name);
    if (a == NULL || a->dtype != FF_F32)
        return FF_OK;
    const float *data = a->data;
    for (int64_t i = 0, n = ff_array_count(a); i < n; i++)
        if (!isfinite(data[i]))
            return ff_fail(FF_EINTERNAL, "the network's %s holds values that are not numbers; nothing was written. "
                           "Check the parameters with `fastfold params check`; with --precision bf16 or tf32 try fp32",
                           name);
    return FF_OK;
}

/* Writes what text holds and empties it. */
static ff_status write_text(const struct ff_output_prediction *p, enum ff_result_file file, struct ff_strbuf *text,
                            struct ff_output_files *files)
{
    char *path = ff_output_path(p->target_dir, file, p->name);
    ff_status st = ff_file_write(path, ff_strbuf_cstr(text), text->len);
    if (st == FF_OK)
        ff_output_files_add(files, path);
    ff_strbuf_free(text);
    free(path);
    return st;
}

/* Why the structure is not written as PDB; NULL when it is. */
static const char *misfit_of(const struct ff_structure *s, const struct ff_pdb_options *pdb)
{
    const char *misfit = ff_pdb_misfit(s, pdb);
    return misfit != NULL ? misfit : s->n_res > MAX_PDB_RESIDUE ? "it has more than 9999 residues" : NULL;
}

static ff_status write_structure(const struct ff_output_prediction *p, struct ff_output_files *files, bool *ret_pdb)
{
    struct ff_structure s;
    ff_output_structure(p, &s);
    struct ff_strbuf text = {0};
    bool from_a = !p->config->published_chain_ids;
    const char *remarks[] = {p->params_note, NULL};
    struct ff_pdb_options pdb = {.remarks = p->params_note != NULL ? remarks : NULL, .chains_from_a = from_a};
    const char *misfit = misfit_of(&s, &pdb);
    *ret_pdb = misfit == NULL;
    ff_status st;
    if (misfit == NULL) {
        st = ff_pdb_write(&s, &pdb, &text);
    } else {
        ff_note("structure written as mmCIF, as the columns of PDB cannot hold it: %s", misfit);
        struct ff_mmcif_options cif = {.id = p->name, .multimer = p->multimer, .chains_from_a = from_a};
        st = ff_mmcif_write(&s, &cif, &text);
    }
    if (st == FF_OK)
        st = write_text(p, *ret_pdb ? FF_RESULT_PDB : FF_RESULT_CIF, &text, files);
    ff_strbuf_free(&text);
    ff_structure_free(&s);
    return st;
}

/* --- the other files -------------------------------------------------------------------------------------------- */

static ff_status write_arrays(const struct ff_output_prediction *p, struct ff_output_files *files)
{
    static const char representations[] = "representations/";
    char *path = ff_output_path(p->target_dir, FF_RESULT_ARRAYS, p->name);
    struct ff_npz_writer *w = NULL;
    ff_status st = p->rows != NULL ? ff_output_rows_end(p->rows, &w) : ff_npz_writer_open(path, &w);
    for (int i = 0; i < p->prediction->arrays.count && st == FF_OK; i++) {
        const struct ff_array *a = &p->prediction->arrays.items[i];
        if (p->config->save_representations || strncmp(a->name, representations, strlen(representations)) != 0)
            st = ff_npz_writer_add(w, a);
    }
    if (st == FF_OK)
        st = ff_npz_writer_commit(w);
    else if (w != NULL)
        ff_npz_writer_abort(w);
    if (st == FF_OK)
        ff_output_files_add(files, path);
    free(path);
    return st;
}

/* The PAE [n, n], in angstrom or eighths of it, row by row: its text is several times as large. */
static void write_pae_rows(FILE *f, int n, const struct ff_array *pae, double max_pae)
{
    struct ff_strbuf text = {0};
    struct ff_json j;
    float *wide = FF_NEW_ARRAY(float, (size_t)n);
    ff_output_pae_begin(&j, &text);
    for (int i = 0; i < n; i++) {
        size_t at = (size_t)i * (size_t)n;
        for (int k = 0; k < n && pae->dtype == FF_U8; k++)
            wide[k] = ff_confidence_pae_from_eighths(((const uint8_t *)pae->data)[at + (size_t)k]);
        ff_output_pae_row(&j, n, pae->dtype == FF_U8 ? wide : (const float *)pae->data + at);
        fwrite(text.s, 1, text.len, f); /* a failure is seen when the file is closed */
        ff_strbuf_clear(&text);
    }
    ff_output_pae_end(&j, max_pae);
    fwrite(text.s, 1, text.len, f);
    ff_strbuf_free(&text);
    free(wide);
}

/* What went to the file by rows comes back from there: whoever wants so large a text has the memory for its numbers. */
static ff_status read_rows(const struct ff_output_prediction *p, struct ff_array *ret)
{
    char *path = ff_output_path(p->target_dir, FF_RESULT_ARRAYS, p->name);
    struct ff_npz *file;
    ff_status st = ff_npz_open(path, &file);
    if (st == FF_OK) {
        st = ff_npz_read(file, ff_npz_find(file, FF_OUTPUT_ROWS), ret);
        ff_npz_close(file);
    }
    free(path);
    return st;
}

static ff_status write_pae(const struct ff_output_prediction *p, struct ff_output_files *files)
{
    int n_res = p->prediction->n_res;
    const struct ff_array *pae = ff_arrays_find(&p->prediction->arrays, "predicted_aligned_error");
    struct ff_array read = {0};
    if (pae == NULL && p->rows == NULL)
        return FF_OK; /* parameters without the head */
    if (n_res > p->config->pae_json_max_residues) {
        ff_note("no pae_*.json for %d residues (output.pae_json_max_residues is %d); the PAE is in result_*.npz", n_res,
                p->config->pae_json_max_residues);
        return FF_OK;
    }
    char *path = ff_output_path(p->target_dir, FF_RESULT_PAE, p->name);
    struct ff_outfile *file;
    ff_status st = pae == NULL ? read_rows(p, &read) : FF_OK;
    if (st == FF_OK)
        st = ff_outfile_open(path, &file);
    if (st == FF_OK) {
        write_pae_rows(ff_outfile_stream(file), n_res, pae != NULL ? pae : &read,
                       (double)*prediction_array(p->prediction, "max_predicted_aligned_error", 1));
        st = ff_outfile_commit(file);
    }
    if (st == FF_OK)
        ff_output_files_add(files, path);
    ff_array_free(&read);
    free(path);
    return st;
}

/* Chains as the structure's file names them. */
static ff_status write_summary(const struct ff_output_prediction *p, bool pdb, struct ff_output_files *files)
{
    const struct ff_chain_scores *scores = &p->prediction->chains;
    if (scores->n_chain == 0)
        return FF_OK;
    char (*ids)[FF_CHAIN_ID_SIZE] = ff_xcalloc((size_t)scores->n_chain, sizeof *ids);
    const char **texts = FF_NEW_ARRAY(const char *, (size_t)scores->n_chain);
    for (int i = 0; i < scores->n_chain; i++) {
        int number = p->config->published_chain_ids ? (int)scores->asym_id[i] : i;
        texts[i] = ff_chain_id(number, pdb, ids[i]);
    }
    struct ff_strbuf text = {0};
    ff_output_summary_json(p->prediction, texts, &text);
    ff_status st = write_text(p, FF_RESULT_SUMMARY, &text, files);
    free(texts);
    free(ids);
    return st;
}

ff_status ff_output_write_prediction(const struct ff_output_prediction *p, struct ff_output_files *files)
{
    const struct ff_prediction *prediction = p->prediction;
    FF_TRY(check_finite(prediction, "structure_module/final_atom_positions"));
    FF_TRY(check_finite(prediction, "plddt"));
    FF_TRY(check_finite(prediction, "predicted_aligned_error"));

    FF_TRY(write_arrays(p, files));
    struct ff_strbuf text = {0};
    ff_output_confidence_json(prediction->n_res, prediction_array(prediction, "plddt", prediction->n_res), &text);
    FF_TRY(write_text(p, FF_RESULT_CONFIDENCE, &text, files));
    FF_TRY(write_pae(p, files));
    bool pdb;
    FF_TRY(write_structure(p, files, &pdb));
    return write_summary(p, pdb, files);
}

/* --- all predictions --------------------------------------------------------------------------------------------- */

static ff_status write_common(const char *target_dir, enum ff_result_file file, struct ff_strbuf *text,
                              struct ff_output_files *files)
{
    return write_text(&(struct ff_output_prediction){.target_dir = target_dir}, file, text, files);
}

static ff_status copy_structure(const char *target_dir, const char *name, int rank, struct ff_output_files *files)
{
    char *from = ff_output_path(target_dir, FF_RESULT_CIF, name);
    bool cif = ff_file_exists(from);
    if (!cif) {
        free(from);
        from = ff_output_path(target_dir, FF_RESULT_PDB, name);
    }
    char *to = ranked_path(target_dir, rank, cif ? ".cif" : ".pdb"), *text;
    size_t len;
    ff_status st = ff_file_read(from, &text, &len);
    if (st == FF_OK) {
        st = ff_file_write(to, text, len);
        free(text);
    }
    if (st == FF_OK)
        ff_output_files_add(files, to);
    free(to);
    free(from);
    return st;
}

ff_status ff_output_write_ranking(const struct ff_output_ranking *r, struct ff_output_files *files)
{
    struct ff_strbuf text = {0};
    ff_output_ranking_json(r->multimer ? "iptm+ptm" : "plddts", r->count, r->scores, &text);
    FF_TRY(write_common(r->target_dir, FF_RESULT_RANKING, &text, files));
    ff_output_timings_json(r->n_timing, r->timings, &text);
    FF_TRY(write_common(r->target_dir, FF_RESULT_TIMINGS, &text, files));
    int *order = FF_NEW_ARRAY(int, (size_t)r->count);
    ff_output_rank(r->count, r->scores, order);
    ff_status st = FF_OK;
    for (int k = 0; k < r->count && st == FF_OK; k++)
        st = copy_structure(r->target_dir, r->scores[order[k]].name, k, files);
    free(order);
    return st;
}
