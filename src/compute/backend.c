/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/backend.h"

#include "base/clock.h"
#include "compute/ops_cpu.h"

#ifdef HAVE_CUDA
#include "base/log.h"
#include "cuda_backend.h"
#endif

static int place_index, place_count = 1;

void ff_backend_set_place(int index, int count)
{
    FF_ASSERT(index >= 0 && index < count);
    place_index = index;
    place_count = count;
}

static size_t memory_limit;

void ff_backend_set_memory_limit(size_t bytes)
{
    memory_limit = bytes;
}

/* A 32nd of the memory: of little memory little, but not so little that products no longer fill the GPU. */
size_t ff_backend_gpu_workspace(size_t bytes)
{
    const size_t least = (size_t)64 << 20, most = (size_t)288 << 20, unit = (size_t)1 << 20;
    size_t part = bytes / 32 / unit * unit;
    return bytes == 0 || part > most ? most : part < least ? least : part;
}

size_t ff_backend_budget(struct ff_backend *be, size_t limit, size_t held)
{
    size_t there = be->free_memory(be) + held + ff_backend_overhead(be);
    return limit > 0 && (limit < there || be->context == 0) ? limit : there;
}

size_t ff_backend_host_budget(const struct ff_backend *be)
{
    return be->context == 0 ? 0 : ff_clock_available_memory() / 4 * 3;
}

static ff_status create_cuda(enum ff_precision precision, struct ff_backend **ret)
{
#ifdef HAVE_CUDA
    return ff_backend_cuda_create(precision, place_index, place_count, memory_limit, ret);
#else
    (void)precision;
    (void)place_index;
    (void)place_count;
    *ret = NULL;
    return ff_fail(FF_EUSAGE, "this fastfold was built without CUDA; use --device cpu, or build it with 'make CUDA=1'");
#endif
}

/* A GPU that is there but cannot be used is worth a word: the processor is much slower. */
static enum ff_device choose(void)
{
#ifdef HAVE_CUDA
    bool absent;
    if (ff_backend_cuda_look(&absent) == FF_OK)
        return FF_DEVICE_CUDA;
    if (!absent)
        ff_warn("computing on the CPU: %s", ff_status_message());
    ff_status_clear();
#endif
    return FF_DEVICE_CPU;
}

ff_status ff_backend_create(enum ff_device device, enum ff_precision precision, int threads, struct ff_backend **ret)
{
    if (device == FF_DEVICE_AUTO)
        device = choose();
    return device == FF_DEVICE_CUDA ? create_cuda(precision, ret) : ff_cpu_create(precision, threads, ret);
}

void ff_backend_destroy(struct ff_backend *be)
{
    if (be)
        be->destroy(be);
}

const char *ff_precision_name(enum ff_precision p)
{
    static const char *const names[] = {[FF_PRECISION_AUTO] = "auto", [FF_PRECISION_FP32] = "fp32",
                                        [FF_PRECISION_TF32] = "tf32", [FF_PRECISION_BF16] = "bf16"};
    return names[p];
}

void ff_backend_describe(void (*line)(void *user, const char *text), void *user)
{
    ff_cpu_describe(line, user);
#ifdef HAVE_CUDA
    ff_backend_cuda_describe(line, user);
#else
    line(user, "cuda: not built in");
#endif
}
