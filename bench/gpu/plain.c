#include "plain.h"

#include <stdio.h>
#include <stdlib.h>

/* Loads before stores, 16 bytes each. The loop runs once where the grid covers the tensor. `found` keeps the reads of GPU_READ alive. */
static const char text[] =
    "#ifndef ACTUNE_EMULATED\n"
    "struct __align__(16) bytes_16 {\n"
    "    unsigned int word[4];\n"
    "};\n"
    "static __device__ __forceinline__ bytes_16 load_16(const void *from)\n"
    "{\n"
    "    bytes_16 to;\n"
    "    asm volatile(\"ld.global%s.v4.u32 {%%0, %%1, %%2, %%3}, [%%4];\"\n"
    "                 : \"=r\"(to.word[0]), \"=r\"(to.word[1]), \"=r\"(to.word[2]), \"=r\"(to.word[3]) : \"l\"(from));\n"
    "    return to;\n"
    "}\n"
    "static __device__ __forceinline__ void store_16(void *to, bytes_16 from)\n"
    "{\n"
    "    asm volatile(\"st.global%s.v4.u32 [%%0], {%%1, %%2, %%3, %%4};\"\n"
    "                 :: \"l\"(to), \"r\"(from.word[0]), \"r\"(from.word[1]), \"r\"(from.word[2]), \"r\"(from.word[3]) : \"memory\");\n"
    "}\n"
    "#endif\n"
    "#define MOVE %d /* 0 copy, 1 read, 2 write, 3 add, 4 add twice */\n"
    "extern \"C\" __global__ void __launch_bounds__(%d) plain(char *to, const char *from, const char *other,\n"
    "                                                               const char *third, char *to_too, long long vectors)\n"
    "{\n"
    "    const int block = %d, unroll = %d;\n"
    "    long long step = (long long)block * unroll;\n"
    "    unsigned int found = 0;\n"
    "    for (long long base = blockIdx.x * step; base < vectors; base += gridDim.x * step) {\n"
    "        bytes_16 v[unroll], w[unroll], t[unroll];\n"
    "#pragma unroll\n"
    "        for (int u = 0; u < unroll; u++) {\n"
    "            long long i = base + u * block + threadIdx.x;\n"
    "            v[u] = bytes_16();\n"
    "            w[u] = bytes_16();\n"
    "            t[u] = bytes_16();\n"
    "            if (MOVE != 2 && i < vectors)\n"
    "                v[u] = load_16(from + 16 * i);\n"
    "            if (MOVE >= 3 && i < vectors)\n"
    "                w[u] = load_16(other + 16 * i);\n"
    "            if (MOVE == 4 && i < vectors)\n"
    "                t[u] = load_16(third + 16 * i);\n"
    "        }\n"
    "#pragma unroll\n"
    "        for (int u = 0; u < unroll; u++) {\n"
    "            long long i = base + u * block + threadIdx.x;\n"
    "            for (int k = 0; k < 4; k++) {\n"
    "                found ^= v[u].word[k];\n"
    "                if (MOVE == 2)\n"
    "                    v[u].word[k] = (unsigned int)i;\n"
    "                if (MOVE >= 3)\n"
    "                    v[u].word[k] += w[u].word[k];\n"
    "                t[u].word[k] += v[u].word[k];\n"
    "            }\n"
    "            if (MOVE != 1 && i < vectors)\n"
    "                store_16(to + 16 * i, v[u]);\n"
    "            if (MOVE == 4 && i < vectors)\n"
    "                store_16(to_too + 16 * i, t[u]);\n"
    "        }\n"
    "    }\n"
    "    if (MOVE == 1 && found == 0x9e3779b9u)\n"
    "        to[threadIdx.x] = 1;\n"
    "}\n";

typedef struct shape {
    int block, unroll;
    int blocks_per_sm; /* 0: the grid covers the tensor */
    const char *load, *store;
} shape;

/* What people write, and what the hints do for it. */
static const shape shapes[] = {
    {256, 1, 0, "", ""},
    {256, 4, 0, "", ""},
    {512, 2, 0, "", ""},
    {1024, 1, 2, "", ""},
    {256, 4, 8, "", ""},
    {512, 4, 4, ".L1::no_allocate", ""},
    {256, 4, 0, ".nc.L1::no_allocate", ".cs"},
    {512, 2, 0, ".cs", ".cs"},
};

typedef struct plain {
    const at_cuda_api *api;
    at_cuda_kernel *kernel;
    shape shape;
    unsigned grid;
    long long vectors;
    int to, from;
} plain;

typedef struct copying {
    const at_cuda_api *api;
    size_t bytes;
    int to, from;
} copying;

const char *gpu_move_name(gpu_move move)
{
    static const char *const names[GPU_MOVES] = {"copy", "read", "write", "2 reads 1 write", "3 reads 2 writes"};
    return names[move];
}

int gpu_move_tensors(gpu_move move)
{
    static const int tensors[GPU_MOVES] = {2, 2, 1, 3, 5};
    return tensors[move];
}

int gpu_move_count(gpu_move move)
{
    static const int counts[GPU_MOVES] = {2, 1, 1, 3, 5};
    return counts[move];
}

int gpu_plain_shapes(const gpu_bench *bench)
{
    return bench->tiny ? GPU_TINY_SHAPES : (int)(sizeof shapes / sizeof *shapes);
}

