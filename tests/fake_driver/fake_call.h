/* Work that the fake of another library (cuDNN's) puts on a stream of the fake driver. */
#ifndef AT_TESTS_FAKE_CALL_H
#define AT_TESTS_FAKE_CALL_H

#include "runtime/backend/cuda_driver.h"

enum { FAKE_CALL_POINTERS = 8, FAKE_CALL_DATA = 768 };

/* A copy waits on the stream; it runs when the stream does, device memory is then open. */
typedef struct fake_call {
    void (*run)(const struct fake_call *call);
    void *pointer[FAKE_CALL_POINTERS]; /* device memory; NULL: none */
    size_t bytes[FAKE_CALL_POINTERS];
    double ns; /* of the virtual clock */
    _Alignas(8) unsigned char data[FAKE_CALL_DATA]; /* what the library wants to know again */
} fake_call;

at_cu_result fake_put_call(at_cu_stream stream, const fake_call *call);

#endif
