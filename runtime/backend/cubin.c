#include "cubin.h"

#include "../base/strbuf.h"
#include <elf.h>
#include <stdio.h>
#include <string.h>

/* Attributes in .nv.info: format, attribute, 16-bit size; SIZED ones have `size` bytes behind them (symbol index, value). */
enum { FORMAT_SIZED = 4, ATTRIBUTE_FRAME = 0x11, ATTRIBUTE_REGISTERS = 0x2f };

/* From sm_90 on a kernel's shared section begins with what the system takes, and the file says so with .nv.shared.reserved.0. */
enum { RESERVED_BYTES = 1024 };

typedef struct reader {
    const unsigned char *at;
    size_t bytes;
    Elf64_Ehdr header;
    const char *names; /* of sections */
    size_t names_bytes;
} reader;

static actune_status damaged(const char *what)
{
    return at_fail(ACTUNE_SYNTAX, "not a usable cubin: %s", what);
}

static bool inside(const reader *r, uint64_t offset, uint64_t bytes)
{
    return offset <= r->bytes && bytes <= r->bytes - offset;
}

static Elf64_Shdr section(const reader *r, int i)
{
    Elf64_Shdr s;
    memcpy(&s, r->at + r->header.e_shoff + (size_t)i * sizeof s, sizeof s);
    return s;
}

/* "" for a name outside the table, or one that does not end in it. */
static const char *name_of(const reader *r, const Elf64_Shdr *s)
{
    if (s->sh_name >= r->names_bytes || !memchr(r->names + s->sh_name, 0, r->names_bytes - s->sh_name))
        return "";
    return r->names + s->sh_name;
}

static actune_status open_file(reader *r)
{
    if (r->bytes < sizeof r->header || memcmp(r->at, ELFMAG, SELFMAG) || r->at[EI_CLASS] != ELFCLASS64)
        return damaged("no 64-bit ELF file");
    memcpy(&r->header, r->at, sizeof r->header);
    if (r->header.e_shentsize != sizeof(Elf64_Shdr) || r->header.e_shstrndx >= r->header.e_shnum ||
        !inside(r, r->header.e_shoff, (uint64_t)r->header.e_shnum * sizeof(Elf64_Shdr)))
        return damaged("its table of sections lies outside the file");
    for (int i = 0; i < r->header.e_shnum; i++) {
        Elf64_Shdr s = section(r, i);
        if (s.sh_type != SHT_NOBITS && s.sh_type != SHT_NULL && !inside(r, s.sh_offset, s.sh_size))
            return damaged("a section lies outside the file");
    }
    Elf64_Shdr names = section(r, r->header.e_shstrndx);
    r->names = (const char *)r->at + names.sh_offset;
    r->names_bytes = names.sh_type == SHT_NOBITS ? 0 : names.sh_size;
    return ACTUNE_OK;
}

static int find_section(const reader *r, const char *prefix, const char *symbol)
{
    char wanted[256];
    snprintf(wanted, sizeof wanted, "%s%s", prefix, symbol);
    for (int i = 0; i < r->header.e_shnum; i++) {
        Elf64_Shdr s = section(r, i);
        if (!strcmp(name_of(r, &s), wanted))
            return i;
    }
    return -1;
}

/* Whether entry `index` of the symbol table is defined in section `text` as a global function: the kernel itself. */
static bool is_kernel_symbol(const reader *r, uint32_t index, int text)
{
    for (int i = 0; i < r->header.e_shnum; i++) {
        Elf64_Shdr s = section(r, i);
        Elf64_Sym symbol;
        if (s.sh_type != SHT_SYMTAB || index >= s.sh_size / sizeof symbol)
            continue;
        memcpy(&symbol, r->at + s.sh_offset + (size_t)index * sizeof symbol, sizeof symbol);
        return symbol.st_shndx == text && ELF64_ST_BIND(symbol.st_info) == STB_GLOBAL;
    }
    return false;
}

static void read_info(const reader *r, const Elf64_Shdr *info, int text, at_cubin_kernel *kernel)
{
    const unsigned char *at = r->at + info->sh_offset, *end = at + info->sh_size;
    while (end - at >= 4) {
        uint16_t size;
        uint32_t pair[2];
        int format = at[0], attribute = at[1];
        memcpy(&size, at + 2, sizeof size);
        at += 4;
        if (format != FORMAT_SIZED)
            continue;
        if (size > end - at)
            return;
        if (size == sizeof pair) {
            memcpy(pair, at, sizeof pair);
            if (attribute == ATTRIBUTE_REGISTERS && is_kernel_symbol(r, pair[0], text))
                kernel->registers = (int)(pair[1] & 0xffff);
            if (attribute == ATTRIBUTE_FRAME && is_kernel_symbol(r, pair[0], text))
                kernel->stack_bytes = (int)(pair[1] & 0xffffff);
        }
        at += size;
    }
}

/* Code, and constants but those that hold a launch's arguments. */
static bool is_code(const Elf64_Shdr *s, const char *name)
{
    return s->sh_type == SHT_PROGBITS && (s->sh_flags & SHF_ALLOC) &&
           (!strncmp(name, ".text.", 6) || !strncmp(name, ".nv.global", 10) ||
            (!strncmp(name, ".nv.constant", 12) && strncmp(name, ".nv.constant0", 13)));
}

static actune_status hash_code(const reader *r, at_cubin_kernel *kernel)
{
    at_strbuf all = {0};
    for (int i = 0; i < r->header.e_shnum; i++) {
        Elf64_Shdr s = section(r, i);
        const char *name = name_of(r, &s);
        if (!is_code(&s, name))
            continue;
        at_strbuf_append_n(&all, (const char *)&s.sh_size, sizeof s.sh_size);
        at_strbuf_append_n(&all, (const char *)r->at + s.sh_offset, s.sh_size);
        kernel->code_bytes += name[1] == 't' ? s.sh_size : 0;
    }
    actune_status status = at_strbuf_status(&all);
    if (!status)
        kernel->code_hash = at_hash_bytes(all.text, all.length);
    at_strbuf_clear(&all);
    return status;
}

actune_status at_cubin_read(const void *cubin, size_t bytes, const char *symbol, at_cubin_kernel *kernel)
{
    reader r = {.at = cubin, .bytes = bytes};
    *kernel = (at_cubin_kernel){.registers = -1, .stack_bytes = -1};
    AT_TRY(open_file(&r));
    int text = find_section(&r, ".text.", symbol), info = find_section(&r, ".nv.info", ""), shared = find_section(&r, ".nv.shared.", symbol);
    if (text < 0)
        return at_fail(ACTUNE_NOT_FOUND, "the cubin has no kernel '%s'", symbol);
    if (info >= 0) {
        Elf64_Shdr s = section(&r, info);
        if (s.sh_type != SHT_NOBITS)
            read_info(&r, &s, text, kernel);
    }
    if (shared >= 0) {
        uint64_t size = section(&r, shared).sh_size;
        uint64_t reserved = find_section(&r, ".nv.shared.reserved.0", "") >= 0 ? RESERVED_BYTES : 0;
        kernel->shared_bytes = size > 1 << 20 ? -1 : (int)(size > reserved ? size - reserved : size);
    }
    return hash_code(&r, kernel);
}
