#include "fake_image.h"

#include <elf.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { SECTIONS_MAX = 2 * FAKE_KERNELS_MAX + 8, ATTRIBUTE_FRAME = 0x11, ATTRIBUTE_REGISTERS = 0x2f };

typedef struct writer {
    at_strbuf data, names; /* all sections' contents; their names */
    Elf64_Shdr section[SECTIONS_MAX];
    int sections;
} writer;

static int add(writer *w, const char *name, unsigned type, const void *content, size_t bytes)
{
    Elf64_Shdr *s = &w->section[w->sections];
    *s = (Elf64_Shdr){.sh_name = (Elf64_Word)w->names.length, .sh_type = type, .sh_addralign = 8};
    s->sh_offset = sizeof(Elf64_Ehdr) + w->data.length;
    s->sh_size = bytes;
    s->sh_flags = strncmp(name, ".text.", 6) ? 0 : SHF_ALLOC | SHF_EXECINSTR;
    at_strbuf_append_n(&w->names, name, strlen(name) + 1);
    if (content) {
        at_strbuf_append_n(&w->data, content, bytes);
        at_strbuf_append_n(&w->data, "\0\0\0\0\0\0\0", (8 - bytes % 8) % 8);
    }
    return w->sections++;
}

static void add_info(at_strbuf *info, unsigned char attribute, uint32_t symbol, uint32_t value)
{
    const unsigned char head[4] = {4, attribute, 8, 0};
    at_strbuf_append_n(info, (const char *)head, sizeof head);
    at_strbuf_append_n(info, (const char *)&symbol, sizeof symbol);
    at_strbuf_append_n(info, (const char *)&value, sizeof value);
}

static void add_kernels(writer *w, const fake_kernel_info *kernels, int count)
{
    at_strbuf symbols = {0}, strings = {0}, info = {0}, list = {0};
    const Elf64_Sym none = {0};
    char name[160];
    at_strbuf_append_n(&symbols, (const char *)&none, sizeof none);
    at_strbuf_append_n(&strings, "", 1);
    for (int i = 0; i < count; i++) {
        const fake_kernel_info *k = &kernels[i];
        snprintf(name, sizeof name, ".text.%s", k->name);
        int text = add(w, name, SHT_PROGBITS, k->code, strlen(k->code));
        snprintf(name, sizeof name, ".nv.shared.%s", k->name);
        if (k->shared_bytes)
            add(w, name, SHT_NOBITS, NULL, (size_t)k->shared_bytes);
        const Elf64_Sym symbol = {.st_name = (Elf64_Word)strings.length, .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
                                  .st_shndx = (Elf64_Section)text};
        at_strbuf_append_n(&symbols, (const char *)&symbol, sizeof symbol);
        at_strbuf_append_n(&strings, k->name, strlen(k->name) + 1);
        add_info(&info, ATTRIBUTE_REGISTERS, (uint32_t)i + 1, (uint32_t)k->registers);
        add_info(&info, ATTRIBUTE_FRAME, (uint32_t)i + 1, 0);
        at_strbuf_printf(&list, "%s %s %d %d %d\n", k->name, k->parameters, k->threads, k->registers, k->value_bytes);
    }
    int table = add(w, ".symtab", SHT_SYMTAB, symbols.text, symbols.length);
    w->section[table].sh_entsize = sizeof none;
    w->section[table].sh_link = (Elf64_Word)add(w, ".strtab", SHT_STRTAB, strings.text, strings.length);
    add(w, ".nv.info", SHT_PROGBITS, info.text, info.length);
    add(w, ".fake.kernels", SHT_PROGBITS, at_strbuf_text(&list), list.length + 1);
    at_strbuf_clear(&symbols);
    at_strbuf_clear(&strings);
    at_strbuf_clear(&info);
    at_strbuf_clear(&list);
}

void fake_image_write(const fake_kernel_info *kernels, int count, const char *object, size_t object_bytes, at_strbuf *out)
{
    writer w = {.sections = 0};
    add(&w, "", SHT_NULL, NULL, 0);
    add_kernels(&w, kernels, count);
    add(&w, ".fake.object", SHT_PROGBITS, object, object_bytes);
    int names = add(&w, ".shstrtab", SHT_STRTAB, NULL, 0);
    w.section[names].sh_size = w.names.length;
    at_strbuf_append_n(&w.data, w.names.text, w.names.length);
    at_strbuf_append_n(&w.data, "\0\0\0\0\0\0\0", (8 - w.names.length % 8) % 8);
    Elf64_Ehdr header = {.e_type = ET_EXEC, .e_machine = 190 /* EM_CUDA */, .e_version = EV_CURRENT, .e_ehsize = sizeof header,
                         .e_shentsize = sizeof(Elf64_Shdr), .e_shnum = (Elf64_Half)w.sections, .e_shstrndx = (Elf64_Half)names};
    memcpy(header.e_ident, ELFMAG "\2\1\1", 7);
    header.e_shoff = sizeof header + w.data.length;
    at_strbuf_append_n(out, (const char *)&header, sizeof header);
    at_strbuf_append_n(out, w.data.text, w.data.length);
    at_strbuf_append_n(out, (const char *)w.section, (size_t)w.sections * sizeof *w.section);
    at_strbuf_clear(&w.data);
    at_strbuf_clear(&w.names);
}

size_t fake_image_bytes(const char *image)
{
    Elf64_Ehdr header;
    memcpy(&header, image, sizeof header);
    if (memcmp(header.e_ident, ELFMAG, SELFMAG) || header.e_machine != 190)
        return 0;
    return header.e_shoff + (size_t)header.e_shnum * header.e_shentsize;
}

const char *fake_image_section(const char *image, const char *name, size_t *bytes)
{
    Elf64_Ehdr header;
    Elf64_Shdr names, s;
    memcpy(&header, image, sizeof header);
    memcpy(&names, image + header.e_shoff + header.e_shstrndx * sizeof s, sizeof names);
    for (int i = 0; i < header.e_shnum; i++) {
        memcpy(&s, image + header.e_shoff + (size_t)i * sizeof s, sizeof s);
        *bytes = s.sh_size;
        if (!strcmp(image + names.sh_offset + s.sh_name, name))
            return image + s.sh_offset;
    }
    return NULL;
}
