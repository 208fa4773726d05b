#include "batch_cuda.h"

#include "backend/cuda_memory.h"
#include "backend/nvrtc.h"
#include "base/cuda_sm.h"
#include "batch_table.h"
#include "cudnn_variant.h"

#include <stdlib.h>
#include <string.h>

static const char default_variant[] = "cuda/batch";

/* Addresses travel as an argument: 4 KiB of them are allowed, 32,764 bytes from CUDA 12.1 on; 32 bytes are the other arguments'. Few sizes, so that
   batches of any size share their kernels in the cache. */
static const int rooms[] = {32, 128, 500, 1024, 4080};
/* Tables of 8-bit codes are 8 KiB of shared memory each, of 48. Further members compute what they would look up. */
enum { TABLES_MAX = 4 };
enum { ROOM_OLD = 500, ROOM_MAX = 4080, CUDA_LARGE_ARGUMENTS = 12010 };

struct at_batch_cuda {
    const actune_batch *batch;
    const at_cuda_device *device;
    at_cuda_kernel *kernel;
    at_strbuf source, variant;
    at_batch_geometry geometry;
    int room; /* addresses of one launch */
    at_batch_launch *launch;
    int launches;
    at_batch_entry *entries; /* on the device */
    at_batch_place *places;
};

/* --- which functions there are --- */

typedef struct function_list {
    at_batch_function *function;
    int count, tables;
    int *of_plan; /* which one */
} function_list;

actune_status at_batch_cuda_choose(const actune_context *context, actune_plan *plan)
{
    if (context->cache == NULL)
        return at_fail(ACTUNE_IO, "CUDA kernels need a folder to be kept in: %s", context->cache_note);
    at_dispatched candidates[AT_CANDIDATES_MAX];
    const at_launch *launch = &plan->launch;
    const at_target target = at_context_target(context);
    const at_table_key key = at_table_key_of(&plan->kernel.hash, launch->layout, launch->shape, plan->in_place_output >= 0);
    const int count = at_dispatch_find(context->dispatch, &key, candidates);
    for (int i = 0; i < count; i++) {
        if (at_cudnn_is_variant(candidates[i].variant))
            continue;
        at_generated_clear(&plan->generated);
        plan->tier = candidates[i].tier;
        if (at_generated_get(context->cache, &plan->kernel, launch->layout, &target, candidates[i].variant, &plan->generated) == ACTUNE_OK &&
            strcmp(candidates[i].source_hash.hex, plan->generated.source_hash.hex) == 0)
            return ACTUNE_OK;
        if (plan->note.length == 0)
            at_strbuf_append(&plan->note, "a stored winner was not used: it does not generate, or was measured with other source text");
    }
    at_generated_clear(&plan->generated);
    plan->tier = "default";
    return at_generated_get(context->cache, &plan->kernel, launch->layout, &target, NULL, &plan->generated);
}

/* Texts of knobs live as long as the process. */
static actune_status read_math(const actune_plan *plan, const char **math)
{
    at_arena arena = {0};
    at_variant variant;
    actune_status status = at_variant_parse(at_strbuf_text(&plan->generated.variant), &arena, &variant);
    if (status == ACTUNE_OK)
        *math = at_variant_knob(&variant, "math", "exact");
    at_arena_clear(&arena);
    return status;
}

static bool is_table(const at_batch_function *function)
{
    return strcmp(function->math, "table") == 0;
}

static actune_status add_function(const actune_plan *plan, const at_target *target, function_list *list, int *index)
{
    at_batch_function own = {.kernel = &plan->kernel, .layout = plan->launch.layout};
    AT_TRY(read_math(plan, &own.math));
    if (is_table(&own) && list->tables == TABLES_MAX)
        own.math = "exact";
    const char *shape = at_template_for(own.kernel, own.layout, target);
    for (*index = 0; *index < list->count; ++*index) {
        const at_batch_function *other = &list->function[*index];
        if (strcmp(other->kernel->hash.hex, own.kernel->hash.hex) == 0 && strcmp(other->math, own.math) == 0 &&
            strcmp(at_template_for(other->kernel, other->layout, target), shape) == 0)
            return ACTUNE_OK;
    }
    list->tables += is_table(&own);
    list->function[list->count++] = own;
    return ACTUNE_OK;
}

