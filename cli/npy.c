#include "npy.h"

#include "runtime/base/dtype.h"
#include "runtime/base/strbuf.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* For writing, the first row of a type; for reading, the row that is wanted, else the first of the descr that needs no asking: NumPy
   has no name for the types in `bits`. */
static const struct {
    const char *descr;
    actune_dtype dtype;
    bool bits;
} types[] = {{"<f4", ACTUNE_F32, false},   {"<f8", ACTUNE_F64, false},   {"<f2", ACTUNE_F16, false},    {"<u2", ACTUNE_BF16, true},
             {"|i1", ACTUNE_I8, false},    {"|u1", ACTUNE_U8, false},    {"|u1", ACTUNE_F8E4M3, true},  {"|u1", ACTUNE_F8E5M2, true},
             {"|V1", ACTUNE_F8E4M3, true}, {"|V1", ACTUNE_F8E5M2, true}, {"<V2", ACTUNE_BF16, true}};
enum { TYPE_COUNT = sizeof types / sizeof *types, HEADER_MAX = 1 << 16 };

void npy_clear(npy_array *array)
{
    free(array->data);
    *array = (npy_array){0};
}

actune_status npy_create(actune_dtype dtype, int rank, const int64_t *dim, npy_array *array)
{
    *array = (npy_array){.dtype = dtype, .rank = rank, .count = 1};
    int64_t bytes;
    for (int i = 0; i < rank; i++) {
        array->dim[i] = dim[i];
        if (dim[i] < 0 || __builtin_mul_overflow(array->count, dim[i], &array->count))
            return at_fail(ACTUNE_INVALID_ARGUMENT, "the tensor's size overflows");
    }
    if (__builtin_mul_overflow(array->count, at_dtype_get(dtype)->bytes, &bytes) || bytes > INT64_MAX - 128)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "the tensor's size overflows");
    size_t padded = ((size_t)bytes + 127) & ~(size_t)63;
    array->data = aligned_alloc(64, padded);
    if (!array->data)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a tensor of %lld bytes", (long long)bytes);
    memset(array->data, 0, padded);
    return ACTUNE_OK;
}

/* The value after 'key': in the header's dictionary, NULL when it is missing. */
static const char *header_value(const char *header, const char *key)
{
    char quoted[32];
    snprintf(quoted, sizeof quoted, "'%s':", key);
    const char *found = strstr(header, quoted);
    if (!found)
        return NULL;
    found += strlen(quoted);
    return found + strspn(found, " ");
}

static actune_status parse_shape(const char *path, const char *text, int *rank, int64_t *dim)
{
    *rank = 0;
    if (!text || *text++ != '(')
        return at_fail(ACTUNE_SYNTAX, "%s: the .npy header has no shape", path);
    while (*(text += strspn(text, " ,")) != ')') {
        char *end;
        errno = 0;
        long long value = strtoll(text, &end, 10);
        if (end == text || errno || value < 0)
            return at_fail(ACTUNE_SYNTAX, "%s: the .npy header's shape is damaged", path);
        if (*rank == NPY_RANK_MAX)
            return at_fail(ACTUNE_UNSUPPORTED, "%s: tensors of more than %d axes are not supported", path, NPY_RANK_MAX);
        dim[(*rank)++] = value;
        text = end;
    }
    return ACTUNE_OK;
}

/* Its row, the one of `wanted` where there are several; -1: none has that descr. */
static int find_type(const char *descr, actune_dtype wanted)
{
    int found = -1;
    for (int i = 0; i < TYPE_COUNT; i++)
        if (*descr == '\'' && !strncmp(descr + 1, types[i].descr, 3) && descr[4] == '\'' && (found < 0 || types[i].dtype == wanted))
            found = i;
    return found;
}

static actune_status parse_header(const char *path, const char *header, actune_dtype wanted, npy_array *array)
{
    const char *descr = header_value(header, "descr"), *order = header_value(header, "fortran_order");
    int type = descr ? find_type(descr, wanted) : -1, rank;
    int64_t dim[NPY_RANK_MAX];
    if (type < 0)
        return at_fail(ACTUNE_UNSUPPORTED,
                       "%s: the element type %.8s is not supported; it must be '<f4', '<f8', '<f2', '<u2' (bf16 bits), '|i1' or '|u1' (u8, or "
                       "bits of f8): convert it, e.g. x.astype('<f4')",
                       path, descr ? descr : "(none)");
    if (!order || strncmp(order, "False", 5))
        return at_fail(ACTUNE_UNSUPPORTED, "%s: the array is in Fortran order; save np.ascontiguousarray(x)", path);
    if (types[type].bits && wanted != types[type].dtype)
        return at_fail(ACTUNE_UNSUPPORTED, "%s holds %s", path,
                       types[type].dtype == ACTUNE_BF16 ? "uint16; with --dtype bf16 these are taken as bfloat16 bits"
                                                        : "bytes of no type; with --dtype f8e4m3 or f8e5m2 these are taken as such numbers");
    AT_TRY(parse_shape(path, header_value(header, "shape"), &rank, dim));
    actune_status status = npy_create(types[type].dtype, rank, dim, array);
    return status ? at_fail_in(status, "%s", path) : ACTUNE_OK;
}

