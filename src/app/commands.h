/* SPDX-License-Identifier: Apache-2.0
 * commands: the subcommands of fastfold, one row each. main.c makes its table from it, options its help.
 *
 * A command gets what follows its name (argv[0] is the first argument behind it) and returns the exit status of the
 * program (base/status.h). It prints its own results on stdout; main prints the message of a failure, answers --help
 * and checks that stdout could be written.
 */
#ifndef FF_APP_COMMANDS_H
#define FF_APP_COMMANDS_H

/* Groups of settings, as they stand together in help; a command names the ones it uses. */
enum ff_option_group {
    FF_GROUP_RUN = 1,            /* run.*, parallel.* */
    FF_GROUP_MODEL = 2,          /* model.* */
    FF_GROUP_MSA = 4,            /* msa.* */
    FF_GROUP_SEARCH = 8,         /* search.*, databases.*, tools.* */
    FF_GROUP_OUTPUT = 16,        /* output.*, params_note */
    FF_GROUP_ALL = 31,
};

/* X(name, heading in the list of commands, groups of settings, operands, one line) */
#define FF_COMMANDS(X)                                                                                             \
    X(predict, "from sequence to structure", FF_GROUP_ALL, "FILE.fasta ...",                                       \
      "the whole path: search, features, network, result files")                                                   \
    X(search, "from sequence to structure", FF_GROUP_RUN | FF_GROUP_MODEL | FF_GROUP_SEARCH | FF_GROUP_OUTPUT,     \
      "FILE.fasta ...",                                                                                            \
      "stop after the database searches")                                                                          \
    X(features, "from sequence to structure", FF_GROUP_ALL, "FILE.fasta ...",                                      \
      "stop at features.npz, which predict --features starts from")                                                \
    X(plan, "from sequence to structure", FF_GROUP_ALL, "FILE.fasta ...",                                          \
      "memory, work and chunks of a prediction, without running it")                                               \
    X(compare, "results and files", 0, "A.pdb B.pdb", "superpose two structures: CA-RMSD and lDDT")                \
    X(params, "results and files", FF_GROUP_RUN | FF_GROUP_MODEL, "info|check|synth [FILE]",                       \
      "look at, check or make parameter files")                                                                    \
    X(config, "settings and machine", FF_GROUP_ALL, "", "print the configuration that these options give")         \
    X(doctor, "settings and machine", FF_GROUP_ALL, "", "what this machine has and lacks")                         \
    X(bench, "settings and machine", FF_GROUP_RUN | FF_GROUP_MODEL | FF_GROUP_MSA, "",                             \
      "time the operations beside what this machine can do")                                                       \
    X(version, "settings and machine", 0, "", "version, and how this program was built")

#define X(name, heading, groups, operands, summary) int ff_cmd_##name(int argc, char **argv);
FF_COMMANDS(X)
#undef X

#endif