static actune_status list_functions(const actune_batch *batch, const at_target *target, function_list *list)
{
    *list = (function_list){.function = calloc((size_t)batch->plans, sizeof *list->function),
                            .of_plan = calloc((size_t)batch->plans, sizeof *list->of_plan)};
    if (list->function == NULL || list->of_plan == NULL)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a batch of %d members", batch->members);
    for (int p = 0; p < batch->plans; p++)
        AT_TRY(add_function(batch->plan[p], target, list, &list->of_plan[p]));
    return ACTUNE_OK;
}

/* --- the kernel --- */

static int choose_room(const at_cuda_device *device, int buffers)
{
    int major = 99, minor, most = device->info.driver >= CUDA_LARGE_ARGUMENTS ? ROOM_MAX : ROOM_OLD;
    const char *path;
    if (at_nvrtc_version(&major, &minor, &path) == ACTUNE_OK && major * 1000 + minor * 10 < CUDA_LARGE_ARGUMENTS)
        most = ROOM_OLD;
    size_t i = 0;
    while (rooms[i] < buffers && rooms[i] < most)
        i++;
    return rooms[i];
}

static actune_status print_variant(at_batch_cuda *cuda)
{
    at_arena arena = {0};
    at_variant variant;
    actune_status status = at_variant_parse(default_variant, &arena, &variant);
    if (status == ACTUNE_OK)
        at_variant_print(&variant, &cuda->variant);
    at_arena_clear(&arena);
    return status == ACTUNE_OK ? at_strbuf_status(&cuda->variant) : status;
}

static actune_status build_kernel(at_batch_cuda *cuda, const function_list *list, const at_target *target)
{
    const actune_context *context = cuda->batch->context;
    AT_TRY(print_variant(cuda));
    AT_TRY(at_batch_geometry_of(at_strbuf_text(&cuda->variant), &cuda->geometry));
    cuda->room = choose_room(cuda->device, cuda->batch->buffers);
    AT_TRY(at_generate_batch_kernel(list->function, list->count, cuda->room, target, at_strbuf_text(&cuda->variant), true, &cuda->source));
    const at_cuda_request request = {.source = at_strbuf_text(&cuda->source), .symbol = AT_BATCH_SYMBOL, .no_compile = context->no_compile};
    AT_TRY(at_cuda_kernel_build(cuda->device, context->cache, &request, &cuda->kernel));
    if (cuda->geometry.block > cuda->kernel->max_threads)
        return at_fail(ACTUNE_UNSUPPORTED, "a block of %d threads does not fit: with its %d registers the batch's kernel runs with at most %d",
                       cuda->geometry.block, cuda->kernel->registers, cuda->kernel->max_threads);
    return ACTUNE_OK;
}

static actune_status put(const at_cuda_device *device, const void *from, size_t bytes, void **to)
{
    AT_TRY(at_cuda_allocate(device, bytes, to));
    return at_cuda_upload(device, *to, from, bytes);
}

static actune_status put_tables(at_batch_cuda *cuda, const int *function)
{
    const at_cuda_kernel *kernel = cuda->kernel;
    int resident = at_cuda_resident_blocks(cuda->device->info.arch, cuda->geometry.block, kernel->registers, kernel->shared_bytes);
    at_batch_table table;
    actune_status status =
        at_batch_table_make(cuda->batch, function, &cuda->geometry, cuda->room, cuda->device->info.sms * (resident > 0 ? resident : 1), &table);
    if (status == ACTUNE_OK)
        status = put(cuda->device, table.entry, (size_t)cuda->batch->members * sizeof *table.entry, (void **)&cuda->entries);
    if (status == ACTUNE_OK)
        status = put(cuda->device, table.place, table.places * sizeof *table.place, (void **)&cuda->places);
    cuda->launch = table.launch;
    cuda->launches = table.launches;
    table.launch = NULL;
    at_batch_table_clear(&table);
    return status;
}