static actune_status read_header(const char *path, FILE *in, char *header)
{
    unsigned char magic[12];
    size_t length;
    if (fread(magic, 1, 10, in) != 10 || memcmp(magic, "\x93NUMPY", 6))
        return at_fail(ACTUNE_SYNTAX, "%s is not a .npy file", path);
    if (magic[6] == 1)
        length = magic[8] | (size_t)magic[9] << 8;
    else if ((magic[6] == 2 || magic[6] == 3) && fread(magic + 10, 1, 2, in) == 2)
        length = magic[8] | (size_t)magic[9] << 8 | (size_t)magic[10] << 16 | (size_t)magic[11] << 24;
    else
        return at_fail(ACTUNE_UNSUPPORTED, "%s: .npy version %d is not supported", path, magic[6]);
    if (length >= HEADER_MAX || fread(header, 1, length, in) != length)
        return at_fail(ACTUNE_SYNTAX, "%s: the .npy header is cut short or too long", path);
    header[length] = 0;
    return ACTUNE_OK;
}

/* What the header promises must be there before memory is taken for it. */
static actune_status check_length(const char *path, FILE *in, const npy_array *array)
{
    struct stat info;
    int64_t need = array->count * at_dtype_get(array->dtype)->bytes, have = -1;
    if (!fstat(fileno(in), &info) && S_ISREG(info.st_mode))
        have = info.st_size - ftell(in);
    if (have >= 0 && have != need)
        return at_fail(ACTUNE_SYNTAX, "%s: the header promises %lld bytes of data, the file has %lld", path,
                       (long long)need, (long long)have);
    return ACTUNE_OK;
}

actune_status npy_read(const char *path, actune_dtype wanted, npy_array *array)
{
    *array = (npy_array){0};
    FILE *in = fopen(path, "rb");
    if (!in)
        return at_fail(ACTUNE_IO, "%s: %s", path, strerror(errno));
    char *header = malloc(HEADER_MAX);
    actune_status status = header ? read_header(path, in, header) : at_fail(ACTUNE_NO_MEMORY, "out of memory");
    if (!status)
        status = parse_header(path, header, wanted, array);
    if (!status)
        status = check_length(path, in, array);
    if (!status) {
        size_t bytes = (size_t)at_dtype_get(array->dtype)->bytes, count = (size_t)array->count;
        if (fread(array->data, bytes, count, in) != count)
            status = at_fail(ACTUNE_IO, "%s: the data could not be read", path);
    }
    free(header);
    fclose(in);
    if (status)
        npy_clear(array);
    return status;
}

static void make_header(const npy_array *array, at_strbuf *header)
{
    int type = 0;
    while (types[type].dtype != array->dtype)
        type++;
    at_strbuf_printf(header, "{'descr': '%s', 'fortran_order': False, 'shape': (", types[type].descr);
    for (int i = 0; i < array->rank; i++)
        at_strbuf_printf(header, "%lld%s", (long long)array->dim[i], array->rank == 1 ? "," : i + 1 < array->rank ? ", " : "");
    at_strbuf_append(header, "), }");
    while ((header->length + 11) % 64)
        at_strbuf_char(header, ' ');
    at_strbuf_char(header, '\n');
}

static bool write_all(int fd, const void *data, size_t bytes)
{
    for (const char *at = data; bytes;) {
        ssize_t done = write(fd, at, bytes);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        at += done;
        bytes -= (size_t)done;
    }
    return true;
}

actune_status npy_write(const char *path, const npy_array *array)
{
    at_strbuf header = {0}, temporary = {0};
    make_header(array, &header);
    at_strbuf_printf(&temporary, "%s.XXXXXX", path);
    if (at_strbuf_status(&header) || at_strbuf_status(&temporary))
        return ACTUNE_NO_MEMORY;
    unsigned char magic[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (unsigned char)header.length, (unsigned char)(header.length >> 8)};
    int fd = mkstemp(temporary.text);
    bool ok = fd >= 0;
    mode_t mask = umask(0);
    umask(mask);
    ok = ok && write_all(fd, magic, 10) && write_all(fd, header.text, header.length) &&
         write_all(fd, array->data, (size_t)array->count * (size_t)at_dtype_get(array->dtype)->bytes) &&
         !fchmod(fd, 0666 & ~mask);
    int error = errno;
    if (fd >= 0 && close(fd) && ok) {
        error = errno;
        ok = false;
    }
    if (ok && rename(temporary.text, path)) {
        error = errno;
        ok = false;
    }
    if (!ok && fd >= 0)
        unlink(temporary.text);
    at_strbuf_clear(&header);
    at_strbuf_clear(&temporary);
    return ok ? ACTUNE_OK : at_fail(ACTUNE_IO, "%s could not be written: %s", path, strerror(error));
}
