/* SPDX-License-Identifier: Apache-2.0 */
#include "bio/mmcif_metadata.h"

/* The published text's notice, word for word, as it belongs to what the published parameters predict. */
static const char published_disclaimer[] =
    "ALPHAFOLD DATA, COPYRIGHT (2021) DEEPMIND TECHNOLOGIES LIMITED.\n"
    "THE INFORMATION PROVIDED IS THEORETICAL MODELLING ONLY AND CAUTION SHOULD BE\n"
    "EXERCISED IN ITS USE. IT IS PROVIDED \"AS-IS\" WITHOUT ANY WARRANTY OF ANY KIND,\n"
    "WHETHER EXPRESSED OR IMPLIED. NO WARRANTY IS GIVEN THAT USE OF THE INFORMATION\n"
    "SHALL NOT INFRINGE THE RIGHTS OF ANY THIRD PARTY. DISCLAIMER: THE INFORMATION IS\n"
    "NOT INTENDED TO BE A SUBSTITUTE FOR PROFESSIONAL MEDICAL ADVICE, DIAGNOSIS, OR\n"
    "TREATMENT, AND DOES NOT CONSTITUTE MEDICAL OR OTHER PROFESSIONAL ADVICE. IT IS\n"
    "AVAILABLE FOR ACADEMIC AND COMMERCIAL PURPOSES, UNDER CC-BY 4.0 LICENCE.";

/* Authors of Jumper et al. 2021. */
static const char *const authors[] = {
    "Jumper, John", "Evans, Richard", "Pritzel, Alexander", "Green, Tim", "Figurnov, Michael",
    "Ronneberger, Olaf", "Tunyasuvunakool, Kathryn", "Bates, Russ", "Zidek, Augustin", "Potapenko, Anna",
    "Bridgland, Alex", "Meyer, Clemens", "Kohl, Simon A. A.", "Ballard, Andrew J.", "Cowie, Andrew",
    "Romera-Paredes, Bernardino", "Nikolov, Stanislav", "Jain, Rishub", "Adler, Jonas", "Back, Trevor",
    "Petersen, Stig", "Reiman, David", "Clancy, Ellen", "Zielinski, Michal", "Steinegger, Martin",
    "Pacholska, Michalina", "Berghammer, Tamas", "Silver, David", "Vinyals, Oriol", "Senior, Andrew W.",
    "Kavukcuoglu, Koray", "Kohli, Pushmeet", "Hassabis, Demis",
};

enum { N_AUTHOR = sizeof authors / sizeof authors[0] };

static const char published_version[] = "v2.3.2";

/* A whole category from a list of values, which ends with NULL. */
static void write_values(struct ff_cif_writer *w, const char *category, const char *items, const char *const *values)
{
    ff_cif_writer_begin(w, category, items);
    for (; *values; values++)
        ff_cif_writer_add(w, "%s", *values);
    ff_cif_writer_end(w);
}

#define VALUES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void write_usage(struct ff_cif_writer *w, const struct ff_mmcif_origin *origin)
{
    static const char items[] = "id type details url name";
    if (!origin)
        write_values(w, "_pdbx_data_usage", items,
                     VALUES("1", "license", "Data in this file is available under a CC-BY-4.0 license.",
                            "https://creativecommons.org/licenses/by/4.0/", "CC-BY-4.0", /**/
                            "2", "disclaimer", published_disclaimer, "?", "?"));
    else if (origin->usage)
        write_values(w, "_pdbx_data_usage", items, VALUES("1", "license", origin->usage, "?", "?"));
}

void ff_mmcif_metadata_head(struct ff_cif_writer *w, const struct ff_mmcif_options *opt)
{
    write_values(w, "_audit_conform", "dict_name dict_version dict_location",
                 VALUES("mmcif_ma.dic", "1.3.9",
                        "https://raw.githubusercontent.com/ihmwg/ModelCIF/master/dist/mmcif_ma.dic"));
    write_usage(w, opt->origin);
    if (!opt->origin) { /* the file's own authors: as published, those of the paper */
        ff_cif_writer_begin(w, "_audit_author", "name pdbx_ordinal");
        for (int i = 0; i < N_AUTHOR; i++) {
            ff_cif_writer_add(w, "%s", authors[i]);
            ff_cif_writer_add(w, "%d", i + 1);
        }
        ff_cif_writer_end(w);
    }
    ff_cif_writer_begin(w, "_citation_author", "citation_id name ordinal");
    for (int i = 0; i < N_AUTHOR; i++) {
        ff_cif_writer_add(w, "primary");
        ff_cif_writer_add(w, "%s", authors[i]);
        ff_cif_writer_add(w, "%d", i + 1);
    }
    ff_cif_writer_end(w);
    write_values(w, "_citation",
                 "id title journal_full journal_volume page_first page_last year journal_id_ASTM country "
                 "journal_id_ISSN journal_id_CSD book_publisher pdbx_database_id_PubMed pdbx_database_id_DOI",
                 VALUES("primary", "Highly accurate protein structure prediction with AlphaFold", "Nature", "596",
                        "583", "589", "2021", "NATUAS", "UK", "0028-0836", "0006", "?", "34265844",
                        "10.1038/s41586-021-03819-2"));
    write_values(w, "_ma_data", "id name content_type", VALUES("1", "Model", "model coordinates"));
}

void ff_mmcif_metadata_tail(struct ff_cif_writer *w, const struct ff_mmcif_options *opt, double mean_plddt)
{
    const struct ff_mmcif_origin *origin = opt->origin;
    const char *version = origin ? origin->version : published_version;

    ff_cif_writer_begin(w, "_ma_model_list",
                        "ordinal_id model_id model_group_id model_name model_group_name data_id model_type");
    ff_cif_writer_add(w, "1");
    ff_cif_writer_add(w, "1");
    ff_cif_writer_add(w, "1");
    ff_cif_writer_add(w, "Top ranked model");
    if (origin)
        ff_cif_writer_add(w, "%s", origin->model_group);
    else
        ff_cif_writer_add(w, "AlphaFold %s %s model", opt->multimer ? "Multimer" : "Monomer", version);
    ff_cif_writer_add(w, "1");
    ff_cif_writer_add(w, "Ab initio model");
    ff_cif_writer_end(w);

    write_values(w, "_software", "pdbx_ordinal name version type description classification date",
                 VALUES("1", origin ? origin->software : "AlphaFold", version, "package", "Structure prediction",
                        "other", "?"));
    write_values(w, "_ma_software_group", "ordinal_id group_id software_id", VALUES("1", "1", "1"));
    write_values(w, "_ma_protocol_step", "ordinal_id protocol_id step_id method_type",
                 VALUES("1", "1", "1", "coevolution MSA", "2", "1", "2", "template search", "3", "1", "3", "modeling"));
    write_values(w, "_ma_qa_metric", "id name type mode software_group_id",
                 VALUES("1", "pLDDT", "pLDDT", "global", "1", "2", "pLDDT", "pLDDT", "local", "1"));

    ff_cif_writer_begin(w, "_ma_qa_metric_global", "ordinal_id model_id metric_id metric_value");
    ff_cif_writer_add(w, "1");
    ff_cif_writer_add(w, "1");
    ff_cif_writer_add(w, "1");
    ff_cif_writer_add(w, "%.2f", mean_plddt);
    ff_cif_writer_end(w);
}
