/* The fake's cubin: an ELF file with the sections of a real one that the back end and the tuner read (.text.NAME, .nv.info, .nv.shared.NAME,
   .symtab), and in .fake.object a shared object for the CPU. Its "PTX" is the same file in hexadecimal. */
#ifndef AT_TESTS_FAKE_IMAGE_H
#define AT_TESTS_FAKE_IMAGE_H

#include "runtime/base/strbuf.h"

enum { FAKE_KERNELS_MAX = 64 };

typedef struct fake_kernel_info {
    char name[128];
    char parameters[32]; /* p pointer, q long long, i int, v a struct by value */
    int value_bytes;     /* of that struct */
    int threads;         /* of __launch_bounds__ */
    int registers, shared_bytes;
    char code[64];       /* stands for the machine code */
} fake_kernel_info;

/* Appends the file. */
void fake_image_write(const fake_kernel_info *kernels, int count, const char *object, size_t object_bytes, at_strbuf *out);
/* The whole file's size by its header; 0: no file of ours. Nothing is checked against a length: the driver is not told one. */
size_t fake_image_bytes(const char *image);
/* The contents of a section; NULL when there is none. */
const char *fake_image_section(const char *image, const char *name, size_t *bytes);

#endif
