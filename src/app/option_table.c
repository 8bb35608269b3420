/* SPDX-License-Identifier: Apache-2.0
 * option_table: the rows. To add a setting: a field in a config struct, a row here, its default in configs/.
 */
#include "app/option_table.h"

#include <string.h>

#include "app/commands.h"
#include "base/log.h"

/* Offset and size of a field, checked to be of type T when compiled. */
#define FIELD(T, f)                                                                                   \
    .offset = _Generic(&((struct ff_config *)0)->f, T *: offsetof(struct ff_config, f)),              \
    .size = sizeof(((struct ff_config *)0)->f)
#define BOOL(k, f) .key = k, .type = FF_OPTION_BOOL, FIELD(bool, f)
#define INT(k, f, from, to) .key = k, .type = FF_OPTION_INT, FIELD(int, f), .lo = (from), .hi = (to)
#define INT64(k, f, from, to) .key = k, .type = FF_OPTION_INT, FIELD(int64_t, f), .lo = (from), .hi = (to)
#define FLOAT(k, f, from, to) .key = k, .type = FF_OPTION_FLOAT, FIELD(float, f), .lo = (from), .hi = (to)
#define BYTES(k, f) .key = k, .type = FF_OPTION_BYTES, FIELD(int64_t, f), .lo = 0, .hi = 9e18
#define CHOICE(k, T, f, c) .key = k, .type = FF_OPTION_CHOICE, FIELD(T, f), .choices = (c)
#define STRING(k, t, f) .key = k, .type = FF_OPTION_##t, FIELD(char *, f)

static const struct ff_choice devices[] = {
    {"auto", FF_DEVICE_AUTO}, {"cpu", FF_DEVICE_CPU}, {"cuda", FF_DEVICE_CUDA}, {NULL, 0},
};
static const struct ff_choice precisions[] = {
    {"auto", FF_PRECISION_AUTO}, {"fp32", FF_PRECISION_FP32}, {"tf32", FF_PRECISION_TF32},
    {"bf16", FF_PRECISION_BF16}, {NULL, 0},
};
static const struct ff_choice verbosities[] = {
    {"quiet", FF_LOG_WARNING}, {"normal", FF_LOG_INFO}, {"verbose", FF_LOG_DEBUG}, {NULL, 0},
};
static const struct ff_choice samplings[] = {
    {"random", FF_SAMPLING_RANDOM}, {"ordered", FF_SAMPLING_ORDERED}, {"jax", FF_SAMPLING_JAX}, {NULL, 0},
};
static const struct ff_choice db_presets[] = {
    {"full_dbs", FF_DB_FULL}, {"reduced_dbs", FF_DB_REDUCED}, {NULL, 0},
};
static const struct ff_choice search_tools[] = {
    {"hmmer", FF_SEARCH_BY_HMMER}, {"mmseqs2", FF_SEARCH_BY_MMSEQS}, {NULL, 0},
};
static const struct ff_choice offloads[] = {
    {"auto", true}, {"never", false}, {NULL, 0},
};
static const struct ff_choice transports[] = {
    {"auto", FF_TRANSPORT_AUTO}, {"nccl", FF_TRANSPORT_NCCL}, {"peer", FF_TRANSPORT_PEER}, {NULL, 0},
};
static const struct ff_choice search_gpus[] = {
    {"auto", FF_SEARCH_GPU_AUTO}, {"yes", FF_SEARCH_GPU_YES}, {"no", FF_SEARCH_GPU_NO}, {NULL, 0},
};
static const struct ff_choice chain_ids[] = {
    {"auto", false}, {"alphafold", true}, {NULL, 0},
};

static const struct ff_choice automatic[] = {
    {"auto", 0}, {NULL, 0},
};

/* The rows of one stack of blocks; f is its field, k the name of its section. */
#define ATTENTION(k, f, what)                                                                                   \
    {INT("model." k ".num_head", model.f.num_head, 1, 1024), .help = "heads of " what},                         \
    {INT("model." k ".head_dim", model.f.head_dim, 1, 1024), .help = "channels of one head of " what}
