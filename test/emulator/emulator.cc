/* SPDX-License-Identifier: Apache-2.0
 * emulator: coroutines for the threads of a block, their barriers, memory, and matrix products. See cuda_runtime.h.
 */
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdio.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <vector>

#include "cublasLt.h"
#include "cuda.h"
#include "ptx.cuh"

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace {

enum { STACK = 256 << 10, MAX_THREADS = 1024, SHARED = 227 << 10 };
enum state { IDLE, READY, AT_BARRIER, AT_MEETING, AT_PHASE, DONE };

struct copy {
    void *to;
    char data[16];
    bool committed_with_next;
};

struct thread {
    jmp_buf env;
    char *stack;
    bool started;
    state at;
    int meeting;
    unsigned parity;                         /* of its next meeting */
    int value;                               /* left at a barrier */
    const uint64_t *phase;                   /* the barrier in shared memory that it waits for */
    unsigned phase_parity;
    uint3 index;
    std::vector<std::vector<copy>> groups;   /* copies under way, the open group last */
};

thread threads[MAX_THREADS];
jmp_buf scheduler;
ucontext_t scheduler_context;
int current = -1, n_thread;
const std::function<void()> *kernel;
alignas(64) char slots[MAX_THREADS / 32][2][32 * EMULATOR_SLOT];
int barrier_result;
alignas(1024) char dynamic_shared[SHARED];
unsigned shuffle_state = 1;
int order = 0;                               /* 0 forward, 1 backward, 2 shuffled */

[[noreturn]] void fail(const char *what)
{
    fprintf(stderr, "emulated GPU: %s (block %u %u %u, thread %d of %d)\n", what, blockIdx.x, blockIdx.y, blockIdx.z,
            current, n_thread);
    abort();
}

void back_to_scheduler()
{
    if (_setjmp(threads[current].env) == 0)
        _longjmp(scheduler, 1);
}

/* Life of a coroutine: one kernel after the other. */
void live()
{
    for (;;) {
        (*kernel)();
        for (auto &g : threads[current].groups)
            if (!g.empty())
                fail("a thread ended without waiting for its copies");
        threads[current].at = DONE;
        back_to_scheduler();
    }
}

void resume(int i)
{
    thread &t = threads[i];
    current = i;
    threadIdx = t.index;
    if (_setjmp(scheduler) != 0)
        return;
    if (t.started)
        _longjmp(t.env, 1);
    t.started = true;
    t.stack = (char *)malloc(STACK);
    ucontext_t own;
    getcontext(&own);
    own.uc_stack.ss_sp = t.stack;
    own.uc_stack.ss_size = STACK;
    own.uc_link = NULL;
    makecontext(&own, live, 0);
    setcontext(&own);
}

/* Threads that have ended count as if they had come. Returns whether somebody may go on. */
bool open_meetings()
{
    bool opened = false;
    for (int w = 0; w < n_thread; w += 32) {
        int waiting = 0, alive = 0, what = 0;
        for (int i = w; i < std::min(n_thread, w + 32); i++) {
            alive += threads[i].at != DONE;
            if (threads[i].at != AT_MEETING)
                continue;
            waiting++;
            if (what != 0 && threads[i].meeting != what)
                fail("threads of one warp wait for different things");
            what = threads[i].meeting;
        }
        if (waiting == 0 || waiting < alive)
            continue;
        opened = true;
        for (int i = w; i < std::min(n_thread, w + 32); i++)
            if (threads[i].at == AT_MEETING)
                threads[i].at = READY;
    }
    return opened;
}

bool open_barrier()
{
    int waiting = 0, alive = 0, any = 0;
    for (int i = 0; i < n_thread; i++) {
        alive += threads[i].at != DONE;
        waiting += threads[i].at == AT_BARRIER;
        any |= threads[i].at == AT_BARRIER && threads[i].value;
    }
    if (waiting == 0 || waiting < alive)
        return false;
    barrier_result = any;
    for (int i = 0; i < n_thread; i++)
        if (threads[i].at == AT_BARRIER)
            threads[i].at = READY;
    return true;
}

/* A barrier in shared memory: arrivals of a phase, arrivals missing in this one, number of the phase. */
struct phase_barrier {
    uint16_t arrivals, missing;
    uint32_t phase;
};
static_assert(sizeof(phase_barrier) == sizeof(uint64_t), "as on the GPU");

/* Copies of any size under way, and the bytes that barriers wait for besides arrivals. */
struct bulk {
    char *to;
    std::vector<char> data;
    uint64_t *barrier;
};
std::vector<bulk> bulks;
std::map<uint64_t *, int64_t> owed;

void end_phase_if_complete(uint64_t *b)
{
    phase_barrier *p = (phase_barrier *)b;
    if (p->missing > 0 || owed[b] != 0)
        return;
    p->missing = p->arrivals;
    p->phase++;
}

void make_bulk_copies()
{
    for (const bulk &c : bulks) {
        memcpy(c.to, c.data.data(), c.data.size());
        owed[c.barrier] -= (int64_t)c.data.size();
        end_phase_if_complete(c.barrier);
    }
    bulks.clear();
}

bool phase_over(const uint64_t *b, unsigned parity) { return (((const phase_barrier *)b)->phase & 1) != parity; }

bool open_phases()
{
    bool opened = false;
    make_bulk_copies();
    for (int i = 0; i < n_thread; i++)
        if (threads[i].at == AT_PHASE && phase_over(threads[i].phase, threads[i].phase_parity)) {
            threads[i].at = READY;
            opened = true;
        }
    return opened;
}

void run_block()
{
    std::vector<int> turn(n_thread);
    for (int i = 0; i < n_thread; i++) {
        turn[i] = order == 1 ? n_thread - 1 - i : i;
        threads[i].at = READY;
        threads[i].parity = 0;
        threads[i].groups.assign(1, {});
        threads[i].index = {i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y};
    }
    for (;;) {
        bool ran = false;
        if (order == 2)
            for (int i = n_thread - 1; i > 0; i--) {
                shuffle_state = shuffle_state * 1664525u + 1013904223u;
                std::swap(turn[i], turn[(shuffle_state >> 8) % (unsigned)(i + 1)]);
            }
        for (int i : turn)
            if (threads[i].at == READY) {
                resume(i);
                ran = true;
            }
        if (ran && open_meetings())
            continue;
        if (open_meetings() || open_phases() || open_barrier())
            continue;
        for (int i = 0; i < n_thread; i++)
            if (threads[i].at != DONE && threads[i].at != READY)
                fail("threads wait for others that have left");
        if (!bulks.empty())
            fail("a block ended without waiting for its copies");
        if (!ran)
            return;
    }
}

}  // namespace

