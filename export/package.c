/* What build systems and people read: pkg-config, CMake, a Makefile, README, licence. */
#include "job.h"

#include "embedded.h"

#include <string.h>

/* `text` with NAME for the library's name and UPPER for its upper case. */
static void append_named(const at_export_job *job, const char *text, at_strbuf *out)
{
    for (const char *at; (at = strchr(text, '@')) != NULL;) {
        bool upper = strncmp(at, "@UPPER@", 7) == 0, name = strncmp(at, "@NAME@", 6) == 0;
        at_strbuf_append_n(out, text, (size_t)(at - text));
        at_strbuf_append(out, upper ? job->upper : name ? job->request->name : "@");
        text = at + (upper ? 7 : name ? 6 : 1);
    }
    at_strbuf_append(out, text);
}

static actune_status write_named(at_export_job *job, const char *path, const char *text)
{
    at_strbuf where = {0}, out = {0};
    append_named(job, path, &where);
    append_named(job, text, &out);
    actune_status status = at_export_add_file(job, at_strbuf_text(&where), &out);
    at_strbuf_clear(&where);
    return status;
}

static const char pkg_config[] = "prefix=${pcfiledir}/../..\n"
                                 "libdir=${prefix}/lib\n"
                                 "includedir=${prefix}/include\n\n"
                                 "Name: @NAME@\n"
                                 "Description: Tuned activation kernels\n"
                                 "Version: " ACTUNE_VERSION_TEXT "\n"
                                 "Libs: -L${libdir} -l@NAME@\n"
                                 "Libs.private: -lpthread -ldl -lm\n"
                                 "Cflags: -I${includedir}\n";

static const char cmake_config[] =
    "# Targets @NAME@::@NAME@_static and @NAME@::@NAME@_shared; @NAME@::@NAME@ is the shared one where BUILD_SHARED_LIBS is on.\n"
    "include(CMakeFindDependencyMacro)\n"
    "find_dependency(Threads)\n"
    "get_filename_component(_@NAME@_prefix \"${CMAKE_CURRENT_LIST_DIR}/../../..\" ABSOLUTE)\n"
    "if(NOT TARGET @NAME@::@NAME@)\n"
    "  add_library(@NAME@::@NAME@_static STATIC IMPORTED)\n"
    "  set_target_properties(@NAME@::@NAME@_static PROPERTIES IMPORTED_LOCATION \"${_@NAME@_prefix}/lib/lib@NAME@.a\"\n"
    "    INTERFACE_INCLUDE_DIRECTORIES \"${_@NAME@_prefix}/include\" INTERFACE_LINK_LIBRARIES \"Threads::Threads;${CMAKE_DL_LIBS};m\")\n"
    "  add_library(@NAME@::@NAME@_shared SHARED IMPORTED)\n"
    "  set_target_properties(@NAME@::@NAME@_shared PROPERTIES IMPORTED_LOCATION \"${_@NAME@_prefix}/lib/lib@NAME@.so\"\n"
    "    INTERFACE_INCLUDE_DIRECTORIES \"${_@NAME@_prefix}/include\")\n"
    "  add_library(@NAME@::@NAME@ INTERFACE IMPORTED)\n"
    "  if(BUILD_SHARED_LIBS)\n"
    "    set_property(TARGET @NAME@::@NAME@ PROPERTY INTERFACE_LINK_LIBRARIES @NAME@::@NAME@_shared)\n"
    "  else()\n"
    "    set_property(TARGET @NAME@::@NAME@ PROPERTY INTERFACE_LINK_LIBRARIES @NAME@::@NAME@_static)\n"
    "  endif()\n"
    "endif()\n"
    "unset(_@NAME@_prefix)\n";

static const char cmake_version[] = "set(PACKAGE_VERSION " ACTUNE_VERSION_TEXT ")\n"
                                    "if(PACKAGE_FIND_VERSION VERSION_GREATER PACKAGE_VERSION)\n"
                                    "  set(PACKAGE_VERSION_COMPATIBLE FALSE)\n"
                                    "else()\n"
                                    "  set(PACKAGE_VERSION_COMPATIBLE TRUE)\n"
                                    "  if(PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)\n"
                                    "    set(PACKAGE_VERSION_EXACT TRUE)\n"
                                    "  endif()\n"
                                    "endif()\n";

/* Flags are those of runtime/backend/cpu_compile.c, so that `make` gives the files that are there already. */
static const char makefile_top[] =
    "# Builds lib/lib@NAME@.a and lib/lib@NAME@.so from src/: make CC=clang\n"
    "CC = cc\n"
    "AR = ar\n"
    "CFLAGS = -O2 -std=gnu11 -ffp-contract=off -fno-math-errno -fPIC -fvisibility=hidden -w\n"
    "LDFLAGS = -Wl,-z,defs -Wl,-z,noexecstack -Wl,-z,nodelete -Wl,--build-id=sha1 -Wl,--as-needed -Wl,-s\n"
    "LDLIBS = -lpthread -ldl -lm\n\n";

static bool is_c(const char *path)
{
    size_t length = strlen(path);
    return strncmp(path, "src/", 4) == 0 && length > 2 && strcmp(path + length - 2, ".c") == 0;
}

