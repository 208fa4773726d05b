/* Modules and functions: a cubin's .fake.object, loaded by the dynamic loader. */
#include "fake.h"
#include "fake_image.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int file_of(const char *data, size_t bytes)
{
    int file = memfd_create("fake-cubin", MFD_CLOEXEC);
    if (file >= 0 && write(file, data, bytes) != (ssize_t)bytes) {
        close(file);
        return -1;
    }
    return file;
}

/* "// PTX\n" and the file in hexadecimal. Free it. */
static char *from_ptx(const char *text)
{
    text += strcspn(text, "\n") + 1;
    char *image = calloc(1, strlen(text) / 2 + 64);
    unsigned byte;
    for (size_t i = 0; image && sscanf(text, "%2x", &byte) == 1; text += 2)
        image[i++] = (char)byte;
    return image;
}

static at_cu_module open_object(const char *object, size_t bytes)
{
    char path[64];
    void (*bounds)(char **, char **) = NULL;
    int file = file_of(object, bytes);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    void *handle = file < 0 ? NULL : dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle)
        *(void **)&bounds = dlsym(handle, "emu_shared_bounds");
    else if (file >= 0)
        fake_mistake("the fake's own object cannot be loaded: %s", dlerror());
    at_cu_module made = bounds ? fake_new(FAKE_MODULE, sizeof *made) : NULL;
    if (made) {
        bounds(&made->shared_begin, &made->shared_end);
        made->handle = handle;
        made->file = file; /* open while it is loaded: the loader knows libraries by their paths */
        return made;
    }
    if (handle)
        dlclose(handle);
    if (file >= 0)
        close(file);
    return NULL;
}

static at_cu_result load_image(at_cu_module *module, const char *image)
{
    size_t object_bytes, list_bytes;
    if (!fake_image_bytes(image))
        return FAKE_IMAGE;
    const char *object = fake_image_section(image, ".fake.object", &object_bytes);
    const char *list = fake_image_section(image, ".fake.kernels", &list_bytes);
    at_cu_module made = object && list ? open_object(object, object_bytes) : NULL;
    if (!made)
        return FAKE_IMAGE;
    made->kernels = strdup(list);
    *module = made;
    return made->kernels ? 0 : FAKE_NO_MEMORY;
}

static at_cu_result load(at_cu_module *module, const char *image)
{
    if (strncmp(image, "// PTX", 6))
        return strncmp(image, "\177ELF", 4) ? FAKE_IMAGE : load_image(module, image);
    char *made = from_ptx(image);
    at_cu_result code = made ? load_image(module, made) : FAKE_NO_MEMORY;
    free(made);
    return code;
}

static const char *find_line(const char *list, const char *name)
{
    size_t length = strlen(name);
    for (; *list; list += strcspn(list, "\n") + 1)
        if (!strncmp(list, name, length) && list[length] == ' ')
            return list + length;
    return NULL;
}

static at_cu_result find_function(at_cu_function *function, at_cu_module module, const char *name)
{
    const char *line = find_line(module->kernels, name);
    void *entry = dlsym(module->handle, name);
    if (!line || !entry)
        return FAKE_NOT_FOUND;
    at_cu_function made = fake_new(FAKE_FUNCTION, sizeof *made);
    if (!made)
        return FAKE_NO_MEMORY;
    made->module = module;
    made->entry = entry;
    snprintf(made->name, sizeof made->name, "%s", name);
    if (sscanf(line, "%20s %d %d %d", made->parameters, &made->threads_max, &made->registers, &made->value_bytes) != 4)
        return FAKE_IMAGE;
    *function = made;
    return 0;
}

at_cu_result cuModuleLoadData(at_cu_module *module, const void *image)
{
    at_cu_result code = fake_begin("cuModuleLoadData", FAKE_NEEDS_CONTEXT | FAKE_NOT_IN_CAPTURE);
    return fake_end(code ? code : load(module, image));
}

at_cu_result cuModuleUnload(at_cu_module module)
{
    at_cu_result code = fake_begin("cuModuleUnload", FAKE_NEEDS_CONTEXT | FAKE_RELEASES);
    if (code || !fake_is(module, FAKE_MODULE, "cuModuleUnload"))
        return fake_end(code ? code : FAKE_HANDLE);
    code = fake_run_all();
    fake_end_of(module);
    for (fake_object *o = fake_first(), *next; o; o = next) {
        next = o->next;
        if (o->kind == FAKE_FUNCTION && ((at_cu_function)o)->module == module)
            fake_end_of(o);
    }
    dlclose(module->handle);
    close(module->file);
    free(module->kernels);
    return fake_end(code);
}

at_cu_result cuModuleGetFunction(at_cu_function *function, at_cu_module module, const char *name)
{
    at_cu_result code = fake_begin("cuModuleGetFunction", FAKE_NEEDS_CONTEXT);
    if (!code && !fake_is(module, FAKE_MODULE, "cuModuleGetFunction"))
        code = FAKE_HANDLE;
    return fake_end(code ? code : find_function(function, module, name));
}

at_cu_result cuFuncGetAttribute(int *value, int attribute, at_cu_function function)
{
    at_cu_result code = fake_begin("cuFuncGetAttribute", FAKE_NEEDS_CONTEXT);
    if (code || !fake_is(function, FAKE_FUNCTION, "cuFuncGetAttribute"))
        return fake_end(code ? code : FAKE_HANDLE);
    *value = attribute == AT_CU_FUNCTION_MAX_THREADS     ? function->threads_max
             : attribute == AT_CU_FUNCTION_SHARED_BYTES ? (int)(function->module->shared_end - function->module->shared_begin)
             : attribute == AT_CU_FUNCTION_REGISTERS    ? function->registers
                                                        : 0;
    return fake_end(0);
}

at_cu_result cuFuncLoad(at_cu_function function)
{
    at_cu_result code = fake_begin("cuFuncLoad", FAKE_NEEDS_CONTEXT | FAKE_NOT_IN_CAPTURE);
    if (!code && !fake_is(function, FAKE_FUNCTION, "cuFuncLoad"))
        code = FAKE_HANDLE;
    if (!code)
        function->loaded = true;
    return fake_end(code);
}

at_cu_result cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, at_cu_function function, int block, size_t shared_bytes)
{
    at_cu_result code = fake_begin("cuOccupancyMaxActiveBlocksPerMultiprocessor", FAKE_NEEDS_CONTEXT);
    if (!code && (!fake_is(function, FAKE_FUNCTION, "cuOccupancy") || block < 1 || shared_bytes > 48 << 10))
        code = FAKE_INVALID;
    if (!code)
        *blocks = 2048 / block < 2 ? 2048 / block : 2; /* few, so that grids stride */
    return fake_end(code);
}