int emulator_lane() { return current & 31; }

bool emulator_is_sm80()
{
    const char *wanted = getenv("FF_EMULATOR_SM");
    return wanted && strcmp(wanted, "80") == 0;
}

const char *emulator_meet(enum emulator_meeting what, const void *own, size_t size)
{
    thread &t = threads[current];
    char *place = slots[current / 32][t.parity & 1];
    t.parity++;
    if (size > EMULATOR_SLOT)
        fail("slot too small");
    if (size > 0)
        memcpy(place + emulator_lane() * EMULATOR_SLOT, own, size);
    t.at = AT_MEETING;
    t.meeting = what;
    back_to_scheduler();
    return place;
}

int emulator_barrier_or(int value)
{
    threads[current].at = AT_BARRIER;
    threads[current].value = value;
    back_to_scheduler();
    return barrier_result;
}

void emulator_barrier() { (void)emulator_barrier_or(0); }

void barrier_start(uint64_t *b, unsigned arrivals)
{
    if (arrivals < 1 || arrivals > MAX_THREADS || (uintptr_t)b % sizeof *b != 0)
        fail("a barrier that no GPU has");
    *(phase_barrier *)b = {(uint16_t)arrivals, (uint16_t)arrivals, 0};
    owed[b] = 0;
}

void barrier_arrive(uint64_t *b)
{
    phase_barrier *p = (phase_barrier *)b;
    if (p->missing == 0 || p->missing > p->arrivals)
        fail("arrival at a barrier that was not started");
    p->missing--;
    end_phase_if_complete(b);
}

