/* What all calls of the fake cuDNN share, handles and the legacy interface. */
#include "fake_cudnn.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MISTAKES_BYTES = 4096, HANDLE_BYTES = 1024 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static dnn_object *objects;
static char mistakes[MISTAKES_BYTES];
static bool reported;

/* A call that is added to the table and not here fails the link. */
#define AT_CUDNN_SYMBOL(type, name, arguments) (void *)&name,
#define AT_CUDNN_OPTIONAL(type, name, arguments) (void *)&name,
extern void *const dnn_all_calls[];
void *const dnn_all_calls[] = {
#include "runtime/backend/cudnn_symbols.def"
};
#undef AT_CUDNN_SYMBOL
#undef AT_CUDNN_OPTIONAL

int dnn_begin(const char *name)
{
    pthread_mutex_lock(&lock);
    return fake_count(name);
}

int dnn_end(int code)
{
    pthread_mutex_unlock(&lock);
    return code;
}

void dnn_mistake(const char *format, ...)
{
    size_t length = strlen(mistakes);
    va_list list;
    va_start(list, format);
    vsnprintf(mistakes + length, sizeof mistakes - length, format, list);
    va_end(list);
    length = strlen(mistakes);
    snprintf(mistakes + length, sizeof mistakes - length, "\n");
}

void *dnn_new(dnn_kind kind, size_t size)
{
    dnn_object *made = calloc(1, size);
    if (made) {
        *made = (dnn_object){objects, kind, false};
        objects = made;
    }
    return made;
}

void dnn_end_of(void *object)
{
    ((dnn_object *)object)->ended = true;
}

bool dnn_is(const void *object, dnn_kind kind, const char *call)
{
    const dnn_object *o = objects;
    while (o && o != object)
        o = o->next;
    if (o && o->kind == kind && !o->ended)
        return true;
    dnn_mistake("%s: %s", call, !o         ? "an object that this library never gave out"
                                : o->ended ? "an object that was destroyed"
                                           : "an object of another kind");
    return false;
}

void *dnn_driver(const char *name)
{
    void *library = dlopen(getenv("ACTUNE_LIBCUDA"), RTLD_NOW | RTLD_NOLOAD);
    void *symbol = library ? dlsym(library, name) : NULL;
    if (!symbol) {
        fprintf(stderr, "fake cuDNN: the fake driver is not loaded, or has no %s\n", name);
        abort();
    }
    dlclose(library);
    return symbol;
}

/* Mistakes of callers and what was not destroyed, a line each; "" when all is well. For tests, by dlsym. */
const char *fake_report(void);
const char *fake_report(void)
{
    static const char *const kinds[DNN_KINDS] = {"handle", "tensor descriptor", "activation descriptor", "backend descriptor"};
    static char text[2 * MISTAKES_BYTES];
    int left[DNN_KINDS] = {0};
    pthread_mutex_lock(&lock);
    for (const dnn_object *o = objects; o; o = o->next)
        left[o->kind] += !o->ended;
    for (int k = 0; k < DNN_KINDS; k++)
        if (left[k])
            dnn_mistake("left behind: %d x cuDNN's %s", left[k], kinds[k]);
    reported = true;
    snprintf(text, sizeof text, "%s", mistakes);
    mistakes[0] = '\0';
    pthread_mutex_unlock(&lock);
    return text;
}

int fake_living(void);
int fake_living(void)
{
    int count = 0;
    pthread_mutex_lock(&lock);
    for (const dnn_object *o = objects; o; o = o->next)
        count += !o->ended;
    pthread_mutex_unlock(&lock);
    return count;
}

__attribute__((destructor)) static void report_at_exit(void)
{
    const char *name = getenv("ACTUNE_FAKE_REPORT"), *text = reported ? "" : fake_report();
    FILE *file = name ? fopen(name, "a") : stderr;
    if (file && *text)
        fprintf(file, "fake cuDNN:\n%s", text);
    if (file && name)
        fclose(file);
}

/* --- the library --- */

size_t cudnnGetVersion(void)
{
    const char *text = getenv("ACTUNE_FAKE_CUDNN_VERSION");
    return text ? strtoul(text, NULL, 10) : 91301;
}

const char *cudnnGetErrorString(int status)
{
    return status == 0 ? "CUDNN_STATUS_SUCCESS" : status / 1000 == 2 ? "CUDNN_STATUS_BAD_PARAM" : status / 1000 == 3 ? "CUDNN_STATUS_NOT_SUPPORTED"
           : status / 1000 == 4                                      ? "CUDNN_STATUS_INTERNAL_ERROR"
                                                                     : "CUDNN_STATUS_EXECUTION_FAILED";
}

void cudnnGetLastErrorString(char *message, size_t bytes)
{
    snprintf(message, bytes, "the fake's last words");
}

/* --- handles --- */

/* False: the driver does not say. */
static bool current(at_cu_context *context)
{
    at_cu_result (*get)(at_cu_context *);
    *(void **)&get = dnn_driver("cuCtxGetCurrent");
    return get(context) == 0;
}

