/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/backend.h"

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

static ff_status create_cuda(enum ff_precision precision, struct ff_backend **ret)
{
#ifdef HAVE_CUDA
    FF_TRY(ff_backend_cuda_create(precision, place_index, place_count, ret));
    ff_warn("the CUDA backend has passed its tests on an emulated GPU only; compare a result with --device cpu before "
            "you rely on it");
    return FF_OK;
#else
    (void)precision;
    (void)place_index;
    (void)place_count;
    *ret = NULL;
    return ff_fail(FF_EUSAGE, "this fastfold was built without CUDA; use --device cpu, or build it with 'make CUDA=1'");
#endif
}

static bool have_cuda_device(void)
{
#ifdef HAVE_CUDA
    return ff_backend_cuda_device_count() > 0;
#else
    return false;
#endif
}

ff_status ff_backend_create(enum ff_device device, enum ff_precision precision, int threads, struct ff_backend **ret)
{
    if (device == FF_DEVICE_AUTO)
        device = have_cuda_device() ? FF_DEVICE_CUDA : FF_DEVICE_CPU;
    return device == FF_DEVICE_CUDA ? create_cuda(precision, ret) : ff_cpu_create(precision, threads, ret);
}

void ff_backend_destroy(struct ff_backend *be)
{
    if (be)
        be->destroy(be);
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
