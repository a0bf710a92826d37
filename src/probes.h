/*
 * probes.h - places that debuggers and tracers find by name: USDT probes.
 *
 *     .text            nop                         <- 990
 *     .note.stapsdt    where it is, provider, name, where its arguments are
 *     .probes          semaphore: how many look now
 *
 * A probe is one nop, and a note that says where; who looks puts a breakpoint
 * there. Its arguments are in registers by then. One that costs more than that
 * has a semaphore, which whoever looks counts up: PROBE_IS_WANTED asks it. The
 * notes are those of SystemTap, version 3, as gdb, perf, bpftrace and bcc read
 * them; no library and no header of theirs is needed.
 *
 *     otel_memory  alloc(ptr, size, weighted_bytes)   of a profile's samples,
 *                  free(ptr)                          as OpenTelemetry has them
 *     ptm          refill(class, blocks)              caches and arenas
 *                  flush(class, blocks)
 *                  heap_new(heap, bytes)
 *                  purge_step(arena)
 *                  mmap(address, bytes)               of a block of its own
 */
#ifndef PTM_PROBES_H
#define PTM_PROBES_H

#include "base.h"

#define PROBE_SEMAPHORE(provider, name)                                        \
    volatile unsigned short provider##_##name##_semaphore                      \
        __attribute__((section(".probes")))

#define PROBE_IS_WANTED(provider, name)                                        \
    unlikely(provider##_##name##_semaphore != 0)

/* `semaphore` is its name, or 0; `places` has one "8@%n" for each argument. */
#define PROBE_AT(provider, name, semaphore, places, ...)                       \
    __asm__ volatile("990: nop\n"                                              \
                     ".pushsection .note.stapsdt, \"?\", \"note\"\n"           \
                     ".balign 4\n"                                             \
                     ".4byte 992f - 991f, 994f - 993f, 3\n"                    \
                     "991: .asciz \"stapsdt\"\n"                               \
                     "992: .balign 4\n"                                        \
                     "993: .8byte 990b\n"                                      \
                     ".8byte _.stapsdt.base\n"                                 \
                     ".8byte " semaphore "\n"                                  \
                     ".asciz \"" #provider "\"\n"                              \
                     ".asciz \"" #name "\"\n"                                  \
                     ".asciz \"" places "\"\n"                                 \
                     "994: .balign 4\n"                                        \
                     ".popsection\n"                                           \
                     ".ifndef _.stapsdt.base\n"                                \
                     ".pushsection .stapsdt.base, \"aG\", \"progbits\", "      \
                     ".stapsdt.base, comdat\n"                                 \
                     ".weak _.stapsdt.base\n"                                  \
                     ".hidden _.stapsdt.base\n"                                \
                     "_.stapsdt.base: .space 1\n"                              \
                     ".size _.stapsdt.base, 1\n"                               \
                     ".popsection\n"                                           \
                     ".endif\n" ::__VA_ARGS__)

#define PROBE_1(provider, name, a)                                             \
    PROBE_AT(provider, name, "0", "8@%0", "r"((uint64_t)(a)))
#define PROBE_2(provider, name, a, b)                                          \
    PROBE_AT(provider, name, "0", "8@%0 8@%1", "r"((uint64_t)(a)),             \
             "r"((uint64_t)(b)))
#define PROBE_GATED_1(provider, name, a)                                       \
    PROBE_AT(provider, name, #provider "_" #name "_semaphore", "8@%0",         \
             "r"((uint64_t)(a)))
#define PROBE_GATED_3(provider, name, a, b, c)                                 \
    PROBE_AT(provider, name, #provider "_" #name "_semaphore",                 \
             "8@%0 8@%1 8@%2", "r"((uint64_t)(a)), "r"((uint64_t)(b)),         \
             "r"((uint64_t)(c)))

#endif
