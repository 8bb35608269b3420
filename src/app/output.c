/* SPDX-License-Identifier: Apache-2.0
 * output: the files of a finished prediction.
 */
#include "app/output.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/log.h"
#include "bio/mmcif_write.h"
#include "bio/pdb.h"
#include "format/npz.h"

/* --- names ------------------------------------------------------------------------------------------------------ */

static const struct {
    const char *head, *tail;     /* before and after "<model>_pred_0"; tail NULL: head is the whole name */
} names[FF_RESULT_COUNT] = {
    [FF_RESULT_FEATURES] = {"features.npz", NULL},
    [FF_RESULT_RUN] = {"run.json", NULL},
    [FF_RESULT_PDB] = {"unrelaxed_", ".pdb"},
    [FF_RESULT_RANKED_PDB] = {"ranked_0.pdb", NULL},
    [FF_RESULT_CIF] = {"unrelaxed_", ".cif"},
    [FF_RESULT_RANKED_CIF] = {"ranked_0.cif", NULL},
    [FF_RESULT_ARRAYS] = {"result_", ".npz"},
    [FF_RESULT_CONFIDENCE] = {"confidence_", ".json"},
    [FF_RESULT_PAE] = {"pae_", ".json"},
    [FF_RESULT_RANKING] = {"ranking_debug.json", NULL},
    [FF_RESULT_TIMINGS] = {"timings.json", NULL},
};

/* Beginnings of the names that AlphaFold and this program give to results. */
static const char *const result_heads[] = {"features.",   "unrelaxed_",     "relaxed_", "ranked_", "result_",
                                           "confidence_", "ranking_debug.", "pae_"};

char *ff_output_target_dir(const char *output_dir, const char *target)
{
    return ff_path_join(output_dir, target);
}

char *ff_output_msa_dir(const char *target_dir)
{
    return ff_path_join(target_dir, "msas");
}

char *ff_output_prediction_name(const char *model)
{
    return ff_xasprintf("%s_pred_0", model);
}

char *ff_output_path(const char *target_dir, enum ff_result_file file, const char *model)
{
    if (names[file].tail == NULL)
        return ff_path_join(target_dir, names[file].head);
    char *name = ff_xasprintf("%s%s_pred_0%s", names[file].head, model, names[file].tail);
    char *path = ff_path_join(target_dir, name);
    free(name);
    return path;
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

static ff_status write_structure(const struct ff_output_prediction *p, struct ff_output_files *files,
                                 char **ret_structure)
{
    struct ff_structure s;
    ff_output_structure(p, &s);
    struct ff_strbuf text = {0};
    bool from_a = !p->config->published_chain_ids;
    const char *remarks[] = {p->params_note, NULL};
    struct ff_pdb_options pdb = {.remarks = p->params_note != NULL ? remarks : NULL, .chains_from_a = from_a};
    const char *misfit = ff_pdb_misfit(&s, &pdb);
    ff_status st;
    if (misfit == NULL) {
        st = ff_pdb_write(&s, &pdb, &text);
    } else {
        ff_note("structure written as mmCIF, as the columns of PDB cannot hold it: %s", misfit);
        char *id = ff_output_prediction_name(p->model);
        struct ff_mmcif_options cif = {.id = id, .multimer = p->multimer, .chains_from_a = from_a};
        st = ff_mmcif_write(&s, &cif, &text);
        free(id);
    }
    bool fits = misfit == NULL;
    char *path = ff_output_path(p->target_dir, fits ? FF_RESULT_PDB : FF_RESULT_CIF, p->model);
    char *ranked = ff_output_path(p->target_dir, fits ? FF_RESULT_RANKED_PDB : FF_RESULT_RANKED_CIF, p->model);
    if (st == FF_OK)
        st = ff_file_write(path, text.s, text.len);
    if (st == FF_OK)
        st = ff_file_write(ranked, text.s, text.len);
    if (st == FF_OK) {
        ff_output_files_add(files, path);
        ff_output_files_add(files, ranked);
        *ret_structure = ranked;
        ranked = NULL;
    }
    free(ranked);
    free(path);
    ff_strbuf_free(&text);
    ff_structure_free(&s);
    return st;
}

/* --- the other files -------------------------------------------------------------------------------------------- */

static ff_status write_arrays(const struct ff_output_prediction *p, struct ff_output_files *files)
{
    static const char representations[] = "representations/";
    char *path = ff_output_path(p->target_dir, FF_RESULT_ARRAYS, p->model);
    struct ff_npz_writer *w = NULL;
    ff_status st = ff_npz_writer_open(path, &w);
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

/* Writes what text holds and empties it. */
static ff_status write_text(const struct ff_output_prediction *p, enum ff_result_file file, struct ff_strbuf *text,
                            struct ff_output_files *files)
{
    char *path = ff_output_path(p->target_dir, file, p->model);
    ff_status st = ff_file_write(path, ff_strbuf_cstr(text), text->len);
    if (st == FF_OK)
        ff_output_files_add(files, path);
    ff_strbuf_free(text);
    free(path);
    return st;
}

static ff_status write_pae(const struct ff_output_prediction *p, struct ff_output_files *files)
{
    int n_res = p->prediction->n_res;
    if (ff_arrays_find(&p->prediction->arrays, "predicted_aligned_error") == NULL)
        return FF_OK; /* parameters without the head */
    if (n_res > p->config->pae_json_max_residues) {
        ff_note("no pae_*.json for %d residues (output.pae_json_max_residues is %d); the PAE is in result_*.npz", n_res,
                p->config->pae_json_max_residues);
        return FF_OK;
    }
    const float *pae = prediction_array(p->prediction, "predicted_aligned_error", (int64_t)n_res * n_res);
    const float *max_pae = prediction_array(p->prediction, "max_predicted_aligned_error", 1);
    struct ff_strbuf text = {0};
    ff_output_pae_json(n_res, pae, *max_pae, &text);
    return write_text(p, FF_RESULT_PAE, &text, files);
}

ff_status ff_output_write_prediction(const struct ff_output_prediction *p, struct ff_output_files *files,
                                     char **ret_structure)
{
    const struct ff_prediction *prediction = p->prediction;
    *ret_structure = NULL;
    FF_TRY(check_finite(prediction, "structure_module/final_atom_positions"));
    FF_TRY(check_finite(prediction, "plddt"));
    FF_TRY(check_finite(prediction, "predicted_aligned_error"));

    FF_TRY(write_arrays(p, files));
    struct ff_strbuf text = {0};
    ff_output_confidence_json(prediction->n_res, prediction_array(prediction, "plddt", prediction->n_res), &text);
    FF_TRY(write_text(p, FF_RESULT_CONFIDENCE, &text, files));
    FF_TRY(write_pae(p, files));

    char *name = ff_output_prediction_name(p->model);
    struct ff_named_value score = {name, prediction->ranking_confidence};
    ff_output_ranking_json(p->multimer ? "iptm+ptm" : "plddts", 1, &score, &text);
    free(name);
    FF_TRY(write_text(p, FF_RESULT_RANKING, &text, files));
    ff_output_timings_json(p->n_timing, p->timings, &text);
    FF_TRY(write_text(p, FF_RESULT_TIMINGS, &text, files));
    return write_structure(p, files, ret_structure);
}
