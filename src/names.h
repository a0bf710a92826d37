/*
 * names.h - the functions of a file that addresses in it are in.
 *
 * Reads the table of symbols of an ELF file, or, where that was stripped, the
 * one for the dynamic linker. The file is read, not mapped: it may be cut off
 * meanwhile, or hold anything. Memory is the kernel's. Not for use inside of
 * malloc.
 */
#ifndef PTM_NAMES_H
#define PTM_NAMES_H

#include "base.h"

/* A part of a file, and where it is mapped. */
struct mapped_file {
    const char *path;
    uint64_t start;
    uint64_t end;
    uint64_t offset; /* in the file */
};

typedef void name_visitor(void *data, size_t first, size_t last,
                          const char *name);

/* Calls for functions that have some of these rising addresses, all in the
 * mapping: those from `first` to before `last`. More than once for an address
 * that more than one symbol has. */
void names_find(const struct mapped_file *mapping, const uint64_t *addresses,
                size_t count, name_visitor *visit, void *data);

#endif