/* The whole way, in order. */
static actune_status open_cuda(at_batch_cuda *cuda)
{
    const actune_context *context = cuda->batch->context;
    const at_target target = at_context_target(context);
    function_list list;
    actune_status status = list_functions(cuda->batch, &target, &list);
    if (status == ACTUNE_OK)
        status = build_kernel(cuda, &list, &target);
    if (status == ACTUNE_OK)
        status = put_tables(cuda, list.of_plan);
    free(list.function);
    free(list.of_plan);
    return status;
}

actune_status at_batch_cuda_open(const actune_batch *batch, at_batch_cuda **cuda)
{
    at_batch_cuda *made = calloc(1, sizeof *made);
    if (made == NULL)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a batch");
    made->batch = batch;
    made->device = batch->context->cuda;
    actune_status status = open_cuda(made);
    if (status != ACTUNE_OK) {
        at_batch_cuda_close(made);
        return status;
    }
    *cuda = made;
    return ACTUNE_OK;
}

void at_batch_cuda_close(at_batch_cuda *cuda)
{
    if (cuda == NULL)
        return;
    at_cuda_free(cuda->device, cuda->entries);
    at_cuda_free(cuda->device, cuda->places);
    at_cuda_kernel_destroy(cuda->kernel);
    at_strbuf_clear(&cuda->source);
    at_strbuf_clear(&cuda->variant);
    free(cuda->launch);
    free(cuda);
}

void at_batch_cuda_describe(const at_batch_cuda *cuda, actune_batch_info *info)
{
    info->launches = cuda->launches;
    info->variant = at_strbuf_text(&cuda->variant);
    info->binary = cuda->kernel->origin;
}

const char *at_batch_cuda_source(const at_batch_cuda *cuda)
{
    return at_strbuf_text(&cuda->source);
}

/* --- executing --- */

/* The context is current. */
static actune_status launch_one(const at_batch_cuda *cuda, const at_batch_launch *launch, const actune_buffer *buffers,
                                const actune_batch_options *options)
{
    void *address[ROOM_MAX];
    const at_batch_entry *entries = cuda->entries + launch->first_member;
    const at_batch_place *places = cuda->places + launch->first_place;
    const int64_t *rows = options->rows != NULL ? options->rows + launch->first_member : NULL;
    const int64_t *offsets = options->offsets != NULL ? options->offsets + launch->first_member : NULL;
    int members = launch->members;
    for (int i = 0; i < cuda->room; i++)
        address[i] = i < launch->buffers ? buffers[launch->first_buffer + i].data : NULL;
    void *arguments[] = {&entries, &members, &places, &rows, &offsets, address};
    return AT_CUDA(cuda->device->api, cuLaunchKernel,
                   (cuda->kernel->main, launch->grid, 1, 1, (unsigned)cuda->geometry.block, 1, 1, 0, (at_cu_stream)options->stream, arguments, NULL));
}

actune_status at_batch_cuda_execute(const at_batch_cuda *cuda, const actune_buffer *buffers, const actune_batch_options *options)
{
    bool pushed;
    actune_status status = ACTUNE_OK;
    AT_TRY(at_cuda_enter(cuda->device, &pushed));
    for (int i = 0; i < cuda->launches && status == ACTUNE_OK; i++)
        if (cuda->launch[i].grid > 0)
            status = launch_one(cuda, &cuda->launch[i], buffers, options);
    at_cuda_leave(cuda->device, pushed);
    return status;
}
