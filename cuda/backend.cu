/* SPDX-License-Identifier: Apache-2.0
 * The cuda backend: the device, its memory and stream, copies, and the table of ops.
 */
#include <cublasLt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if __has_include(<nvtx3/nvToolsExt.h>)
#include <nvtx3/nvToolsExt.h>
#else
#define nvtxRangePushA(name) ((void)(name))
#define nvtxRangePop() ((void)0)
#endif

#include <algorithm>

#include "cuda_backend.h"
#include "device.cuh"

extern "C" {
#include "base/log.h"
#include "compute/host_rows.h"
}

enum { MIN_MAJOR = 8 };                              /* first GPUs with bf16 matrix units */
static const size_t RESERVE = (size_t)16 << 20;      /* for kernels and libraries, which load at their first use */

static const size_t CONTEXT_MOST = (size_t)768 << 20;

static double gib(size_t bytes) { return (double)bytes / (double)(1 << 30); }

/* --- what is there --- */

/* A kernel of this build, to learn whether it has code for a device, and by its shared memory whether that code may use
 * the instructions of sm_90a. */
static __global__ void probe_kernel(int *p)
{
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    __shared__ volatile int mark;
    mark = *p;
    *p = mark + 1;
#else
    (void)p;
#endif
}

/* Why there is no usable device. Fails always. */
static ff_status explain(cudaError_t err)
{
    int driver = 0, runtime = 0;
    (void)cudaDriverGetVersion(&driver);
    (void)cudaRuntimeGetVersion(&runtime);
    if (driver == 0)
        return ff_fail(FF_EGPU, "no NVIDIA driver is loaded; install one, or use --device cpu");
    if (err == cudaErrorInsufficientDriver)
        return ff_fail(
            FF_EGPU,
            "the NVIDIA driver supports CUDA %d.%d, this build needs %d.%d; update the driver, build with an "
            "older CUDA toolkit, or use --device cpu",
            driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
    if (err == cudaErrorNoDevice || err == cudaSuccess)
        return ff_fail(FF_EGPU, "no NVIDIA GPU is visible%s; use --device cpu",
                       getenv("CUDA_VISIBLE_DEVICES") ? " to this program; CUDA_VISIBLE_DEVICES is set" : "");
    if (err == cudaErrorDevicesUnavailable)
        return ff_fail(
            FF_EGPU,
            "the GPU is in use by another process that has it to itself (nvidia-smi shows which); wait for it, "
            "choose another with CUDA_VISIBLE_DEVICES, or use --device cpu");
    if (err == cudaErrorNoKernelImageForDevice)
        return ff_fail(
            FF_EGPU,
            "this build has no code for this GPU; build again with 'make' on this machine, or use "
            "--device cpu");
    return ff_fail(FF_EGPU, "the GPU does not start: %s; use --device cpu", cudaGetErrorString(err));
}

/* The first device that is new enough. */
static ff_status find_device(int *ret)
{
    int n = 0, major = 0, minor = 0;
    cudaError_t err = cudaGetDeviceCount(&n);
    if (err != cudaSuccess || n == 0)
        return explain(err);
    for (int i = 0; i < n; i++) {
        if ((err = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, i)) != cudaSuccess ||
            (err = cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, i)) != cudaSuccess)
            return explain(err);
        *ret = i;
        if (major >= MIN_MAJOR)
            return FF_OK;
    }
    return ff_fail(FF_EGPU, "the GPU has compute capability %d.%d, fastfold needs 8.0 or later; use --device cpu",
                   major, minor);
}

ff_status ff_backend_cuda_look(bool *ret_absent)
{
    int n = 0, driver = 0, index;
    (void)cudaDriverGetVersion(&driver);
    *ret_absent = driver == 0 || cudaGetDeviceCount(&n) == cudaErrorNoDevice;
    ff_status st = find_device(&index);
    (void)cudaGetLastError();
    return st;
}

