#include "emulator.h"

#include "runtime/base/dtype.h"

#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

enum { THREADS_MAX = 1024, STACK_BYTES = 64 << 10, COPIES_MAX = 256, BARRIERS_MAX = 8, PAGE = 4096, IDLE_MAX = 1000 };

typedef enum fiber_state { READY, AT_BARRIER, AT_SHUFFLE, DONE } fiber_state;

typedef struct copy {
    void *to;
    const void *from;
    int bytes, group;
} copy;

typedef struct fiber {
    ucontext_t context;
    fiber_state state;
    int line;
    unsigned mask;
    int apart;
    bool exchange; /* with lane ^ apart */
    double value;
    copy pending[COPIES_MAX]; /* cp.async: of the thread itself */
    int copies, group;
} fiber;

/* An mbarrier: bulk copies land when all arrived and all expected bytes were asked for, and are seen at the next wait. */
typedef struct bulk_barrier {
    unsigned long long *address;
    int arrivals, missing, expected, asked;
    unsigned completed; /* phases */
    copy pending[64];
    int copies;
} bulk_barrier;

struct {
    int x;
} threadIdx, blockIdx, blockDim, gridDim;

static fiber fibers[THREADS_MAX];
static bulk_barrier bulk[BARRIERS_MAX];
static int bulks, current;
static char *stacks;
static ucontext_t scheduler;
static sigjmp_buf escape;
static const emu_launch *running;
static char message[256];
static bool progress;

/* --- what kernels call --- */

_Noreturn static void fail(const char *what, int line)
{
    snprintf(message, sizeof message, "%s (block %d, thread %d, line %d)", what, blockIdx.x, threadIdx.x, line);
    siglongjmp(escape, 1);
}

static void yield(fiber_state state, int line)
{
    fiber *self = &fibers[current];
    self->state = state;
    self->line = line;
    swapcontext(&self->context, &scheduler);
}

void emu_barrier(int line);
void emu_barrier(int line)
{
    yield(AT_BARRIER, line);
}

/* apart < 0: from below. */
double emu_shuffle_down(unsigned mask, double value, int apart, int line);
double emu_shuffle_down(unsigned mask, double value, int apart, int line)
{
    fiber *self = &fibers[current];
    self->mask = mask;
    self->exchange = false;
    self->value = value;
    self->apart = apart;
    yield(AT_SHUFFLE, line);
    return self->value;
}

double emu_shuffle_xor(unsigned mask, double value, int lanes, int line);
double emu_shuffle_xor(unsigned mask, double value, int lanes, int line)
{
    fiber *self = &fibers[current];
    self->mask = mask;
    self->value = value;
    self->apart = lanes;
    self->exchange = true;
    yield(AT_SHUFFLE, line);
    return self->value;
}

void emu_misaligned(const void *address, int bytes);
void emu_misaligned(const void *address, int bytes)
{
    if ((uintptr_t)address % (uintptr_t)bytes)
        fail("a vector access is not aligned", bytes);
}

/* Poisons the target, and touches the source, as the hardware may do so at once. */
static copy start_copy(void *to, const void *from, int bytes, int group)
{
    for (int i = 0; i < bytes; i++)
        (void)((const volatile char *)from)[i];
    memset(to, 0xff, (size_t)bytes);
    return (copy){to, from, bytes, group};
}

void emu_copy_async(void *to, const void *from, int bytes);
void emu_copy_async(void *to, const void *from, int bytes)
{
    fiber *self = &fibers[current];
    if (self->copies == COPIES_MAX)
        fail("too many asynchronous copies under way", 0);
    self->pending[self->copies++] = start_copy(to, from, bytes, self->group);
}

void emu_copy_commit(void);
void emu_copy_commit(void)
{
    fibers[current].group++;
}

void emu_copy_wait(int newest);
void emu_copy_wait(int newest)
{
    fiber *self = &fibers[current];
    int kept = 0;
    for (int i = 0; i < self->copies; i++) {
        if (self->pending[i].group < self->group - newest)
            memcpy(self->pending[i].to, self->pending[i].from, (size_t)self->pending[i].bytes);
        else
            self->pending[kept++] = self->pending[i];
    }
    self->copies = kept;
}

static bulk_barrier *find_barrier(unsigned long long *address)
{
    for (int i = 0; i < bulks; i++)
        if (bulk[i].address == address)
            return &bulk[i];
    fail("an mbarrier was not initialised", 0);
}

void emu_barrier_init(unsigned long long *barrier, int arrivals);
void emu_barrier_init(unsigned long long *barrier, int arrivals)
{
    emu_misaligned(barrier, 8);
    if (bulks == BARRIERS_MAX)
        fail("too many mbarriers", 0);
    *barrier = 0;
    bulk[bulks++] = (bulk_barrier){.address = barrier, .arrivals = arrivals, .missing = arrivals};
}

