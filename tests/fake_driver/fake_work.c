/* Streams are queues that run when somebody waits; a stream under capture draws into a graph instead. Work that nobody waited for has not
   been done: a missing synchronisation is seen. Time is made up: it moves on with each piece of work. */
#include "fake_work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct at_cu_stream_object default_stream[FAKE_DEVICES_MAX];
static double now_ns = 1000;
static int launches; /* each with the next order of threads */
static unsigned long long turns;

bool fake_queue_add(fake_queue *q, const fake_work *w)
{
    if (q->count == q->room) {
        int room = q->room ? 2 * q->room : 16;
        fake_work *grown = realloc(q->work, (size_t)room * sizeof *grown);
        if (!grown)
            return false;
        q->work = grown;
        q->room = room;
    }
    q->work[q->count++] = *w;
    return true;
}

void fake_queue_drop(fake_queue *q)
{
    free(q->work);
    *q = (fake_queue){0};
}

/* --- running --- */

static at_cu_result run_kernel(const fake_work *w)
{
    const at_cu_function f = w->function;
    if (!fake_is(f, FAKE_FUNCTION, "a queued launch"))
        return FAKE_LAUNCH;
    emu_launch launch = {.function = f->entry, .grid = (int)w->grid, .block = (int)w->block, .order = (emu_order)(launches++ % EMU_ORDERS),
                         .shared_begin = f->module->shared_begin, .shared_end = f->module->shared_end};
    launch.arguments = (int)strlen(f->parameters);
    memcpy(launch.argument, w->argument, sizeof launch.argument);
    for (int i = 0; i < launch.arguments; i++)
        if (f->parameters[i] == 'p' && w->argument[i] && !fake_is_memory((at_cu_pointer)w->argument[i], 0, f->name))
            return FAKE_ADDRESS;
    const char *wrong = emu_run(&launch);
    now_ns += 1500 + 0.05 * w->grid * w->block;
    if (!wrong && w->overlaps && emu_waited != (long)w->grid * w->block) {
        fake_mistake("%s may start early, but %ld of %ld threads wait", f->name, emu_waited, (long)w->grid * w->block);
        return FAKE_LAUNCH;
    }
    if (wrong)
        fake_mistake("%s: %s", f->name, wrong);
    return wrong ? strstr(wrong, "outside a buffer") ? FAKE_ADDRESS : FAKE_LAUNCH : 0;
}

static at_cu_result run_call(const fake_call *call)
{
    for (int i = 0; i < FAKE_CALL_POINTERS; i++)
        if (call->pointer[i] && !fake_is_memory((uintptr_t)call->pointer[i], call->bytes[i], "a library's kernel"))
            return FAKE_ADDRESS;
    call->run(call);
    now_ns += call->ns;
    return 0;
}

static at_cu_result run_queue(fake_queue *q);

static at_cu_result run_work(fake_work *w)
{
    switch (w->kind) {
    case WORK_KERNEL:
        return run_kernel(w);
    case WORK_FILL:
    case WORK_COPY:
        if ((w->to_device && !fake_is_memory((uintptr_t)w->to, w->bytes, "queued work")) ||
            (w->from_device && !fake_is_memory((uintptr_t)w->from, w->bytes, "queued work")))
            return FAKE_ADDRESS;
        if (w->kind == WORK_FILL)
            memset(w->to, w->value, w->bytes);
        else
            memmove(w->to, w->from, w->bytes);
        now_ns += 1000 + 0.01 * (double)w->bytes;
        return 0;
    case WORK_RECORD:
        w->event->pending -= w->event->pending > 0;
        w->event->ns = now_ns;
        now_ns += 10;
        return 0;
    case WORK_GRAPH:
        return run_queue(&w->exec->queue);
    case WORK_CALL:
        return run_call(&w->call);
    }
    return FAKE_INVALID;
}

static at_cu_result run_queue(fake_queue *q)
{
    at_cu_result code = 0;
    for (int i = 0; i < q->count && !code; i++)
        code = run_work(&q->work[i]);
    return code;
}

