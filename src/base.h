/*
 * base.h - the words that every other file is written in: attributes
 * and arithmetic on sizes and bits.
 */
#ifndef PTM_BASE_H
#define PTM_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"

#define PTM_EXPORT   __attribute__((visibility("default")))
#define PTM_COLD     __attribute__((noinline, cold))
#define PTM_NOINLINE __attribute__((noinline))
#define PTM_INLINE   static inline __attribute__((always_inline))
#define PTM_TLS      __thread __attribute__((tls_model("initial-exec")))

/* For zeroed variables of which little is ever touched, and for those that have
 * pages of their own: behind all others, which then share a page. */
#define PTM_SPARSE __attribute__((section(".bss.sparse")))

/* `name` is another name of the exported function `target`. */
#define PTM_ALIAS(name, target)                                                \
    extern __typeof(target) name                                               \
        __attribute__((alias(#target), visibility("default")))

#define likely(condition)   __builtin_expect(!!(condition), 1)
#define unlikely(condition) __builtin_expect(!!(condition), 0)

static inline bool is_power_of_two(size_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

/* `unit` is a power of two. The caller rules out overflow. */
static inline size_t round_up(size_t n, size_t unit)
{
    return (n + unit - 1) & ~(unit - 1);
}

static inline size_t round_down(size_t n, size_t unit)
{
    return n & ~(unit - 1);
}

static inline size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Index of the highest set bit; n is not 0. The exclusive or undoes the one
 * that counts leading zeroes on x86. */
static inline unsigned highest_bit(size_t n)
{
    return 63u ^ (unsigned)__builtin_clzl(n);
}

/* Index of the lowest set bit; n is not 0. */
static inline unsigned lowest_bit(uint64_t n)
{
    return (unsigned)__builtin_ctzl(n);
}

/* What a compiler knows of a variable in a register it forgets here. Then it
 * does not keep what it made of it, for which it would need an instruction and
 * a register: x86 adds up an address as it uses it. */
#define ptm_launder(variable) __asm__("" : "+r"(variable))

/* Comparisons with a variable that others may store to, by a relaxed load, and
 * the distance from one. No compiler makes an atomic load and a comparison one
 * instruction. */
#if defined(__x86_64__)
static inline bool is_below(size_t value, const size_t *limit)
{
    bool below;
    __asm__("cmpq %2, %1" : "=@ccb"(below) : "r"(value), "m"(*limit));
    return below;
}

static inline bool is_below_32(uint32_t value, const uint32_t *limit)
{
    bool below;
    __asm__("cmpl %2, %1" : "=@ccb"(below) : "r"(value), "m"(*limit));
    return below;
}

static inline bool is_equal_32(uint32_t value, const uint32_t *other)
{
    bool equal;
    __asm__("cmpl %2, %1" : "=@ccz"(equal) : "r"(value), "m"(*other));
    return equal;
}

static inline size_t distance_from(size_t value, const size_t *start)
{
    __asm__("subq %1, %0" : "+r"(value) : "m"(*start) : "cc");
    return value;
}

/* The variable is in the register of a function's result from here on: else it
 * may be made in another one, and moved. */
#define ptm_launder_result(variable) __asm__("" : "+a"(variable))

/* One more, or one less, without a register: what is known of the word in one
 * need not live until then. */
static inline void step_up(uint16_t *word)
{
    __asm__("addw $1, %0" : "+m"(*word) : : "cc");
}

static inline void step_down(uint16_t *word)
{
    __asm__("subw $1, %0" : "+m"(*word) : : "cc");
}
#else
static inline bool is_below(size_t value, const size_t *limit)
{
    return value < __atomic_load_n(limit, __ATOMIC_RELAXED);
}

static inline bool is_below_32(uint32_t value, const uint32_t *limit)
{
    return value < __atomic_load_n(limit, __ATOMIC_RELAXED);
}

static inline bool is_equal_32(uint32_t value, const uint32_t *other)
{
    return value == __atomic_load_n(other, __ATOMIC_RELAXED);
}

static inline size_t distance_from(size_t value, const size_t *start)
{
    return value - __atomic_load_n(start, __ATOMIC_RELAXED);
}

#define ptm_launder_result(variable) ptm_launder(variable)

static inline void step_up(uint16_t *word)
{
    ++*word;
}

static inline void step_down(uint16_t *word)
{
    --*word;
}
#endif

_Static_assert(sizeof(size_t) == 8 && sizeof(long) == 8,
               "sizes and addresses are 64 bits wide");

#endif
