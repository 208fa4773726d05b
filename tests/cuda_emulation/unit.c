#include "unit.h"

#include "compile.h"
#include "runtime/base/chunk.h"
#include "runtime/base/dtype.h"
#include "runtime/launch_cuda.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SMS = 3, RESIDENT = 2 }; /* of the emulated device: few, so that grids stride */

actune_status emu_unit_build(const char *source, emu_unit *unit)
{
    char folder[] = "/tmp/actune-emulation-XXXXXX", text[64], object[64];
    *unit = (emu_unit){0};
    if (!mkdtemp(folder))
        return at_fail(ACTUNE_IO, "no scratch folder");
    snprintf(text, sizeof text, "%s/kernel.cpp", folder);
    snprintf(object, sizeof object, "%s/kernel.so", folder);
    AT_TRY(emu_compile(source, NULL, text, object, NULL)); /* the source stays for whoever looks into it */
    unit->handle = dlopen(object, RTLD_NOW | RTLD_LOCAL);
    remove(text);
    remove(object);
    rmdir(folder);
    if (!unit->handle)
        return at_fail(ACTUNE_IO, "%s", dlerror());
    void (*bounds)(char **, char **);
    *(void **)&bounds = dlsym(unit->handle, "emu_shared_bounds");
    bounds(&unit->shared_begin, &unit->shared_end);
    return ACTUNE_OK;
}

void emu_unit_close(emu_unit *unit)
{
    if (unit->handle)
        dlclose(unit->handle);
    *unit = (emu_unit){0};
}

actune_status emu_kernel_find(const emu_unit *unit, const at_kernel *kernel, at_layout layout, const at_variant *variant, const char *symbol,
                              emu_kernel *made)
{
    char finish[160];
    *made = (emu_kernel){.unit = unit, .kernel = kernel, .layout = layout};
    AT_TRY(at_cuda_geometry_of(kernel, variant, &made->geometry));
    snprintf(finish, sizeof finish, "%s_finish", symbol);
    made->function = dlsym(unit->handle, symbol);
    made->finish = dlsym(unit->handle, finish);
    if (!made->function || (kernel->signature.slots && !made->finish))
        return at_fail(ACTUNE_NOT_FOUND, "%s is missing", symbol);
    return ACTUNE_OK;
}

/* --- a launch --- */

typedef struct run {
    emu_buffer buffer[AT_PORTS_MAX], partial;
    char *port[AT_PORTS_MAX];
    size_t bytes[AT_PORTS_MAX];
} run;

static actune_status copy_in(const at_signature *signature, actune_shape shape, void *const *port, run *r)
{
    for (int p = 0; p < signature->ports; p++) {
        r->bytes[p] = (size_t)at_port_count(&signature->port[p], shape) * (size_t)at_dtype_get(signature->port[p].dtype)->bytes;
        for (int other = 0; other < p; other++)
            if (port[other] == port[p])
                r->port[p] = r->port[other];
        if (r->port[p])
            continue;
        r->buffer[p] = emu_buffer_make(r->bytes[p] + 64, 0);
        if (!r->buffer[p].data)
            return at_fail(ACTUNE_NO_MEMORY, "no memory to emulate in");
        size_t room = r->bytes[p] + 64, off = ((uintptr_t)port[p] - (uintptr_t)r->buffer[p].data) % 64;
        memset(r->buffer[p].data, 0xff, room);
        r->port[p] = (char *)r->buffer[p].data + off;
        if (off + r->bytes[p] + 64 <= room)
            r->port[p] += 64;
        if (r->bytes[p])
            memcpy(r->port[p], port[p], r->bytes[p]);
    }
    return ACTUNE_OK;
}

static void put(emu_launch *launch, intptr_t value)
{
    launch->argument[launch->arguments++] = value;
}

static void put_extents(emu_launch *launch, const at_cuda_extents *extents)
{
    for (int i = 0; i < extents->count; i++)
        put(launch, (intptr_t)extents->value[i]);
}

static const char *launch_main(const emu_kernel *k, actune_shape shape, run *r)
{
    const at_signature *signature = &k->kernel->signature;
    at_cuda_extents extents, finish;
    emu_launch launch = {.function = k->function, .block = k->geometry.block, .order = k->order,
                         .shared_begin = k->unit->shared_begin, .shared_end = k->unit->shared_end};
    launch.grid = (int)at_cuda_blocks(k->kernel, k->layout, shape, &k->geometry, SMS, RESIDENT);
    for (int p = 0; p < signature->ports; p++)
        if (!signature->port[p].reduction)
            put(&launch, (intptr_t)r->port[p]);
    at_cuda_extents_fill(signature, k->layout, shape, &extents, &finish);
    put_extents(&launch, &extents);
    if (signature->slots)
        put(&launch, (intptr_t)r->partial.data);
    return emu_run(&launch);
}

static const char *launch_finish(const emu_kernel *k, actune_shape shape, run *r)
{
    const at_signature *signature = &k->kernel->signature;
    at_cuda_extents extents, finish;
    emu_launch launch = {.function = k->finish, .block = k->geometry.block, .order = k->order,
                         .shared_begin = k->unit->shared_begin, .shared_end = k->unit->shared_end};
    launch.grid = (int)at_cuda_finish_blocks(k->kernel, k->layout, shape);
    for (int p = 0; p < signature->ports; p++)
        if (signature->port[p].reduction)
            put(&launch, (intptr_t)r->port[p]);
    put(&launch, (intptr_t)r->partial.data);
    at_cuda_extents_fill(signature, k->layout, shape, &extents, &finish);
    put_extents(&launch, &finish);
    return emu_run(&launch);
}

/* As the driver's launch: without elements nothing runs, and reductions are 0. */
static void clear_reductions(const at_signature *signature, run *r)
{
    for (int p = 0; p < signature->ports; p++)
        if (signature->port[p].reduction && r->bytes[p])
            memset(r->port[p], 0, r->bytes[p]);
}

actune_status emu_kernel_run(void *user, actune_shape shape, void *const *port)
{
    emu_kernel *k = user;
    const at_signature *signature = &k->kernel->signature;
    run r = {0};
    actune_status status = copy_in(signature, shape, port, &r);
    if (!status && signature->slots) {
        at_chunk_plan plan = at_chunk_plan_of(signature, k->layout, shape);
        size_t bytes = (size_t)plan.chunks * (size_t)plan.slots * sizeof(double);
        r.partial = emu_buffer_make(bytes, 0);
        if (r.partial.data)
            memset(r.partial.data, 0xff, bytes);
    }
    if (!status && shape.channels == 0)
        clear_reductions(signature, &r);
    else if (!status)
        k->fault = launch_main(k, shape, &r);
    if (!status && !k->fault && signature->slots && shape.channels > 0)
        k->fault = launch_finish(k, shape, &r);
    k->order = (k->order + 1) % EMU_ORDERS;
    for (int p = 0; p < signature->ports; p++)
        if (!status && !k->fault && r.bytes[p])
            memcpy(port[p], r.port[p], r.bytes[p]);
    for (int p = 0; p < signature->ports; p++)
        emu_buffer_free(&r.buffer[p]);
    emu_buffer_free(&r.partial);
    if (k->fault)
        return at_fail(ACTUNE_INTERNAL, "%s", k->fault);
    return status;
}
