/* Inside the fake libcudnn.so.9: handles, descriptors, what both of its interfaces compute. Objects are never freed, so that a use after the end
   is seen. One lock around every call. */
#ifndef AT_TESTS_FAKE_CUDNN_H
#define AT_TESTS_FAKE_CUDNN_H

#include "runtime/backend/cudnn.h"

#include "fake_call.h"
#include "fake_calls.h"

#include <pthread.h>

/* Prototypes of all that is exported: they must be those that the back end calls. */
#define AT_CUDNN_SYMBOL(type, name, arguments) type name arguments;
#define AT_CUDNN_OPTIONAL(type, name, arguments) type name arguments;
#include "runtime/backend/cudnn_symbols.def"
#undef AT_CUDNN_SYMBOL
#undef AT_CUDNN_OPTIONAL

/* cudnnStatus_t of version 9 */
enum {
    DNN_BAD_PARAM = 2000,
    DNN_NULL_POINTER = 2002,
    DNN_MISALIGNED = 2003,
    DNN_NOT_FINALISED = 2004,
    DNN_STREAM_MISMATCH = 2007,
    DNN_SHAPE_MISMATCH = 2008,
    DNN_NOT_SUPPORTED = 3000,
    DNN_SHAPE_UNSUPPORTED = 3002,
    DNN_TYPE_UNSUPPORTED = 3003,
    DNN_NO_HOST_MEMORY = 4003,
    DNN_NO_DEVICE_MEMORY = 4004,
    DNN_EXECUTION_FAILED = 5000
};

typedef enum dnn_kind { DNN_HANDLE, DNN_TENSOR, DNN_ACTIVATION, DNN_DESCRIPTOR, DNN_KINDS } dnn_kind;

typedef struct dnn_object {
    struct dnn_object *next;
    dnn_kind kind;
    bool ended;
} dnn_object;

struct at_cudnn_handle_object {
    dnn_object object;
    pthread_t thread; /* the first that used it */
    bool used;
    at_cu_context context; /* that was current when it was made */
    at_cu_stream stream;
    at_cu_pointer workspace;
};

struct at_cudnn_tensor_object {
    dnn_object object;
    int type; /* -1: not set */
    int64_t elements;
};

struct at_cudnn_activation_object {
    dnn_object object;
    int mode, nan; /* mode -1: not set */
    double coefficient, beta;
};

/* Locks and counts. 0, or the code that the call must return. */
int dnn_begin(const char *name);
int dnn_end(int code);
void *dnn_new(dnn_kind kind, size_t size); /* NULL: no memory */
/* A living object of this kind; if not, a mistake of the caller is written down. */
bool dnn_is(const void *object, dnn_kind kind, const char *call);
void dnn_end_of(void *object);
void dnn_mistake(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The driver's own function. */
void *dnn_driver(const char *name);

/* The handle may be used by this thread in this context. */
int dnn_use(at_cudnn_handle handle, const char *call);
enum { DNN_STEPS_MAX = 8, DNN_EXTENTS = 3 };

/* What is computed. Ports forward: x, operands, y; backward: x, y (graphs: none), dy, dx. A stride of 0: the same value along that extent. */
typedef struct dnn_program {
    bool legacy, backward;
    int steps;
    struct {
        int mode, operand; /* operand: a port, 0: none */
        double coefficient;
        bool propagate_nan;
    } step[DNN_STEPS_MAX];
    int ports, type[FAKE_CALL_POINTERS];
    int64_t extent[DNN_EXTENTS], stride[FAKE_CALL_POINTERS][DNN_EXTENTS];
} dnn_program;

/* Puts it on the handle's stream; a pointer for each port. */
int dnn_put(at_cudnn_handle handle, const dnn_program *program, void *const *pointers);
size_t dnn_bytes_of(int type); /* 0: no such type */

#endif