#define PAIR_ROWS(k, f)                                                                                         \
    ATTENTION(k ".triangle_attention", f.triangle_attention, "triangle attention"),                             \
    {INT("model." k ".triangle_multiplication_channel", model.f.triangle_multiplication_channel, 1, 65536),     \
     .help = "hidden channels of triangle multiplication"},                                                     \
    {BOOL("model." k ".fuse_projection_weights", model.f.fuse_projection_weights),                              \
     .help = "left and right projection of triangle multiplication are stored as one array"},                   \
    {INT("model." k ".pair_transition_factor", model.f.pair_transition_factor, 1, 64),                          \
     .help = "hidden channels of the pair transition, as a multiple"}
#define MSA_ROWS(k, f)                                                                                          \
    {INT("model." k ".num_block", model.f.num_block, 0, 4096), .help = "blocks"},                               \
    ATTENTION(k ".msa_row_attention", f.msa_row_attention, "MSA row attention with pair bias"),                 \
    ATTENTION(k ".msa_column_attention", f.msa_column_attention, "MSA column attention"),                       \
    {INT("model." k ".msa_transition_factor", model.f.msa_transition_factor, 1, 64),                            \
     .help = "hidden channels of the MSA transition, as a multiple"},                                           \
    {INT("model." k ".num_outer_channel", model.f.num_outer_channel, 1, 4096),                                  \
     .help = "channels of the outer product mean"},                                                             \
    {BOOL("model." k ".outer_product_mean_first", model.f.outer_product_mean_first),                            \
     .help = "outer product mean before the MSA attention (complexes)"},                                        \
    PAIR_ROWS(k, f)