int cudnnCreate(at_cudnn_handle *handle)
{
    at_cu_result (*allocate)(at_cu_pointer *, size_t);
    at_cu_result (*release)(at_cu_pointer);
    at_cu_pointer memory;
    int code = dnn_begin("cudnnCreate");
    *(void **)&release = dnn_driver("cuMemFree_v2");
    *(void **)&allocate = dnn_driver("cuMemAlloc_v2");
    if (!code && allocate(&memory, HANDLE_BYTES))
        code = DNN_NO_DEVICE_MEMORY;
    if (!code && !(*handle = dnn_new(DNN_HANDLE, sizeof **handle)))
        code = DNN_NO_HOST_MEMORY;
    if (!code && !current(&(*handle)->context)) {
        release(memory);
        dnn_end_of(*handle);
        code = DNN_EXECUTION_FAILED;
    }
    if (!code)
        (*handle)->workspace = memory;
    return dnn_end(code);
}

int dnn_use(at_cudnn_handle handle, const char *call)
{
    if (!handle)
        return DNN_NULL_POINTER;
    if (!dnn_is(handle, DNN_HANDLE, call))
        return DNN_BAD_PARAM;
    if (handle->used && !pthread_equal(handle->thread, pthread_self()))
        dnn_mistake("%s: the handle is another thread's", call);
    handle->used = true;
    handle->thread = pthread_self();
    at_cu_context context = NULL;
    if (!current(&context))
        return DNN_EXECUTION_FAILED;
    if (handle->context == context)
        return 0;
    dnn_mistake("%s: the handle belongs to another context than the current one", call);
    return DNN_BAD_PARAM;
}

/* What belongs to a handle goes with it, told to fail or not. A handle may end in any thread. */
int cudnnDestroy(at_cudnn_handle handle)
{
    at_cu_result (*release)(at_cu_pointer);
    int code = dnn_begin("cudnnDestroy");
    *(void **)&release = dnn_driver("cuMemFree_v2");
    if (!dnn_is(handle, DNN_HANDLE, "cudnnDestroy"))
        return dnn_end(DNN_BAD_PARAM);
    release(handle->workspace);
    dnn_end_of(handle);
    return dnn_end(code);
}

int cudnnSetStream(at_cudnn_handle handle, at_cu_stream stream)
{
    int code = dnn_begin("cudnnSetStream");
    code = code ? code : dnn_use(handle, "cudnnSetStream");
    if (!code)
        handle->stream = stream;
    return dnn_end(code);
}

/* --- descriptors --- */

size_t dnn_bytes_of(int type)
{
    switch (type) {
    case 0:
        return 4;
    case 1:
        return 8;
    case 2:
    case 9:
        return 2;
    default:
        return 0;
    }
}

int cudnnCreateTensorDescriptor(at_cudnn_tensor *tensor)
{
    int code = dnn_begin("cudnnCreateTensorDescriptor");
    if (!code && !(*tensor = dnn_new(DNN_TENSOR, sizeof **tensor)))
        code = DNN_NO_HOST_MEMORY;
    if (!code)
        (*tensor)->type = -1;
    return dnn_end(code);
}

int cudnnDestroyTensorDescriptor(at_cudnn_tensor tensor)
{
    int code = dnn_begin("cudnnDestroyTensorDescriptor");
    if (!dnn_is(tensor, DNN_TENSOR, "cudnnDestroyTensorDescriptor"))
        return dnn_end(DNN_BAD_PARAM);
    dnn_end_of(tensor);
    return dnn_end(code);
}

int cudnnSetTensor4dDescriptor(at_cudnn_tensor tensor, int format, int type, int n, int c, int h, int w)
{
    int code = dnn_begin("cudnnSetTensor4dDescriptor");
    int64_t elements = (int64_t)n * c * h * w;
    if (!code && (!dnn_is(tensor, DNN_TENSOR, "cudnnSetTensor4dDescriptor") || format != AT_CUDNN_NCHW || n < 1 || c < 1 || h < 1 || w < 1))
        code = DNN_BAD_PARAM;
    if (!code && !dnn_bytes_of(type))
        code = DNN_TYPE_UNSUPPORTED;
    if (!code && elements > INT_MAX)
        code = DNN_SHAPE_UNSUPPORTED;
    if (!code) {
        tensor->type = type;
        tensor->elements = elements;
    }
    return dnn_end(code);
}

int cudnnCreateActivationDescriptor(at_cudnn_activation *activation)
{
    int code = dnn_begin("cudnnCreateActivationDescriptor");
    if (!code && !(*activation = dnn_new(DNN_ACTIVATION, sizeof **activation)))
        code = DNN_NO_HOST_MEMORY;
    if (!code) {
        (*activation)->mode = -1;
        (*activation)->beta = 1;
    }
    return dnn_end(code);
}

int cudnnDestroyActivationDescriptor(at_cudnn_activation activation)
{
    int code = dnn_begin("cudnnDestroyActivationDescriptor");
    if (!dnn_is(activation, DNN_ACTIVATION, "cudnnDestroyActivationDescriptor"))
        return dnn_end(DNN_BAD_PARAM);
    dnn_end_of(activation);
    return dnn_end(code);
}

