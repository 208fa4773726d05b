/* Work that waits on streams, and how it is run. Inside the fake driver only. */
#ifndef AT_TESTS_FAKE_WORK_H
#define AT_TESTS_FAKE_WORK_H

#include "fake.h"
#include "fake_call.h"

#include <pthread.h>

typedef enum fake_work_kind { WORK_KERNEL, WORK_FILL, WORK_COPY, WORK_RECORD, WORK_GRAPH, WORK_CALL } fake_work_kind;

typedef struct fake_work {
    fake_work_kind kind;
    unsigned long long turn; /* in which it was put on its stream, counted over all streams */
    at_cu_function function;
    unsigned grid, block;
    bool overlaps; /* launched to start before the work in front of it has ended */
    intptr_t argument[EMU_ARGUMENTS_MAX];
    void *to;
    const void *from;
    bool to_device, from_device;
    unsigned char value;
    size_t bytes;
    at_cu_event event;
    at_cu_graph_exec exec;
    fake_call call;
} fake_work;

typedef struct fake_queue {
    fake_work *work;
    int count, room;
} fake_queue;

struct at_cu_stream_object {
    fake_object object;
    fake_queue queue;
    bool captures, spoiled, global; /* global: no thread may do what is not allowed in a capture */
    bool blocking; /* ordered with the default stream */
    pthread_t by;
    unsigned long long id;
};

struct at_cu_event_object {
    fake_object object;
    double ns;
    int pending;
    bool recorded;
    at_cu_stream stream; /* that it was last recorded on */
};

struct at_cu_graph_object {
    fake_object object;
    fake_queue queue;
};

struct at_cu_graph_exec_object {
    fake_object object;
    fake_queue queue;
};

/* Puts a copy of `w` last. False: no memory. */
bool fake_queue_add(fake_queue *queue, const fake_work *w);
void fake_queue_drop(fake_queue *queue);
/* NULL becomes the current device's default stream. False, with a mistake written down: no stream. */
bool fake_stream_of(at_cu_stream *stream, const char *call);
/* When `stream` is the default one: a blocking stream that is captured. Work on the default stream would order itself with what is drawn. */
at_cu_stream fake_captured_beside(at_cu_stream stream);
/* Puts a copy of `w` on the stream (NULL: the default one), or into what it draws. */
at_cu_result fake_put(at_cu_stream stream, const fake_work *w, const char *call);
/* Runs all that was put on this stream, and what is ordered with it. */
at_cu_result fake_run_stream(at_cu_stream stream);

#endif
