#include "options.h"

#include <string.h>

size_t option_values[OPTION_COUNT] = {
    [OPTION_MMAP_THRESHOLD] = DEFAULT_MMAP_THRESHOLD,
    [OPTION_MMAP_MAX] = DEFAULT_MMAP_MAX,
    [OPTION_TRIM_THRESHOLD] = DEFAULT_TRIM_THRESHOLD,
    [OPTION_TCACHE_MAX] = DEFAULT_TCACHE_MAX,
    [OPTION_RUN_MAX] = DEFAULT_RUN_MAX,
    [OPTION_MAPPED_CACHE] = DEFAULT_MAPPED_CACHE,
    [OPTION_DECAY] = DEFAULT_DECAY,
    [OPTION_HELPER] = 1,
    [OPTION_HUGE_PAGES] = 1,
    [OPTION_GUARD] = DEFAULT_GUARD,
    [OPTION_KINDS] = 1,
};

struct option_place option_places[OPTION_COUNT];

/* Arrays, not pointers: a table of pointers would need a relocation each. */
static const struct option_name {
    char key[16];
    char variable[24]; /* glibc's name for it, if it has one */
    size_t most;
} option_names[OPTION_COUNT] = {
    [OPTION_ARENA_MAX] = {"arena_max", "MALLOC_ARENA_MAX", SIZE_MAX},
    [OPTION_MMAP_THRESHOLD] = {"mmap_threshold", "MALLOC_MMAP_THRESHOLD_",
                               SIZE_MAX},
    [OPTION_MMAP_MAX] = {"mmap_max", "MALLOC_MMAP_MAX_", SIZE_MAX},
    [OPTION_TRIM_THRESHOLD] = {"trim_threshold", "MALLOC_TRIM_THRESHOLD_",
                               SIZE_MAX},
    [OPTION_TOP_PAD] = {"top_pad", "MALLOC_TOP_PAD_", SIZE_MAX},
    [OPTION_TCACHE_MAX] = {"tcache_max", "", SIZE_MAX},
    [OPTION_RUN_MAX] = {"run_max", "", SIZE_MAX},
    [OPTION_MAPPED_CACHE] = {"mapped_cache", "", SIZE_MAX},
    [OPTION_DECAY] = {"decay", "", (size_t)1 << 40},
    [OPTION_MEMORY_LIMIT] = {"memory_limit", "", PTRDIFF_MAX},
    [OPTION_HELPER] = {"helper", "", 1},
    [OPTION_HUGE_PAGES] = {"huge_pages", "", 1},
    [OPTION_GUARD] = {"guard", "", UINT32_MAX},
    [OPTION_HARDENED] = {"hardened", "MALLOC_CHECK_", 1},
    [OPTION_KINDS] = {"kinds", "", 1},
    [OPTION_PROFILE] = {"profile", "", (size_t)1 << 40},
    [OPTION_PERTURB] = {"perturb", "MALLOC_PERTURB_", 255},
    [OPTION_DEEPBIND] = {"deepbind", "", 1},
    [OPTION_MALLOC_HOOKS] = {"malloc_hooks", "", 1},
    [OPTION_PRINT_OPTIONS] = {"print_options", "", 1},
};

static const char origin_names[][16] = {
    [ORIGIN_DEFAULT] = "default",
    [ORIGIN_PROGRAM] = "ptm_options",
    [ORIGIN_FILE] = SETTINGS_FILE,
    [ORIGIN_GLIBC_VARIABLE] = "", /* each has its own name */
    [ORIGIN_GLIBC_TUNABLES] = "GLIBC_TUNABLES",
    [ORIGIN_PTM_OPTIONS] = "PTM_OPTIONS",
    [ORIGIN_RUN_TIME] = "run time",
};

/* ---- the table ---------------------------------------------------------- */

bool span_is(struct span span, const char *text)
{
    return strlen(text) == span.length &&
           memcmp(span.text, text, span.length) == 0;
}

enum option option_named(struct span key)
{
    unsigned option = 0;
    while (option < OPTION_COUNT && !span_is(key, option_names[option].key)) {
        option++;
    }
    return (enum option)option;
}

enum option option_of_variable(const char *entry, const char **value)
{
    size_t length = strcspn(entry, "=");
    if (entry[length] == '\0') {
        return OPTION_COUNT;
    }
    *value = entry + length + 1;
    unsigned option = 0;
    while (option < OPTION_COUNT && !span_is((struct span){entry, length},
                                             option_names[option].variable)) {
        option++;
    }
    return (enum option)option;
}