/* Streams whose work is ordered with that of `stream`, itself among them: the default stream and all that do not opt out. */
static bool is_ordered(const struct at_cu_stream_object *stream, const struct at_cu_stream_object *other)
{
    return other == stream || (stream->blocking && other->blocking && other->object.device == stream->object.device);
}

/* The next one behind `s` (NULL: from the start) that has work to run; default streams first. */
static at_cu_stream next_stream(at_cu_stream s)
{
    int i = !s ? 0 : s >= default_stream && s < default_stream + FAKE_DEVICES_MAX ? (int)(s - default_stream) + 1 : FAKE_DEVICES_MAX;
    for (; i < FAKE_DEVICES_MAX; i++)
        if (default_stream[i].queue.count)
            return &default_stream[i];
    for (fake_object *o = s && s->id ? s->object.next : fake_first(); o; o = o->next)
        if (o->kind == FAKE_STREAM && !((at_cu_stream)o)->captures && ((at_cu_stream)o)->queue.count)
            return (at_cu_stream)o;
    return NULL;
}

/* Takes the oldest work of those streams that are ordered with this one. */
static bool take(at_cu_stream stream, fake_work *w)
{
    at_cu_stream from = NULL;
    for (at_cu_stream s = next_stream(NULL); s; s = next_stream(s))
        if (is_ordered(stream, s) && (!from || s->queue.work[0].turn < from->queue.work[0].turn))
            from = s;
    if (!from)
        return false;
    *w = from->queue.work[0];
    memmove(from->queue.work, from->queue.work + 1, (size_t)--from->queue.count * sizeof *w);
    return true;
}

at_cu_result fake_run_stream(at_cu_stream stream)
{
    at_cu_result code = 0;
    fake_work w;
    if (stream->captures)
        return 0;
    fake_open_memory();
    fake_device_runs(stream->object.device);
    while (take(stream, &w)) {
        at_cu_result own = code ? code : run_work(&w);
        code = code ? code : own;
    }
    fake_device_runs(-1);
    fake_close_memory();
    if (code)
        fake_break(code);
    return code;
}

at_cu_result fake_run_all(void)
{
    at_cu_result code = 0;
    for (at_cu_stream s; (s = next_stream(NULL)); ) {
        at_cu_result own = fake_run_stream(s);
        code = code ? code : own;
    }
    return code;
}

bool fake_capturing(bool spoil)
{
    bool any = false;
    for (fake_object *o = fake_first(); o; o = o->next) {
        at_cu_stream s = (at_cu_stream)o;
        if (o->kind == FAKE_STREAM && s->captures && (s->global || pthread_equal(s->by, pthread_self()))) {
            s->spoiled |= spoil;
            any = true;
        }
    }
    return any;
}

/* --- putting work on streams --- */

bool fake_stream_of(at_cu_stream *stream, const char *call)
{
    int device = fake_device();
    if (*stream)
        return fake_is(*stream, FAKE_STREAM, call);
    *stream = &default_stream[device];
    (*stream)->object = (fake_object){NULL, FAKE_STREAM, device};
    (*stream)->blocking = true;
    return true;
}

at_cu_stream fake_captured_beside(at_cu_stream stream)
{
    for (fake_object *o = stream->id ? NULL : fake_first(); o; o = o->next) {
        at_cu_stream s = (at_cu_stream)o;
        if (o->kind == FAKE_STREAM && s->captures && s->blocking && o->device == stream->object.device)
            return s;
    }
    return NULL;
}

static at_cu_result spoil_ordered(at_cu_stream stream, const char *call)
{
    at_cu_stream captured = fake_captured_beside(stream);
    if (!captured)
        return 0;
    fake_mistake("%s on the default stream while another is captured", call);
    captured->spoiled = true;
    return FAKE_CAPTURE_IMPLICIT;
}

at_cu_result fake_put(at_cu_stream stream, const fake_work *w, const char *call)
{
    fake_work own = *w;
    if (!fake_stream_of(&stream, call))
        return FAKE_HANDLE;
    own.turn = ++turns;
    at_cu_result code = spoil_ordered(stream, call);
    return code ? code : fake_queue_add(&stream->queue, &own) ? 0 : FAKE_NO_MEMORY;
}