const struct ff_option ff_option_table[] = {
    /* --- run --- */
    {CHOICE("run.device", enum ff_device, run.device, devices), .flag = "--device", .metavar = "NAME",
     .help = "where to compute; auto takes a GPU where this build and machine have one"},
    {CHOICE("run.precision", enum ff_precision, run.precision, precisions), .flag = "--precision", .metavar = "NAME",
     .help = "arithmetic of the matrix products; the CPU knows fp32 only"},
    {INT("run.threads", run.threads, 0, 4096), .flag = "--threads", .metavar = "N",
     .help = "threads of the CPU; 0: one for each processor"},
    {INT64("run.seed", run.seed, 0, 9007199254740992.0), .flag = "--seed", .metavar = "N",
     .help = "start of the random numbers that sample and mask the MSA"},
    {INT("run.num_seeds", run.num_seeds, 1, 10000), .flag = "--num-seeds", .metavar = "N",
     .help = "predictions by each network, each with a seed of its own"},
    {BYTES("run.memory_limit", run.memory_limit), .flag = "--memory-limit", .metavar = "SIZE",
     .help = "memory that a prediction may use, such as 8GiB; 0: what is free when it starts"},
    {CHOICE("run.offload", bool, run.offload, offloads), .flag = "--offload", .metavar = "NAME",
     .help = "what a GPU's memory cannot hold: auto keeps it in the host's memory, never refuses"},
    {STRING("run.params", PARAMS, run.params), .flag = "--params", .metavar = "PATH",
     .help = "parameters: a .npz file, a folder of params_<model>.npz, or the word synthetic (values made up, for "
             "tests)"},
    {STRING("run.dump", OUTPUT, run.dump), .flag = "--dump", .metavar = "FILE.npz",
     .help = "write the output of every operation to this file"},
    {BOOL("run.profile", run.profile), .flag = "--profile",
     .help = "report the time of every kind of operation and of every stage"},
    {CHOICE("run.verbosity", enum ff_log_level, run.verbosity, verbosities),
     .help = "what is told on the way: quiet (warnings and errors only), normal or verbose"},
    /* --- parallel --- */
    {INT("parallel.dap", parallel.dap, 0, 65536), .flag = "--dap", .metavar = "N", .choices = automatic,
     .help = "ranks of mpirun that share one target; auto chooses for each"},
    {INT("parallel.timeout", parallel.timeout, 0, 100000000), .metavar = "SECONDS",
     .help = "a rank that is silent, or a group of ranks that does not move, for longer ends the job; 0: never"},
    {CHOICE("parallel.transport", enum ff_transport, parallel.transport, transports),
     .help = "how GPUs that share a target exchange: peer (into each other's memory, GPUs of one host), nccl, auto "
             "(peer where it can be)"},
    /* --- model --- */
    {.key = "model.name", .type = FF_OPTION_NAME, .offset = offsetof(struct ff_config, model.name),
     .size = sizeof(((struct ff_config *)0)->model.name), .flag = "--model", .metavar = "NAME",
     .help = "preset of the network: model_1 to model_5, with _ptm or _multimer_v3, _multimer_v2, _multimer; demo"},
    {BOOL("model.multimer", model.multimer), .help = "the network for complexes"},
    {INT("model.num_recycle", model.num_recycle, 0, 1000), .flag = "--recycles", .metavar = "N",
     .help = "passes through the network after the first"},
    {FLOAT("model.recycle_early_stop_tolerance", model.recycle_early_stop_tolerance, -1, 1000),
     .help = "stop when CA distances change by less than this between passes, in A; negative: never"},
    {BOOL("model.resample_msa_in_recycling", model.resample_msa_in_recycling),
     .help = "draw the MSA anew for every pass"},
    {INT("model.num_ensemble", model.num_ensemble, 1, 1024),
     .help = "draws of the MSA that are averaged in one pass (8 at CASP14)"},
    {INT("model.msa_channel", model.msa_channel, 1, 65536), .help = "channels of the MSA representation, c_m"},
    {INT("model.pair_channel", model.pair_channel, 1, 65536), .help = "channels of the pair representation, c_z"},
    {INT("model.extra_msa_channel", model.extra_msa_channel, 1, 65536), .help = "channels of the extra MSA, c_e"},
    {INT("model.seq_channel", model.seq_channel, 1, 65536), .help = "channels of the single representation, c_s"},
    {INT("model.target_feat_dim", model.target_feat_dim, 1, 1024), .help = "features of one residue of the query"},
    {INT("model.msa_feat_dim", model.msa_feat_dim, 1, 1024), .help = "features of one residue of an MSA cluster"},
    {INT("model.max_relative_feature", model.max_relative_feature, 1, 4096),
     .help = "largest distance along the chain that is told apart"},
    {INT("model.max_relative_chain", model.max_relative_chain, 0, 4096),
     .help = "largest distance between copies of a chain that is told apart (complexes)"},
    {FLOAT("model.prev_pos_min_bin", model.prev_pos_min_bin, 0, 1000),
     .help = "first edge of the bins of recycled distances, in A"},
    {FLOAT("model.prev_pos_max_bin", model.prev_pos_max_bin, 0, 1000),
     .help = "last edge of the bins of recycled distances, in A"},
    {INT("model.prev_pos_num_bins", model.prev_pos_num_bins, 2, 4096), .help = "bins of recycled distances"},
    MSA_ROWS("evoformer", evoformer),
    MSA_ROWS("extra_msa_stack", extra_msa_stack),
    {BOOL("model.templates.enabled", model.templates.enabled), .help = "the network has template parameters"},
    {BOOL("model.templates.embed_torsion_angles", model.templates.embed_torsion_angles),
     .help = "templates add rows of torsion angles to the MSA"},
    {INT("model.templates.max_templates", model.templates.max_templates, 0, 4096),
     .help = "templates that the network takes"},
    {INT("model.templates.num_channel", model.templates.num_channel, 1, 65536),
     .help = "channels of the template pair representation, c_t"},
    ATTENTION("templates.attention", templates.attention, "pointwise attention over templates"),
    {FLOAT("model.templates.dgram_min_bin", model.templates.dgram_min_bin, 0, 1000),
     .help = "first edge of the bins of template distances, in A"},
    {FLOAT("model.templates.dgram_max_bin", model.templates.dgram_max_bin, 0, 1000),
     .help = "last edge of the bins of template distances, in A"},
    {INT("model.templates.dgram_num_bins", model.templates.dgram_num_bins, 2, 4096),
     .help = "bins of template distances"},
    {INT("model.templates.stack.num_block", model.templates.stack.num_block, 0, 4096), .help = "blocks"},
    PAIR_ROWS("templates.stack", templates.stack),
    {INT("model.structure.num_layer", model.structure.num_layer, 1, 1024),
     .help = "layers of the structure module; they share their parameters"},
    {INT("model.structure.num_channel", model.structure.num_channel, 1, 65536), .help = "channels"},
    {INT("model.structure.num_head", model.structure.num_head, 1, 1024),
     .help = "heads of invariant point attention"},
    {INT("model.structure.num_scalar_qk", model.structure.num_scalar_qk, 1, 1024),
     .help = "scalars of a query or key"},
    {INT("model.structure.num_scalar_v", model.structure.num_scalar_v, 1, 1024), .help = "scalars of a value"},
    {INT("model.structure.num_point_qk", model.structure.num_point_qk, 1, 1024), .help = "points of a query or key"},
    {INT("model.structure.num_point_v", model.structure.num_point_v, 1, 1024), .help = "points of a value"},
    {INT("model.structure.num_layer_in_transition", model.structure.num_layer_in_transition, 1, 64),
     .help = "linear layers of the transition"},
    {FLOAT("model.structure.position_scale", model.structure.position_scale, 1e-3, 1e6),
     .help = "unit of positions inside the structure module, in A"},
    {INT("model.structure.sidechain_num_channel", model.structure.sidechain_num_channel, 1, 65536),
     .help = "channels of the torsion angle network"},
    {INT("model.structure.sidechain_num_residual_block", model.structure.sidechain_num_residual_block, 0, 64),
     .help = "residual blocks of the torsion angle network"},
    {FLOAT("model.heads.distogram_first_break", model.heads.distogram_first_break, 0, 1000),
     .help = "first edge of the distogram, in A"},
    {FLOAT("model.heads.distogram_last_break", model.heads.distogram_last_break, 0, 1000),
     .help = "last edge of the distogram, in A"},
    {INT("model.heads.distogram_num_bins", model.heads.distogram_num_bins, 3, 4096), .help = "bins of the distogram"},
    {INT("model.heads.plddt_num_channel", model.heads.plddt_num_channel, 1, 65536),
     .help = "channels of the pLDDT head"},
    {INT("model.heads.plddt_num_bins", model.heads.plddt_num_bins, 2, 4096), .help = "bins of the pLDDT head"},
    {BOOL("model.heads.predicted_aligned_error", model.heads.predicted_aligned_error),
     .help = "the network has the head for PAE and pTM"},
    {FLOAT("model.heads.pae_max_error_bin", model.heads.pae_max_error_bin, 0.001, 1000),
     .help = "last edge of the PAE bins, in A"},
    {INT("model.heads.pae_num_bins", model.heads.pae_num_bins, 3, 4096), .help = "bins of the PAE head"},
    {INT("model.heads.masked_msa_num_output", model.heads.masked_msa_num_output, 1, 1024),
     .help = "classes of the masked MSA head"},
    {INT("model.heads.experimentally_resolved_num_output", model.heads.experimentally_resolved_num_output, 1, 1024),
     .help = "atoms of the experimentally resolved head"},
    /* --- msa --- */
    {INT("msa.max_clusters", msa.max_clusters, 1, 1000000), .flag = "--max-msa-clusters", .metavar = "N",
     .help = "MSA rows that become cluster centres"},
    {BOOL("msa.reduce_clusters_by_max_templates", msa.reduce_clusters_by_max_templates),
     .help = "leave room among the clusters for the rows of templates"},
    {INT("msa.max_extra", msa.max_extra, 0, 1000000), .flag = "--max-extra-msa", .metavar = "N",
     .help = "further MSA rows, for the extra-MSA stack"},
    {INT("msa.max_templates", msa.max_templates, 0, 1000), .help = "templates used; 0 without a template network"},
    {FLOAT("msa.mask_fraction", msa.mask_fraction, 0, 1), .help = "share of the clusters' residues that is masked"},
    {FLOAT("msa.profile_prob", msa.profile_prob, 0, 1),
     .help = "of the masked: share replaced by a draw from the profile"},
    {FLOAT("msa.same_prob", msa.same_prob, 0, 1), .help = "of the masked: share left as it is"},
    {FLOAT("msa.uniform_prob", msa.uniform_prob, 0, 1), .help = "of the masked: share replaced by any amino acid"},
    {CHOICE("msa.sampling", enum ff_msa_sampling, msa.sampling, samplings),
     .help = "which rows become clusters: random; ordered, the first ones in the file; jax, drawn as the published "
             "program for complexes draws them"},
    /* --- search --- */
    {BOOL("search.enabled", search.enabled), .help = "search the databases for an MSA"},
    {CHOICE("search.tool", enum ff_search_tool, search.tool, search_tools), .flag = "--search-tool",
     .metavar = "NAME",
     .help = "what searches sequence databases: hmmer, as published; mmseqs2 takes FASTA files, "
             "which it converts once into search.cache_dir, and databases of its own"},
    {CHOICE("search.gpu", enum ff_search_gpu, search.gpu, search_gpus),
     .help = "whether mmseqs2 searches on a GPU; auto: where its version can and there is one"},
    {INT("search.cpus", search.cpus, 0, 4096), .flag = "--search-cpus", .metavar = "N",
     .help = "processors for all searches together; 0: all of this machine"},
    {INT("search.threads", search.threads, 1, 1024),
     .help = "most threads of one search program, as far as search.cpus allows"},
    {BYTES("search.memory", search.memory), .flag = "--search-memory", .metavar = "SIZE",
     .help = "memory for all searches together, such as 32GiB; 0: what is free"},
    {INT("search.shards", search.shards, 0, 256), .flag = "--search-shards", .metavar = "N",
     .help = "parts of a FASTA database that are searched side by side, with the hits and E-values of one search; 1: "
             "whole; 0: as many as there are processors for it, when it is not small"},
    {INT("search.time_limit", search.time_limit, 0, 100000000), .metavar = "SECONDS",
     .help = "seconds that one search program may take; 0: any"},
    {INT("search.ahead", search.ahead, 0, 1000),
     .help = "targets of a batch that may be searched while an earlier one is predicted"},
    {BOOL("search.templates", search.templates), .flag = "--templates",
     .help = "look for templates when the network takes them and their databases are configured"},
    {INT("search.max_template_hits", search.max_template_hits, 1, 10000),
     .help = "templates that are made of the hits; the network draws from them"},
    {STRING("search.cache_dir", OUTPUT, search.cache_dir), .flag = "--cache-dir", .metavar = "DIR",
     .help = "folder that shares the results of searches between runs; null: none"},
    {STRING("search.tmp_dir", OUTPUT, search.tmp_dir), .flag = "--tmp-dir", .metavar = "DIR",
     .help = "folder for what the search programs write on the way; null: the output folder"},
    {STRING("databases.data_dir", PATH, databases.data_dir), .flag = "--data-dir", .metavar = "DIR",
     .help = "folder with databases and parameters in the published layout; fills in what is not given by itself"},
    {CHOICE("databases.preset", enum ff_db_preset, databases.preset, db_presets), .flag = "--db-preset",
     .metavar = "NAME", .help = "full_dbs: BFD and UniRef30 by hhblits; reduced_dbs: the small BFD by jackhmmer"},
    {STRING("databases.uniref90", PATH, databases.uniref90), .help = "UniRef90, FASTA"},
    {STRING("databases.mgnify", PATH, databases.mgnify), .help = "MGnify clusters, FASTA"},
    {STRING("databases.bfd", PATH, databases.bfd), .help = "BFD, path and prefix of the hh-suite files"},
    {STRING("databases.uniref30", PATH, databases.uniref30), .help = "UniRef30, path and prefix of the hh-suite files"},
    {STRING("databases.small_bfd", PATH, databases.small_bfd), .help = "first non-consensus sequences of BFD, FASTA"},
    {STRING("databases.uniprot", PATH, databases.uniprot),
     .help = "UniProt, FASTA, for pairing the chains of complexes"},
    {STRING("databases.pdb70", PATH, databases.pdb70), .help = "PDB70, path and prefix of the hh-suite files"},
    {STRING("databases.pdb_seqres", PATH, databases.pdb_seqres), .help = "sequences of the PDB, FASTA"},
    {STRING("databases.template_mmcif_dir", PATH, databases.template_mmcif_dir),
     .help = "folder of the PDB's mmCIF files"},
    {STRING("databases.obsolete_pdbs", PATH, databases.obsolete_pdbs), .help = "table of replaced PDB entries"},
    {STRING("databases.max_template_date", DATE, databases.max_template_date), .flag = "--max-template-date",
     .metavar = "YYYY-MM-DD", .help = "templates released later are left out; null: none is too new"},
    {INT("databases.uniref90_max_hits", databases.uniref90_max_hits, 0, 100000000),
     .help = "rows kept, query included; 0: all"},
    {INT("databases.mgnify_max_hits", databases.mgnify_max_hits, 0, 100000000),
     .help = "rows kept, query included; 0: all"},
    {INT("databases.small_bfd_max_hits", databases.small_bfd_max_hits, 0, 100000000),
     .help = "rows kept, query included; 0: all"},
    {INT("databases.uniprot_max_hits", databases.uniprot_max_hits, 0, 100000000),
     .help = "rows kept, query included; 0: all"},
    {STRING("tools.jackhmmer", PROGRAM, tools.jackhmmer), .help = "program of HMMER"},
    {STRING("tools.phmmer", PROGRAM, tools.phmmer), .help = "program of HMMER, for search.shards"},
    {STRING("tools.hhblits", PROGRAM, tools.hhblits), .help = "program of HH-suite"},
    {STRING("tools.hhsearch", PROGRAM, tools.hhsearch), .help = "program of HH-suite"},
    {STRING("tools.hmmbuild", PROGRAM, tools.hmmbuild), .help = "program of HMMER"},
    {STRING("tools.hmmsearch", PROGRAM, tools.hmmsearch), .help = "program of HMMER"},
    {STRING("tools.kalign", PROGRAM, tools.kalign), .help = "Kalign"},
    {STRING("tools.mmseqs", PROGRAM, tools.mmseqs), .help = "MMseqs2"},
    /* --- output --- */
    {STRING("output.dir", OUTPUT, output.dir), .flag = "--output-dir", .letter = 'o', .metavar = "DIR",
     .help = "folder for the results; each target gets a folder of its own in it"},
    {BOOL("output.overwrite", output.overwrite), .flag = "--overwrite",
     .help = "replace the results of an earlier run"},
    {BOOL("output.save_representations", output.save_representations), .flag = "--save-representations",
     .help = "add the single, MSA and pair representations to the result file"},
    {CHOICE("output.chain_ids", bool, output.published_chain_ids, chain_ids),
     .help = "names of chains: auto begins at A, alphafold begins complexes at B as the published program does"},
    {INT("output.pae_json_max_residues", output.pae_json_max_residues, 0, 1000000),
     .help = "above this length the PAE goes to the result file only"},
    {INT("output.arrays_max_residues", output.arrays_max_residues, 0, 1000000),
     .help = "above this length the result file has no logits, and the PAE in bytes that count eighths of an angstrom "
             "(numpy.load(FILE)['predicted_aligned_error/eighths'] / 8.0)"},
    {STRING("params_note", TEXT, params_note), .help = "a line that is shown on the screen and in the PDB file"},
};
const int ff_option_count = sizeof ff_option_table / sizeof ff_option_table[0];