void ff_backend_cuda_describe(void (*line)(void *user, const char *text), void *user)
{
    char text[512];
    int n = 0, driver = 0, runtime = 0;
    (void)cudaDriverGetVersion(&driver);
    (void)cudaRuntimeGetVersion(&runtime);
    size_t lt = cublasLtGetVersion();
    snprintf(text, sizeof text, "cuda: runtime %d.%d, driver for up to %d.%d%s, cuBLASLt %zu.%zu.%zu", runtime / 1000,
             runtime % 1000 / 10, driver / 1000, driver % 1000 / 10, driver == 0 ? " (none loaded)" : "", lt / 10000,
             lt / 100 % 100, lt % 100);
    line(user, text);
    cudaError_t err = cudaGetDeviceCount(&n);
    if (err != cudaSuccess || n == 0) {
        (void)cudaGetLastError();
        (void)explain(err);
        snprintf(text, sizeof text, "cuda: %s", ff_status_message());
        ff_status_clear();
        line(user, text);
        return;
    }
    for (int i = 0; i < n; i++) {
        struct cudaDeviceProp p;
        if (cudaGetDeviceProperties(&p, i) != cudaSuccess)
            continue;
        snprintf(text, sizeof text, "cuda: device %d: %s, compute capability %d.%d, %.1f GiB, %d multiprocessors%s", i,
                 p.name, p.major, p.minor, gib(p.totalGlobalMem), p.multiProcessorCount,
                 p.major < MIN_MAJOR ? " (too old: 8.0 is needed)" : "");
        line(user, text);
    }
}

/* --- memory --- */

static size_t cuda_free_memory(struct ff_backend *be)
{
    (void)be;
    size_t available = 0, total = 0;
    FF_CUDA(cudaMemGetInfo(&available, &total));
    return available > RESERVE ? available - RESERVE : 0;
}

static size_t cuda_used_memory(struct ff_backend *be)
{
    const struct ff_cuda_device *d = ff_cuda_device_of(be);
    size_t available = 0, total = 0;
    FF_CUDA(cudaMemGetInfo(&available, &total));
    return total - available > d->others ? total - available - d->others : 0;
}

static ff_status out_of_memory(size_t bytes)
{
    size_t available = 0, total = 0;
    (void)cudaGetLastError();
    FF_CUDA(cudaMemGetInfo(&available, &total));
    return ff_fail(FF_EMEMORY,
                   "GPU: %.2f GiB of memory wanted, %.2f of its %.2f GiB are free; close other programs on it, or give "
                   "fastfold less (--memory-limit) or a shorter sequence",
                   gib(bytes), gib(available), gib(total));
}

static ff_status cuda_alloc(struct ff_backend *be, size_t bytes, void **ret)
{
    (void)be;
    cudaError_t err = cudaMalloc(ret, bytes ? bytes : 256);
    if (err == cudaErrorMemoryAllocation)
        return out_of_memory(bytes);
    FF_CUDA(err);
    return FF_OK;
}

static void cuda_sync(struct ff_backend *be) { FF_CUDA(cudaStreamSynchronize(ff_cuda_stream(be))); }

static void cuda_release(struct ff_backend *be, void *p)
{
    cuda_sync(be);
    FF_CUDA(cudaFree(p));
}

static void add_slot(struct ff_cuda_device *d)
{
    struct ff_cuda_pinned slot;
    FF_CUDA(cudaHostAlloc((void **)&slot.memory, FF_CUDA_SLOT_BYTES, cudaHostAllocDefault));
    FF_CUDA(cudaEventCreateWithFlags(&slot.free, cudaEventDisableTiming));
    d->slots.push_back(slot);
}

/* The next in turn, or a new one while the GPU still needs that. */
static const struct ff_cuda_pinned *take_slot(struct ff_cuda_device *d)
{
    if (d->slots.size() < FF_CUDA_MOST_SLOTS && cudaEventQuery(d->slots[d->slot].free) == cudaErrorNotReady) {
        (void)cudaGetLastError();
        add_slot(d);
        return &d->slots.back();
    }
    const struct ff_cuda_pinned *slot = &d->slots[d->slot];
    FF_CUDA(cudaEventSynchronize(slot->free));
    d->slot = (d->slot + 1) % d->slots.size();
    return slot;
}

