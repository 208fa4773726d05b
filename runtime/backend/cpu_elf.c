/* Machine code of one function, from the file's symbol table. Works on the file's bytes: nothing is trusted. */
#include "cpu_internal.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

/* One function: [value, value + size) of the image. */
typedef struct code {
    const at_bytes *file;
    const Elf64_Shdr *section;
    int sections;
    uint64_t value, size;
} code;

static const void *at(const at_bytes *file, uint64_t offset, uint64_t size)
{
    return offset <= file->size && size <= file->size - offset ? file->data + offset : NULL;
}

static bool open_sections(const at_bytes *file, code *c)
{
    const Elf64_Ehdr *header = at(file, 0, sizeof *header);
    if (!header || memcmp(header->e_ident, ELFMAG, SELFMAG) || header->e_ident[EI_CLASS] != ELFCLASS64 ||
        header->e_shentsize != sizeof(Elf64_Shdr) || header->e_shoff % 8)
        return false;
    c->file = file;
    c->sections = header->e_shnum;
    c->section = at(file, header->e_shoff, (uint64_t)header->e_shnum * sizeof(Elf64_Shdr));
    return c->section != NULL;
}

static const Elf64_Sym *symbols_of(const code *c, const Elf64_Shdr *table, uint64_t *count)
{
    *count = table->sh_size / sizeof(Elf64_Sym);
    return table->sh_offset % 8 ? NULL : at(c->file, table->sh_offset, table->sh_size);
}

static bool find_symbol(code *c, const Elf64_Shdr *table, const char *symbol)
{
    uint64_t count;
    const Elf64_Sym *symbols = symbols_of(c, table, &count);
    if (!symbols || table->sh_link >= (uint32_t)c->sections)
        return false;
    const Elf64_Shdr *names = &c->section[table->sh_link];
    const char *text = at(c->file, names->sh_offset, names->sh_size);
    size_t length = strlen(symbol) + 1;
    if (!text)
        return false;
    for (uint64_t i = 0; i < count; i++) {
        const Elf64_Sym *s = &symbols[i];
        if (ELF64_ST_TYPE(s->st_info) != STT_FUNC || s->st_shndx == SHN_UNDEF || s->st_name >= names->sh_size ||
            length > names->sh_size - s->st_name || memcmp(text + s->st_name, symbol, length))
            continue;
        c->value = s->st_value;
        c->size = s->st_size;
        return true;
    }
    return false;
}

/* The file's bytes from an address of the loaded image on; *size is cut at the section's end. NULL when there are none. */
static const unsigned char *at_address(const code *c, uint64_t address, uint64_t *size)
{
    for (int i = 0; i < c->sections; i++) {
        const Elf64_Shdr *s = &c->section[i];
        if (s->sh_type != SHT_PROGBITS || !(s->sh_flags & SHF_ALLOC) || address < s->sh_addr ||
            address - s->sh_addr >= s->sh_size)
            continue;
        uint64_t left = s->sh_size - (address - s->sh_addr);
        *size = *size < left ? *size : left;
        return at(c->file, s->sh_offset + (address - s->sh_addr), *size);
    }
    return NULL;
}

/* What a relocation points to: the whole object where one is named there, else as much as the widest constant. */
static void append_target(const code *c, const Elf64_Sym *symbols, uint64_t count, uint64_t address, at_strbuf *out)
{
    uint64_t size = 64;
    for (uint64_t i = 0; i < count; i++) {
        const Elf64_Sym *s = &symbols[i];
        if (ELF64_ST_TYPE(s->st_info) == STT_OBJECT && address >= s->st_value && address - s->st_value < s->st_size)
            size = s->st_size - (address - s->st_value);
    }
    const unsigned char *bytes = at_address(c, address, &size);
    if (bytes)
        at_strbuf_append_n(out, (const char *)bytes, size);
}

/* Bits of an instruction that a relocation fills in. */
static uint32_t address_bits(uint32_t machine, uint32_t type)
{
    if (machine != EM_AARCH64)
        return 0xffffffffu;
    bool page = type == R_AARCH64_ADR_PREL_PG_HI21 || type == R_AARCH64_ADR_PREL_PG_HI21_NC;
    bool branch = type == R_AARCH64_CALL26 || type == R_AARCH64_JUMP26;
    return page ? 0x60ffffe0u : branch ? 0x03ffffffu : 0x003ffc00u;
}

/* Takes addresses out of the code (the first `size` bytes of `image`) and puts what they point to behind it: two variants are
   the same wherever they and their constants lie. `table`: relocations kept by --emit-relocs. */
static void resolve(const code *c, const Elf64_Shdr *table, at_strbuf *image)
{
    const Elf64_Ehdr *header = (const void *)c->file->data;
    const Elf64_Rela *rela = table->sh_offset % 8 ? NULL : at(c->file, table->sh_offset, table->sh_size);
    uint64_t count;
    if (!rela || table->sh_link >= (uint32_t)c->sections)
        return;
    const Elf64_Sym *symbols = symbols_of(c, &c->section[table->sh_link], &count);
    for (uint64_t i = 0; symbols && i < table->sh_size / sizeof *rela && !image->failed; i++) {
        const Elf64_Rela *r = &rela[i];
        uint32_t type = (uint32_t)ELF64_R_TYPE(r->r_info), word;
        if (r->r_offset < c->value || c->size < 4 || r->r_offset - c->value > c->size - 4 ||
            ELF64_R_SYM(r->r_info) >= count)
            continue;
        char *place = image->text + (r->r_offset - c->value);
        memcpy(&word, place, sizeof word);
        word &= ~address_bits(header->e_machine, type);
        memcpy(place, &word, sizeof word);
        /* On x86-64 the addend counts from the end of the four bytes. */
        uint64_t target = symbols[ELF64_R_SYM(r->r_info)].st_value + (uint64_t)r->r_addend;
        append_target(c, symbols, count, target + (header->e_machine == EM_X86_64 ? 4 : 0), image);
    }
}

size_t at_elf_code(const at_bytes *file, const char *symbol, at_hash *hash)
{
    code c = {0};
    if (!open_sections(file, &c))
        return 0;
    bool found = false;
    for (int i = 0; i < c.sections && !found; i++)
        if (c.section[i].sh_type == SHT_SYMTAB || c.section[i].sh_type == SHT_DYNSYM)
            found = find_symbol(&c, &c.section[i], symbol);
    uint64_t size_in_file = c.size;
    const unsigned char *text = found ? at_address(&c, c.value, &size_in_file) : NULL;
    if (!text || !c.size || size_in_file != c.size)
        return 0;
    at_strbuf image = {0};
    at_strbuf_append_n(&image, (const char *)text, c.size);
    for (int i = 0; i < c.sections; i++)
        if (c.section[i].sh_type == SHT_RELA && !(c.section[i].sh_flags & SHF_ALLOC) && !image.failed)
            resolve(&c, &c.section[i], &image);
    if (!image.failed && hash)
        *hash = at_hash_bytes(image.text, image.length);
    size_t size = image.failed ? 0 : c.size;
    at_strbuf_clear(&image);
    return size;
}
