/* SPDX-License-Identifier: Apache-2.0
 * backend: who computes. A backend is a table of ops, its memory and its workspace. backend.c is the only file that
 * knows which backends this build has (HAVE_CUDA).
 */
#ifndef FF_COMPUTE_BACKEND_H
#define FF_COMPUTE_BACKEND_H

#include "base/status.h"
#include "compute/ops.h"

enum ff_device { FF_DEVICE_AUTO, FF_DEVICE_CPU, FF_DEVICE_CUDA };
enum ff_precision { FF_PRECISION_AUTO, FF_PRECISION_FP32, FF_PRECISION_TF32, FF_PRECISION_BF16 };

/* Work of an op. */
struct ff_cost {
    double flops;
    double bytes;                    /* least traffic: every operand once */
    double functions;                /* exponentials, roots, quotients, normalised numbers */
    int64_t calls;
};
static inline void ff_cost_add(struct ff_cost *sum, const struct ff_cost *c)
{
    sum->flops += c->flops;
    sum->bytes += c->bytes;
    sum->functions += c->functions;
    sum->calls += c->calls;
}

struct ff_rates {
    double flops, bytes, functions;          /* per second */
};

struct ff_backend {
    const struct ff_ops *ops;
    const char *name;                /* "cpu", "cuda", "plan", ... */
    enum ff_precision precision;     /* never AUTO */
    enum ff_dtype activation;        /* type of MSA and pair activations: FF_F32 or FF_BF16 */
    size_t workspace;                /* bytes of scratch that ops use on their own, fixed at creation */
    size_t context;                  /* bytes of a GPU that go to driver, libraries and kernels, with those that load at
                                      * their first use; 0 on the host */
    void *impl;                      /* the backend's own data */

    /* Memory of this backend. alloc gives FF_EMEMORY with the numbers. Freed by release. */
    ff_status (*alloc)(struct ff_backend *be, size_t bytes, void **ret);
    void (*release)(struct ff_backend *be, void *p);
    size_t (*free_memory)(struct ff_backend *be);       /* bytes that alloc could give now */
    size_t (*used_memory)(struct ff_backend *be);       /* bytes of the GPU that this process takes now, as the driver
                                                         * tells; NULL on the host */

    /* Host <-> backend copies of contiguous tensors; complete on return. The plan backend copies nothing and takes
     * NULL. */
    void (*upload)(struct ff_backend *be, const struct ff_tensor *dst, const void *src);
    /* The same from a part of a larger array, whose indices of axis 0 lie pitch bytes apart. */
    void (*upload_rows)(struct ff_backend *be, const struct ff_tensor *dst, const void *src, size_t pitch);
    void (*download)(struct ff_backend *be, void *dst, const struct ff_tensor *src);
    void (*sync)(struct ff_backend *be);                /* waits for all ops issued so far */

    /* Memory of the host that copies beside the ops can reach, and these copies, of contiguous tensors: store to the
     * host and fetch from there begin when the ops and copies before are done; ops issued after settle begin when the
     * copies before it are done. What was stored is for fetch alone. On the host indices of axis 0 lie pitch bytes
     * apart; 0: one behind the other. */
    ff_status (*alloc_host)(struct ff_backend *be, size_t bytes, void **ret);
    void (*release_host)(struct ff_backend *be, void *p);
    void (*store)(struct ff_backend *be, void *host, size_t pitch, const struct ff_tensor *src);
    void (*fetch)(struct ff_backend *be, const struct ff_tensor *dst, const void *host, size_t pitch);
    void (*settle)(struct ff_backend *be);
    /* What this machine reaches now, for the benchmark: a large matrix product of the vendor's library in this
     * precision, a large copy (bytes read plus bytes written), functions as struct ff_cost counts them; 0: not
     * measured. The host leaves out what `of` has nothing of (NULL: leaves out nothing); a call takes a moment there
     * and keeps its operands for the next, ret NULL gives them back. NULL under the plan backend. */
    void (*measure)(struct ff_backend *be, const struct ff_cost *of, struct ff_rates *ret);
    /* Moments on the clock of who computes (compute/moment.h): mark makes one behind everything issued so far; between
     * waits for both and gives the seconds from one to the other; unmark gives one back. NULL where ops are complete on
     * return, so that the host's clock does. */
    void *(*mark)(struct ff_backend *be);
    double (*between)(struct ff_backend *be, void *from, void *to);
    void (*unmark)(struct ff_backend *be, void *moment);
    /* Told what the ops that follow belong to, for profiles; NULL: nobody listens. name is a constant string. */
    void (*stage)(struct ff_backend *be, const char *name, int block, int n_block);
    void (*destroy)(struct ff_backend *be);
};