/* The source may be used again on return: what the GPU has not fetched yet lies in the pinned slots. */
static void cuda_upload_rows(struct ff_backend *be, const struct ff_tensor *dst, const void *src, size_t pitch)
{
    FF_ASSERT(ff_tensor_contiguous(dst));
    struct ff_cuda_device *d = ff_cuda_device_of(be);
    size_t bytes = ff_tensor_bytes(dst), row = bytes > 0 ? bytes / (size_t)dst->shape[0] : 0;
    if (row == pitch)
        row = pitch = bytes;
    for (size_t done = 0, n; done < bytes; done += n) {
        n = std::min<size_t>(bytes - done, FF_CUDA_SLOT_BYTES);
        const struct ff_cuda_pinned *slot = take_slot(d);
        ff_host_rows_gather(slot->memory, src, row, pitch, done, n);
        FF_CUDA(cudaMemcpyAsync((char *)dst->data + done, slot->memory, n, cudaMemcpyHostToDevice, d->stream));
        FF_CUDA(cudaEventRecord(slot->free, d->stream));
    }
}

static void cuda_upload(struct ff_backend *be, const struct ff_tensor *dst, const void *src)
{
    const size_t bytes = ff_tensor_bytes(dst);
    cuda_upload_rows(be, dst, src, bytes > 0 ? bytes / (size_t)dst->shape[0] : 0);
}

/* Copies of one slot while the GPU fills the next. */
static void cuda_download(struct ff_backend *be, void *dst, const struct ff_tensor *src)
{
    FF_ASSERT(ff_tensor_contiguous(src));
    struct ff_cuda_device *d = ff_cuda_device_of(be);
    size_t bytes = ff_tensor_bytes(src);
    cuda_sync(be);
    size_t asked = 0, done = 0;
    int first = 0, n_asked = 0;
    while (done < bytes) {
        for (; asked < bytes && n_asked < FF_CUDA_SLOTS; n_asked++) {
            int slot = (first + n_asked) % FF_CUDA_SLOTS;
            size_t n = std::min<size_t>(bytes - asked, FF_CUDA_SLOT_BYTES);
            FF_CUDA(cudaMemcpyAsync(d->slots[slot].memory, (const char *)src->data + asked, n, cudaMemcpyDeviceToHost,
                                    d->stream));
            FF_CUDA(cudaEventRecord(d->slots[slot].free, d->stream));
            asked += n;
        }
        FF_CUDA(cudaEventSynchronize(d->slots[first].free));
        size_t n = std::min<size_t>(bytes - done, FF_CUDA_SLOT_BYTES);
        memcpy((char *)dst + done, d->slots[first].memory, n);
        done += n;
        first = (first + 1) % FF_CUDA_SLOTS;
        n_asked--;
    }
}

/* --- memory of the host that the GPU reaches --- */

static ff_status cuda_alloc_host(struct ff_backend *be, size_t bytes, void **ret)
{
    (void)be;
    if (cudaHostAlloc(ret, bytes ? bytes : 256, cudaHostAllocDefault) == cudaSuccess)
        return FF_OK;
    (void)cudaGetLastError();
    return ff_fail(FF_EMEMORY,
                   "the host gives no %.2f GiB of memory that the GPU reaches; give more, or use --offload never",
                   gib(bytes));
}

static void cuda_release_host(struct ff_backend *be, void *p)
{
    FF_CUDA(cudaStreamSynchronize(ff_cuda_device_of(be)->copies));
    FF_CUDA(cudaFreeHost(p));
}

/* Few rows are copied one by one, and those farther apart: the driver takes a pitch of up to 2 GiB. */
enum { FF_CUDA_FEW_ROWS = 8, FF_CUDA_PITCH = 1 << 30 };