int cudnnSetActivationDescriptor(at_cudnn_activation activation, int mode, int nan, double coefficient)
{
    int code = dnn_begin("cudnnSetActivationDescriptor");
    if (!code && (!dnn_is(activation, DNN_ACTIVATION, "cudnnSetActivationDescriptor") || mode < 0 || mode > AT_CUDNN_SWISH || nan < 0 || nan > 1))
        code = DNN_BAD_PARAM;
    if (!code) {
        activation->mode = mode;
        activation->nan = nan;
        activation->coefficient = coefficient;
    }
    return dnn_end(code);
}

int cudnnSetActivationDescriptorSwishBeta(at_cudnn_activation activation, double beta)
{
    int code = dnn_begin("cudnnSetActivationDescriptorSwishBeta");
    if (!code && !dnn_is(activation, DNN_ACTIVATION, "cudnnSetActivationDescriptorSwishBeta"))
        code = DNN_BAD_PARAM;
    if (!code)
        activation->beta = beta;
    return dnn_end(code);
}

/* --- activation --- */

static bool is_one_and_zero(const void *alpha, const void *beta, int type)
{
    if (type == 1)
        return *(const double *)alpha == 1 && *(const double *)beta == 0;
    return *(const float *)alpha == 1 && *(const float *)beta == 0;
}

/* All tensors alike, as the fake's callers have them; cuDNN takes more. */
static int check_shapes(at_cudnn_activation activation, const at_cudnn_tensor *shape, int shapes, const char *call)
{
    for (int i = 0; i < shapes; i++)
        if (!shape[i])
            return DNN_NULL_POINTER;
    if (!dnn_is(activation, DNN_ACTIVATION, call) || activation->mode < 0)
        return DNN_BAD_PARAM;
    for (int i = 0; i < shapes; i++)
        if (!dnn_is(shape[i], DNN_TENSOR, call) || shape[i]->type < 0 || shape[i]->type != shape[0]->type)
            return DNN_BAD_PARAM;
    for (int i = 0; i < shapes; i++)
        if (shape[i]->elements != shape[0]->elements)
            return DNN_SHAPE_MISMATCH;
    return 0;
}

static dnn_program describe(at_cudnn_activation activation, at_cudnn_tensor shape, int ports)
{
    dnn_program program = {.legacy = true, .steps = 1, .ports = ports, .extent = {1, 1, shape->elements}};
    program.step[0].mode = activation->mode;
    program.step[0].propagate_nan = activation->nan == AT_CUDNN_PROPAGATE_NAN;
    program.step[0].coefficient = activation->mode == AT_CUDNN_SWISH ? activation->beta : activation->coefficient;
    for (int i = 0; i < ports; i++) {
        program.type[i] = shape->type;
        program.stride[i][DNN_EXTENTS - 1] = 1;
    }
    return program;
}

int cudnnActivationForward(at_cudnn_handle handle, at_cudnn_activation activation, const void *alpha, at_cudnn_tensor x_shape, const void *x,
                           const void *beta, at_cudnn_tensor y_shape, void *y)
{
    const at_cudnn_tensor shapes[] = {x_shape, y_shape};
    int code = dnn_begin("cudnnActivationForward");
    code = code ? code : dnn_use(handle, "cudnnActivationForward");
    if (!code && (!x || !y || !alpha || !beta))
        code = DNN_NULL_POINTER;
    code = code ? code : check_shapes(activation, shapes, 2, "cudnnActivationForward");
    if (!code && !is_one_and_zero(alpha, beta, x_shape->type))
        code = DNN_BAD_PARAM;
    if (!code) {
        dnn_program program = describe(activation, x_shape, 2);
        code = dnn_put(handle, &program, (void *[]){(void *)(uintptr_t)x, y});
    }
    return dnn_end(code);
}

int cudnnActivationBackward(at_cudnn_handle handle, at_cudnn_activation activation, const void *alpha, at_cudnn_tensor y_shape, const void *y,
                            at_cudnn_tensor dy_shape, const void *dy, at_cudnn_tensor x_shape, const void *x, const void *beta,
                            at_cudnn_tensor dx_shape, void *dx)
{
    const at_cudnn_tensor shapes[] = {x_shape, y_shape, dy_shape, dx_shape};
    int code = dnn_begin("cudnnActivationBackward");
    code = code ? code : dnn_use(handle, "cudnnActivationBackward");
    if (!code && (!x || !y || !dy || !dx || !alpha || !beta))
        code = DNN_NULL_POINTER;
    code = code ? code : check_shapes(activation, shapes, 4, "cudnnActivationBackward");
    if (!code && !is_one_and_zero(alpha, beta, x_shape->type))
        code = DNN_BAD_PARAM;
    if (!code) {
        dnn_program program = describe(activation, x_shape, 4);
        program.backward = true;
        code = dnn_put(handle, &program, (void *[]){(void *)(uintptr_t)x, (void *)(uintptr_t)y, (void *)(uintptr_t)dy, dx});
    }
    return dnn_end(code);
}