/* "src/runtime/pool.c" -> "runtime_pool.o" */
static void append_object(const char *path, at_strbuf *out)
{
    at_strbuf_append(out, ".objects/");
    for (const char *c = path + 4; c[1] != '\0'; c++)
        at_strbuf_char(out, *c == '/' ? '_' : *c);
    at_strbuf_char(out, 'o');
}

static void append_rules(const at_export_job *job, at_strbuf *out)
{
    for (int i = 0; i < job->files; i++)
        if (is_c(job->file[i].path)) {
            append_object(job->file[i].path, out);
            at_strbuf_printf(out, ": %s\n\t@mkdir -p .objects lib\n\t$(CC) $(CFLAGS)", job->file[i].path);
            at_strbuf_printf(out, " $(FLAGS_%s) -Isrc/runtime/include -ffile-prefix-map=src=. -c $< -o $@\n", job->file[i].path + 4);
        }
}

static const char *flags_of(at_isa isa)
{
    static const char *const flags[] = {[AT_ISA_GENERIC] = "", [AT_ISA_X86_V2] = "-march=x86-64-v2", [AT_ISA_X86_V3] = "-march=x86-64-v3",
                                        [AT_ISA_X86_V4] = "-march=x86-64-v4 -mprefer-vector-width=512", [AT_ISA_NEON] = "-march=armv8-a"};
    return flags[isa];
}

static actune_status write_makefile(at_export_job *job)
{
    at_strbuf out = {0};
    append_named(job, makefile_top, &out);
    at_strbuf_append(&out, "MACHINE = $(shell $(CC) -dumpmachine)\n");
    for (int i = 0; i < job->targets; i++) {
        const at_export_target *t = &job->target[i];
        if (t->target.cuda || t->target.isa == AT_ISA_GENERIC)
            continue;
        at_strbuf_printf(&out, "ifneq (,$(filter %s%%,$(MACHINE)))\nFLAGS_kernels_%s.c = %s\nendif\n", t->target.isa == AT_ISA_NEON ? "aarch64" : "x86_64",
                         t->tag, flags_of(t->target.isa));
    }
    at_strbuf_append(&out, "OBJECTS =");
    for (int i = 0; i < job->files; i++)
        if (is_c(job->file[i].path)) {
            at_strbuf_append(&out, " \\\n  ");
            append_object(job->file[i].path, &out);
        }
    append_named(job, "\n\nall: lib/lib@NAME@.a lib/lib@NAME@.so\n\n"
                      "lib/lib@NAME@.a: $(OBJECTS)\n\trm -f $@\n\t$(AR) rcsD $@ $(sort $(OBJECTS))\n\n"
                      "lib/lib@NAME@.so: $(OBJECTS)\n\t$(CC) -shared $(LDFLAGS) -Wl,-soname,lib@NAME@.so -o $@ $(sort $(OBJECTS)) $(LDLIBS)\n\n",
                 &out);
    append_rules(job, &out);
    at_strbuf_append(&out, "\nclean:\n\trm -rf .objects\n\n.PHONY: all clean\n");
    return at_export_add_file(job, "Makefile", &out);
}

static const char readme_top[] =
    "# @NAME@\n\n"
    "Activation kernels tuned and exported by actune " ACTUNE_VERSION_TEXT ". `include/@NAME@.h` is the manual; `lib/` has the library, static and shared;\n"
    "`manifest.json` says which variant serves which shape, and what was measured; `src/` is all of it as source. Needs the C library alone.\n\n"
    "## Use\n\n"
    "```sh\n"
    "cc program.c $(pkg-config --cflags --libs @NAME@)       # PKG_CONFIG_PATH=.../lib/pkgconfig; with -l:lib@NAME@.a: -pthread -ldl -lm\n"
    "cmake -DCMAKE_PREFIX_PATH=<this folder>                 # find_package(@NAME@), target @NAME@::@NAME@\n"
    "```\n\n"
    "`@UPPER@_ISA=x86-64-v3` in the environment lowers the instruction set of a program that uses it.\n\n"
    "## Build it again\n\n"
    "```sh\n"
    "make CC=clang       # the flags that the kernels were tuned with\n"
    "cc -O2 -shared -fPIC -fvisibility=hidden -ffp-contract=off -fno-math-errno -w -Isrc/runtime/include \\\n"
    "  $(find src -name '*.c') -o lib@NAME@.so -pthread -ldl -lm\n"
    "```\n\n"
    "`actune export --check <this folder>` tells whether the files are as they were exported (checksums.txt: XXH3-128).\n";

actune_status at_export_write_package(at_export_job *job)
{
    AT_TRY(write_named(job, "lib/pkgconfig/@NAME@.pc", pkg_config));
    AT_TRY(write_named(job, "lib/cmake/@NAME@/@NAME@-config.cmake", cmake_config));
    AT_TRY(write_named(job, "lib/cmake/@NAME@/@NAME@-config-version.cmake", cmake_version));
    AT_TRY(write_named(job, "README.md", readme_top));
    AT_TRY(write_named(job, "LICENSE", at_export_texts[0].text));
    return write_makefile(job);
}