/* All of t, whose rows lie that many bytes apart where they go and where they come from; 0: as in t. */
static void copy_beside(struct ff_backend *be, const struct ff_tensor *t, void *to, size_t to_pitch, const void *from,
                        size_t from_pitch, cudaMemcpyKind kind)
{
    FF_ASSERT(ff_tensor_contiguous(t));
    struct ff_cuda_device *d = ff_cuda_device_of(be);
    size_t bytes = ff_tensor_bytes(t), n = (size_t)t->shape[0], row = bytes / n;
    size_t to_next = to_pitch > 0 ? to_pitch : row, from_next = from_pitch > 0 ? from_pitch : row;
    FF_CUDA(cudaEventRecord(d->issued, d->stream));
    FF_CUDA(cudaStreamWaitEvent(d->copies, d->issued, 0));
    if (to_pitch == 0 && from_pitch == 0)
        FF_CUDA(cudaMemcpyAsync(to, from, bytes, kind, d->copies));
    else if (n > FF_CUDA_FEW_ROWS && std::max(to_next, from_next) <= FF_CUDA_PITCH)
        FF_CUDA(cudaMemcpy2DAsync(to, to_next, from, from_next, row, n, kind, d->copies));
    else
        for (size_t i = 0; i < n; i++)
            FF_CUDA(cudaMemcpyAsync((char *)to + i * to_next, (const char *)from + i * from_next, row, kind,
                                    d->copies));
    FF_CUDA(cudaEventRecord(d->copied, d->copies));
}

static void cuda_store(struct ff_backend *be, void *host, size_t pitch, const struct ff_tensor *src)
{
    copy_beside(be, src, host, pitch, src->data, 0, cudaMemcpyDeviceToHost);
}

static void cuda_fetch(struct ff_backend *be, const struct ff_tensor *dst, const void *host, size_t pitch)
{
    copy_beside(be, dst, dst->data, 0, host, pitch, cudaMemcpyHostToDevice);
}

static void cuda_settle(struct ff_backend *be)
{
    struct ff_cuda_device *d = ff_cuda_device_of(be);
    FF_CUDA(cudaStreamWaitEvent(d->stream, d->copied, 0));
}

/* --- moments and stages --- */

static void *cuda_mark(struct ff_backend *be)
{
    struct ff_cuda_device *d = ff_cuda_device_of(be);
    cudaEvent_t e;
    if (d->moments.empty()) {
        FF_CUDA(cudaEventCreate(&e));
    } else {
        e = d->moments.back();
        d->moments.pop_back();
    }
    FF_CUDA(cudaEventRecord(e, d->stream));
    return e;
}

static double cuda_between(struct ff_backend *be, void *from, void *to)
{
    (void)be;
    float ms = 0;
    FF_CUDA(cudaEventSynchronize((cudaEvent_t)to));
    FF_CUDA(cudaEventElapsedTime(&ms, (cudaEvent_t)from, (cudaEvent_t)to));
    return ms * 1e-3;
}

static void cuda_unmark(struct ff_backend *be, void *moment)
{
    ff_cuda_device_of(be)->moments.push_back((cudaEvent_t)moment);
}

/* A range for NVIDIA's profilers, until the next stage. */
static void cuda_stage(struct ff_backend *be, const char *name, int block, int n_block)
{
    struct ff_cuda_device *d = ff_cuda_device_of(be);
    char text[64];
    if (d->in_stage)
        nvtxRangePop();
    if (n_block > 1)
        snprintf(text, sizeof text, "%s %d", name, block);
    else
        snprintf(text, sizeof text, "%s", name);
    nvtxRangePushA(text);
    d->in_stage = true;
}

/* --- ceilings of this GPU --- */

template <class F> static double seconds_of(struct ff_backend *be, int repeats, F &&run)
{
    run();
    void *start = cuda_mark(be);
    for (int i = 0; i < repeats; i++)
        run();
    void *end = cuda_mark(be);
    double seconds = cuda_between(be, start, end);
    cuda_unmark(be, start);
    cuda_unmark(be, end);
    return seconds / repeats;
}