const struct ff_option_switch ff_option_switches[] = {
    {"--no-msa", 0, "search.enabled", "false", "no search: the query alone is the MSA"},
    {"--no-early-stop", 0, "model.recycle_early_stop_tolerance", "-1", "always run all recycles"},
    {"--quiet", 'q', "run.verbosity", "quiet", "warnings and errors only"},
    {"--verbose", 'v', "run.verbosity", "verbose", "tell more"},
};
const int ff_option_switch_count = sizeof ff_option_switches / sizeof ff_option_switches[0];

/* search.enabled: false in a file, though, is no word against --msa: then, too, nothing is searched. */
const struct ff_option_conflict ff_option_conflicts[] = {
    {"--msa", "--no-msa", "either the alignment of that file or the query alone is the MSA"},
    {"--features", "--msa", "the features hold an alignment already"},
    {"--features", "--no-msa", "the features hold an alignment already"},
    {"--features", "--template", "the features hold their templates already"},
    {"--features", "--complex", "the features tell which chains there are"},
};
const int ff_option_conflict_count = sizeof ff_option_conflicts / sizeof ff_option_conflicts[0];

#define LINE(f) offsetof(struct ff_command_line, f)
const struct ff_line_option ff_line_options[] = {
    {"--features", "FILE.npz", LINE(features), " predict plan ",
     "start from this file of features, as `fastfold features` writes it, or of processed features", false},
    {"--complex", NULL, LINE(complex), " predict features search plan ",
     "the records of a FASTA file are the chains of one complex", false},
    {"--models", "NAME,...", LINE(models), " predict features plan ",
     "networks to predict with, or a family: multimer (model_1_multimer_v3 to model_5_multimer_v3, the default for "
     "complexes), multimer_v2, multimer_v1, monomer, monomer_ptm, monomer_casp14", false},
    {"--msa", "FILE", LINE(msa), " predict features plan ",
     "use this alignment (.a3m, .sto, .fasta, also .gz; for chains of different sequence a ColabFold A3M) in place of "
     "the searches", false},
    {"--template", "FILE[:CHAIN]", LINE(templates), " predict features ",
     "a structure (.cif, .pdb, also .gz) as template, before those of the search; may be given several times", true},
    {"--out", "FILE", LINE(out), " params ", "file to write", false},
    {"--json", NULL, LINE(json), " compare plan bench ", "print the result as JSON", false},
    {"--ranks", "N", LINE(ranks), " plan ", "also for 1, 2, ... N ranks of mpirun: memory, bytes, time", false},
    {"--bandwidth", "GB/S", LINE(bandwidth), " plan ", "between ranks, as bench measures it under mpirun", false},
    {"--length", "N", LINE(length), " bench ", "residues (256)", false},
    {"--msa", "N", LINE(rows), " bench ", "rows of the MSA (msa.max_clusters)", false},
    {"--extra", "N", LINE(extra), " bench ", "extra sequences (msa.max_extra)", false},
    {"--pass", NULL, LINE(pass), " bench ",
     "also time whole passes of the network, with synthetic parameters, and show where the time of one went", false},
    {"--scaling", NULL, LINE(scaling), " bench ", "time a pass alone, as under mpirun (all ranks share one)", false},
    {"--block", "SIZES", LINE(block), " bench ",
     "also time one block of the Evoformer, at sequences x residues such as 128x256,512x384", false},
    {"--no-ops", NULL, LINE(no_ops), " bench ", "leave the single operations out", false},
    {"--list", NULL, LINE(list), " config ", "print a table of all keys: key, flag, type, range, default, help", false},
};
const int ff_line_option_count = sizeof ff_line_options / sizeof ff_line_options[0];

