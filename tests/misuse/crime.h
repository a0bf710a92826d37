/*
 * crime.h - what a criminal needs: blocks the compiler knows nothing about,
 * size words to forge, and a way to say what the message will have to say.
 *
 * Each program of this folder commits one crime and must die of it. Its head
 * comment holds the message:
 *
 *     expect: ptm: free(): double free: address ADDR, size 24, arena 1
 *
 * which is one line, though the comment may have to break it. The capital words
 * stand for what differs from run to run. The program names them on standard
 * output before the crime (suspect, forge_word, ...), and the runner puts them
 * in: the address must be the very address.
 */
#ifndef PTM_TESTS_CRIME_H
#define PTM_TESTS_CRIME_H

#include <inttypes.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    PREV_INUSE = 1,
    IS_MMAPPED = 2,
    NON_MAIN_ARENA = 4,
    IS_FREE = 8,
};

#define HEAP_SIZE ((uintptr_t)64 << 20)

/* The same pointer, of which the compiler knows nothing any more. */
static inline void *opaque(void *pointer)
{
    __asm__ volatile("" : "+r"(pointer) : : "memory");
    return pointer;
}

/* One line "WORD value" for the runner. snprintf works on the stack, unlike
 * the rest of stdio: naming must not allocate among the ruins. */
static inline void name_value(const char *format, uint64_t value)
{
    char line[64];
    int length = snprintf(line, sizeof line, format, value);
    if (write(1, line, (size_t)length) != length) {
        _exit(1);
    }
}

/* Names the address that the message will tell. */
static inline void *suspect(void *address)
{
    name_value("ADDR 0x%" PRIx64 "\n", (uint64_t)address);
    return opaque(address);
}

/* The word that lies before a block: size and flags of its chunk in the low
 * half, the seal over them in the high half. */
static inline uint64_t *word_before(void *block)
{
    return (uint64_t *)((uintptr_t)opaque(block) - 8);
}

/* The word before that: the size of the chunk before, when that is free. */
static inline uint64_t *footer_before(void *block)
{
    return (uint64_t *)((uintptr_t)opaque(block) - 16);
}

/* Names the size word that the message will tell. */
static inline void suspect_word(void *block)
{
    name_value("WORD 0x%" PRIx64 "\n", *word_before(block));
}

static inline void forge_word(void *block, uint64_t word)
{
    *word_before(block) = word;
    suspect_word(block);
    opaque(block);
}

/* Another size, or other flags, under the seal that was there. */
static inline void forge_size(void *block, uint32_t size_and_flags)
{
    forge_word(block, *word_before(block) >> 32 << 32 | size_and_flags);
}

/* Names the usable size that a chunk's word tells. */
static inline void suspect_size(void *block)
{
    name_value("SIZE %" PRIu64 "\n", (*word_before(block) & 0xfffffff0) - 8);
}

/* Writes where nobody may, past the end, or after the free, and never what is
 * there by chance: a canary of a byte is this byte in one process of 256. */
static inline void overwrite(void *from, int byte, size_t count)
{
    volatile unsigned char *bytes = opaque(from);
    for (size_t i = 0; i < count; i++) {
        bytes[i] = (unsigned char)(bytes[i] != byte ? byte : ~byte);
    }
}

/* Which link. */
enum { NEXT = 0, PREVIOUS = 1 };

/* A link is kept xored with a secret and with its own address, turned around:
 * the secret, if it leads to the chunk at `chunk`. */
static inline uint64_t link_secret(const uint64_t *link, uint64_t chunk)
{
    return *link ^ chunk ^ __builtin_bswap64((uintptr_t)link);
}

/* Links of a free chunk lead from chunk to chunk, which begins 16 bytes
 * before its block. One of the two of a chunk that is first or last in its bin
 * leads nowhere and gives the secret away: with it the other makes sense. */
static inline void forge_link(void *freed, int which, void *block)
{
    uint64_t *links = opaque(freed);
    uint64_t secret = link_secret(&links[NEXT], 0);
    uint64_t other = link_secret(&links[PREVIOUS], secret);
    if (other != 0 && (other ^ (uintptr_t)freed) / HEAP_SIZE != 0) {
        secret = link_secret(&links[PREVIOUS], 0);
    }
    uint64_t chunk = block != NULL ? (uintptr_t)block - 16 : 0;
    links[which] = 0;
    links[which] = link_secret(&links[which], chunk ^ secret);
    opaque(freed);
}

/* An extra line on standard error, which the runner does not expect. */
static inline void complain(const char *line)
{
    if (write(2, line, strlen(line)) < 0) {
        _exit(1);
    }
}

/* An object of a run: the arena makes runs for a size that is in demand.
 * Objects have no header, so that all of their size is usable; chunks have 8
 * bytes less. Blocks that were met on the way stay in use. */
static inline void *object(size_t size)
{
    for (int i = 0; i < 1000; i++) {
        void *block = malloc(size);
        if (malloc_usable_size(block) % 16 == 0) {
            return opaque(block);
        }
    }
    complain("no object of a run was to be had\n");
    _exit(1);
}

static inline void objects(void **blocks, size_t count, size_t size)
{
    for (size_t i = 0; i < count; i++) {
        blocks[i] = object(size);
    }
}

static inline void free_blocks(void **blocks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(blocks[i]);
    }
}

/* More blocks than quarantine holds: whoever was there before has left it. */
static inline void empty_quarantine(size_t size)
{
    for (int i = 0; i < 3000; i++) {
        free(opaque(malloc(size)));
    }
}

/* What the function does happens in another thread, which has ended then. */
static inline void in_other_thread(void *(*function)(void *), void *block)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, function, block) != 0 ||
        pthread_join(thread, NULL) != 0) {
        complain("no other thread\n");
        _exit(1);
    }
}

/* A run begins at a multiple of this. */
#define RUN_SIZE ((uintptr_t)16 << 10)

static inline char *run_of(void *object)
{
    return (char *)((uintptr_t)object & ~(RUN_SIZE - 1));
}

/* Of these objects, one whose run is not the first nor the last of theirs in
 * memory. */
static inline void *middle_object(void **blocks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool below = false, above = false;
        for (size_t j = 0; j < count; j++) {
            below |= run_of(blocks[j]) == run_of(blocks[i]) - RUN_SIZE;
            above |= run_of(blocks[j]) == run_of(blocks[i]) + RUN_SIZE;
        }
        if (below && above) {
            return blocks[i];
        }
    }
    complain("no run is between two others\n");
    _exit(1);
}

/* Keeps a value in the program. */
static inline void use(void *pointer)
{
    opaque(pointer);
}

#endif