/* Random numbers: the rate of a product depends on its operands. */
template <class T> static __global__ void random_kernel(T *p, size_t n)
{
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) {
        unsigned x = (unsigned)i * 2654435761u;
        x ^= x >> 15;
        x *= 2246822519u;
        x ^= x >> 13;
        p[i] = from_float<T>((float)x * 4.6566129e-10f - 1.0f);
    }
}

static void cuda_measure(struct ff_backend *be, const struct ff_cost *of, struct ff_rates *ret)
{
    (void)of;
    if (ret == NULL)
        return;
    const int64_t n = 8192;
    const size_t copy = (size_t)2 << 30;
    enum ff_dtype type = be->activation;
    size_t matrix = (size_t)(n * n) * ff_dtype_size(type), total = std::max(3 * matrix, 2 * copy);
    *ret = {};
    void *p;
    if (cuda_alloc(be, total, &p) != FF_OK)
        return;
    ff_cuda_with_type(type, [&](auto t) {
        random_kernel<<<1024, 256, 0, ff_cuda_stream(be)>>>((decltype(t) *)p, (size_t)(2 * n * n));
    });
    FF_CUDA_LAUNCHED();
    struct ff_cuda_gemm_args g = {};
    g.m = g.n = g.k = g.lda = g.ldb = g.ldc = n;
    g.a = p;
    g.b = (char *)p + matrix;
    g.c = (char *)p + 2 * matrix;
    g.a_type = g.b_type = g.c_type = type;
    ret->flops = 2.0 * (double)n * n * n / seconds_of(be, 20, [&] { ff_cuda_gemm(be, &g); });
    ret->bytes = 2.0 * (double)copy / seconds_of(be, 10, [&] {
        FF_CUDA(cudaMemcpyAsync((char *)p + copy, p, copy, cudaMemcpyDeviceToDevice, ff_cuda_stream(be)));
    });
    cuda_release(be, p);
}

/* --- creation --- */

