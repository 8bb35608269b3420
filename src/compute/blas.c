/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/blas.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"

/* Which library is linked is known only then; the others' symbols stay NULL. OpenBLAS built for one processor has no
 * gotoblas_dynamic_*, which choose the kernels by the environment when it is loaded. */
void openblas_set_num_threads(int n) __attribute__((weak));
void bli_thread_set_num_threads(long n) __attribute__((weak));
void MKL_Set_Num_Threads(int n) __attribute__((weak));
char *openblas_get_config(void) __attribute__((weak));
char *openblas_get_corename(void) __attribute__((weak));
void gotoblas_dynamic_quit(void) __attribute__((weak));
void gotoblas_dynamic_init(void) __attribute__((weak));

void ff_blas_set_threads(int n)
{
    if (openblas_set_num_threads)
        openblas_set_num_threads(n);
    if (bli_thread_set_num_threads)
        bli_thread_set_num_threads(n);
    if (MKL_Set_Num_Threads)
        MKL_Set_Num_Threads(n);
}

/* --- kernels of OpenBLAS --- */

static const char core_variable[] = "OPENBLAS_CORETYPE";
static char *first_core;         /* what OpenBLAS took by itself, where something better was chosen */

/* What the kernels for a core need. Names that are not here are newer. */
static enum ff_isa isa_of_core(const char *core)
{
    static const char *const base[] = {"Katmai", "Coppermine", "Northwood", "Prescott", "Banias", "Atom", "Core2",
                                       "Penryn", "Dunnington", "Nehalem", "Athlon", "Opteron", "Opteron_SSE3",
                                       "Barcelona", "Nano", "Sandybridge", "Bobcat", "Bulldozer", "Piledriver",
                                       "Steamroller"};
    static const char *const v3[] = {"Haswell", "Excavator", "Zen"};
    for (size_t i = 0; i < sizeof base / sizeof base[0]; i++)
        if (strcasecmp(core, base[i]) == 0)
            return FF_ISA_BASE;
    for (size_t i = 0; i < sizeof v3 / sizeof v3[0]; i++)
        if (strcasecmp(core, v3[i]) == 0)
            return FF_ISA_V3;
    return FF_ISA_V4;
}

const char *ff_blas_better_core(const char *core, enum ff_isa isa, bool amd)
{
    if (isa_of_core(core) >= isa)
        return NULL;
    return isa == FF_ISA_V4 ? "SkylakeX" : amd ? "Zen" : "Haswell";
}

#ifdef __x86_64__
/* The compiler's functions also ask whether the system keeps the registers. */
static enum ff_isa isa_of_processor(void)
{
    bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    bool v4 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") &&
              __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
              __builtin_cpu_supports("avx512vl");
    return v3 && v4 ? FF_ISA_V4 : v3 ? FF_ISA_V3 : FF_ISA_BASE;
}

static void choose_again(void)
{
    gotoblas_dynamic_quit();
    gotoblas_dynamic_init();
}

static void choose_core(void)
{
    if (!gotoblas_dynamic_quit || !gotoblas_dynamic_init || !openblas_get_corename || getenv(core_variable) != NULL)
        return;
    __builtin_cpu_init();
    char *first = ff_xstrdup(openblas_get_corename());
    /* A library may have been built without the kernels of one kind. */
    for (enum ff_isa isa = isa_of_processor(); isa > FF_ISA_BASE && !first_core; isa--) {
        const char *core = ff_blas_better_core(first, isa, __builtin_cpu_is("amd"));
        if (core == NULL)
            break;
        setenv(core_variable, core, 1);
        choose_again();
        if (strcasecmp(openblas_get_corename(), core) == 0)
            first_core = first;
    }
    bool tried = getenv(core_variable) != NULL;
    unsetenv(core_variable);
    if (first_core)
        return;
    if (tried)
        choose_again();
    free(first);
}
#else
static void choose_core(void)
{
}
#endif

void ff_blas_start(void)
{
    static bool started;
    if (!started)
        choose_core();
    started = true;
}

char *ff_blas_describe(void)
{
    if (!openblas_get_config || !openblas_get_corename)
        return ff_xstrdup("CBLAS");
    return ff_xasprintf("%s on %s%s%s%s", openblas_get_config(), openblas_get_corename(),
                        first_core ? ", where it would take " : "", first_core ? first_core : "",
                        first_core ? " by itself" : "");
}