bool option_is_glibcs(enum option option)
{
    return option == OPTION_TCACHE_MAX ||
           (option != OPTION_HARDENED &&
            option_names[option].variable[0] != '\0');
}

size_t option_most(enum option option)
{
    return option_names[option].most;
}

const char *option_key(enum option option)
{
    return option_names[option].key;
}

/* ---- messages ----------------------------------------------------------- */

static void message_quoted(struct message *message, struct span span)
{
    message_text(message, "'");
    message_bytes(message, span.text, min_size(span.length, 64));
    message_text(message, "'");
}

void message_place(struct message *message, struct option_place place,
                   enum option option)
{
    message_text(message, place.origin == ORIGIN_GLIBC_VARIABLE
                              ? option_names[option].variable
                              : origin_names[place.origin]);
    if (place.line != 0) {
        message_text(message, " line ");
        message_number(message, place.line);
    }
}

void option_warn_unknown(struct option_place place, struct span key)
{
    struct message message;
    message_start(&message);
    message_text(&message, "ptm: ");
    message_place(&message, place, OPTION_COUNT);
    message_text(&message, ": unknown option ");
    message_quoted(&message, key);
    message_write(&message);
}

static void warn_bad_value(struct option_place place, enum option option,
                           struct span value)
{
    struct message message;
    message_start(&message);
    message_text(&message, "ptm: ");
    message_place(&message, place, option);
    message_text(&message, ": bad value ");
    message_quoted(&message, value);
    message_text(&message, " for '");
    message_text(&message, option_names[option].key);
    message_text(&message, "'");
    message_write(&message);
}

/* ---- values ------------------------------------------------------------- */

static void store_option(enum option option, size_t value,
                         struct option_place place)
{
    __atomic_store_n(&option_values[option], value, __ATOMIC_RELAXED);
    __atomic_store_n(&option_places[option].line, place.line, __ATOMIC_RELAXED);
    __atomic_store_n(&option_places[option].origin, place.origin,
                     __ATOMIC_RELAXED);
}

void option_set(enum option option, size_t value)
{
    store_option(option, value,
                 (struct option_place){.origin = ORIGIN_RUN_TIME});
}

static unsigned digit_of(char c)
{
    return c >= '0' && c <= '9'   ? (unsigned)(c - '0')
           : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                                  : UINT32_MAX;
}

/* Multiplies by 2^10, 2^20, 2^30 for k, m, g. */
static bool apply_unit(char unit, size_t *number)
{
    static const char units[] = "kmg";
    const char *found = strchr(units, unit | 0x20);
    return found != NULL && *found != '\0' &&
           !__builtin_mul_overflow(
               *number, (size_t)1 << (10 * (found - units + 1)), number);
}

/* Whole decimal or 0x numbers, with an optional unit. */
static bool parse_number(struct span span, size_t *number)
{
    bool is_hex = span.length > 2 && span.text[0] == '0' && span.text[1] == 'x';
    unsigned base = is_hex ? 16 : 10;
    size_t first = is_hex ? 2 : 0;
    size_t at = first;
    *number = 0;
    for (; at < span.length && digit_of(span.text[at]) < base; at++) {
        if (__builtin_mul_overflow(*number, base, number) ||
            __builtin_add_overflow(*number, digit_of(span.text[at]), number)) {
            return false;
        }
    }
    if (at == first || at + 1 < span.length) {
        return false;
    }
    return at == span.length || apply_unit(span.text[at], number);
}

/* A negative size is more than any to glibc, that is: no limit. */
static bool parse_for_glibc(struct span value, size_t *number)
{
    if (value.length > 1 && value.text[0] == '-') {
        struct span rest = {value.text + 1, value.length - 1};
        bool is_number = parse_number(rest, number);
        *number = SIZE_MAX;
        return is_number;
    }
    return parse_number(value, number);
}

static bool parse_value(struct option_place place, enum option option,
                        struct span value, size_t *number)
{
    bool is_glibcs = place.origin == ORIGIN_GLIBC_VARIABLE ||
                     place.origin == ORIGIN_GLIBC_TUNABLES;
    if (!is_glibcs) {
        return parse_number(value, number) &&
               *number <= option_names[option].most;
    }
    bool is_number = parse_for_glibc(value, number);
    if (option == OPTION_HARDENED) {
        *number = *number != 0; /* 1 to 3 were three ways to say it */
    }
    return is_number && *number <= option_names[option].most;
}

void option_set_from(struct option_place place, enum option option,
                     struct span value)
{
    size_t number;
    if (!parse_value(place, option, value, &number)) {
        warn_bad_value(place, option, value);
    } else if (place.origin >= option_places[option].origin) {
        store_option(option, number, place);
    }
}