void barrier_expect(uint64_t *b, unsigned bytes)
{
    owed[b] += bytes;
    barrier_arrive(b);
}

void bulk_copy(void *to, const void *from, unsigned bytes, uint64_t *b)
{
    if ((uintptr_t)to % 16 != 0 || (uintptr_t)from % 16 != 0 || bytes % 16 != 0 || owed[b] < (int64_t)bytes)
        fail("a copy that is misaligned or that nobody waits for");
    bulks.push_back({(char *)to, std::vector<char>((const char *)from, (const char *)from + bytes), b});
    memset(to, 0xff, bytes);
}

bool barrier_over(uint64_t *b, unsigned parity) { return phase_over(b, parity); }

void barrier_wait(uint64_t *b, unsigned parity)
{
    if (phase_over(b, parity))
        return;
    threads[current].at = AT_PHASE;
    threads[current].phase = b;
    threads[current].phase_parity = parity;
    back_to_scheduler();
}

void *emulator_shared() { return dynamic_shared; }
unsigned shared_address(const void *p) { return (unsigned)(int)((const char *)p - dynamic_shared); }
const char *emulator_shared_at(unsigned address) { return dynamic_shared + (int)address; }

void emulator_launch(const std::function<void()> &f, dim3 grid, dim3 block, size_t shared, cudaStream_t)
{
    const char *wanted = getenv("FF_EMULATOR_ORDER");
    order = !wanted || strcmp(wanted, "forward") == 0 ? 0 : strcmp(wanted, "backward") == 0 ? 1 : 2;
    if (order == 2)
        shuffle_state = (unsigned)strtoul(wanted, NULL, 10);
    n_thread = (int)(block.x * block.y * block.z);
    if (n_thread < 1 || n_thread > MAX_THREADS || shared > SHARED || grid.x < 1 || grid.y < 1 || grid.z < 1 ||
        grid.y > 65535 || grid.z > 65535)
        fail("launch with sizes that no GPU takes");
    kernel = &f;
    gridDim = grid;
    blockDim = block;
    for (unsigned z = 0; z < grid.z; z++)
        for (unsigned y = 0; y < grid.y; y++)
            for (unsigned x = 0; x < grid.x; x++) {
                blockIdx = {x, y, z};
                memset(dynamic_shared, 0xff, SHARED);
                run_block();
            }
}

/* --- copies behind the program's back --- */

void copy16_async(void *to, const void *from, bool there)
{
    copy c = {};
    c.to = to;
    if ((uintptr_t)to % 16 != 0 || (there && (uintptr_t)from % 16 != 0))
        fail("misaligned copy");
    if (there)
        memcpy(c.data, from, sizeof c.data);
    threads[current].groups.back().push_back(c);
    memset(to, 0xff, 16);                    /* until it is waited for, its contents are not known */
}

void copy_commit() { threads[current].groups.push_back({}); }

void emulator_copy_wait(int n)
{
    auto &groups = threads[current].groups;
    while ((int)groups.size() - 1 > n) {
        for (const copy &c : groups.front())
            memcpy(c.to, c.data, sizeof c.data);
        groups.erase(groups.begin());
    }
}

/* --- memory --- */

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

