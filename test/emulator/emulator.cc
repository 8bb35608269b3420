/* SPDX-License-Identifier: Apache-2.0
 * emulator: coroutines for the threads of a block, their barriers, and copies behind their backs. See cuda_runtime.h.
 */
#include <stdio.h>
#include <ucontext.h>

#include <algorithm>
#include <map>
#include <vector>

#include "ptx.cuh"

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace {

enum { STACK = 256 << 10, MAX_THREADS = 32 * EMULATOR_WARPS, SHARED = 227 << 10 };
enum state { IDLE, READY, AT_BARRIER, AT_MEETING, AT_PHASE, DONE };

struct copy {
    void *to;
    char data[16];
    bool committed_with_next;
};

/* Where a coroutine was left, for __builtin_setjmp, which saves no more than it must. */
typedef void *place[5];

struct thread {
    place left;
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
place scheduler;
int current = -1, n_thread;
const std::function<void()> *kernel;
alignas(64) char slots[EMULATOR_WARPS][2][32 * EMULATOR_SLOT];
int gone_on[EMULATOR_WARPS];                 /* threads that have gone on since their warp met */
int barrier_result;
alignas(1024) char dynamic_shared[SHARED];
unsigned shuffle_state = 1;
int order = 0;                               /* 0 forward, 1 backward, 2 shuffled */
int turn[MAX_THREADS], n_had_turn;           /* the threads in this order, and how many of them have had their turn */

/* Functions of their own, of which callers know nothing: between call and return other coroutines use all registers. */
__attribute__((noipa, noreturn)) void jump(place &to) { __builtin_longjmp(to, 1); }

void live();

/* Begins a coroutine. The tops of their stacks lie apart in the pages, so that they do not share lines of the cache. */
void start(thread &t, int i)
{
    t.started = true;
    t.stack = (char *)malloc(STACK);
    ucontext_t own;
    getcontext(&own);
    own.uc_stack.ss_sp = t.stack;
    own.uc_stack.ss_size = STACK - (size_t)(i % 32) * 1088;
    own.uc_link = NULL;
    makecontext(&own, live, 0);
    setcontext(&own);
}

/* Goes to the next thread that is ready, and to the scheduler when all have had their turn. */
__attribute__((noipa)) void go_on()
{
    while (n_had_turn < n_thread) {
        int i = turn[n_had_turn++];
        thread &t = threads[i];
        if (t.at != READY)
            continue;
        current = i;
        threadIdx = t.index;
        if (t.started)
            jump(t.left);
        start(t, i);
    }
    jump(scheduler);
}

__attribute__((noipa)) void leave()
{
    if (__builtin_setjmp(threads[current].left) == 0)
        go_on();
}

/* Life of a coroutine: one kernel after the other. */
void live()
{
    for (;;) {
        (*kernel)();
        for (auto &g : threads[current].groups)
            if (!g.empty())
                emulator_fail("a thread ended without waiting for its copies");
        threads[current].at = DONE;
        leave();
    }
}

/* All threads that are ready, in turn, until each waits. Returns whether there were any. */
__attribute__((noipa)) bool run_turns()
{
    bool any = false;
    for (int i = 0; i < n_thread; i++)
        any = any || threads[i].at == READY;
    n_had_turn = 0;
    if (any && __builtin_setjmp(scheduler) == 0)
        go_on();
    return any;
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
                emulator_fail("threads of one warp wait for different things");
            what = threads[i].meeting;
        }
        if (waiting == 0 || waiting < alive)
            continue;
        if (what == EMULATOR_PRODUCT && waiting < 32)
            emulator_fail("a product without the whole warp");
        opened = true;
        gone_on[w / 32] = 0;
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
    for (int i = 0; i < n_thread; i++) {
        turn[i] = order == 1 ? n_thread - 1 - i : i;
        threads[i].at = READY;
        threads[i].parity = 0;
        threads[i].groups.assign(1, {});
        threads[i].index = {i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y};
    }
    for (;;) {
        if (order == 2)
            for (int i = n_thread - 1; i > 0; i--) {
                shuffle_state = shuffle_state * 1664525u + 1013904223u;
                std::swap(turn[i], turn[(shuffle_state >> 8) % (unsigned)(i + 1)]);
            }
        bool ran = run_turns();
        if (open_meetings() || open_phases() || open_barrier())
            continue;
        for (int i = 0; i < n_thread; i++)
            if (threads[i].at != DONE && threads[i].at != READY)
                emulator_fail("threads wait for others that have left");
        if (!bulks.empty())
            emulator_fail("a block ended without waiting for its copies");
        if (!ran)
            return;
    }
}

}  // namespace

void emulator_fail(const char *what)
{
    fprintf(stderr, "emulated GPU: %s (block %u %u %u, thread %d of %d)\n", what, blockIdx.x, blockIdx.y, blockIdx.z,
            current, n_thread);
    abort();
}

int emulator_lane() { return current & 31; }
int emulator_warp() { return current / 32; }

bool emulator_is_sm80()
{
    const char *wanted = getenv("FF_EMULATOR_SM");
    return wanted && strcmp(wanted, "80") == 0;
}

const char *emulator_meet(enum emulator_meeting what, const void *own, size_t size, int *nth)
{
    thread &t = threads[current];
    char *place = slots[current / 32][t.parity & 1];
    t.parity++;
    if (size > EMULATOR_SLOT)
        emulator_fail("slot too small");
    if (size > 0)
        memcpy(place + emulator_lane() * EMULATOR_SLOT, own, size);
    t.at = AT_MEETING;
    t.meeting = what;
    leave();
    if (nth)
        *nth = gone_on[current / 32]++;
    return place;
}

int emulator_barrier_or(int value)
{
    threads[current].at = AT_BARRIER;
    threads[current].value = value;
    leave();
    return barrier_result;
}

void emulator_barrier() { (void)emulator_barrier_or(0); }

void barrier_start(uint64_t *b, unsigned arrivals)
{
    if (arrivals < 1 || arrivals > MAX_THREADS || (uintptr_t)b % sizeof *b != 0)
        emulator_fail("a barrier that no GPU has");
    *(phase_barrier *)b = {(uint16_t)arrivals, (uint16_t)arrivals, 0};
    owed[b] = 0;
}

void barrier_arrive(uint64_t *b)
{
    phase_barrier *p = (phase_barrier *)b;
    if (p->missing == 0 || p->missing > p->arrivals)
        emulator_fail("arrival at a barrier that was not started");
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
        emulator_fail("a copy that is misaligned or that nobody waits for");
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
    leave();
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
        emulator_fail("launch with sizes that no GPU takes");
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

void emulator_copy(void *to, const void *from, int bytes)
{
    copy c = {};
    c.to = to;
    if ((uintptr_t)to % 16 != 0 || (bytes > 0 && (uintptr_t)from % 16 != 0))
        emulator_fail("misaligned copy");
    memcpy(c.data, from, (size_t)bytes);
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
