/* SPDX-License-Identifier: Apache-2.0
 * memory: the emulated GPU's memory, which other processes can open, its copies, and what it says of itself.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <map>

#include "cuda.h"

/* Memory that other processes can open: a file without a name for each. */
struct allocation {
    int file;
    size_t bytes;
};
static std::map<void *, allocation> allocations;

static void *map_file(int file, size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    return p == MAP_FAILED ? NULL : p;
}

cudaError_t cudaMalloc(void **p, size_t bytes)
{
    int file = memfd_create("emulated GPU", 0);
    if (file < 0 || ftruncate(file, (off_t)bytes) != 0 || (*p = map_file(file, bytes)) == NULL) {
        if (file >= 0)
            close(file);
        return cudaErrorMemoryAllocation;
    }
    allocations[*p] = {file, bytes};
    memset(*p, 0xff, bytes);
    return cudaSuccess;
}

cudaError_t cudaFree(void *p)
{
    auto found = allocations.find(p);
    if (found == allocations.end())
        return p == NULL ? cudaSuccess : cudaErrorInvalidValue;
    munmap(p, found->second.bytes);
    close(found->second.file);
    allocations.erase(found);
    return cudaSuccess;
}

struct shown {
    pid_t process;
    allocation a;
};

cudaError_t cudaIpcGetMemHandle(cudaIpcMemHandle_t *handle, void *p)
{
    auto found = allocations.find(p);
    if (found == allocations.end())
        return cudaErrorInvalidValue;
    shown s = {getpid(), found->second};
    memcpy(handle, &s, sizeof s);
    return cudaSuccess;
}

cudaError_t cudaIpcOpenMemHandle(void **p, cudaIpcMemHandle_t handle, unsigned)
{
    shown s;
    char path[64];
    memcpy(&s, &handle, sizeof s);
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)s.process, s.a.file);
    int file = open(path, O_RDWR);
    if (file < 0)
        return cudaErrorInvalidValue;
    *p = map_file(file, s.a.bytes);
    allocations[*p] = {file, s.a.bytes};
    return *p ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaIpcCloseMemHandle(void *p) { return cudaFree(p); }

static CUresult batch(CUstream, unsigned n, CUstreamBatchMemOpParams *ops, unsigned)
{
    for (unsigned i = 0; i < n; i++) {
        uint32_t *at = (uint32_t *)ops[i].waitValue.address, value = ops[i].waitValue.value;
        if (ops[i].operation == CU_STREAM_MEM_OP_WRITE_VALUE_32)
            __atomic_store_n(at, value, __ATOMIC_RELEASE);
        else
            while ((int32_t)(__atomic_load_n(at, __ATOMIC_ACQUIRE) - value) < 0)
                sched_yield();
    }
    return CUDA_SUCCESS;
}

cudaError_t cudaGetDriverEntryPointByVersion(const char *name, void **f, unsigned, unsigned,
                                             cudaDriverEntryPointQueryResult *found)
{
    bool known = strcmp(name, "cuStreamBatchMemOp") == 0;
    *f = known ? (void *)batch : NULL;
    *found = known ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *available, size_t *total)
{
    *available = *total = (size_t)4 << 30;
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind, cudaStream_t)
{
    memcpy(to, from, bytes);
    return cudaSuccess;
}

/* A pitch below the width is refused, as by the driver. */
cudaError_t cudaMemcpy3DAsync(const cudaMemcpy3DParms *p, cudaStream_t)
{
    const cudaPitchedPtr *a = &p->srcPtr, *b = &p->dstPtr;
    const cudaExtent *e = &p->extent;
    if (a->pitch < e->width || b->pitch < e->width || (e->depth > 1 && (a->ysize < e->height || b->ysize < e->height)))
        return cudaErrorInvalidValue;
    for (size_t z = 0; z < e->depth; z++)
        for (size_t y = 0; y < e->height; y++)
            memcpy((char *)b->ptr + (z * b->ysize + y) * b->pitch, (const char *)a->ptr + (z * a->ysize + y) * a->pitch,
                   e->width);
    return cudaSuccess;
}

cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width,
                              size_t height, cudaMemcpyKind kind, cudaStream_t stream)
{
    cudaMemcpy3DParms p = {{(void *)from, from_pitch, width, height}, {to, to_pitch, width, height},
                           {width, height, 1}, kind};
    return cudaMemcpy3DAsync(&p, stream);
}

cudaError_t cudaMemsetAsync(void *p, int value, size_t bytes, cudaStream_t)
{
    memset(p, value, bytes);
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int)
{
    const int values[] = {emulator_is_sm80() ? 8 : 9, 0, 2, emulator_is_sm80() ? 163 << 10 : 227 << 10};
    *value = values[attribute];
    return cudaSuccess;
}