/* Pointers that the kernel does not use must be some device's memory all the same. */
static void *or_else(void *tensor, void *another)
{
    return tensor != NULL ? tensor : another;
}

static actune_status put_plain(void *self, const gpu_set *set, at_cu_stream stream)
{
    plain *p = self;
    void *to = set->tensor[p->to], *from = set->tensor[p->from];
    void *other = or_else(set->tensor[GPU_OTHER], from), *third = or_else(set->tensor[GPU_THIRD], from);
    void *to_too = or_else(set->tensor[GPU_TO_TOO], to);
    void *arguments[] = {&to, &from, &other, &third, &to_too, &p->vectors};
    return AT_CUDA(p->api, cuLaunchKernel,
                   (p->kernel->main, p->grid, 1, 1, (unsigned)p->shape.block, 1, 1, 0, stream, arguments, NULL));
}

static void close_plain(void *self)
{
    plain *p = self;
    at_cuda_kernel_destroy(p->kernel);
    free(p);
}

static actune_status build(gpu_bench *bench, gpu_move move, plain *p)
{
    static char source[sizeof text + 256];
    const shape *s = &p->shape;
    snprintf(source, sizeof source, text, s->load, s->store, move, s->block, s->block, s->unroll);
    const at_cuda_request request = {.source = source, .symbol = "plain"};
    return at_cuda_kernel_build(bench->device, bench->cache, &request, &p->kernel);
}

actune_status gpu_plain_add(gpu_bench *bench, gpu_race *race, gpu_move move, int index, int64_t bytes)
{
    plain *p = calloc(1, sizeof *p);
    if (p == NULL)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a kernel");
    *p = (plain){.api = bench->device->api, .shape = shapes[index], .vectors = bytes / 16, .to = GPU_TO, .from = GPU_FROM};
    long long step = (long long)p->shape.block * p->shape.unroll;
    long long most = (long long)p->shape.blocks_per_sm * bench->device->info.sms;
    long long blocks = (p->vectors + step - 1) / step;
    p->grid = (unsigned)(most > 0 && blocks > most ? most : blocks < 1 ? 1 : blocks);
    actune_status status = build(bench, move, p);
    if (status != ACTUNE_OK) {
        free(p);
        return status;
    }
    char name[GPU_NAME_MAX];
    snprintf(name, sizeof name, "plain %dx%d %s%s%s%s%s", p->shape.block, p->shape.unroll, p->shape.blocks_per_sm > 0 ? "stride" : "exact",
             p->shape.load[0] != '\0' ? " ld" : "", p->shape.load, p->shape.store[0] != '\0' ? " st" : "", p->shape.store);
    gpu_arm *arm = gpu_race_add(race, name);
    if (arm == NULL) {
        close_plain(p);
        return at_fail(ACTUNE_INVALID_ARGUMENT, "more arms than %d", GPU_ARMS_MAX);
    }
    arm->put = put_plain;
    arm->close = close_plain;
    arm->self = p;
    arm->bytes = bytes * gpu_move_count(move);
    return ACTUNE_OK;
}

static actune_status put_empty(void *self, const gpu_set *set, at_cu_stream stream)
{
    plain *p = self;
    void *to = set->tensor[p->to], *arguments[] = {&to};
    return AT_CUDA(p->api, cuLaunchKernel, (p->kernel->main, 1, 1, 1, 32, 1, 1, 0, stream, arguments, NULL));
}

actune_status gpu_empty_add(gpu_bench *bench, gpu_race *race)
{
    const at_cuda_request request = {.source = "extern \"C\" __global__ void __launch_bounds__(32) empty(char *to)\n{\n}\n", .symbol = "empty"};
    plain *p = calloc(1, sizeof *p);
    if (p == NULL)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a kernel");
    p->api = bench->device->api;
    actune_status status = at_cuda_kernel_build(bench->device, bench->cache, &request, &p->kernel);
    gpu_arm *arm = status == ACTUNE_OK ? gpu_race_add(race, "empty kernel") : NULL;
    if (arm == NULL) {
        close_plain(p);
        return status != ACTUNE_OK ? status : at_fail(ACTUNE_INVALID_ARGUMENT, "more arms than %d", GPU_ARMS_MAX);
    }
    arm->put = put_empty;
    arm->close = close_plain;
    arm->self = p;
    return ACTUNE_OK;
}

void gpu_plain_tensors(gpu_arm *arm, int to, int from)
{
    plain *p = arm->self;
    p->to = to;
    p->from = from;
}

static actune_status put_copy(void *self, const gpu_set *set, at_cu_stream stream)
{
    copying *c = self;
    return AT_CUDA(c->api, cuMemcpyDtoDAsync_v2,
                   ((at_cu_pointer)(uintptr_t)set->tensor[c->to], (at_cu_pointer)(uintptr_t)set->tensor[c->from], c->bytes, stream));
}

actune_status gpu_memcpy_add(gpu_bench *bench, gpu_race *race, int to, int from, int64_t bytes)
{
    copying *c = malloc(sizeof *c);
    gpu_arm *arm = c != NULL ? gpu_race_add(race, "cuMemcpyDtoD") : NULL;
    if (arm == NULL) {
        free(c);
        return at_fail(ACTUNE_NO_MEMORY, "no room for the copy");
    }
    *c = (copying){bench->device->api, (size_t)bytes, to, from};
    arm->put = put_copy;
    arm->close = free;
    arm->self = c;
    arm->bytes = 2 * bytes;
    return ACTUNE_OK;
}