/* --- products --- */

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *d, cublasComputeType_t compute, cudaDataType)
{
    *d = new emulator_matmul();
    (*d)->compute = compute;
    (*d)->epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t d)
{
    delete d;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t d, cublasLtMatmulDescAttributes_t name,
                                              const void *value, size_t size)
{
    void *const fields[] = {&d->trans_a, &d->trans_b, &d->epilogue, &d->bias_type, &d->bias};
    memcpy(fields[name], value, size);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *l, cudaDataType type, uint64_t rows, uint64_t columns,
                                          int64_t ld)
{
    *l = new emulator_layout();
    **l = {type, rows, columns, ld, 0, 1};
    return ld >= (int64_t)rows ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t l)
{
    delete l;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t l, cublasLtMatrixLayoutAttribute_t name,
                                                const void *value, size_t size)
{
    void *const fields[] = {&l->batch, &l->distance};
    memcpy(fields[name], value, size);
    return CUBLAS_STATUS_SUCCESS;
}

static float number(const void *p, cudaDataType type, int64_t at)
{
    if (type == CUDA_R_16F)
        return unpack_f16(((const uint16_t *)p)[at]).x;
    return type == CUDA_R_32F ? ((const float *)p)[at] : __bfloat162float(((const __nv_bfloat16 *)p)[at]);
}

/* [rows, columns] of op(x), contiguous, as the arithmetic sees it. */
static std::vector<float> gather(const void *p, const emulator_layout *l, bool transposed, int64_t batch, bool tf32)
{
    int64_t rows = (int64_t)(transposed ? l->columns : l->rows), columns = (int64_t)(transposed ? l->rows : l->columns);
    std::vector<float> r((size_t)(rows * columns));
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++) {
            float v = number(p, l->type, batch * l->distance + (transposed ? i * l->ld + j : j * l->ld + i));
            r[(size_t)(i * columns + j)] = tf32 ? __uint_as_float(__float_as_uint(v) & 0xffffe000u) : v;
        }
    return r;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t d, const void *alpha, const void *a,
                              cublasLtMatrixLayout_t la, const void *b, cublasLtMatrixLayout_t lb, const void *beta,
                              const void *c, cublasLtMatrixLayout_t, void *out, cublasLtMatrixLayout_t lout,
                              const cublasLtMatmulAlgo_t *, void *, size_t, cudaStream_t)
{
    bool tf32 = d->compute == CUBLAS_COMPUTE_32F_FAST_TF32;
    int64_t m = (int64_t)lout->rows, n = (int64_t)lout->columns;
    int64_t k = (int64_t)(d->trans_a == CUBLAS_OP_T ? la->rows : la->columns);
    if (la->type != lb->type || (d->trans_b == CUBLAS_OP_T ? lb->columns : lb->rows) != (uint64_t)k)
        return CUBLAS_STATUS_INVALID_VALUE;
    for (int64_t z = 0; z < lout->batch; z++) {
        std::vector<float> x = gather(a, la, d->trans_a == CUBLAS_OP_T, z, tf32);
        std::vector<float> y = gather(b, lb, d->trans_b != CUBLAS_OP_T, z, tf32);    /* [n, k] */
        /* y came as op(b) transposed: rows are the columns of the product. */
        for (int64_t j = 0; j < n; j++)
            for (int64_t i = 0; i < m; i++) {
                double sum = 0;
                for (int64_t e = 0; e < k; e++)
                    sum += (double)x[(size_t)(i * k + e)] * y[(size_t)(j * k + e)];
                int64_t at = z * lout->distance + j * lout->ld + i;
                sum *= *(const float *)alpha;
                if (*(const float *)beta != 0.0f)
                    sum += (double)*(const float *)beta * number(c, lout->type, at);
                if (d->epilogue & CUBLASLT_EPILOGUE_BIAS)
                    sum += number(d->bias, (cudaDataType)d->bias_type, i);
                if (d->epilogue & CUBLASLT_EPILOGUE_RELU)
                    sum = std::max(sum, 0.0);
                if (lout->type == CUDA_R_32F)
                    ((float *)out)[at] = (float)sum;
                else if (lout->type == CUDA_R_16F)
                    ((uint16_t *)out)[at] = (uint16_t)pack_f16((float)sum, 0.0f);
                else
                    ((__nv_bfloat16 *)out)[at] = __float2bfloat16_rn((float)sum);
            }
    }
    return CUBLAS_STATUS_SUCCESS;
}
