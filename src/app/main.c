/* SPDX-License-Identifier: Apache-2.0
 * main: finds the subcommand, runs it, reports how it failed and chooses the exit status.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "app/commands.h"
#include "app/interrupt.h"
#include "app/options.h"
#include "app/suggest.h"
#include "app/version.h"
#include "base/file.h"
#include "base/log.h"
#include "base/subprocess.h"
#include "compute/blas.h"
#include "parallel/comm.h"

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *heading, *operands, *summary;
} commands[] = {
#define X(n, h, g, o, s) {.name = #n, .run = ff_cmd_##n, .heading = (h), .operands = (o), .summary = (s)},
    FF_COMMANDS(X)
#undef X
};
enum { N_COMMAND = sizeof commands / sizeof commands[0] };

static const struct command *find_command(const char *name)
{
    for (int i = 0; i < N_COMMAND; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static void print_overview(FILE *out)
{
    fprintf(out, "fastfold %s: protein structure prediction with AlphaFold 2's network\n", ff_version_text());
    fprintf(out, "usage: fastfold COMMAND [options]\n");
    for (int i = 0; i < N_COMMAND; i++) {
        const struct command *c = &commands[i];
        if (i == 0 || strcmp(c->heading, commands[i - 1].heading) != 0)
            fprintf(out, "\n%s:\n", c->heading);
        fprintf(out, "  %-9s %-26s %s\n", c->name, c->operands, c->summary);
    }
    fprintf(out, "\nfastfold help COMMAND lists the options of a command.\n"
                 "Exit status: 0 done, 1 internal error, 2 usage or configuration, 3 bad input, 4 something is\n"
                 "missing, 5 a search tool failed, 6 GPU, 7 memory, 8 reading or writing, 9 some targets failed,\n"
                 "130 interrupted, 143 terminated.\n");
}

static ff_status unknown_command(const char *name)
{
    struct ff_suggest s = {.given = name};
    for (int i = 0; i < N_COMMAND; i++)
        ff_suggest_try(&s, commands[i].name);
    return ff_fail(FF_EUSAGE, "unknown command '%s'%s%s%s; fastfold help lists the commands", name,
                   s.best ? "; did you mean '" : "", s.best ? s.best : "", s.best ? "'?" : "");
}

static ff_status print_help(const char *name)
{
    if (name == NULL) {
        print_overview(stdout);
        return FF_OK;
    }
    if (find_command(name) == NULL)
        return unknown_command(name);
    struct ff_strbuf out = {0};
    ff_options_print_help(name, &out);
    fputs(ff_strbuf_cstr(&out), stdout);
    ff_strbuf_free(&out);
    return FF_OK;
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        print_overview(stderr);
        return FF_EUSAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return (int)print_help(argc > 2 ? argv[2] : NULL);
    if (strcmp(name, "--version") == 0)
        name = "version";
    const struct command *c = find_command(name);
    if (c == NULL)
        return (int)unknown_command(name);
    if (asks_for_help(argc - 2, argv + 2))
        return (int)print_help(name);
    return c->run(argc - 2, argv + 2);
}

/* A full disk behind a redirection shows only here. */
static ff_status close_stdout(void)
{
    bool failed = ferror(stdout) != 0;
    if (fclose(stdout) != 0 || failed)
        return ff_fail_errno(FF_EIO, "writing to standard output");
    return FF_OK;
}

static void leave_nothing_behind(void)
{
    ff_subprocess_kill_all(SIGTERM);
    ff_files_discard_open();
}

static void end_all(void)
{
    leave_nothing_behind();
    ff_comm_abort(FF_EINTERNAL);
}

/* Of several ranks, the first runs the command alone unless it is one that they share. */
static bool is_shared(int argc, char **argv)
{
    static const char *const shared[] = {"predict", "search", "features", "bench"};
    for (size_t i = 0; argc > 1 && i < sizeof shared / sizeof shared[0]; i++)
        if (strcmp(argv[1], shared[i]) == 0)
            return !asks_for_help(argc - 2, argv + 2);
    return false;
}

static int run_on_ranks(int argc, char **argv)
{
    FF_TRY(ff_comm_start(&argc, &argv));
    if (ff_comm_world_size() > 1)
        ff_die_set_hook(end_all, ff_comm_world_rank());
    return ff_comm_world_rank() == 0 || is_shared(argc, argv) ? run(argc, argv) : FF_OK;
}

int main(int argc, char **argv)
{
    ff_blas_start();
    ff_interrupt_install();
    ff_die_set_hook(leave_nothing_behind, -1);
    int code = run_on_ranks(argc, argv);
    if (code != FF_OK && ff_interrupt_signal() != 0) {
        leave_nothing_behind();
        if (ff_comm_world_rank() == 0)
            ff_warn("stopped by %s", ff_interrupt_signal() == SIGINT ? "Ctrl-C (SIGINT)" : "SIGTERM");
        ff_comm_abort(128 + ff_interrupt_signal());
        return 128 + ff_interrupt_signal();
    }
    if (code != FF_OK && *ff_status_message() != '\0' && ff_comm_world_rank() == 0)
        ff_error("%s", ff_status_message());
    ff_status st = close_stdout();
    if (st != FF_OK && code == FF_OK) {
        ff_error("%s", ff_status_message());
        code = (int)st;
    }
    ff_files_discard_open();
    ff_comm_stop();
    return code;
}