/* Every op is a range of its name for NVIDIA's profilers; without one that costs nothing. */
#define X(op)                                                                    \
    static void range_##op(struct ff_backend *be, const struct ff_##op##_args *a) \
    {                                                                            \
        nvtxRangePushA(#op);                                                     \
        ff_cuda_##op(be, a);                                                     \
        nvtxRangePop();                                                          \
    }
FF_OPS(X)
#undef X

static const struct ff_ops cuda_ops = {
#define X(op) range_##op,
    FF_OPS(X)
#undef X
};

static void cuda_destroy(struct ff_backend *be)
{
    struct ff_cuda_device *d = ff_cuda_device_of(be);
    (void)cudaStreamSynchronize(d->stream);
    if (d->in_stage)
        nvtxRangePop();
    for (cudaEvent_t e : d->moments)
        (void)cudaEventDestroy(e);
    ff_cuda_products_destroy(d->products);
    for (const ff_cuda_pinned &slot : d->slots) {
        (void)cudaEventDestroy(slot.free);
        (void)cudaFreeHost(slot.memory);
    }
    (void)cudaFree(d->workspace);
    for (cudaEvent_t e : {d->issued, d->copied})
        if (e)
            (void)cudaEventDestroy(e);
    for (cudaStream_t stream : {d->copies, d->stream})
        if (stream)
            (void)cudaStreamDestroy(stream);
    delete d;
    delete be;
}

/* What the context took. The driver tells of the GPU as a whole: what is more than any context takes are other
 * programs, and then an average one is reckoned with. */
static void measure_context(struct ff_cuda_device *d)
{
    size_t available = 0;
    FF_CUDA(cudaMemGetInfo(&available, &d->total));
    size_t used = d->total - available;
    d->context = used <= CONTEXT_MOST ? used : FF_BACKEND_GPU_CONTEXT - RESERVE;
    d->others = used - d->context;
    if (d->others > 0)
        ff_warn("about %.1f of the GPU's %.1f GiB are in use already; other programs on it (nvidia-smi shows them) "
                "take memory and time from this one", gib(d->others), gib(d->total));
}

static ff_status start(struct ff_cuda_device *d, int index, int count, size_t memory_limit)
{
    int n = 0, first;
    cudaError_t err;
    FF_TRY(find_device(&first));
    FF_CUDA(cudaGetDeviceCount(&n));
    if (count > n)
        return ff_fail(FF_EUSAGE,
                       "%d ranks on this machine, but %d GPU%s visible; start one rank per GPU (mpirun -np %d), let "
                       "them see more (CUDA_VISIBLE_DEVICES, or srun without --gpus-per-task), or use --device cpu",
                       count, n, n == 1 ? " is" : "s are", n);
    d->index = count > 1 ? index : first;
    if ((err = cudaSetDevice(d->index)) != cudaSuccess || (err = cudaFree(NULL)) != cudaSuccess)
        return explain(err);
    FF_CUDA(cudaDeviceGetAttribute(&d->major, cudaDevAttrComputeCapabilityMajor, d->index));
    FF_CUDA(cudaDeviceGetAttribute(&d->minor, cudaDevAttrComputeCapabilityMinor, d->index));
    FF_CUDA(cudaDeviceGetAttribute(&d->sm_count, cudaDevAttrMultiProcessorCount, d->index));
    struct cudaFuncAttributes attributes;
    if ((err = cudaFuncGetAttributes(&attributes, probe_kernel)) != cudaSuccess)
        return explain(err);
    d->wgmma = attributes.sharedSizeBytes > 0;
    FF_CUDA(cudaStreamCreateWithFlags(&d->stream, cudaStreamNonBlocking));
    FF_CUDA(cudaStreamCreateWithFlags(&d->copies, cudaStreamNonBlocking));
    FF_CUDA(cudaEventCreateWithFlags(&d->issued, cudaEventDisableTiming));
    FF_CUDA(cudaEventCreateWithFlags(&d->copied, cudaEventDisableTiming));
    measure_context(d);
    size_t most = memory_limit > 0 ? std::min(memory_limit, d->total) : d->total;
    d->workspace_bytes = ff_backend_gpu_workspace(most);
    if (cudaMalloc((void **)&d->workspace, d->workspace_bytes) != cudaSuccess)
        return out_of_memory(d->workspace_bytes);
    d->products = ff_cuda_products_create();
    if (!d->products)
        return out_of_memory(ff_cuda_products_bytes());
    for (int i = 0; i < FF_CUDA_SLOTS; i++)
        add_slot(d);
    return FF_OK;
}

ff_status ff_backend_cuda_create(enum ff_precision precision, int index, int count, size_t memory_limit,
                                 struct ff_backend **ret)
{
    *ret = NULL;
    struct ff_backend *be = new ff_backend();
    struct ff_cuda_device *d = new ff_cuda_device();
    be->impl = d;
    ff_status st = start(d, index, count, memory_limit);
    if (st != FF_OK) {
        (void)cudaGetLastError();
        cuda_destroy(be);
        return st;
    }
    be->ops = &cuda_ops;
    be->name = "cuda";
    be->precision = precision == FF_PRECISION_AUTO ? FF_PRECISION_BF16 : precision;
    be->activation = be->precision == FF_PRECISION_BF16 ? FF_BF16 : FF_F32;
    be->workspace = d->workspace_bytes + ff_cuda_products_bytes();
    be->context = d->context + RESERVE;
    be->alloc = cuda_alloc;
    be->release = cuda_release;
    be->free_memory = cuda_free_memory;
    be->used_memory = cuda_used_memory;
    be->upload = cuda_upload;
    be->upload_rows = cuda_upload_rows;
    be->download = cuda_download;
    be->sync = cuda_sync;
    be->alloc_host = cuda_alloc_host;
    be->release_host = cuda_release_host;
    be->store = cuda_store;
    be->fetch = cuda_fetch;
    be->settle = cuda_settle;
    be->measure = cuda_measure;
    be->mark = cuda_mark;
    be->between = cuda_between;
    be->unmark = cuda_unmark;
    be->stage = cuda_stage;
    be->destroy = cuda_destroy;
    *ret = be;
    return FF_OK;
}