void emu_barrier_expect(unsigned long long *barrier, int bytes);
void emu_barrier_expect(unsigned long long *barrier, int bytes)
{
    bulk_barrier *b = find_barrier(barrier);
    if (b->missing-- == 0)
        fail("more arrivals at an mbarrier than it has", 0);
    b->expected += bytes;
}

void emu_copy_bulk(void *to, const void *from, int bytes, unsigned long long *barrier);
void emu_copy_bulk(void *to, const void *from, int bytes, unsigned long long *barrier)
{
    bulk_barrier *b = find_barrier(barrier);
    emu_misaligned(to, 16);
    emu_misaligned(from, 16);
    if (bytes % 16)
        fail("a bulk copy is no multiple of 16 bytes", 0);
    if (b->copies == 64)
        fail("too many bulk copies under way", 0);
    b->pending[b->copies++] = start_copy(to, from, bytes, 0);
    b->asked += bytes;
}

void emu_barrier_wait(unsigned long long *barrier, unsigned phase);
void emu_barrier_wait(unsigned long long *barrier, unsigned phase)
{
    bulk_barrier *b = find_barrier(barrier);
    for (;;) {
        if (b->missing == 0 && b->asked == b->expected) {
            for (int i = 0; i < b->copies; i++)
                memcpy(b->pending[i].to, b->pending[i].from, (size_t)b->pending[i].bytes);
            b->copies = b->asked = b->expected = 0;
            b->missing = b->arrivals;
            b->completed++;
            progress = true;
        }
        if ((b->completed & 1) != (phase & 1))
            return;
        yield(READY, 0);
    }
}

float emu_from_f16(unsigned short bits);
float emu_from_f16(unsigned short bits)
{
    return (float)at_dtype_load(ACTUNE_F16, &bits, 0);
}

unsigned short emu_to_f16(float value);
unsigned short emu_to_f16(float value)
{
    unsigned short bits;
    at_dtype_store(ACTUNE_F16, &bits, 0, (double)value);
    return bits;
}

unsigned short emu_to_bf16(float value);
unsigned short emu_to_bf16(float value)
{
    unsigned short bits;
    at_dtype_store(ACTUNE_BF16, &bits, 0, (double)value);
    return bits;
}

float emu_from_8(int dtype, unsigned char bits);
float emu_from_8(int dtype, unsigned char bits)
{
    return (float)at_dtype_load((actune_dtype)dtype, &bits, 0);
}

unsigned char emu_to_8(int dtype, float value);
unsigned char emu_to_8(int dtype, float value)
{
    unsigned char bits;
    at_dtype_store((actune_dtype)dtype, &bits, 0, (double)value);
    return bits;
}

/* --- a block --- */

static void enter(void)
{
    const intptr_t *a = running->argument;
    /* Arguments are pointers and integers, which the machine passes alike: more than a kernel takes do no harm. */
    typedef void call(intptr_t, intptr_t, intptr_t, intptr_t, intptr_t, intptr_t, intptr_t, intptr_t, intptr_t, intptr_t, intptr_t,
                      intptr_t, intptr_t, intptr_t, intptr_t, intptr_t, intptr_t, intptr_t, intptr_t, intptr_t);
    call *function;
    memcpy(&function, &running->function, sizeof function);
    function(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[11], a[12], a[13], a[14], a[15], a[16], a[17], a[18],
             a[19]);
    fibers[current].state = DONE;
    setcontext(&scheduler);
}

/* On its own: getcontext returns twice in the compiler's eyes, so no variable that changes may live across it. */
static __attribute__((noinline)) void start_fiber(fiber *f, char *stack)
{
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = stack;
    f->context.uc_stack.ss_size = STACK_BYTES;
    f->context.uc_link = NULL;
    makecontext(&f->context, enter, 0);
    f->state = READY;
    f->copies = f->group = 0;
}

static void start_block(int block)
{
    blockIdx.x = block;
    bulks = 0;
    memset(running->shared_begin, 0xff, (size_t)(running->shared_end - running->shared_begin));
    for (int t = 0; t < running->block; t++)
        start_fiber(&fibers[t], stacks + (size_t)t * STACK_BYTES);
}

static void give_turns(const int *order)
{
    for (int i = 0; i < running->block; i++) {
        fiber *f = &fibers[order[i]];
        if (f->state != READY)
            continue;
        current = threadIdx.x = order[i];
        swapcontext(&scheduler, &f->context);
        progress |= f->state != READY;
    }
}

