/* SPDX-License-Identifier: Apache-2.0
 * golden: comparing the network with the published model's own numbers (test/data/model, or the golden folder).
 *
 * $FF_TEST_DEVICE chooses the backend (cpu is the default). A fixture holds one file, a backend, an arena and, for
 * parts of the network, synthetic weights under the scope that the file was made with.
 */
#ifndef FF_TEST_GOLDEN_GOLDEN_H
#define FF_TEST_GOLDEN_GOLDEN_H

#include "app/options.h"
#include "compute/arena.h"
#include "compute/backend.h"
#include "format/npz.h"
#include "model/context.h"
#include "model/weights.h"
#include "unit/testing.h"

/* Relative error allowed per array (largest difference over largest value, and norm), and distance of atoms in A. */
#define GOLDEN_RELATIVE 1e-5
#define GOLDEN_ATOM 0.005

struct golden {
    char *path;
    struct ff_arrays file;           /* in/NAME, out/NAME, meta */
    struct ff_config config;
    struct ff_backend *be;
    struct ff_arena arena;
    struct ff_context ctx;
    char *weights;                   /* staging memory */
    size_t weight_bytes;
    struct ff_arena weight_arena;    /* on the backend */
    void *arena_memory, *weight_memory;
};

/* file: a name in the golden folders or a path from the root; NULL when it is not there (the test then skips). model:
 * preset; settings: "key=value", NULL-terminated. */
struct golden *golden_open(const char *file, const char *model, const char *const *settings);
void golden_close(struct golden *g);

/* A tensor of the backend with the values of in/NAME. */
struct ff_tensor golden_input(struct golden *g, const char *name);
/* A contiguous or strided tensor as float32 host values in C order. Caller frees. */
float *golden_values(struct golden *g, struct ff_tensor t);
/* Compares with out/NAME; before: what a residual layer started from, subtracted first (NULL: nothing). */
void golden_compare(struct golden *g, const char *name, struct ff_tensor got, const char *before);

/* Weights: walk twice with golden_walker, first to measure (on host), then the real views:
 *   for (int step = 0; step < 2; step++) { k = golden_walker(g, step); ff_weights_walk_x(&k, scope, ..., &w); }
 *   golden_upload_weights(g); */
struct ff_weights_walker golden_walker(struct golden *g, int step);
void golden_upload_weights(struct golden *g);

enum ff_device golden_device(void);

#endif