/* --- look-up ------------------------------------------------------------------------------------------------- */

const struct ff_option *ff_option_table_find(const char *key)
{
    for (int i = 0; i < ff_option_count; i++)
        if (strcmp(ff_option_table[i].key, key) == 0)
            return &ff_option_table[i];
    return NULL;
}

static bool flag_is(const char *given, const char *flag, char letter)
{
    if (flag != NULL && strcmp(given, flag) == 0)
        return true;
    return letter != 0 && given[0] == '-' && given[1] == letter && given[2] == '\0';
}

const struct ff_option *ff_option_table_flag(const char *flag)
{
    for (int i = 0; i < ff_option_count; i++)
        if (flag_is(flag, ff_option_table[i].flag, ff_option_table[i].letter))
            return &ff_option_table[i];
    return NULL;
}

const struct ff_option_switch *ff_option_table_switch(const char *flag)
{
    for (int i = 0; i < ff_option_switch_count; i++)
        if (flag_is(flag, ff_option_switches[i].flag, ff_option_switches[i].letter))
            return &ff_option_switches[i];
    return NULL;
}

const struct ff_line_option *ff_option_table_line(const char *flag, const char *command)
{
    size_t n = strlen(command);
    for (int i = 0; i < ff_line_option_count; i++) {
        if (strcmp(flag, ff_line_options[i].flag) != 0)
            continue;
        for (const char *p = ff_line_options[i].commands; (p = strstr(p, command)) != NULL; p += n)
            if (p[-1] == ' ' && p[n] == ' ')
                return &ff_line_options[i];
    }
    return NULL;
}

bool ff_option_table_is_section(const char *key)
{
    size_t n = strlen(key);
    for (int i = 0; i < ff_option_count; i++)
        if (strncmp(ff_option_table[i].key, key, n) == 0 && ff_option_table[i].key[n] == '.')
            return true;
    return false;
}

unsigned ff_option_table_group(const struct ff_option *o)
{
    static const struct {
        const char *section;
        unsigned group;
    } groups[] = {
        {"run.", FF_GROUP_RUN},       {"parallel.", FF_GROUP_RUN},     {"model.", FF_GROUP_MODEL},
        {"msa.", FF_GROUP_MSA},       {"search.", FF_GROUP_SEARCH},    {"databases.", FF_GROUP_SEARCH},
        {"tools.", FF_GROUP_SEARCH},
    };
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++)
        if (strncmp(o->key, groups[i].section, strlen(groups[i].section)) == 0)
            return groups[i].group;
    return FF_GROUP_OUTPUT;
}