/* Shuffles whose lanes are all there. */
static bool resolve_shuffles(void)
{
    bool any = false;
    for (int first = 0; first < running->block; first += 32) {
        bool complete = fibers[first].state == AT_SHUFFLE;
        double old[32];
        for (int lane = 0; lane < 32 && complete; lane++) {
            fiber *f = &fibers[first + lane];
            complete = f->state == AT_SHUFFLE && f->line == fibers[first].line && f->mask == 0xffffffff;
            old[lane] = f->value;
        }
        for (int lane = 0; lane < 32 && complete; lane++) {
            fiber *f = &fibers[first + lane];
            int from = f->exchange ? lane ^ f->apart : lane + f->apart;
            f->value = from >= 0 && from < 32 ? old[from] : old[lane];
            f->state = READY;
        }
        any |= complete;
    }
    return any;
}

static void release_barrier(void)
{
    for (int t = 0; t < running->block; t++) {
        threadIdx.x = t;
        if (fibers[t].state == AT_SHUFFLE)
            fail("a shuffle waits for lanes that do not come", fibers[t].line);
        if (fibers[t].state != AT_BARRIER)
            fail("a barrier is not reached by a thread that ended", fibers[t].line);
        if (fibers[t].line != fibers[0].line)
            fail("threads wait at different barriers", fibers[t].line);
    }
    for (int t = 0; t < running->block; t++)
        fibers[t].state = READY;
}

static int count_of(fiber_state state)
{
    int count = 0;
    for (int t = 0; t < running->block; t++)
        count += fibers[t].state == state;
    return count;
}

static void run_block(int block, int *order, unsigned *seed)
{
    int idle = 0;
    start_block(block);
    while (count_of(DONE) < running->block) {
        for (int i = running->block - 1; i > 0 && running->order == EMU_SHUFFLED; i--) {
            *seed = *seed * 1664525u + 1013904223u;
            int other = (int)((*seed >> 8) % (unsigned)(i + 1)), kept = order[i];
            order[i] = order[other];
            order[other] = kept;
        }
        progress = false;
        give_turns(order);
        if (count_of(READY) > 0) {
            idle = progress ? 0 : idle + 1;
            if (idle > IDLE_MAX)
                fail("an mbarrier is waited for and never completes", 0);
        } else if (count_of(DONE) < running->block && !resolve_shuffles())
            release_barrier();
    }
}

/* --- launches --- */

static void on_signal(int number)
{
    if (!running) { /* not a kernel's: end as the program would */
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    snprintf(message, sizeof message, "%s (block %d, thread %d)",
             number == SIGILL || number == SIGTRAP ? "a vector access is not aligned" : "an access outside a buffer", blockIdx.x,
             threadIdx.x);
    siglongjmp(escape, 1);
}

static void prepare(void)
{
    static char signal_stack[64 << 10];
    stacks = mmap(NULL, (size_t)THREADS_MAX * STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stacks == MAP_FAILED) {
        puts("no memory for fibers");
        exit(1);
    }
    sigaltstack(&(stack_t){.ss_sp = signal_stack, .ss_size = sizeof signal_stack}, NULL);
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK | SA_NODEFER};
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &action, NULL);
}

long emu_waited;

void emu_wait_previous(void);
void emu_wait_previous(void)
{
    emu_waited++;
}

const char *emu_run(const emu_launch *launch)
{
    static int order[THREADS_MAX];
    static unsigned seed;
    if (!stacks)
        prepare();
    if (launch->block < 1 || launch->block > THREADS_MAX || launch->block % 32 || launch->grid < 1)
        return "a launch with a wrong block or grid";
    running = launch;
    emu_waited = 0;
    blockDim.x = launch->block;
    gridDim.x = launch->grid;
    seed = 1;
    for (int t = 0; t < launch->block; t++)
        order[t] = launch->order == EMU_BACKWARD ? launch->block - 1 - t : t;
    if (sigsetjmp(escape, 1)) {
        running = NULL;
        return message;
    }
    for (int b = 0; b < launch->grid; b++)
        run_block(launch->order == EMU_BACKWARD ? launch->grid - 1 - b : b, order, &seed);
    running = NULL;
    return NULL;
}

emu_buffer emu_buffer_make(size_t bytes, int from_start)
{
    size_t room = (bytes + PAGE - 1) / PAGE * PAGE;
    emu_buffer buffer = {.map_bytes = room + 2 * PAGE};
    buffer.map = mmap(NULL, buffer.map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (buffer.map == MAP_FAILED || (room && mprotect((char *)buffer.map + PAGE, room, PROT_READ | PROT_WRITE)))
        return (emu_buffer){0};
    buffer.data = (char *)buffer.map + PAGE + (from_start ? 0 : room - bytes);
    return buffer;
}

void emu_buffer_free(emu_buffer *buffer)
{
    if (buffer->map)
        munmap(buffer->map, buffer->map_bytes);
    *buffer = (emu_buffer){0};
}
