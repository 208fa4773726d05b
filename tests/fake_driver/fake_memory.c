/* Memory lies between guard pages, with a painted rest up to 256 bytes; outside of calls the host cannot touch it. */
#include "fake.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { GRAIN = 256, GUARD = 4096, PAINT = 0xa5 };
static const size_t total = (size_t)1 << 30;
static size_t used[FAKE_DEVICES_MAX];

static void protect(int how)
{
    for (fake_object *o = fake_first(); o; o = o->next)
        if (o->kind == FAKE_MEMORY) {
            fake_memory *m = (fake_memory *)o;
            mprotect((char *)m->buffer.map + GUARD, m->buffer.map_bytes - 2 * GUARD, how);
        }
}

void fake_open_memory(void)
{
    protect(PROT_READ | PROT_WRITE);
}

void fake_close_memory(void)
{
    protect(PROT_NONE);
}

static fake_memory *find(at_cu_pointer at, bool alive)
{
    for (fake_object *o = alive ? fake_first() : fake_first_dead(); o; o = o->next) {
        fake_memory *m = (fake_memory *)o;
        if (o->kind == FAKE_MEMORY && at - (uintptr_t)m->buffer.data < m->bytes)
            return m;
    }
    return NULL;
}

bool fake_is_memory(at_cu_pointer at, size_t bytes, const char *call)
{
    fake_memory *m = find(at, true);
    if (!m) {
        fake_mistake("%s: %#llx %s", call, at, find(at, false) ? "was freed" : "is not device memory");
        return false;
    }
    if (m->object.device != fake_device()) {
        fake_mistake("%s: %#llx is memory of another device", call, at);
        return false;
    }
    if (at - (uintptr_t)m->buffer.data + bytes > m->bytes) {
        fake_mistake("%s: %zu bytes at %#llx reach beyond an allocation of %zu", call, bytes, at, m->bytes);
        return false;
    }
    return true;
}

static at_cu_result allocate(at_cu_pointer *memory, size_t bytes)
{
    size_t room = (bytes + GRAIN - 1) / GRAIN * GRAIN;
    if (bytes == 0)
        return FAKE_INVALID;
    if (bytes > total - used[fake_device()])
        return FAKE_NO_MEMORY;
    emu_buffer buffer = emu_buffer_make(room, 0);
    fake_memory *m = buffer.data ? fake_new(FAKE_MEMORY, sizeof *m) : NULL;
    if (!m)
        return FAKE_NO_MEMORY;
    m->buffer = buffer;
    m->bytes = bytes;
    memset(buffer.data, 0xff, bytes);
    memset((char *)buffer.data + bytes, PAINT, room - bytes);
    mprotect((char *)buffer.map + GUARD, buffer.map_bytes - 2 * GUARD, PROT_NONE);
    used[fake_device()] += bytes;
    *memory = (uintptr_t)buffer.data;
    return 0;
}

/* The addresses stay taken, without memory behind them: nobody gets them a second time. */
static at_cu_result release(at_cu_pointer memory)
{
    fake_memory *m = find(memory, true);
    at_cu_result code = fake_run_all();
    if (!m || memory != (uintptr_t)m->buffer.data) {
        fake_mistake("cuMemFree_v2: %#llx %s", memory, find(memory, false) ? "was freed before" : "is no allocation");
        return FAKE_INVALID;
    }
    fake_open_memory();
    const unsigned char *end = (const unsigned char *)m->buffer.map + m->buffer.map_bytes - GUARD;
    for (const unsigned char *at = (const unsigned char *)m->buffer.data + m->bytes; at < end; at++)
        if (*at != PAINT) {
            fake_mistake("memory after an allocation of %zu bytes was written", m->bytes);
            break;
        }
    fake_close_memory();
    madvise((char *)m->buffer.map + GUARD, m->buffer.map_bytes - 2 * GUARD, MADV_DONTNEED);
    fake_end_of(m);
    used[m->object.device] -= m->bytes;
    return code;
}

at_cu_result cuMemAlloc_v2(at_cu_pointer *memory, size_t bytes)
{
    at_cu_result code = fake_begin("cuMemAlloc_v2", FAKE_NEEDS_CONTEXT | FAKE_NOT_IN_CAPTURE);
    return fake_end(code ? code : allocate(memory, bytes));
}

at_cu_result cuMemFree_v2(at_cu_pointer memory)
{
    at_cu_result code = fake_begin("cuMemFree_v2", FAKE_NEEDS_CONTEXT | FAKE_RELEASES | FAKE_NOT_IN_CAPTURE);
    return fake_end(code ? code : release(memory));
}

at_cu_result cuMemGetInfo_v2(size_t *free_bytes, size_t *total_bytes)
{
    at_cu_result code = fake_begin("cuMemGetInfo_v2", FAKE_NEEDS_CONTEXT);
    if (!code) {
        *free_bytes = total - used[fake_device()];
        *total_bytes = total;
    }
    return fake_end(code);
}