/* Type of what lives from a projection to the product that reads it: q, k, v, gate, bias and result of attention. Under
 * tf32 these have the digits of the product then, in half the bytes. */
static inline enum ff_dtype ff_backend_attended(const struct ff_backend *be)
{
    return be->precision == FF_PRECISION_TF32 ? FF_F16 : be->activation;
}

/* The cpu backend computes in float32 only (fp32 or auto; others are FF_EUSAGE). threads 0: all processors. */
ff_status ff_backend_create(enum ff_device device, enum ff_precision precision, int threads,
                            struct ff_backend **ret) FF_MUST_USE;
void ff_backend_destroy(struct ff_backend *be);         /* NULL is allowed */
const char *ff_precision_name(enum ff_precision p);     /* "fp32", ... */

/* This process is number `index` of `count` that share this machine's GPUs: the cuda backend takes that GPU of those
 * visible, and fails with FF_EUSAGE when there are fewer than count. Before the first backend; else 0 of 1. */
void ff_backend_set_place(int index, int count);

/* Backends created from now on are to leave this much to everything together (0: all there is): on a GPU the workspace
 * is smaller when that is little. */
void ff_backend_set_memory_limit(size_t bytes);
/* Workspace of a GPU of which that much may be taken. */
size_t ff_backend_gpu_workspace(size_t bytes);
/* What a backend takes besides what alloc gives. */
static inline size_t ff_backend_overhead(const struct ff_backend *be)
{
    return be->workspace + be->context;
}
/* Bytes that everything together may take, overhead included: the limit, or what is free; `held` is what alloc gave
 * already. On a GPU a limit beyond what is free counts for no more than that; on the host, where caches can go, it
 * stands. */
size_t ff_backend_budget(struct ff_backend *be, size_t limit, size_t held);

/* Bytes of the host that may hold what a GPU cannot: most of what is free; 0 where the host computes. */
size_t ff_backend_host_budget(const struct ff_backend *be);

/* What a GPU that is not here is planned with: bytes of driver, libraries and kernels on an H100. */
enum { FF_BACKEND_GPU_CONTEXT = 545 << 20 };
/* Part of every GPU's overhead: workspace of the library of matrix products. */
enum { FF_BACKEND_GPU_PRODUCTS = 32 << 20 };

/* What this build and this machine have, for `doctor` and `version`: one line each, "cuda: not built in", ... */
void ff_backend_describe(void (*line)(void *user, const char *text), void *user);

/* --- the plan backend: computes nothing, counts flops and bytes through compute/cost --- */
/* Acts for a real backend of that kind: takes over precision, activation type and workspace. */
struct ff_backend *ff_backend_plan_create(enum ff_precision precision, enum ff_dtype activation, size_t workspace);
const struct ff_cost *ff_backend_plan_costs(const struct ff_backend *be);   /* [FF_OP_COUNT] */
double ff_backend_plan_copied(const struct ff_backend *be);     /* bytes stored on the host and fetched from there */
void ff_backend_plan_reset(struct ff_backend *be);

/* --- wrappers: forward every op to inner (which they do not own) and look at it --- */
/* Writes every op's output after the op as NNNNN_<op>[_<label>] float32 arrays into an npz at path. */
ff_status ff_backend_dump_create(struct ff_backend *inner, const char *path, struct ff_backend **ret) FF_MUST_USE;
ff_status ff_backend_dump_finish(struct ff_backend *be) FF_MUST_USE;        /* completes the file */
/* Time per op and per stage, on the clock of who computes: ops are not waited for one by one. */
enum { FF_PROFILE_MAX_STAGE = 16 };
struct ff_profile_stage {
    const char *name;
    double seconds;                  /* of its ops */
    struct ff_cost cost;
};
struct ff_profile {
    double seconds[FF_OP_COUNT];
    struct ff_cost cost[FF_OP_COUNT];
    struct ff_profile_stage stages[FF_PROFILE_MAX_STAGE]; /* in the order of their first op; "other": outside of all */
    int n_stage;
};
struct ff_backend *ff_backend_profile_create(struct ff_backend *inner);
const struct ff_profile *ff_backend_profile_read(struct ff_backend *be);   /* waits for the ops issued so far */

#endif
