#define _GNU_SOURCE
#include "names.h"

#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    SEGMENTS_MOST = 64,
    SECTIONS_MOST = 4096,
    TABLE_MOST = 1 << 30,
};

/* A part of the file in memory, and a zero behind it; NULL: none. */
struct copy {
    char *bytes;
    size_t size;
};

static struct copy read_copy(int file, uint64_t offset, uint64_t size)
{
    struct copy copy = {NULL, 0};
    if (size == 0 || size >= TABLE_MOST) {
        return copy;
    }
    char *bytes = mmap(NULL, size + 1, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (bytes == MAP_FAILED) {
        return copy;
    }
    ssize_t got = 0;
    while (copy.size < size &&
           (got = pread(file, bytes + copy.size, size - copy.size,
                        (off_t)(offset + copy.size))) > 0) {
        copy.size += (size_t)got;
    }
    if (copy.size < size) {
        munmap(bytes, size + 1);
        return (struct copy){NULL, 0};
    }
    copy.bytes = bytes;
    return copy;
}

static void free_copy(struct copy *copy)
{
    if (copy->bytes != NULL) {
        munmap(copy->bytes, copy->size + 1);
    }
    copy->bytes = NULL;
}

/* What has to be added to an address in the mapping, to have it as symbols do.
 * False: the file has no such segment. */
static bool find_shift(int file, const Elf64_Ehdr *head,
                       const struct mapped_file *mapping, uint64_t *shift)
{
    Elf64_Phdr segment;
    for (unsigned i = 0; i < head->e_phnum && i < SEGMENTS_MOST; i++) {
        off_t at = (off_t)(head->e_phoff + i * sizeof segment);
        if (pread(file, &segment, sizeof segment, at) != sizeof segment) {
            return false;
        }
        uint64_t size = mapping->end - mapping->start;
        if (segment.p_type == PT_LOAD && (segment.p_flags & PF_X) != 0 &&
            segment.p_offset < mapping->offset + size &&
            mapping->offset < segment.p_offset + segment.p_filesz) {
            *shift = segment.p_vaddr - segment.p_offset + mapping->offset -
                     mapping->start;
            return true;
        }
    }
    return false;
}

/* The first address that is not below this one. */
static size_t first_from(const uint64_t *addresses, size_t count,
                         uint64_t address)
{
    size_t from = 0;
    while (from < count) {
        size_t middle = from + (count - from) / 2;
        if (addresses[middle] < address) {
            from = middle + 1;
        } else {
            count = middle;
        }
    }
    return from;
}

struct symbols {
    struct copy table;
    struct copy names;
};

static void visit_symbols(const struct symbols *symbols, uint64_t shift,
                          const uint64_t *addresses, size_t count,
                          name_visitor *visit, void *data)
{
    Elf64_Sym symbol;
    for (size_t at = 0; at + sizeof symbol <= symbols->table.size;
         at += sizeof symbol) {
        memcpy(&symbol, symbols->table.bytes + at, sizeof symbol);
        unsigned type = ELF64_ST_TYPE(symbol.st_info);
        if ((type != STT_FUNC && type != STT_GNU_IFUNC) ||
            symbol.st_shndx == SHN_UNDEF ||
            symbol.st_name >= symbols->names.size) {
            continue;
        }
        uint64_t start = symbol.st_value - shift;
        size_t first = first_from(addresses, count, start);
        size_t last = first_from(addresses, count, start + symbol.st_size);
        if (first < last) {
            visit(data, first, last, symbols->names.bytes + symbol.st_name);
        }
    }
}

/* The table of that type, with its names. */
static bool read_symbols(int file, const struct copy *sections, uint32_t type,
                         struct symbols *symbols)
{
    size_t count = sections->size / sizeof(Elf64_Shdr);
    const Elf64_Shdr *heads = (const Elf64_Shdr *)(void *)sections->bytes;
    for (size_t i = 0; i < count; i++) {
        if (heads[i].sh_type != type || heads[i].sh_link >= count) {
            continue;
        }
        const Elf64_Shdr *names = &heads[heads[i].sh_link];
        symbols->table = read_copy(file, heads[i].sh_offset, heads[i].sh_size);
        symbols->names = read_copy(file, names->sh_offset, names->sh_size);
        if (symbols->table.bytes != NULL && symbols->names.bytes != NULL) {
            return true;
        }
        free_copy(&symbols->table);
        free_copy(&symbols->names);
    }
    return false;
}

static void find_in_file(int file, const struct mapped_file *mapping,
                         const uint64_t *addresses, size_t count,
                         name_visitor *visit, void *data)
{
    Elf64_Ehdr head;
    uint64_t shift;
    struct symbols symbols;
    if (pread(file, &head, sizeof head, 0) != sizeof head ||
        memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 ||
        head.e_ident[EI_CLASS] != ELFCLASS64 ||
        head.e_phentsize != sizeof(Elf64_Phdr) ||
        head.e_shentsize != sizeof(Elf64_Shdr) ||
        head.e_shnum > SECTIONS_MOST ||
        !find_shift(file, &head, mapping, &shift)) {
        return;
    }
    struct copy sections = read_copy(
        file, head.e_shoff, (uint64_t)head.e_shnum * sizeof(Elf64_Shdr));
    if (sections.bytes != NULL &&
        (read_symbols(file, &sections, SHT_SYMTAB, &symbols) ||
         read_symbols(file, &sections, SHT_DYNSYM, &symbols))) {
        visit_symbols(&symbols, shift, addresses, count, visit, data);
        free_copy(&symbols.table);
        free_copy(&symbols.names);
    }
    free_copy(&sections);
}

void names_find(const struct mapped_file *mapping, const uint64_t *addresses,
                size_t count, name_visitor *visit, void *data)
{
    int file = open(mapping->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file >= 0) {
        find_in_file(file, mapping, addresses, count, visit, data);
        close(file);
    }
}
